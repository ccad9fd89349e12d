//! Services that are not like CTA: answers that come later, Data Sets, formats, subscriptions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::poller::{Destination, ManualPoll, ManualPollError};
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRequestKind, CtaRules};
use cta_forwarder::taxii::Timestamp;
use cta_forwarder::taxii::window::PollWindow;
use world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const GATE: Duration = Duration::from_secs(601);
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
async fn a_poll_of_a_data_set_by_hand_asks_for_all_of_it() {
    let mut world = World::new(data_set(""));
    world.publish();
    world.run_for(MINUTE).await;
    world.clock.advance(HOUR);
    let poll = |window| ManualPoll {
        collection: COLLECTION.to_owned(),
        window,
        destination: Destination::Person,
    };
    let polls = world.polls().len();
    let now = Timestamp::from(world.cta.now());
    let of_an_hour = PollWindow {
        exclusive_begin: Some(Timestamp::from(now.time() - chrono::TimeDelta::hours(1))),
        inclusive_end: Some(now),
    };
    let by_hand = world.agent.pollers()[0]
        .poll_by_hand(&poll(of_an_hour))
        .await;
    let refused = by_hand.unwrap_err().to_string();
    assert!(refused.contains("leave --begin and --end out"), "{refused}");
    assert_eq!(world.polls().len(), polls);

    let by_hand = world.agent.pollers()[0]
        .poll_by_hand(&poll(PollWindow::ALL))
        .await;
    let counts = by_hand.unwrap().completed.totals.counts;
    let published = world.cta.published_ids().len();
    assert_eq!(counts.events, published as u64);
    let polls = world.polls();
    let last = polls.last().unwrap();
    assert_eq!((&last.begin, &last.end), (&None, &None));
}

