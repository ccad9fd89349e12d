//! Files of the spool.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Pieces, assert_fit_for_a_log};
use crate::config::{ArchiveConfig, StateConfig};
use crate::disk::Disk;
use crate::spool::{BatchHead, Spool};

/// A head that fits its file.
const HEAD: &str = r#"{"seq":1,"staged_at":"2015-01-20T15:11:00Z","service":"s","collection":"c",
"window_end":"2015-01-20T15:11:00Z","message_ids":["1"],"record":{"type":"batch_added",
"service":"s","collection":"c","origin":"retry","seq":1,"outputs":["o"],"events":2,"letters":[]},
"files":[{"name":"events-0001.jsonl.zst","events":2,"bytes":21,"crc32":"00000000"}]}"#;
const EVENTS: &[u8] = b"{\"n\":0}\n{\"n\":1}\n";
const FOLDER: &str = "spool/ready/000000000001";

/// One file of the spool holds the input, the others are whole: the spool opens, or says why not,
/// and gives no line that `batch.json` does not promise.
pub fn file(input: &[u8]) {
    let mut pieces = Pieces(input);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (mut head, mut events) = (HEAD.as_bytes().to_vec(), packed(EVENTS));
    match pieces.byte() {
        b'b' => head = pieces.0.to_vec(),
        b'e' => events = pieces.0.to_vec(),
        // What its writer packed, but not what it should have.
        b'p' => events = packed(pieces.0),
        _ => write(state, "spool/dead-letters/00000001.jsonl", pieces.0),
    }
    write(state, &format!("{FOLDER}/batch.json"), &head);
    write(state, &format!("{FOLDER}/events-0001.jsonl.zst"), &events);
    match Spool::open(&Disk::machine(), &config(state), |_| None, &[]) {
        Ok(spool) => look_at(&spool),
        Err(error) => assert_fit_for_a_log(&error.to_string()),
    }
}

fn look_at(spool: &Spool) {
    for seq in spool.numbers() {
        read_batch(spool, &spool.head(seq).unwrap());
    }
    let mut letters = 0;
    let damaged = spool.dead_letters().each(|head, event| {
        letters += 1;
        assert!(!head.id.is_empty());
        if let Some(event) = event {
            serde_json::from_str::<serde_json::Value>(event).expect("an event is JSON");
        }
    });
    match damaged {
        Ok(_) => assert!(spool.dead_letters().count() >= letters),
        Err(error) => assert_fit_for_a_log(&error.to_string()),
    }
}

fn read_batch(spool: &Spool, head: &BatchHead) {
    let promised = head.events();
    for from in [0, 1, u64::MAX] {
        let mut reader = spool.read(head, from, |_| false);
        loop {
            match reader.next_line() {
                Ok(Some((number, line))) => {
                    assert!(number >= from && number < promised, "line {number}");
                    assert!(!line.contains('\n'));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_fit_for_a_log(&error.to_string());
                    break;
                }
            }
        }
    }
    if let Some(inspected) = spool.inspect(head) {
        let damage = inspected
            .files
            .iter()
            .filter_map(|file| file.damage.as_ref());
        damage
            .chain(&inspected.head_damage)
            .for_each(|damage| assert_fit_for_a_log(damage));
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn write(state: &Path, name: &str, bytes: &[u8]) {
    let path = state.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn config(state: &Path) -> StateConfig {
    StateConfig {
        directory: state.to_owned(),
        max_spool_bytes: 1 << 30,
        min_free_disk: 0,
        archive: ArchiveConfig {
            keep: Duration::from_secs(3600),
            max_bytes: 1 << 30,
            keep_raw: false,
        },
        max_dead_letter_bytes: 1 << 20,
        max_quarantine_bytes: 1 << 20,
    }
}
