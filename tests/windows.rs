//! What becomes of windows over several polls: halving, giving up, gaps, parts, collections that
//! share a gate, polls by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::io::Read as _;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cta_forwarder::event::EventId;
use cta_forwarder::poller::{Destination, ManualPoll, ManualPollError};
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRequest, CtaRules, GateScope};
use cta_forwarder::taxii::Timestamp;
use cta_forwarder::taxii::window::PollWindow;
use tracing::Level;
use world::logs::Logs;
use world::{Setup, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const GATE: Duration = Duration::from_secs(601);
const COLLECTION: &str = CtaRules::COLLECTION;

const SHORT_PAST: &str = "initial_lookback = \"1h\"\n";

fn setup() -> Setup {
    Setup {
        service: SHORT_PAST.to_owned(),
        ..Setup::default()
    }
}

fn in_parts() -> Setup {
    Setup {
        rules: CtaRules {
            publications_per_part: 1,
            ..CtaRules::default()
        },
        ..setup()
    }
}

fn at(stamp: Option<&String>) -> DateTime<Utc> {
    Timestamp::parse(stamp.unwrap()).unwrap().time()
}

fn length_s(poll: &CtaRequest) -> i64 {
    (at(poll.end.as_ref()) - at(poll.begin.as_ref())).num_seconds()
}

/// Publishes every minute.
async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
}

async fn run_until_polls(world: &mut World, count: usize) {
    while world.polls().len() < count {
        world.run_for(10 * SECOND).await;
    }
}