/// An hour up to a minute ago.
fn by_hand(world: &World) -> ManualPoll {
    let now = world.cta.now();
    ManualPoll {
        collection: COLLECTION.to_owned(),
        window: PollWindow {
            exclusive_begin: Some(Timestamp::from(now - chrono::TimeDelta::hours(1))),
            inclusive_end: Some(Timestamp::from(now - chrono::TimeDelta::minutes(1))),
        },
        destination: Destination::Person,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_to_a_person_may_come_later_too() {
    let mut world = World::new(later(90 * Duration::from_secs(1)));
    world.run_for(MINUTE).await;
    for _ in 0..3 {
        world.publish();
    }
    world.run_for(30 * MINUTE).await;
    world.clock.advance(GATE);
    let (polls, poll) = (world.polls().len(), by_hand(&world));
    let wait = world.agent.pollers()[0].poll_by_hand(&poll).await;
    let Err(ManualPollError::Later { wait }) = wait else {
        panic!("{wait:?}");
    };
    assert_eq!(wait, 90 * Duration::from_secs(1));
    // Too early, and while nobody answers: it is still promised.
    let hangs_up = ArmedFault::once(CtaFault::HangUp).on(CtaFaultOn::Fulfillment);
    for fault in [None, Some(hangs_up)] {
        if let Some(fault) = fault {
            world.cta.set_fault(fault);
        }
        let still = world.agent.pollers()[0].poll_by_hand(&poll).await;
        assert!(
            matches!(still, Err(ManualPollError::Later { .. })),
            "{still:?}"
        );
    }
    world.clock.advance(wait);
    let result = world.agent.pollers()[0].poll_by_hand(&poll).await.unwrap();
    let published = world.cta.published_ids().len() as u64;
    assert_eq!(result.completed.totals.counts.events, published);
    assert_eq!(world.polls().len(), polls + 1);
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_no_answer_may_come_later_a_person_is_told_what_to_do() {
    let mut world = World::new(Setup::default());
    world
        .cta
        .set_fault(ArmedFault::once(CtaFault::StatusMessage {
            status_type: "PENDING".to_owned(),
            message: "wait".to_owned(),
            details: vec![("RESULT_ID".to_owned(), "7".to_owned())],
        }));
    let poll = by_hand(&world);
    let error = world.agent.pollers()[0].poll_by_hand(&poll).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("set allow_asynch = true"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_poll_of_a_feed_by_hand_has_a_window() {
    let mut world = World::new(Setup::default());
    let all = ManualPoll {
        collection: COLLECTION.to_owned(),
        window: PollWindow::ALL,
        destination: Destination::Person,
    };
    let by_hand = world.agent.pollers()[0].poll_by_hand(&all).await;
    let refused = by_hand.unwrap_err().to_string();
    assert!(refused.contains("--begin and --end"), "{refused}");
    assert_eq!(world.polls().len(), 0);
}

fn data_set(more: &str) -> Setup {
    Setup {
        service: format!("initial_lookback = \"1h\"\ndata_sets = [\"{COLLECTION}\"]\n{more}"),
        rules: CtaRules {
            data_sets: vec![COLLECTION.to_owned()],
            publications_per_part: 2,
            ..CtaRules::default()
        },
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_data_set_only_what_is_new_goes_out() {
    let mut world = World::new(data_set(""));
    for hour in 0..6 {
        world.publish();
        world.run_for(HOUR).await;
        match hour {
            1 => world.restart(),
            // What is lost of it is sent once more, and not lost.
            3 => world.restart_after(|state| {
                let sets = std::fs::read_dir(state.join("spool/sets")).unwrap();
                let files: Vec<_> = sets.map(|entry| entry.unwrap().path()).collect();
                assert_eq!(files.len(), 1);
                let mut bytes = std::fs::read(&files[0]).unwrap();
                bytes[0] ^= 1;
                std::fs::write(&files[0], bytes).unwrap();
            }),
            _ => {}
        }
    }
    let (published, found) = (world.cta.published_ids(), world.ids_in_file());
    let before: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(before.len(), published.len());
    let twice = found.len() - published.len();
    assert!(
        twice > 0 && twice < published.len(),
        "{twice} of {}",
        published.len()
    );
    world.assert_gate_was_kept();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_sets_the_checkpoint_of_a_data_set_gets_all_of_it_again() {
    let mut world = World::new(data_set(""));
    world.publish();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    let change = cta_forwarder::checkpoints::CheckpointChange {
        service: None,
        collection: COLLECTION.to_owned(),
        to: cta_forwarder::checkpoints::To::First,
    };
    let (house, services) = (world.agent.house().clone(), world.config().services.clone());
    cta_forwarder::checkpoints::set(&house, &services, &change).unwrap();
    world.forget_checkpoints();
    world.run_for(HOUR).await;
    assert_eq!(world.ids_in_file(), world.cta.published_ids().repeat(2));
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_set_that_is_too_large_waits_for_a_person() {
    let mut world = World::new(data_set("limits = { max_set_events = 5 }\n"));
    for _ in 0..5 {
        world.publish();
    }
    assert!(world.cta.published_ids().len() > 5);
    world.run_for(HOUR).await;
    let held = format!("{:?}", world.status());
    assert!(held.contains("limits.max_set_events"), "{held}");
    assert_eq!(world.ids_in_file(), []);
    world.restart_with(|toml| toml.replace("max_set_events = 5", "max_set_events = 5000"));
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

/// The batch held only what was new of the answer that comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_batch_of_a_data_set_is_repaired_with_its_own_events() {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\n";
    let mut world = World::new(Setup {
        outputs: splunk.to_owned(),
        // Nothing else tells what was delivered before.
        state: "archive = { keep = \"0s\" }\n".to_owned(),
        ..data_set("")
    });
    world.publish();
    world.run_for(HOUR).await;
    world.hec.refuse_connections().await.unwrap();
    world.publish();
    world.run_for(HOUR).await;
    let damaged = std::cell::Cell::new(0);
    world.restart_after(|state| {
        for batch in std::fs::read_dir(state.join("spool/ready")).unwrap() {
            let file = batch.unwrap().path().join("events-0001.jsonl.zst");
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            damaged.set(damaged.get() + 1);
        }
    });
    assert_eq!(damaged.get(), 1);
    // Other lines come in other places than before.
    let earlier = world.cta.now() - chrono::TimeDelta::days(1);
    let publication = world.generator.publication(earlier);
    world.cta.publish(publication);
    world.hec.accept_connections().await.unwrap();
    world.run_for(2 * HOUR).await;
    world.assert_exactly_once_at_splunk();
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_set_goes_with_the_comparison() {
    let mut world = World::new(data_set("deduplicate = true\n"));
    while world.cta.published_ids().is_empty() {
        world.publish();
    }
    world.run_for(HOUR).await;
    let folder = world.state_folder().join("spool/sets");
    let sets = || std::fs::read_dir(&folder).unwrap().count();
    world.restart();
    assert_eq!(sets(), 1);
    world.restart_with(|toml| toml.replace("deduplicate = true", "deduplicate = false"));
    assert_eq!(sets(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_one_answer_brings_twice_goes_out_once() {
    let mut world = World::new(data_set(""));
    let now = world.cta.now();
    let publication = loop {
        let publication = world.generator.publication(now);
        if !publication.events.is_empty() {
            break publication;
        }
    };
    // In the first part twice, and once more in the second.
    for _ in 0..3 {
        world.cta.publish(publication.clone());
    }
    world.run_for(HOUR).await;
    assert_eq!(world.ids_in_file(), publication.events);
    world.assert_adds_up();
}

/// The same block comes with each poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_block_of_a_data_set_that_cannot_be_read_is_set_aside_once() {
    let mut world = World::new(data_set(""));
    world.publish();
    world.cta.set_fault(ArmedFault::times(
        100,
        CtaFault::BadBlock {
            block: BadBlock::NotStix,
        },
    ));
    world.run_for(2 * HOUR).await;
    assert!(world.polls().len() > 5);
    let folder = std::fs::read_dir(world.state_folder().join("spool/dead-letters")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("block-")).count(), 1);
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_never_comes_is_waited_for_for_a_day() {
    let mut world = World::new(later(MINUTE));
    world.publish();
    let hangs_up = ArmedFault::times(u32::MAX, CtaFault::HangUp).on(CtaFaultOn::Fulfillment);
    world.cta.set_fault(hangs_up);
    world.run_for(23 * HOUR).await;
    assert_eq!(world.polls().len(), 1);
    world.run_for(2 * HOUR).await;
    assert_eq!(world.polls().len(), 2);
    world.cta.clear_faults();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

/// What a discovery service answers says nothing of a window, which was never asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_discovery_service_that_answers_rubbish_costs_no_window() {
    let mut world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        ..Setup::default()
    });
    world.restart_with(|toml| toml.replacen("poll_url = ", "discovery_url = ", 1));
    world
        .cta
        .set_fault(ArmedFault::until_cleared(CtaFault::HtmlPage));
    world.run_for(24 * HOUR).await;
    assert!(world.polls().is_empty());
    let told = world.ledger();
    for kind in ["poll_started", "poll_failed", "window_abandoned"] {
        let count = told.iter().filter(|record| record["type"] == kind).count();
        assert_eq!(count, 0, "{kind}");
    }
    let held = format!("{:?}", world.status());
    assert!(held.contains("does not tell where to poll"), "{held}");
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
    assert!(held.contains("(subscriptions) and the name"), "{held}");
}
