//! The seeds of the fuzz targets, and changes of them, in `cargo test`.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::{
    configuration, hec_answer, hec_envelope, inbox, ledger, reader, relp_peer, spool,
    syslog_message,
};

/// What is changed is chosen from this; printed with what fails.
const RANDOM_SEED: u64 = 0x0bad_1290;
/// Bytes that mean something to one target or another.
const TOKENS: [&str; 24] = [
    "<",
    ">",
    "&",
    "]]>",
    "<![CDATA[",
    "<!--",
    "/>",
    "</a>",
    "&#0;",
    "&x;",
    "<!DOCTYPE a>",
    "\"",
    "\n",
    "\\",
    "=",
    "|",
    "\t",
    "\0",
    "\u{feff}",
    "\u{10ffff}",
    "99999999999999999999",
    "-1",
    "{",
    "[",
];

/// Replays the seeds of a target, and so many changes of each.
#[track_caller]
fn replay(target: &'static str, body: fn(&[u8]), changes: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut seeds: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seed in {}", folder.display());
    for path in seeds {
        let seed = fs::read(&path).unwrap();
        let mut random = Rng::with_seed(RANDOM_SEED);
        for change in 0..=changes {
            let mut input = seed.clone();
            if change > 0 {
                (0..random.u32(1..5)).for_each(|_| spoil(&mut input, &mut random));
            }
            let _told = TellsOfPanic {
                target,
                path: &path,
                change,
                input: &input,
            };
            body(&input);
        }
    }
}

/// Says which input it was, if the body panics.
struct TellsOfPanic<'a> {
    target: &'static str,
    path: &'a Path,
    change: usize,
    input: &'a [u8],
}

impl Drop for TellsOfPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}: change {} of {} with seed {RANDOM_SEED:#x}: \"{}\"",
                self.target,
                self.change,
                self.path.display(),
                self.input.escape_ascii()
            );
        }
    }
}

fn spoil(input: &mut Vec<u8>, random: &mut Rng) {
    let at = random.usize(0..=input.len());
    let length = random.usize(0..=200).min(input.len() - at);
    let piece = input[at..at + length].to_vec();
    match random.u8(0..7) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(0..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => drop(input.splice(at..at, random.choice(TOKENS).unwrap().bytes())),
        3 => drop(input.drain(at..at + length)),
        4 => drop(input.splice(at..at, piece.repeat(random.usize(1..20)))),
        5 => input.truncate(at),
        _ => input.insert(at, random.u8(..)),
    }
}

#[test]
fn reader_seeds() {
    replay("reader", reader::answer, 150);
}

#[test]
fn inbox_message_seeds() {
    replay("inbox_message", inbox::message, 150);
    replay("reader", inbox::message, 20);
}

#[test]
fn status_seeds() {
    replay("status", reader::status_message, 150);
    replay("status", reader::answer, 150);
}

#[test]
fn configuration_seeds() {
    replay("configuration", configuration::file, 60);
}

#[test]
fn ledger_seeds() {
    replay("ledger", ledger::segment, 30);
}

#[test]
fn spool_seeds() {
    replay("spool", spool::file, 30);
}

#[test]
fn hec_answer_seeds() {
    replay("hec_answer", hec_answer, 500);
}

#[test]
fn relp_peer_seeds() {
    replay("relp_peer", relp_peer, 500);
}

#[test]
fn hec_envelope_seeds() {
    replay("hec_envelope", hec_envelope, 300);
}

#[test]
fn syslog_message_seeds() {
    replay("syslog_message", syslog_message, 300);
}
