//! Refused batches, exactly: whatever a collector refuses, by its own rules, every good event comes
//! through once, and every bad one is set aside once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use cta_forwarder::simulator::hec::{AckPolicy, HecFault, TooLarge};
use proptest::prelude::*;
use world::{SEED, Setup, World, assert_same};

const HOUR: Duration = Duration::from_secs(3600);
/// No event of these worlds is larger; a collector that takes less would refuse it for its size.
const LARGEST_EVENT_BYTES: usize = 2600;

/// A collector, and what it is sent.
#[derive(Debug, Clone)]
struct Case {
    max_events: usize,
    max_in_flight: u32,
    acknowledgement: Option<AckPolicy>,
    max_content_bytes: usize,
    too_large: TooLarge,
    /// As a collector does that is not Splunk's.
    refusals_use_ack_ids: bool,
    /// The bad events, as places among all, and their codes; fewer than the breaker believes.
    bad: Vec<(prop::sample::Index, u8)>,
    /// Codes of the first answers, which take nothing.
    passing: Vec<u8>,
}

fn cases() -> impl Strategy<Value = Case> {
    let acknowledgement = prop_oneof![
        Just(None),
        Just(Some(AckPolicy::AtOnce)),
        (0..4_u32).prop_map(|times| Some(AckPolicy::AfterAsked(times))),
    ];
    let code = prop::sample::select(vec![6_u8, 12, 13, 15]);
    let passing = prop::sample::select(vec![8_u8, 9, 26, 27, 23]);
    (
        1..120_usize,
        1..5_u32,
        acknowledgement,
        LARGEST_EVENT_BYTES..60_000,
        any::<bool>(),
        prop::collection::vec((any::<prop::sample::Index>(), code), 0..12),
        prop::collection::vec(passing, 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(max_events, max_in_flight, acks, bytes, is_413, bad, passing, uses_ids)| Case {
                refusals_use_ack_ids: uses_ids,
                max_events,
                max_in_flight,
                acknowledgement: acks,
                max_content_bytes: bytes,
                too_large: if is_413 {
                    TooLarge::Status413
                } else {
                    TooLarge::InvalidEvent0
                },
                bad,
                passing,
            },
        )
}

async fn deliver(case: &Case) {
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\"]\n\
         token = {{ file = \"{{folder}}/token\" }}\nacknowledge = {}\nmax_in_flight = {}\n\
         batch = {{ max_events = {} }}\n",
        case.acknowledgement.is_some(),
        case.max_in_flight,
        case.max_events,
    );
    let mut world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk,
        ..Setup::default()
    });
    world.generator = ContentGenerator::new(SEED).with_size(PackageSize {
        incidents: 3,
        indicators: 2,
        flows: 10,
        exact: true,
    });
    for _ in 0..3 {
        world.publish();
    }
    let published = world.cta.published_ids();
    let bad: BTreeMap<EventId, u8> = case
        .bad
        .iter()
        .map(|(place, code)| (*place.get(&published), *code))
        .collect();
    world.hec.change_rules(|rules| {
        rules.refused.clone_from(&bad);
        rules.acknowledgement = case.acknowledgement;
        rules.max_content_bytes = case.max_content_bytes;
        rules.too_large = case.too_large;
        rules.refusals_use_ack_ids = case.refusals_use_ack_ids;
    });
    for code in &case.passing {
        let fault = HecFault::Code {
            code: *code,
            event: 0,
        };
        world.hec.set_fault(ArmedFault::once(fault));
    }
    world.run_for(2 * HOUR).await;

    let good: Vec<EventId> = published
        .iter()
        .copied()
        .filter(|id| !bad.contains_key(id))
        .collect();
    assert_same("Splunk", &good, &world.hec.event_ids());
    let letters = letters(&world);
    assert_eq!(letters.len(), bad.len(), "one letter for each bad event");
    let set_aside: BTreeSet<EventId> = letters.into_iter().collect();
    assert!(set_aside.iter().eq(bad.keys()));
    let status = world.status();
    let output = status.outputs.iter().find(|output| output.name == "splunk");
    let finished = output.unwrap().finished;
    assert_eq!(finished.delivered, good.len() as u64);
    assert_eq!(finished.dead_letters, bad.len() as u64);
    assert_eq!(status.spool.batches, 0);
}

fn letters(world: &World) -> Vec<EventId> {
    let folder = world.state_folder().join("spool/dead-letters");
    let path = folder.join("00000001.jsonl");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let letters = text.lines().map(|line| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = letter["event"]["eventId"].as_str().unwrap();
        id.parse().unwrap()
    });
    letters.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_good_event_comes_once_and_every_bad_one_is_set_aside_once(case in cases()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(async move { deliver(&case).await }).await.unwrap() });
    }
}
