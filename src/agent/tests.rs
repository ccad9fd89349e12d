//! The disk refuses one step after the other: once, and the agent goes on; or for good, as when the
//! machine stops there, and the next start goes on. Nothing is lost, and only what was in flight
//! comes twice.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Agent;
use crate::disk::refusal;
use crate::event::EventId;
use crate::simulator::ArmedFault;
use crate::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRules};
use crate::simulator::hec::HecFault;

use crate::world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Events of one request.
const IN_FLIGHT: usize = 7;

fn world() -> World {
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\"]\n\
         token = {{ file = \"{{folder}}/token\" }}\n\
         batch = {{ max_events = {IN_FLIGHT}, max_wait = \"1s\" }}\n"
    );
    World::new(Setup {
        rules: CtaRules {
            publications_per_part: 2,
            gzip: false,
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\n".to_owned(),
        file: format!("batch = {{ max_events = {IN_FLIGHT} }}\n"),
        outputs: splunk,
        ..Setup::default()
    })
}

/// Three windows: one with parts, one with a block and an event that end as dead letters, one
/// without anything.
async fn some_windows(world: &mut World) {
    for _ in 0..5 {
        world.publish();
    }
    world.run_for(5 * MINUTE).await;
    world.publish();
    let block = BadBlock::NotStix;
    let fault = ArmedFault::once(CtaFault::BadBlock { block });
    world.cta.set_fault(fault.on(CtaFaultOn::Poll));
    let fault = HecFault::Code { code: 6, event: 1 };
    world.hec.set_fault(ArmedFault::once(fault));
    world.run_for(25 * MINUTE).await;
}

/// Ids, and how many came more than once.
fn distinct(ids: &[EventId]) -> (BTreeSet<EventId>, usize) {
    let distinct: BTreeSet<EventId> = ids.iter().copied().collect();
    let more = ids.len() - distinct.len();
    (distinct, more)
}

/// What the dead letters hold, blocks left out.
fn dead_events(world: &World) -> Vec<EventId> {
    let folder = world.state_folder().join("spool/dead-letters");
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            // One that the disk refused half-way is not one.
            let Ok(letter) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            if let Some(id) = letter["event"]["eventId"].as_str() {
                ids.push(id.parse().unwrap());
            }
        }
    }
    ids
}

#[track_caller]
fn check(world: &World, step: u64, allowed: usize) {
    let published = distinct(&world.cta.published_ids()).0;
    let (file, twice) = distinct(&world.ids_in_file());
    assert_eq!(file, published, "the file, refused at step {step}");
    assert!(
        twice <= allowed,
        "{twice} twice in the file, refused at step {step}"
    );
    let (splunk, twice) = distinct(&world.hec.event_ids());
    // The collector refuses its event once: the letter of one that was refused again after that is
    // there for nothing.
    let dead = distinct(&dead_events(world)).0;
    let everywhere: BTreeSet<EventId> = splunk.union(&dead).copied().collect();
    assert_eq!(everywhere, published, "Splunk, refused at step {step}");
    assert!(
        twice <= allowed,
        "{twice} twice at Splunk, refused at step {step}"
    );
    world.assert_gate_was_kept();
    let audit = world.audit();
    assert!(audit.ok, "{audit:#?}, refused at step {step}");
    let status = world.status();
    assert_eq!(status.spool.batches, 0, "refused at step {step}");
    assert_eq!(status.collections[0].activity.hold, None);
    assert!(
        status
            .outputs
            .iter()
            .all(|output| output.activity.hold.is_none())
    );
}

/// How many steps the disk takes when it refuses none.
async fn steps() -> u64 {
    let mut world = world();
    refusal::refuse(u64::MAX, 0);
    some_windows(&mut world).await;
    let steps = refusal::end();
    world.run_for(HOUR).await;
    check(&world, u64::MAX, 0);
    assert_eq!(dead_events(&world).len(), 1);
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_refuses_one_step_costs_nothing() {
    for step in 0..steps().await {
        let mut world = world();
        refusal::refuse(step, 0);
        some_windows(&mut world).await;
        refusal::end();
        world.run_for(HOUR).await;
        check(&world, step, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_that_stops_at_any_step_goes_on_there() {
    for step in 0..steps().await {
        let mut world = world();
        refusal::refuse(step, u64::MAX);
        some_windows(&mut world).await;
        refusal::end();
        let (config, clock) = (world.config().clone(), world.clock.clone());
        world.restart_after(|_| {
            // The next start is cut short as well.
            refusal::refuse(step % 10, u64::MAX);
            drop(Agent::build(config, clock));
            refusal::end();
        });
        world.run_for(HOUR).await;
        check(&world, step, IN_FLIGHT);
    }
}