fn sorted(mut ids: Vec<EventId>) -> Vec<EventId> {
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_that_stays_useless_is_halved_and_its_shortest_part_given_up() {
    let mut world = World::new(setup());
    publish_for(&mut world, 40).await;
    let logs = Logs::capture();
    let first = world.polls().len();
    let fault = ArmedFault::until_cleared(CtaFault::MalformedXml);
    world.cta.set_fault(fault.on(CtaFaultOn::Poll));
    run_until_polls(&mut world, first + 5).await;
    // Neither the span nor the count is lost with the process.
    world.restart();
    run_until_polls(&mut world, first + 8).await;
    world.restart();
    run_until_polls(&mut world, first + 12).await;
    let polls = world.polls().split_off(first);
    let lengths: Vec<i64> = polls.iter().map(length_s).collect();
    // It grows with the time until the third failure.
    assert_eq!(lengths[1] - lengths[0], 601);
    assert_eq!(lengths[2] - lengths[1], 601);
    assert_eq!(lengths[3], lengths[2] / 2);
    assert_eq!(lengths[4], (lengths[2] / 2) / 2);
    assert_eq!(lengths[5..11], [300; 6]);
    assert!(polls[..11].iter().all(|poll| poll.begin == polls[0].begin));
    for pair in polls.windows(2) {
        assert_eq!(pair[1].monotonic, pair[0].monotonic + GATE);
    }
    // Six times the shortest, and then it is given up and what follows is asked for.
    let (begin, end) = (at(polls[0].begin.as_ref()), at(polls[10].end.as_ref()));
    assert_eq!(at(polls[11].begin.as_ref()), end);
    let errors: Vec<_> = logs
        .take_alarms()
        .into_iter()
        .filter(|line| line.level == Level::ERROR)
        .collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in ["given up", "quarantine/", "poll the window by hand"] {
        assert!(errors[0].text.contains(word), "{errors:#?}");
    }
    assert_eq!(world.collection(COLLECTION).gaps, 1);
    let ledger = world.ledger();
    let given_up = ledger
        .iter()
        .find(|record| record["type"] == "window_abandoned");
    let folder = given_up.unwrap()["file"].as_str().unwrap().to_owned();
    let answer = world
        .state_folder()
        .join("quarantine")
        .join(folder)
        .join("answer-0001.xml.zst");
    let mut text = String::new();
    zstd::stream::read::Decoder::new(std::fs::File::open(answer).unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(
        text.contains("</taxii_11:Poll_Respons>") || text.contains("Poll_Respons>"),
        "{text}"
    );

    // Every success doubles the window again; nothing else is missing.
    world.cta.clear_faults();
    let before = world.polls().len();
    publish_for(&mut world, 5).await;
    world.run_for(3 * HOUR).await;
    let lengths: Vec<i64> = world.polls()[before..].iter().map(length_s).collect();
    assert_eq!(lengths[..3], [300, 600, 1200], "{lengths:?}");
    let lost = ids_between(&world, begin, end);
    assert!(!lost.is_empty());
    let mut expected = world.cta.published_ids();
    expected.retain(|id| !lost.contains(id));
    assert_eq!(sorted(world.ids_in_file()), sorted(expected));
    world.assert_gate_was_kept();
}

/// The ids of what the service published after `begin` and up to `end`, as a second look at it
/// tells.
fn ids_between(world: &World, begin: DateTime<Utc>, end: DateTime<Utc>) -> Vec<EventId> {
    let mut generator = cta_forwarder::simulator::content::ContentGenerator::new(world::SEED);
    let mut ids = Vec::new();
    let mut left = world.cta.published_ids().len();
    for stamp in &world.stamps {
        let publication = generator.publication(*stamp);
        left -= publication.events.len();
        if *stamp > begin && *stamp <= end {
            ids.extend(publication.events);
        }
    }
    assert_eq!(left, 0);
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_an_answer_no_window_is_given_up() {
    let mut world = World::new(Setup {
        service: format!("{SHORT_PAST}request_timeout = \"500ms\"\n"),
        ..Setup::default()
    });
    publish_for(&mut world, 20).await;
    let checkpoint = world.checkpoint();
    let fault = ArmedFault::until_cleared(CtaFault::BlackHole);
    world.cta.set_fault(fault.on(CtaFaultOn::Poll));
    let first = world.polls().len();
    run_until_polls(&mut world, first + 14).await;
    assert_eq!(length_s(world.polls().last().unwrap()), 300);
    assert_eq!(world.checkpoint(), checkpoint);
    world.cta.clear_faults();
    world.run_for(3 * HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_first_poll_of_everything_that_fails_goes_on_in_pieces() {
    let mut world = World::new(Setup {
        service: "initial_lookback = \"all\"\n".to_owned(),
        ..Setup::default()
    });
    world.publish();
    world
        .cta
        .set_fault(ArmedFault::times(3, CtaFault::CutAnswer).on(CtaFaultOn::Poll));
    world.run_for(4 * GATE + MINUTE).await;
    let polls = world.polls();
    assert!(
        polls[..3]
            .iter()
            .all(|poll| poll.begin.is_none() && poll.end.is_none())
    );
    assert!(polls[3].begin.is_some() && polls[3].end.is_some());
    world.run_for(24 * HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_outage_longer_than_the_retention_is_a_gap_told_once() {
    let mut world = World::new(Setup {
        rules: CtaRules {
            retention: TimeDelta::days(1),
            ..CtaRules::default()
        },
        service: format!("{SHORT_PAST}retention = \"1d\"\n"),
        ..Setup::default()
    });
    publish_for(&mut world, 20).await;
    // Fetched before the service goes away.
    world.run_for(HOUR).await;
    let checkpoint = world.checkpoint().unwrap();
    let logs = Logs::capture();
    world.cta.refuse_connections().await.unwrap();
    world.run_for(26 * HOUR).await;
    let before = logs.take_alarms();
    assert!(
        before.iter().all(|line| line.level == Level::WARN),
        "{before:#?}"
    );
    world.cta.accept_connections().await.unwrap();
    world
        .cta
        .set_fault(ArmedFault::once(CtaFault::HangUp).on(CtaFaultOn::Poll));
    world.run_for(3 * GATE).await;
    world.restart();
    world.run_for(HOUR).await;
    let alarms = logs.take_alarms();
    let errors: Vec<_> = alarms
        .iter()
        .filter(|line| line.level == Level::ERROR)
        .collect();
    assert_eq!(errors.len(), 1, "{alarms:#?}");
    assert!(errors[0].text.contains("content is lost"), "{errors:?}");
    assert!(errors[0].text.contains(&checkpoint), "{errors:?}");
    assert_eq!(world.collection(COLLECTION).gaps, 1);
    let ledger = world.ledger();
    let gaps: Vec<_> = ledger
        .iter()
        .filter(|record| !record["gap"].is_null())
        .collect();
    assert_eq!(gaps.len(), 1, "{gaps:#?}");
    assert_eq!(gaps[0]["gap"]["after"], checkpoint.as_str());
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_service_that_begins_later_than_it_was_asked_to_has_lost_something() {
    let mut world = World::new(setup());
    publish_for(&mut world, 30).await;
    let logs = Logs::capture();
    let fault = CtaFault::LaterBegin { seconds: 120 };
    world
        .cta
        .set_fault(ArmedFault::once(fault).on(CtaFaultOn::Poll));
    world.run_for(HOUR).await;
    let alarms = logs.take_alarms();
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert!(alarms[0].level == Level::ERROR && alarms[0].text.contains("content is lost"));
    assert_eq!(world.collection(COLLECTION).gaps, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_part_that_fails_is_asked_for_again_at_once() {
    for fault in [
        CtaFault::HangUp,
        CtaFault::CutAnswer,
        CtaFault::MalformedXml,
        CtaFault::HttpStatus {
            status: 503,
            status_type: None,
        },
    ] {
        let mut world = World::new(in_parts());
        publish_for(&mut world, 25).await;
        let polls = world.polls().len();
        world
            .cta
            .set_fault(ArmedFault::times(2, fault).on(CtaFaultOn::Fulfillment));
        publish_for(&mut world, 5).await;
        world.run_for(20 * MINUTE).await;
        assert!(world.cta.faults().is_empty());
        assert!(world.polls().len() > polls);
        assert_eq!(world.collection(COLLECTION).failures, 0);
        world.assert_exactly_once();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_part_that_cannot_be_had_starts_the_window_again_at_the_next_gate() {
    let mut faults = vec![ArmedFault::times(3, CtaFault::HangUp)];
    for status_type in [
        "NOT_FOUND",
        "ASYNCHRONOUS_POLL_ERROR",
        "INVALID_RESPONSE_PART",
    ] {
        faults.push(ArmedFault::once(CtaFault::ExpiredResult {
            status_type: status_type.to_owned(),
        }));
    }
    for fault in faults {
        let mut world = World::new(in_parts());
        publish_for(&mut world, 25).await;
        let logs = Logs::capture();
        let polls = world.polls().len();
        world.cta.set_fault(fault.on(CtaFaultOn::Fulfillment));
        publish_for(&mut world, 5).await;
        world.run_for(HOUR).await;
        let polls = world.polls().split_off(polls);
        assert_eq!(polls[0].begin, polls[1].begin);
        assert_eq!(polls[1].monotonic, polls[0].monotonic + GATE);
        let alarms = logs.take_alarms();
        assert!(
            alarms.iter().all(|line| line.level == Level::WARN),
            "{alarms:#?}"
        );
        let words = "same window again when the gate opens";
        assert!(alarms.last().unwrap().text.contains(words), "{alarms:#?}");
        world.assert_exactly_once();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn more_parts_than_allowed_need_a_shorter_window() {
    let mut world = World::new(Setup {
        service: format!("{SHORT_PAST}limits = {{ max_parts = 8 }}\n"),
        ..in_parts()
    });
    world.run_for(MINUTE).await;
    let logs = Logs::capture();
    publish_for(&mut world, 60).await;
    let alarms = logs.take_alarms();
    assert!(alarms[0].text.contains("limits.max_parts"), "{alarms:#?}");
    world.run_for(6 * HOUR).await;
    world.assert_exactly_once();
}

fn two_collections() -> Setup {
    Setup {
        rules: CtaRules::for_collections(&["one", "two"]),
        ..setup()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn collections_behind_one_gate_take_turns_and_a_failing_one_starves_none() {
    let mut world = World::new(two_collections());
    for step in 0..240 {
        world.run_for(MINUTE).await;
        world.publish_to(if step % 2 == 0 { "one" } else { "two" });
        if step == 60 {
            // The account loses one of its collections.
            world.cta.change_rules(|rules| {
                rules.accounts[0].collections.retain(|name| name != "one");
            });
        }
    }
    world.run_for(HOUR).await;
    let (one, two) = (
        world.cta.published_ids_of("one"),
        world.cta.published_ids_of("two"),
    );
    let ids = sorted(world.ids_in_file());
    assert!(
        two.iter().all(|id| ids.binary_search(id).is_ok()),
        "the second starves"
    );
    assert!(!one.iter().all(|id| ids.binary_search(id).is_ok()));
    world.cta.change_rules(|rules| {
        rules.accounts[0].collections.push("one".to_owned());
    });
    world.run_for(2 * HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_most_behind_comes_first() {
    let mut world = World::new(two_collections());
    world.run_for(HOUR).await;
    // One is held back for a while.
    let wait = ("ESTIMATED_WAIT".to_owned(), "36000".to_owned());
    world.cta.set_fault(
        ArmedFault::once(CtaFault::StatusMessage {
            status_type: "RETRY".to_owned(),
            message: String::new(),
            details: vec![wait],
        })
        .on(CtaFaultOn::Poll),
    );
    world.run_for(9 * HOUR).await;
    let polls = world.polls();
    let waiting = polls
        .iter()
        .rev()
        .find(|poll| poll.answer.contains("fault"));
    let waiting = waiting.unwrap().collection.clone();
    let since = polls.len();
    world.run_for(2 * HOUR).await;
    let next = world.polls().split_off(since);
    let turns: Vec<_> = next.iter().map(|poll| poll.collection == waiting).collect();
    let first = turns.iter().position(|is_waiting| *is_waiting).unwrap();
    // From then on they take turns.
    for (index, is_waiting) in turns[first..].iter().enumerate() {
        assert_eq!(*is_waiting, index % 2 == 0, "{turns:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_the_limit_counts_for_each_collection_each_has_its_gate() {
    let rules = CtaRules {
        gate_scope: GateScope::Collection,
        ..CtaRules::for_collections(&["one", "two"])
    };
    let mut world = World::new(Setup {
        rules,
        service: format!("{SHORT_PAST}poll_limit_scope = \"collection\"\n"),
        ..Setup::default()
    });
    for _ in 0..60 {
        world.run_for(MINUTE).await;
        world.publish_to("one");
        world.publish_to("two");
    }
    world.restart();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    let polls = world.polls();
    let of = |name: &str| {
        polls
            .iter()
            .filter(|poll| poll.collection.as_deref() == Some(name))
            .count()
    };
    assert!(of("one") >= 10 && of("two") >= 10);
    // Another scope is no way around the gate.
    let last = world.polls().last().unwrap().monotonic;
    world
        .cta
        .change_rules(|rules| rules.gate_scope = GateScope::Client);
    world.restart_with(|toml| toml.replace("\"collection\"", "\"service\""));
    let count = world.polls().len();
    world.run_for(HOUR).await;
    assert!(world.polls()[count].monotonic >= last + GATE);
    world.assert_gate_was_kept();
}

fn by_hand(world: &World, destination: Destination) -> ManualPoll {
    ManualPoll {
        collection: COLLECTION.to_owned(),
        window: PollWindow {
            exclusive_begin: Some(Timestamp::from(world.cta.now() - TimeDelta::hours(2))),
            inclusive_end: Some(Timestamp::from(world.cta.now() - TimeDelta::minutes(1))),
        },
        destination,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_poll_by_hand_waits_for_the_gate_closes_it_and_moves_no_checkpoint() {
    let mut world = World::new(setup());
    publish_for(&mut world, 21).await;
    let poll = by_hand(&world, Destination::Person);
    let error = world.agent.pollers()[0]
        .poll_by_hand(&poll)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ManualPollError::GateClosed { .. }),
        "{error}"
    );
    let unknown = by_hand(&world, Destination::Output("nowhere".to_owned()));
    let error = world.agent.pollers()[0]
        .poll_by_hand(&unknown)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("there are: file"), "{error}");

    // No byte was sent: the gate stays open.
    world.clock.advance(GATE);
    world.cta.refuse_connections().await.unwrap();
    let error = world.agent.pollers()[0]
        .poll_by_hand(&poll)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot connect"), "{error}");
    world.cta.accept_connections().await.unwrap();

    let checkpoint = world.checkpoint();
    let result = world.agent.pollers()[0].poll_by_hand(&poll).await.unwrap();
    let mut events = result.events.unwrap();
    let mut count = 0;
    while events.next_line().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, result.completed.totals.counts.events);
    assert!(count > 0);
    assert_eq!(world.checkpoint(), checkpoint);
    // The gate is closed, for the schedule too, and across a restart.
    let polls = world.polls().len();
    world.restart();
    world.run_for(9 * MINUTE).await;
    assert_eq!(world.polls().len(), polls);
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_poll_by_hand_for_an_output_is_a_batch_of_its_own() {
    let mut world = World::new(setup());
    publish_for(&mut world, 21).await;
    world.run_for(30 * MINUTE).await;
    world.assert_exactly_once();
    world.clock.advance(GATE);
    let checkpoint = world.checkpoint();
    let poll = by_hand(&world, Destination::Output("file".to_owned()));
    let result = world.agent.pollers()[0].poll_by_hand(&poll).await.unwrap();
    assert!(result.seq.is_some());
    assert_eq!(world.checkpoint(), checkpoint);
    world.restart();
    world.run_for(HOUR).await;
    // The person asked for what was there already.
    let published = sorted(world.cta.published_ids());
    let twice: Vec<EventId> = published.iter().flat_map(|id| [*id, *id]).collect();
    assert_eq!(sorted(world.ids_in_file()), twice);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kill_while_a_poll_is_under_way_leaves_the_gate_closed() {
    let mut world = World::new(setup());
    publish_for(&mut world, 21).await;
    world
        .cta
        .set_fault(ArmedFault::once(CtaFault::BlackHole).on(CtaFaultOn::Poll));
    let asked = world.cta.requests().len() + 1;
    let cta = std::sync::Arc::clone(&world.cta);
    world.kill_when(HOUR, cta.wait_for_requests(asked)).await;
    let polls = world.polls().len();
    world.run_for(600 * SECOND).await;
    assert_eq!(world.polls().len(), polls);
    assert_eq!(
        std::fs::read_dir(world.state_folder().join("spool/staging"))
            .unwrap()
            .count(),
        0
    );
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}
