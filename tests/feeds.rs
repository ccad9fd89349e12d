//! Services that are not like CTA: answers that come later, Data Sets, formats, subscriptions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRequestKind, CtaRules};
use world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const COLLECTION: &str = CtaRules::COLLECTION;

fn kinds(world: &World) -> String {
    let kind = |kind| match kind {
        CtaRequestKind::Poll => 'p',
        CtaRequestKind::Fulfillment => 'f',
        CtaRequestKind::Other => '?',
    };
    let requests = world.cta.requests();
    requests.iter().map(|request| kind(request.kind)).collect()
}

fn later(wait: Duration) -> Setup {
    Setup {
        service: "initial_lookback = \"1h\"\nallow_asynch = true\n".to_owned(),
        rules: CtaRules {
            ready_after: Some(wait),
            publications_per_part: 1,
            ..CtaRules::default()
        },
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_comes_later_is_waited_for_and_spends_no_poll() {
    let mut world = World::new(later(90 * Duration::from_secs(1)));
    world.run_for(MINUTE).await;
    for _ in 0..3 {
        world.publish();
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    let polls: Vec<_> = world.polls();
    let fulfilled = kinds(&world).matches('f').count();
    assert!(fulfilled >= polls.len(), "{}", kinds(&world));
    assert!(
        kinds(&world).contains("pfff"),
        "in parts: {}",
        kinds(&world)
    );
    world.assert_gate_was_kept();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restart_while_it_is_waited_for_polls_the_window_anew() {
    let mut world = World::new(later(HOUR));
    world.publish();
    world.run_for(2 * MINUTE).await;
    assert_eq!(kinds(&world).trim_start_matches('?'), "p");
    world.restart();
    world
        .cta
        .change_rules(|rules| rules.ready_after = Some(MINUTE));
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    world.assert_gate_was_kept();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_had_later_is_polled_anew() {
    let mut world = World::new(later(MINUTE));
    world.publish();
    let expired = CtaFault::ExpiredResult {
        status_type: "ASYNCHRONOUS_POLL_ERROR".to_owned(),
    };
    world
        .cta
        .set_fault(ArmedFault::once(expired).on(CtaFaultOn::Fulfillment));
    let hangs_up = ArmedFault::once(CtaFault::HangUp).on(CtaFaultOn::Fulfillment);
    world.cta.set_fault(hangs_up);
    world.run_for(HOUR).await;
    assert_eq!(world.cta.faults(), []);
    world.assert_exactly_once();
    world.assert_gate_was_kept();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_data_set_comes_whole_each_time_it_is_due() {
    let mut world = World::new(Setup {
        service: format!(
            "initial_lookback = \"1h\"\ndata_sets = [\"{COLLECTION}\"]\ndeduplicate = false\n"
        ),
        rules: CtaRules {
            data_sets: vec![COLLECTION.to_owned()],
            ..CtaRules::default()
        },
        ..Setup::default()
    });
    world.publish();
    world.run_for(2 * HOUR).await;
    let polls = world.polls();
    // Every ten minutes, a second late each time.
    assert!((10..=13).contains(&polls.len()), "{}", polls.len());
    for poll in &polls {
        assert_eq!((&poll.begin, &poll.end), (&None, &None));
    }
    let (set, found) = (world.cta.published_ids(), world.ids_in_file());
    assert_eq!(found, set.repeat(polls.len()));
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn formats_and_subscriptions_are_asked_for() {
    let asked_for = |keys: &str| Setup {
        service: format!("initial_lookback = \"1h\"\n{keys}"),
        ..Setup::default()
    };
    let mut world = World::new(asked_for(
        "content_bindings = [\"urn:stix.mitre.org:xml:1.1.1\"]\n",
    ));
    world.publish();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    let body = &world.polls()[0].body;
    assert!(
        body.contains("Content_Binding binding_id=\"urn:stix.mitre.org:xml:1.1.1\""),
        "{body}"
    );

    let keys = format!("subscriptions = {{ \"{COLLECTION}\" = \"s-17\" }}\n");
    let mut world = World::new(asked_for(&keys));
    world.run_for(MINUTE).await;
    let poll = &world.polls()[0];
    assert!(
        poll.body.contains("<taxii:Subscription_ID>s-17<"),
        "{}",
        poll.body
    );
    assert!(!poll.body.contains("Poll_Parameters"));
    let held = format!("{:?}", world.status());
    assert!(
        held.contains("NOT_FOUND: there is no such subscription (ITEM: s-17)"),
        "{held}"
    );
}
