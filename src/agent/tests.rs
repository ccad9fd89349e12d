//! The disk refuses one step after the other: once, and the agent goes on; or for good, as when the
//! machine stops there, and the next start goes on. Nothing is lost, and only what was in flight
//! comes twice.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Agent;
use crate::clock::Clock as _;
use crate::disk::refusal::{self, Steps, code};
use crate::event::EventId;
use crate::poller::{Destination, ManualPoll};
use crate::simulator::ArmedFault;
use crate::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRules};
use crate::simulator::hec::HecFault;
use crate::taxii::window::PollWindow;

use crate::world::{Setup, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Events of one request, and requests at once.
const AT_ONCE: usize = 7;
const REQUESTS: usize = 2;
/// However slow the machine is, no more is under way.
const IN_FLIGHT: usize = REQUESTS * AT_ONCE;

fn world() -> World {
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\"]\n\
         token = {{ file = \"{{folder}}/token\" }}\n\
         max_in_flight = {REQUESTS}\nbatch = {{ max_events = {AT_ONCE}, max_wait = \"1s\" }}\n"
    );
    World::new(Setup {
        rules: CtaRules {
            publications_per_part: 2,
            gzip: false,
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\n".to_owned(),
        file: format!("batch = {{ max_events = {AT_ONCE} }}\n"),
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

/// How many steps of a kind the disk takes when it refuses none.
async fn steps(steps: Steps) -> u64 {
    let mut world = world();
    refusal::refuse_as(steps, code::EIO, u64::MAX, 0);
    some_windows(&mut world).await;
    let steps = refusal::end();
    world.run_for(HOUR).await;
    check(&world, u64::MAX, 0);
    assert_eq!(dead_events(&world).len(), 1);
    steps
}

/// What the disk says, and how often more after the first time.
type Refusal = (i32, u64);

/// A hiccup, a while, and until somebody mends it.
const MORE: [u64; 3] = [0, 4, u64::MAX];

/// With this variable every step is refused in every way, otherwise each in one of them.
const SWEEP: &str = "CTA_FORWARDER_DISK_SWEEP";

fn refusals(step: u64) -> Vec<Refusal> {
    let all = || {
        let with = |more: u64| code::ALL.map(|code| (code, more));
        MORE.into_iter().flat_map(with)
    };
    if std::env::var_os(SWEEP).is_some() {
        return all().collect();
    }
    let ways = all().count() as u64;
    // 5 and 12 have no factor in common: neighbours differ in both.
    let way = step * 5 % ways;
    all().skip(usize::try_from(way).unwrap()).take(1).collect()
}

/// Refuses each step of a kind while there is much to do.
async fn refuse_each(kind: Steps) {
    for step in 0..steps(kind).await {
        for (code, more) in refusals(step) {
            let mut world = world();
            refusal::refuse_as(kind, code, step, more);
            some_windows(&mut world).await;
            refusal::end();
            world.run_for(HOUR).await;
            check(&world, step, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_refuses_a_step_costs_nothing() {
    refuse_each(Steps::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_refuses_to_sync_costs_nothing() {
    refuse_each(Steps::Syncs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_cannot_be_read_costs_nothing() {
    refuse_each(Steps::Reads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_takes_half_of_each_write_gets_all_of_it() {
    let mut world = world();
    refusal::write_short(true);
    some_windows(&mut world).await;
    world.run_for(HOUR).await;
    refusal::write_short(false);
    check(&world, u64::MAX, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_restart_no_sync_that_failed_before_is_believed() {
    for step in 0..steps(Steps::Syncs).await {
        let mut world = world();
        refusal::refuse_as(Steps::Syncs, code::EIO, step, u64::MAX);
        some_windows(&mut world).await;
        refusal::end();
        // The machine goes on: what was not synced can be read, and is not durable.
        world.restart();
        world.run_for(HOUR).await;
        check(&world, step, IN_FLIGHT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_that_stops_at_any_step_goes_on_there() {
    for step in 0..steps(Steps::All).await {
        let mut world = world();
        refusal::refuse(step, u64::MAX);
        some_windows(&mut world).await;
        refusal::end();
        refusal::power_was_cut();
        let (config, clock) = (world.config().clone(), world.clock.clone());
        world.restart_after(|_| {
            // The next start is cut short as well.
            refusal::refuse(step % 10, u64::MAX);
            drop(Agent::build(config, clock));
            refusal::end();
            refusal::power_was_cut();
        });
        world.run_for(HOUR).await;
        check(&world, step, IN_FLIGHT);
    }
}

/// Every step of a start is refused, in every kind: it says so, and the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_start_that_the_disk_refuses_is_told_and_costs_nothing() {
    for kind in [Steps::All, Steps::Syncs, Steps::Reads] {
        let mut world = world();
        some_windows(&mut world).await;
        for step in 0.. {
            let mut is_over = false;
            for (code, more) in refusals(step) {
                let (config, clock) = (world.config().clone(), world.clock.clone());
                world.restart_after(|_| {
                    refusal::refuse_as(kind, code, step, more);
                    let started = Agent::build(config, clock);
                    is_over = refusal::end() <= step;
                    if let Err(error) = started {
                        let told = error.to_string();
                        let system = std::io::Error::from_raw_os_error(code).to_string();
                        assert!(told.contains(&system), "{told}, refused at step {step}");
                    }
                });
            }
            if is_over {
                break;
            }
        }
        world.run_for(HOUR).await;
        check(&world, u64::MAX, 0);
    }
}

/// An audit beside a running agent, and a decision about a letter, on a disk that fails: an error
/// that says so or the truth, and the next one is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_audit_that_cannot_read_says_so() {
    let mut world = world();
    some_windows(&mut world).await;
    for step in 0.. {
        let mut is_over = false;
        for (code, more) in refusals(step) {
            refusal::refuse_as(Steps::Reads, code, step, more);
            let audited = crate::audit::audit(world.agent.house());
            is_over = refusal::end() <= step;
            if let Ok(audit) = audited {
                assert!(!audit.ok || is_over, "refused at step {step}: {audit:#?}");
            }
        }
        assert!(world.audit().ok, "refused at step {step}");
        if is_over {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_of_an_agent_shows_a_secret() {
    let mut world = world();
    some_windows(&mut world).await;
    let shown = format!("{:?} {:#?}", world.agent, world.config());
    let token = std::fs::read_to_string(world.folder.path().join("token")).unwrap();
    // The simulated service's `user:pass`, as it travels.
    for secret in [token.trim(), "dXNlcjpwYXNz", "\"pass\""] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// Each sync takes longer than the gate's margin, for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_slow_disk_the_ledger_has_the_time_at_which_a_poll_is_sent() {
    for slow_syncs in 1..5 {
        let mut world = world();
        world.publish();
        let (clock, left) = (Arc::clone(&world.clock), Cell::new(slow_syncs));
        refusal::with_each_sync(Some(Box::new(move || {
            if left.get() > 0 {
                left.set(left.get() - 1);
                clock.advance(20 * SECOND);
            }
        })));
        world.run_for(HOUR).await;
        refusal::with_each_sync(None);
        let ledger = world.ledger();
        let written = ledger.iter().filter(|line| line["type"] == "poll_started");
        let times: Vec<DateTime<Utc>> = written
            .map(|line| line["at"].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(
            times.len() > world.polls().len(),
            "nothing was written again"
        );
        let first = world.polls()[0].at;
        let skew = world.cta.now() - world.clock.now().utc;
        let told = times.iter().rev().find(|at| **at + skew <= first).unwrap();
        assert!(
            first - (*told + skew) <= TimeDelta::seconds(1),
            "{told} and {first}, {slow_syncs} slow syncs"
        );
        check(&world, slow_syncs, 0);
    }
}

/// Each folder is made beside the runtime: what else runs on the thread goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_makes_a_folder_for_an_answer_holds_up_nobody_else() {
    let mut world = world();
    world.publish();
    let made = std::rc::Rc::new(Cell::new(0));
    let counted = std::rc::Rc::clone(&made);
    refusal::with_each_folder(Some(Box::new(move || {
        counted.set(counted.get() + 1);
        // Refused by the runtime, with a panic, where its thread is the one that waits.
        tokio::runtime::Handle::current().block_on(async {});
    })));
    world.run_for(HOUR).await;
    let scheduled = made.get();
    assert!(scheduled > 0, "no folder was made");
    let collection = world.config().services[0].collections[0].clone();
    let now = world.cta.now();
    let poll = ManualPoll {
        collection,
        window: PollWindow {
            exclusive_begin: Some((now - TimeDelta::minutes(30)).into()),
            inclusive_end: Some((now - TimeDelta::minutes(5)).into()),
        },
        destination: Destination::Person,
    };
    world.clock.advance(HOUR);
    world.agent.pollers()[0].poll_by_hand(&poll).await.unwrap();
    refusal::with_each_folder(None);
    assert!(made.get() > scheduled, "no folder was made by hand");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_disk_that_is_always_slow_nothing_is_polled_until_it_is_not() {
    let mut world = world();
    world.publish();
    let clock = Arc::clone(&world.clock);
    refusal::with_each_sync(Some(Box::new(move || clock.advance(3 * SECOND / 2))));
    world.run_for(HOUR).await;
    refusal::with_each_sync(None);
    assert_eq!(world.polls().len(), 0);
    let status = world.status();
    let hold = status.collections[0].activity.hold.as_ref().unwrap();
    assert!(
        hold.reason.contains("to make a ledger record durable"),
        "{hold:?}"
    );
    world.run_for(HOUR).await;
    check(&world, 0, 0);
}
