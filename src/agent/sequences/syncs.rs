//! Each sync in turn is left out: the sequences must notice.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Live, THREADS, asked_for, run};
use crate::disk::site::Site;

/// Sequences in which all that syncs does.
const SEQUENCES_TO_FIND_SITES: u64 = 150;
/// After so many sequences nobody will notice any more.
const MOST_SEQUENCES: u64 = 3000;

/// What can be left out, and why.
const HARMLESS: [(&str, &str); 0] = [];

/// Sequences that have noticed before: they are tried first. As the code changes they may notice no
/// more, and others are searched for.
const HAVE_NOTICED: [(&str, &[u64]); 0] = [];

/// A place in the code by the line that stands there, whatever its number.
fn name(site: &Site) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(site.file());
    let source = std::fs::read_to_string(path).unwrap();
    let line = source.lines().nth(site.line() as usize - 1).unwrap();
    format!("{}: {} ({})", site.file(), line.trim(), site.what())
}

#[test]
fn no_sync_can_be_left_out() {
    let found = run(1..=SEQUENCES_TO_FIND_SITES, None, usize::MAX);
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    let mut harmless: BTreeMap<&str, &str> = HARMLESS.into_iter().collect();
    let mut unnoticed = Vec::new();
    for site in found.sites {
        let name = name(&site);
        if harmless.contains_key(name.as_str()) {
            continue;
        }
        let known = HAVE_NOTICED.iter().find(|(noticed, _)| *noticed == name);
        let known = known.map_or(&[][..], |(_, seeds)| seeds);
        let most = asked_for("SEQUENCES", MOST_SEQUENCES);
        let seeds = known.iter().copied().chain(1..=most);
        let live = Live {
            ignored: Some(site),
        };
        let noticed = run(seeds, Some(live), 1);
        match noticed.failures.first() {
            Some((seed, problem)) => {
                let problem = problem.lines().next().unwrap_or_default();
                println!(
                    "left out {name}: noticed after {} sequences of {THREADS} at once, seed {seed}: {problem}",
                    noticed.count
                );
            }
            None => {
                println!(
                    "left out {name}: not noticed in {} sequences",
                    noticed.count
                );
                unnoticed.push(name);
            }
        }
    }
    assert_eq!(unnoticed, Vec::<String>::new());
    harmless.retain(|_, _| true);
}
