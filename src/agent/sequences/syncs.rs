//! Each sync in turn is left out: the sequences must notice.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use super::{Live, asked_for, run};
use crate::disk::site::Site;

/// Sequences in which all that syncs does.
const SEQUENCES_TO_FIND_SITES: u64 = 400;
/// After so many sequences nobody will notice any more.
const MOST_SEQUENCES: u64 = 500;

/// What the sequences do not notice, and why.
const UNNOTICED: [(&str, &str); 24] = [
    (
        "spool/archive.rs, came_for_good: a folder",
        "one sequence in about a thousand shows it (`tests/mutations/eviction-before-sync`): it takes an eviction, and a crash soon after",
    ),
    (
        "spool/damage.rs, set_aside: the new name",
        "a damaged file that is in its old place again is known to be damaged, and its repair takes its place",
    ),
    (
        "spool/damage.rs, set_aside: the old name",
        "a damaged file that is in its old place again is known to be damaged, and its repair takes its place",
    ),
    (
        "spool/damage.rs, put_back: the new name",
        "a file that is gone again is set aside and polled again: this saves a poll, not an event",
    ),
    (
        "spool/damage.rs, put_back: the old name",
        "a file that is gone again is set aside and polled again: this saves a poll, not an event",
    ),
    (
        "spool/damage.rs, write_head: a file",
        "a running agent writes it again from the ledger within an hour",
    ),
    (
        "spool/damage.rs, write_head: the new name",
        "a running agent writes it again from the ledger within an hour",
    ),
    (
        "spool/damage.rs, write_head: the old name",
        "a running agent writes it again from the ledger within an hour",
    ),
    (
        "spool/damage.rs, set_aside_headless: the new name",
        "nobody waits for what lies there; it would be moved again",
    ),
    (
        "spool/damage.rs, set_aside_headless: the old name",
        "nobody waits for what lies there; it would be moved again",
    ),
    (
        "spool/archive.rs, open: above a new folder",
        "what lies in the archive is owed to nobody; only copies would be lost",
    ),
    (
        "spool/dead_letters.rs, keep_blocks: a folder",
        "the same folder is synced again two steps later, when the line is written, and before \
         anybody counts on the letter",
    ),
    (
        "spool/dead_letters.rs, cut_back: a file",
        "what comes back of a line that could not be kept is that line, or a torn one: the letter is \
         written again beside it, and a second letter for one event settles it once",
    ),
    (
        "spool/dead_letters.rs, count_and_clear: a folder",
        "it keeps the order of two removals; segments are too large to be many here",
    ),
    (
        "spool/dead_letters/segments.rs, sync: a file",
        "nothing has shown that it is needed: it would take a kill between a write and its sync, and \
         then a crash before the next letter",
    ),
    (
        "spool/dead_letters/segments.rs, sync: a folder",
        "the same for a new segment",
    ),
    (
        "spool/mod.rs, open: a folder",
        "the same for a batch in place: a kill between a rename and its sync, and a crash soon after \
         the next start",
    ),
    (
        "spool/mod.rs, out_of_place: the new name",
        "it takes a commit that the disk refuses, a crash that keeps only the first of two renames, and \
         a staging folder that was removed by half: two sequences in a hundred thousand",
    ),
    ("spool/mod.rs, out_of_place: the old name", "the same"),
    (
        "spool/sets.rs, forget_set: a folder",
        "no collection here is compared with what came before, so that there is no set to forget",
    ),
    (
        "state/ledger.rs, set_aside_others: above a new folder",
        "a segment that is in its old place again cannot be read there either, and is set aside again",
    ),
    (
        "state/ledger.rs, set_aside_others: the new name",
        "the same: what goes is for a person to look at",
    ),
    (
        "state/ledger.rs, set_aside_others: the old name",
        "the same",
    ),
    (
        "state/ledger/reading.rs, read: above a new folder",
        "the state folder is synced again when the spool's folders are made in it, before anything is \
         polled",
    ),
];

