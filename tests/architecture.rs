//! The invariants of `docs/architecture.md` that the compiler does not keep: who may import what.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the source has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders of `src` that must be pure.
const PURE: [&str; 67] = [
    "admin/metrics/exposition.rs",
    "admin/metrics/families.rs",
    "admin/page",
    "audit/history.rs",
    "audit/verdict.rs",
    "batches/account.rs",
    "checkpoints/plan.rs",
    "cli/status/rates.rs",
    "cli/status/verdict.rs",
    "delivery/acks.rs",
    "delivery/backoff.rs",
    "delivery/breaker.rs",
    "delivery/concurrency.rs",
    "delivery/cursor.rs",
    "delivery/peers.rs",
    "delivery/progress.rs",
    "delivery/split.rs",
    "import",
    "inbox/destination.rs",
    "inbox/rate.rs",
    "inbox/words.rs",
    "observe/figures.rs",
    "observe/troubles",
    "output/landing.rs",
    "output/splunk_hec/encode.rs",
    "output/splunk_hec/lane.rs",
    "output/splunk_hec/reply.rs",
    "output/syslog/failure.rs",
    "output/syslog/flight.rs",
    "output/syslog/format",
    "output/syslog/relp",
    "output/syslog/relp.rs",
    "output/syslog/session.rs",
    "output/syslog/stream.rs",
    "poller/collection.rs",
    "poller/server_clock.rs",
    "replay/copies.rs",
    "state/damage.rs",
    "state/day.rs",
    "state/diary.rs",
    "state/owed.rs",
    "state/picture.rs",
    "state/record.rs",
    "state/restoration.rs",
    "state/source.rs",
    "state/store/held.rs",
    "state/store/picture_values.rs",
    "state/store/summary.rs",
    "state/store/value.rs",
    "state/store/work_values.rs",
    "state/tally.rs",
    "stix-events",
    "taxii/exchange.rs",
    "taxii/fault.rs",
    "taxii/gate.rs",
    "taxii/mend.rs",
    "taxii/message",
    "taxii/mod.rs",
    "taxii/offer.rs",
    "taxii/response",
    "taxii/response.rs",
    "taxii/status.rs",
    "taxii/timestamp.rs",
    "taxii/version.rs",
    "taxii/window.rs",
    "tls/certificate.rs",
    "tree.rs",
];

/// What a pure file must not name.
const IMPURE: [&str; 8] = [
    "tokio",
    "reqwest",
    "std::fs",
    "std::net",
    "std::thread",
    "Utc::now",
    "Instant::now",
    "SystemTime",
];

/// A source file without its comments and its tests.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|file| {
            let path = file
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            Source {
                path,
                code: lines.collect::<Vec<_>>().join("\n"),
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs")
            && name != "tests.rs"
            && name != "loopback.rs"
        {
            files.push(path);
        }
    }
}

fn lies_in(path: &str, place: &str) -> bool {
    path == place
        || path
            .strip_prefix(place)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// The files that name `word`, those of `allowed` left out.
fn offenders(sources: &[Source], word: &str, allowed: &[&str]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !allowed.iter().any(|place| lies_in(&source.path, place)))
        .filter(|source| source.code.contains(word))
        .map(|source| format!("src/{} names {word}", source.path))
        .collect()
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let sources = sources();
    for place in PURE {
        let room: Vec<&Source> = sources
            .iter()
            .filter(|source| lies_in(&source.path, place))
            .collect();
        assert!(!room.is_empty(), "src/{place} is gone: correct this test");
        for source in room {
            for word in IMPURE {
                assert!(
                    !source.code.contains(word),
                    "src/{} names {word}",
                    source.path
                );
            }
        }
    }
}

#[test]
fn rooms_know_only_what_they_may() {
    let sources = sources();
    for (place, stranger) in [
        ("stix-events/stix", "crate::flatten"),
        ("stix-events/xml", "crate::stix"),
        ("output", "crate::stix"),
        ("output", "crate::taxii"),
        ("output", "crate::spool"),
        ("output", "crate::state"),
        ("taxii", "crate::spool"),
        ("taxii", "crate::state"),
        ("simulator", "crate::inbox"),
        ("simulator", "crate::stix"),
        ("simulator", "crate::taxii"),
        ("simulator", "crate::flatten"),
        ("simulator", "crate::xml"),
    ] {
        for source in sources.iter().filter(|source| lies_in(&source.path, place)) {
            assert!(
                !source.code.contains(stranger),
                "src/{} names {stranger}",
                source.path
            );
        }
    }
}

#[test]
fn one_room_names_what_may_be_replaced() {
    let sources = sources();
    for (word, allowed) in [
        ("sled::", &["state/store/sled_table.rs"][..]),
        ("tokio_cron_scheduler", &["schedule.rs"]),
        ("tokio::spawn", &["simulator"]),
        (
            ".spawn(",
            &[
                "agent/running.rs",
                "agent/sequences",
                "control/server.rs",
                "listener.rs",
                "simulator",
                "cli",
            ],
        ),
        ("spawn_blocking", &["output/file.rs", "output/stdout.rs"]),
        ("thread::spawn", &["cli"]),
        ("thread::Builder", &["cli", "taxii/beside.rs"]),
        ("spawn_scoped", &["taxii/beside.rs"]),
        ("process::exit", &["main.rs"]),
    ] {
        let offenders = offenders(&sources, word, allowed);
        assert!(offenders.is_empty(), "{offenders:#?}");
        let is_named = sources.iter().any(|source| source.code.contains(word));
        assert!(
            is_named || word.contains("spawn") || word == "process::exit",
            "nobody names {word}"
        );
    }
}

/// No key of the configuration does it, and no line of the code.
#[test]
fn nobody_switches_off_the_verification_of_certificates() {
    let sources = sources();
    for word in [
        "danger",
        "ServerCertVerifier",
        "tls_built_in_root_certs(false)",
    ] {
        let offenders = offenders(&sources, word, &[]);
        assert!(offenders.is_empty(), "{offenders:#?}");
    }
}
