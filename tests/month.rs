//! A month in one process, under a simulated clock: service and Splunk fail now and then, and every
//! published flow arrives exactly once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules, EndPolicy};
use cta_forwarder::simulator::hec::HecFault;
use world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const SPLUNK: &str = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                      token = { file = \"{folder}/token\" }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_month_with_outages() {
    let mut world = World::new(Setup {
        rules: CtaRules {
            publications_per_part: 7,
            ..CtaRules::default()
        },
        outputs: SPLUNK.to_owned(),
        ..Setup::default()
    });
    let mut random = fastrand::Rng::with_seed(11);
    for day in 0..30 {
        match day {
            // The service is away for five days: longer than a window.
            3 => world.cta.refuse_connections().await.unwrap(),
            8 => world.cta.accept_connections().await.unwrap(),
            // Splunk is away for two days.
            10 => world
                .hec
                .set_fault(ArmedFault::until_cleared(HecFault::HttpStatus {
                    status: 503,
                    retry_after: None,
                })),
            12 => world.hec.clear_faults(),
            // The token is disabled for a day.
            15 => world.hec.change_rules(|rules| rules.enabled = false),
            16 => world.hec.change_rules(|rules| rules.enabled = true),
            // Answers break off, a part fails, the account is locked for a while.
            18 => world
                .cta
                .set_fault(ArmedFault::times(4, CtaFault::CutAnswer)),
            20 => world
                .cta
                .set_fault(ArmedFault::times(2, CtaFault::HangUp).on(CtaFaultOn::Fulfillment)),
            22 => world.cta.set_fault(ArmedFault::times(
                30,
                CtaFault::HttpStatus {
                    status: 401,
                    status_type: Some("DENIED".to_owned()),
                },
            )),
            25 => world.restart(),
            _ => {}
        }
        let mut left = DAY;
        while left > Duration::ZERO {
            let step = (MINUTE * random.u32(1..120)).min(left);
            world.run_for(step).await;
            left -= step;
            world.publish();
        }
    }
    // What was published last is fetched when it has settled.
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    let published = world.cta.published_ids();
    assert!(published.len() > 1000, "{} events are few", published.len());
}

/// A service that echoes the requested end and stamps content by its own clock.
async fn with_a_wrong_clock(error: chrono::TimeDelta) {
    let mut world = World::new(Setup {
        rules: CtaRules {
            end_policy: EndPolicy::Echo,
            ..CtaRules::default()
        },
        clock_error: error,
        ..Setup::default()
    });
    for step in 0..60 {
        world.run_for(MINUTE * 7).await;
        world.publish();
        if step == 30 {
            world.restart();
        }
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    assert!(world.ids_in_file().len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_clock_is_an_hour_ahead() {
    with_a_wrong_clock(chrono::TimeDelta::hours(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_clock_is_an_hour_behind() {
    with_a_wrong_clock(chrono::TimeDelta::hours(-1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_clock_is_set_while_we_run() {
    let mut world = World::new(Setup::default());
    for step in 0..40 {
        world.run_for(MINUTE * 7).await;
        world.publish();
        if step == 20 {
            // The service goes by a clock that nobody sets.
            let skew = chrono::TimeDelta::hours(5);
            let now = cta_forwarder::clock::Clock::now(world.clock.as_ref()).utc;
            world.clock.set_wall_clock(now + skew);
            world.cta.change_rules(|rules| rules.clock_skew -= skew);
        }
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}
