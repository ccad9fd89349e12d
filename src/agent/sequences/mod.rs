//! Any sequence of what can happen to an agent, on a disk that loses what a real one may: no event
//! is lost, none comes twice that was not in flight, and no poll comes too early.
//!
//! The real agent is driven: its pollers, forwarders, recovery, letters and audit, with every poll
//! and every delivery over HTTP, under a simulated clock. Only the disk and the store are stand-ins.

mod action;
mod known;
mod life;
mod standing;
mod store;
mod syncs;
mod tally;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::disk::site::Site;
use life::Life;
use tally::Tally;

/// Sequences of a run of the tests.
const SEQUENCES: u64 = 1000;
/// How many are run at once.
const THREADS: usize = 2;
/// How many things happen in one.
const ACTIONS: std::ops::Range<usize> = 4..22;
/// A sequence that takes so long is never done.
const HANGS: Duration = Duration::from_secs(60);

#[test]
fn any_sequence_keeps_what_was_promised() {
    if let Some(level) = std::env::var("SEQUENCES_LOG")
        .ok()
        .and_then(|l| l.parse().ok())
    {
        let level: tracing::Level = level;
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .init();
    }
    let first = asked_for("SEQUENCES_SEED", 1);
    let count = asked_for("SEQUENCES", SEQUENCES);
    let most = usize::try_from(asked_for("SEQUENCES_FAILURES", 1)).unwrap();
    let started = Instant::now();
    let ran = run(first..first + count, None, most);
    let tally = ran.tally;
    println!("{count} sequences in {:?}: {tally:#?}", started.elapsed());
    assert!(ran.failures.is_empty(), "{} failed", ran.failures.len());
    assert!(count < 100 || tally.is_rich(), "{tally:#?}");
}

fn again(seed: u64) -> String {
    format!("seed {seed}: see it again with SEQUENCES_SEED={seed} SEQUENCES=1\n")
}

/// A number from the environment: how many sequences, and the seed of the first, for long runs and
/// to see a failure again.
fn asked_for(variable: &str, otherwise: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    asked.map_or(otherwise, |text| text.parse().unwrap())
}

/// What is particular to a run.
#[derive(Debug, Clone, Copy, Default)]
struct Live {
    /// The machine often stops soon after a sync of this place.
    stops_after: Option<Site>,
    /// The syncs of this place do nothing.
    left_out: Option<Site>,
}

/// What came of a run.
#[derive(Debug, Default)]
struct Ran {
    count: u64,
    tally: Tally,
    sites: BTreeSet<Site>,
    failures: Vec<(u64, String)>,
}

/// Lives through the sequences of these seeds, until so many have failed.
fn run(seeds: impl Iterator<Item = u64> + Send, live: Option<Live>, most: usize) -> Ran {
    let seeds = Mutex::new(seeds);
    let ran = Mutex::new(Ran::default());
    let next = || {
        let is_enough = ran.lock().unwrap().failures.len() >= most;
        let mut seeds = seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.next().filter(|_| !is_enough)
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                while let Some(seed) = next() {
                    let lived = live_once(&runtime, seed, live.unwrap_or_default());
                    let mut ran = ran.lock().unwrap();
                    ran.count += 1;
                    match lived {
                        Ok((tally, sites)) => {
                            ran.tally.add(&tally);
                            ran.sites.extend(sites);
                        }
                        Err(problem) => {
                            if live.is_none() {
                                println!("{problem}\n{}", again(seed));
                            }
                            ran.failures.push((seed, problem));
                        }
                    }
                }
            });
        }
    });
    ran.into_inner().unwrap()
}

/// Lives through one sequence; an error says what did not hold.
fn live_once(
    runtime: &tokio::runtime::Runtime,
    seed: u64,
    how: Live,
) -> Result<(Tally, BTreeSet<Site>), String> {
    // What the code itself draws is the same too.
    fastrand::seed(seed);
    let lived = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut life = Life::new(seed);
            life.disk.leave_out(how.left_out);
            life.disk.stop_after(how.stops_after);
            let count = life.random.usize(ACTIONS);
            let lived = tokio::time::timeout(HANGS, life.live(count)).await;
            match lived.unwrap_or_else(|_| Err(format!("it hangs in {}", life.under_way()))) {
                Ok(tally) => Ok((tally, life.disk.sites())),
                Err(problem) => Err(format!("{problem}\n{}", life.story())),
            }
        })
    }));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "panicked".to_owned()))
    })
}
