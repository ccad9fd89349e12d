//! The real binary dies by kill -9 at every named point of `crash.rs`, and again while it recovers;
//! then it goes on, and what was published is what has arrived.
//!
//! Needs the points compiled in: `cargo test --features crash-points --test crash_points`. With
//! `CTA_FORWARDER_CRASH_ONLY=letters.` only the points are tried whose name begins like this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::print_stdout, reason = "the figures of a run are worth a look")]

mod deaths;
mod life;
#[path = "../rig/mod.rs"]
mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;

use cta_forwarder::crash::Point;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use deaths::{Death, Reached};
use life::{Life, Story};

/// Lives that are led at once.
const AT_ONCE: usize = 6;
/// Names the points that are tried.
const ONLY_VARIABLE: &str = "CTA_FORWARDER_CRASH_ONLY";

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn dies_at_every_point_and_again_while_it_recovers() {
    let mut deaths = Vec::new();
    let mut expected = BTreeSet::new();
    for &point in Point::ALL {
        match deaths::reached(point) {
            Reached::AtWork(of_point) => deaths.extend(of_point),
            Reached::InRecovery | Reached::InStory => {
                expected.insert(point);
            }
            // Below.
            Reached::AfterDamage => {}
        }
        let of_stories = [deaths::damage::deaths(point), deaths::pushed::deaths(point)].concat();
        if !of_stories.is_empty() {
            expected.remove(&point);
        }
        deaths.extend(of_stories);
    }
    for death in &deaths {
        for point in death.then {
            expected.remove(point);
        }
    }
    assert_eq!(expected, BTreeSet::new(), "no death leads there");
    let only = std::env::var(ONLY_VARIABLE).unwrap_or_default();
    deaths.retain(|death| death.point.name().starts_with(&only));
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut lives = JoinSet::new();
    for (number, death) in deaths.into_iter().enumerate() {
        let permits = Arc::clone(&permits);
        lives.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            lead(number, &death).await;
        });
    }
    let mut failures = Vec::new();
    while let Some(ended) = lives.join_next().await {
        // What went wrong was printed where it did.
        failures.extend(ended.err().map(|error| error.to_string()));
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A death after which nobody counts what comes twice.
const SOME_DEATH: Death = Death {
    point: Point::WorkKept,
    time: 1,
    twice: usize::MAX,
    then: &[],
    acknowledges: true,
    story: Story::Work,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dies_while_it_removes_old_segments_of_the_ledger() {
    let mut life = Life::begin(1_000, &SOME_DEATH);
    life.until_it_dies().await;
    // Each torn record costs a segment, and 64 are kept.
    for _ in 0..63 {
        life.tear_the_ledger();
        life.dies_while_it_starts(Point::Built).await;
    }
    life.tear_the_ledger();
    life.dies_while_it_starts(Point::OldSegmentRemoved).await;
    life.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dies_while_it_makes_good_for_missing_records() {
    let mut life = Life::begin(2_000, &SOME_DEATH);
    life.until_it_dies().await;
    life.damage_the_ledger();
    life.dies_while_it_starts(Point::LettersRecovered).await;
    life.dies_while_it_starts(Point::RecoveredRecorded).await;
    life.ends_well().await;
}

/// One life: up to its death, through those of its recovery, to a good end.
async fn lead(number: usize, death: &Death) {
    let mut life = Life::begin(number as u64, death);
    life.until_it_dies().await;
    let always = deaths::IN_EVERY_RECOVERY;
    let two = [number, number + always.len() / 2].map(|place| always[place % always.len()]);
    for point in deaths::OF_A_START {
        if two.contains(&point) || death.then.contains(&point) {
            life.dies_while_it_starts(point).await;
        }
    }
    life.ends_well().await;
}