/// Sequences that have noticed before: they are tried first. As the code changes they may notice no
/// more, and others are searched for.
const HAVE_NOTICED: [(&str, u64); 17] = [
    ("spool/archive.rs, leave_out: the new name", 320),
    ("spool/archive.rs, leave_out: the old name", 113),
    ("spool/dead_letters.rs, open_with: above a new folder", 68),
    ("spool/dead_letters.rs, append_to: a file", 44),
    ("spool/dead_letters.rs, append_to: a folder", 68),
    ("spool/event_file.rs, finish: a file", 7),
    ("spool/mod.rs, open: above a new folder", 234),
    ("spool/mod.rs, commit: a file", 7),
    ("spool/mod.rs, commit: a folder", 12),
    ("spool/mod.rs, commit: the new name", 13),
    ("spool/mod.rs, commit: the old name", 4),
    ("spool/mod.rs, take_back: the new name", 386),
    ("spool/mod.rs, take_back: the old name", 386),
    ("spool/staging.rs, block_refused: a file", 75),
    ("state/ledger.rs, begin_segment: a folder", 12),
    ("state/ledger.rs, write: a file", 1),
    ("state/mod.rs, open: above a new folder", 75),
];

/// A place in the code by the function that it is in, whatever its line, and by what is synced.
fn name(site: &Site) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(site.file());
    let source = std::fs::read_to_string(path).unwrap();
    let before: Vec<&str> = source.lines().take(site.line() as usize).collect();
    let mut functions = before.iter().rev().filter_map(|line| {
        let (_, after) = line.split_once("fn ")?;
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        (end > 0).then(|| &after[..end])
    });
    let function = functions.next().unwrap_or_default();
    let file = site.file().strip_prefix("src/").unwrap_or(site.file());
    format!("{file}, {function}: {}", site.what())
}

/// The places that sync something, as far as the sequences come by.
fn met() -> &'static BTreeSet<Site> {
    static MET: OnceLock<BTreeSet<Site>> = OnceLock::new();
    MET.get_or_init(|| {
        let found = run(1..=SEQUENCES_TO_FIND_SITES, None, usize::MAX);
        assert!(found.failures.is_empty(), "{:?}", found.failures);
        found.sites
    })
}

#[test]
fn what_is_said_of_syncs_is_said_of_those_that_are_there() {
    let met: BTreeSet<String> = met().iter().map(name).collect();
    let unnoticed = UNNOTICED.iter().map(|(name, _)| *name);
    let noticed = HAVE_NOTICED.iter().map(|(name, _)| *name);
    let said: Vec<&str> = unnoticed.chain(noticed).collect();
    let gone = said.iter().filter(|name| !met.contains(**name));
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&&str>::new(), "of {met:#?}");
}

#[test]
fn no_sync_can_be_left_out() {
    let only = std::env::var("SYNCS").unwrap_or_default();
    let mut left = Vec::new();
    for site in met() {
        let name = name(site);
        let is_unnoticed = UNNOTICED.iter().any(|(unnoticed, _)| *unnoticed == name);
        if !name.contains(&only) || (is_unnoticed && only.is_empty()) {
            continue;
        }
        match notice(&name, *site) {
            Some(noticed) => println!("{name}: {noticed}"),
            None => left.push(name),
        }
    }
    assert_eq!(left, Vec::<String>::new(), "nobody notices without them");
}

/// Tries sequences until one fails that holds with the sync; says how.
fn notice(name: &str, site: Site) -> Option<String> {
    let most = asked_for("SEQUENCES", MOST_SEQUENCES);
    let known = HAVE_NOTICED.iter().filter(|(noticed, _)| *noticed == name);
    let mut seeds = known.map(|(_, seed)| *seed).chain(1..=most);
    let with = Live {
        stops_after: Some(site),
        left_out: None,
    };
    let without = Live {
        left_out: Some(site),
        ..with
    };
    loop {
        let noticed = run(seeds.by_ref(), Some(without), 1);
        let (seed, problem) = noticed.failures.into_iter().next()?;
        let failed_with_it = run(std::iter::once(seed), Some(with), 1).failures.pop();
        let Some((_, also_with)) = failed_with_it else {
            let problem = problem.lines().next().unwrap_or_default().to_owned();
            return Some(format!("seed {seed}: {problem}"));
        };
        println!("{name}: seed {seed} fails with the sync as well: {also_with}");
    }
}
