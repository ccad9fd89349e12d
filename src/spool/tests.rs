//! The spool against the disk: what is staged, committed, read from any line, archived and found
//! again.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::config::ArchiveConfig;
use crate::disk::refusal::{self, Steps};
use crate::event::{EventId, RecordType};
use crate::flatten::{EventSink as _, FlatEvent};
use crate::state::{CollectionKey, Origin, PolledCounts, Record};
use crate::taxii::response::ResponseSink as _;
use crate::taxii::window::PollWindow;

mod sets;

struct Scene {
    folder: tempfile::TempDir,
    config: StateConfig,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StateConfig {
            directory: folder.path().to_owned(),
            max_spool_bytes: 1 << 30,
            min_free_disk: 0,
            archive: ArchiveConfig {
                keep: Duration::from_secs(3600),
                max_bytes: 1 << 30,
                keep_raw: false,
            },
            max_dead_letter_bytes: 1 << 20,
            max_quarantine_bytes: 1 << 20,
        };
        Self { folder, config }
    }

    fn open(&self) -> Spool {
        Spool::open(&Disk::machine(), &self.config, |_| None, &[sets::key()]).unwrap()
    }

    fn ready(&self, seq: u64) -> PathBuf {
        self.folder.path().join(format!("spool/ready/{seq:012}"))
    }

    fn archived(&self, seq: u64) -> PathBuf {
        self.folder.path().join(format!("archive/{seq:012}"))
    }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
}

fn add(staging: &mut Staging, json: &str) {
    let event = FlatEvent {
        id: EventId::from_bytes([0; 16]),
        record_type: RecordType::Flow,
        json: json.as_bytes(),
    };
    staging.event(event).unwrap();
}

fn record(seq: Option<u64>) -> Record {
    Record::Polled {
        key: CollectionKey {
            service: "s".into(),
            collection: "c".into(),
        },
        origin: Origin::Poll,
        window: PollWindow {
            exclusive_begin: None,
            inclusive_end: None,
        },
        checkpoint: None,
        seq,
        outputs: vec!["o".into()],
        counts: PolledCounts::default(),
        clock_offset_ms: None,
        gap: None,
        content: None,
    }
}

/// Commits a batch whose files hold so many events each; event `n` is `{"n":n}`.
fn commit(spool: &Spool, files: &[u64]) -> BatchHead {
    let mut staging = spool.stage("c").unwrap();
    let mut number = 0;
    for events in files {
        for _ in 0..*events {
            add(&mut staging, &format!("{{\"n\":{number}}}"));
            number += 1;
        }
        staging.block_read().unwrap();
        staging.mark().unwrap();
    }
    commit_staged(spool, staging)
}

fn commit_staged(spool: &Spool, mut staging: Staging) -> BatchHead {
    let files = spool.finish(&mut staging, at(0), "s", "c").unwrap();
    let seq = spool.next_seq();
    spool.commit(staging, &head(seq, files)).unwrap();
    spool.head(seq).unwrap()
}

fn head(seq: u64, files: Vec<EventFile>) -> BatchHead {
    BatchHead {
        seq,
        staged_at: at(0),
        service: "s".into(),
        collection: "c".into(),
        window_end: at(0),
        end: None,
        message_ids: Vec::new(),
        record: record(Some(seq)),
        files,
    }
}

/// A block that outgrows its memory, with lines that are longer than what is handed over at once.
#[test]
fn a_block_of_any_size_comes_back() {
    let scene = Scene::new();
    let spool = scene.open();
    let line = |number: usize, bytes: usize| format!("{{\"n\":\"{number}{}\"}}", "x".repeat(bytes));
    for sizes in [
        vec![1],
        vec![1 << 19; 5],
        vec![3 << 20, 1, 5 << 20, 1],
        [vec![1000; 6000], vec![2 << 20]].concat(),
    ] {
        let mut staging = spool.stage("c").unwrap();
        let lines: Vec<String> = sizes
            .iter()
            .enumerate()
            .map(|(n, bytes)| line(n, *bytes))
            .collect();
        for line in &lines {
            add(&mut staging, line);
        }
        assert_eq!(staging.events(), 0);
        staging.block_read().unwrap();
        assert_eq!(staging.events(), lines.len() as u64);
        // A block without events, and one that is given up.
        staging.block_read().unwrap();
        let mark = staging.mark().unwrap();
        add(&mut staging, "{}");
        staging.take_back(&mark).unwrap();
        let head = commit_staged(&spool, staging);
        let told: u64 = head.files.iter().map(|file| file.events).sum();
        assert_eq!(told, lines.len() as u64);
        let read: Vec<String> = read(&spool, &head, 0)
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        assert!(read == lines, "{} lines of {}", read.len(), lines.len());
    }
}

fn read(spool: &Spool, head: &BatchHead, from: u64) -> Vec<(u64, String)> {
    let mut reader = spool.read(head, from, |_| false);
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push(line);
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_batch_is_read_from_any_line(
        files in prop::collection::vec(1_u64..30, 1..6),
        from in 0_u64..150,
    ) {
        let scene = Scene::new();
        let head = commit(&scene.open(), &files);
        // Found again by a later start.
        let spool = scene.open();
        let found = spool.head(head.seq).unwrap();
        prop_assert_eq!(&found, &head);
        let events = files.iter().sum::<u64>();
        prop_assert_eq!(head.events(), events);
        let expect: Vec<_> = (from..events).map(|n| (n, format!("{{\"n\":{n}}}"))).collect();
        prop_assert_eq!(read(&spool, &head, from), expect);
    }
}

#[test]
fn what_is_not_committed_is_gone() {
    let scene = Scene::new();
    let spool = scene.open();
    let mut staging = spool.stage("c").unwrap();
    add(&mut staging, "{}");
    staging.block_read().unwrap();
    let folder = staging.folder().to_owned();
    assert!(folder.exists());
    // As a crash leaves it.
    std::mem::forget(staging);
    let spool = scene.open();
    assert!(!folder.exists());
    assert!(spool.numbers().is_empty());
}

#[test]
fn a_part_is_taken_back_with_its_events_and_letters() {
    let scene = Scene::new();
    let spool = scene.open();
    let mut staging = spool.stage("c").unwrap();
    add(&mut staging, "{\"n\":0}");
    staging.block_read().unwrap();
    let mark = staging.mark().unwrap();
    for attempt in 0..3 {
        add(&mut staging, &format!("{{\"attempt\":{attempt}}}"));
        staging.block_read().unwrap();
        // The events of a block that is not read to its end never count.
        add(&mut staging, "{\"half\":true}");
        staging.take_back(&mark).unwrap();
    }
    add(&mut staging, "{\"n\":1}");
    staging.block_read().unwrap();
    let head = commit_staged(&spool, staging);
    let lines = read(&spool, &head, 0);
    assert_eq!(lines, [(0, "{\"n\":0}".into()), (1, "{\"n\":1}".into())]);
}

#[test]
fn a_file_that_is_cut_or_flipped_is_an_error() {
    for spoil in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 5),
        |bytes: &mut Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
    ] {
        let scene = Scene::new();
        let spool = scene.open();
        let head = commit(&spool, &[50]);
        let file = scene.ready(head.seq).join(&head.files[0].name);
        let mut bytes = fs::read(&file).unwrap();
        spoil(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let mut reader = spool.read(&head, 0, |_| false);
        let outcome = loop {
            match reader.next_line() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert!(outcome.is_err());
    }
}

#[test]
fn a_batch_with_other_lines_than_its_head_says_is_an_error() {
    for events in [4, 6] {
        let scene = Scene::new();
        let spool = scene.open();
        let head = commit(&spool, &[5]);
        let mut wrong = head.clone();
        wrong.files[0].events = events;
        let mut reader = spool.read(&wrong, 0, |_| false);
        let outcome = (0..=6).find_map(|_| reader.next_line().err());
        assert!(outcome.unwrap().to_string().contains("batch.json"));
    }
}

/// What comes of reading a batch: lines, and the damage that ended it.
fn read_damaged(spool: &Spool, head: &BatchHead) -> (Vec<String>, Option<FileDamage>) {
    let mut reader = spool.read(head, 0, |_| false);
    let mut lines = Vec::new();
    loop {
        match reader.next_line() {
            Ok(Some((_, line))) => lines.push(line),
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(FileDamage::of(&error).unwrap().clone())),
        }
    }
}

#[test]
fn no_bit_of_a_file_is_flipped_and_no_byte_cut_without_notice() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[30]);
    let file = scene.ready(head.seq).join(&head.files[0].name);
    let whole = fs::read(&file).unwrap();
    let (lines, damage) = read_damaged(&spool, &head);
    assert_eq!((lines.len(), damage), (30, None));
    let mut unnoticed = 0;
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut altered = whole.clone();
            altered[place] ^= 1 << bit;
            fs::write(&file, altered).unwrap();
            let (found, damage) = read_damaged(&spool, &head);
            match damage {
                Some(damage) => {
                    assert_eq!(damage.file, head.files[0].name);
                    assert_eq!(
                        found,
                        Vec::<String>::new(),
                        "not one line before it is known"
                    );
                }
                // A bit that says nothing.
                None => {
                    assert_eq!(found, lines, "byte {place}, bit {bit}");
                    unnoticed += 1;
                }
            }
        }
        fs::write(&file, &whole[..place]).unwrap();
        let (found, damage) = read_damaged(&spool, &head);
        assert_eq!(found, Vec::<String>::new());
        assert!(damage.is_some(), "cut at {place}");
    }
    // The size of the window bounds memory and says nothing of the content.
    assert!(unnoticed <= 8, "{unnoticed} bits say nothing");
    fs::remove_file(&file).unwrap();
    assert!(read_damaged(&spool, &head).1.is_some());
}

#[test]
fn a_whole_file_with_other_lines_is_noticed() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[3]);
    let file = scene.ready(head.seq).join(&head.files[0].name);
    let other = zstd::encode_all(&b"{\"n\":0}\n{\"n\":1}\n{\"n\":3}\n"[..], 1).unwrap();
    fs::write(&file, other).unwrap();
    let (lines, damage) = read_damaged(&spool, &head);
    assert_eq!(lines, Vec::<String>::new());
    assert!(damage.unwrap().what.contains("CRC"));
}

#[test]
fn no_more_is_taken_from_a_damaged_file_than_was_written() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[3]);
    let file = &head.files[0];
    let lines = |text: &[u8]| {
        let name = "some.zst";
        let compressed = zstd::encode_all(text, 1).unwrap();
        fs::write(spool.quarantine().join(name), compressed).unwrap();
        spool.quarantined_lines(file, name)
    };
    assert_eq!(lines("{}\n".repeat(1000).as_bytes()).len(), 3);
    let endless = lines(&vec![b'x'; 100 << 20]);
    assert!(endless.concat().len() <= 64 << 20, "{}", endless.len());
}

#[test]
fn files_that_are_set_aside_are_passed_over_and_come_back() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[3, 4, 5]);
    let middle = &head.files[1];
    let name = spool.set_aside(head.seq, &middle.name).unwrap().unwrap();
    assert_eq!(spool.quarantined_lines(middle, &name).len(), 4);
    // Somebody moved it and could not say so.
    let again = spool.set_aside(head.seq, &middle.name).unwrap();
    assert_eq!(again.as_ref(), Some(&name));
    let numbers = |from: u64| -> Vec<u64> {
        let mut reader = spool.read(&head, from, |file| file == middle.name);
        std::iter::from_fn(|| reader.next_line().unwrap())
            .map(|(number, line)| {
                assert_eq!(line, format!("{{\"n\":{number}}}"));
                number
            })
            .collect()
    };
    assert_eq!(numbers(0), [0, 1, 2, 7, 8, 9, 10, 11]);
    assert_eq!(numbers(5), [7, 8, 9, 10, 11]);
    assert_eq!(numbers(9), [9, 10, 11]);

    let staging = spool.stage_repair().unwrap();
    let mut wrong = (3..7).map(|n| format!("{{\"n\":{}}}", n + 1));
    let rewritten = spool
        .rewrite(&staging, middle, || Ok(wrong.next()))
        .unwrap();
    assert!(rewritten.is_none(), "other lines are not the file");
    let mut right = (3..7).map(|n| format!("{{\"n\":{n}}}"));
    let rewritten = spool
        .rewrite(&staging, middle, || Ok(right.next()))
        .unwrap();
    // Even if the whole folder is gone meanwhile.
    fs::remove_dir_all(scene.ready(head.seq)).unwrap();
    spool.put_back(&head, middle, &rewritten.unwrap()).unwrap();
    assert!(spool.check_file(head.seq, middle).is_ok());
    drop(staging);
    let again = scene.open();
    assert_eq!(again.head(head.seq).unwrap(), head);
}

/// What the ledger knows of a batch that is owed.
fn owed(head: &BatchHead) -> BatchPicture {
    BatchPicture::default().made_of(head.source().as_ref())
}

#[test]
fn of_what_is_owed_no_head_is_read() {
    let scene = Scene::new();
    let first = scene.open();
    let heads = [commit(&first, &[3, 1]), commit(&first, &[5])];
    let (waiting, found) = (
        first.waiting(),
        heads.clone().map(|head| first.in_place(head.seq)),
    );
    drop(first);
    for head in &heads {
        fs::write(scene.ready(head.seq).join("batch.json"), "{").unwrap();
    }
    let of = |seq| {
        heads
            .iter()
            .find(|head| head.seq == seq)
            .map(|head| Arc::new(owed(head)))
    };
    let spool = Spool::open(&Disk::machine(), &scene.config, of, &[sets::key()]).unwrap();
    assert_eq!(spool.waiting(), waiting);
    assert_eq!(heads.clone().map(|head| spool.in_place(head.seq)), found);
    assert_eq!(spool.set_aside_headless().unwrap(), Vec::<String>::new());
    for head in &heads {
        assert!(spool.is_head_damaged(head.seq).unwrap());
        assert!(spool.restore_head(head).unwrap());
        assert_eq!(spool.head(head.seq).unwrap(), *head);
        assert!(!spool.is_head_damaged(head.seq).unwrap());
        assert!(!spool.restore_head(head).unwrap(), "it is written once");
    }
}

#[test]
fn a_head_is_written_again_only_where_its_batch_is() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[1]);
    spool.done(head.seq, at(1)).unwrap();
    assert!(!spool.restore_head(&head).unwrap());
    assert!(!scene.ready(head.seq).exists());
}

#[test]
fn a_head_that_cannot_be_read_goes_to_quarantine() {
    let scene = Scene::new();
    let head = commit(&scene.open(), &[1]);
    fs::write(scene.ready(head.seq).join("batch.json"), "{").unwrap();
    let spool = scene.open();
    assert!(spool.numbers().is_empty());
    let name = format!("{:012}", head.seq);
    assert_eq!(spool.set_aside_headless().unwrap(), [name]);
    assert_eq!(spool.folders().unwrap(), Vec::<String>::new());
    let quarantined = spool.quarantine().join(format!("{:012}", head.seq));
    assert!(quarantined.join(&head.files[0].name).exists());
}

#[test]
fn what_nobody_owes_is_archived_by_age_and_size() {
    let mut scene = Scene::new();
    let spool = scene.open();
    let seqs: Vec<u64> = (0..3).map(|_| commit(&spool, &[10]).seq).collect();
    for (second, seq) in (0..).zip(&seqs) {
        spool.done(*seq, at(second)).unwrap();
        assert!(!scene.ready(*seq).exists() && scene.archived(*seq).exists());
    }
    assert_eq!(spool.pending_bytes(), 0);
    spool.evict_archive(at(3601));
    let left: Vec<bool> = seqs
        .iter()
        .map(|seq| scene.archived(*seq).exists())
        .collect();
    assert_eq!(left, [false, true, true]);
    // A number is not used again, even where only the archive remembers it.
    assert_eq!(seqs, [1, 2, 3]);
    let again = scene.open();
    again.begin_at(1);
    assert_eq!(again.next_seq(), 4);

    scene.config.archive.max_bytes = 1;
    let spool = scene.open();
    spool.begin_at(5);
    let seq = commit(&spool, &[10]).seq;
    spool.done(seq, at(0)).unwrap();
    assert!(!scene.ready(seq).exists() && !scene.archived(seq).exists());
}

#[test]
fn what_a_start_finds_in_the_archive_counts_like_what_comes() {
    let mut scene = Scene::new();
    let spool = scene.open();
    let seqs: Vec<u64> = (0..3).map(|_| commit(&spool, &[10]).seq).collect();
    for seq in &seqs {
        spool.done(*seq, at(0)).unwrap();
    }
    let files = fs::read_dir(scene.archived(seqs[0])).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    scene.config.archive.max_bytes = 2 * bytes + bytes / 2;
    let left = |scene: &Scene, seqs: &[u64]| -> Vec<bool> {
        let there = seqs.iter().map(|seq| scene.archived(*seq).exists());
        there.collect()
    };
    let spool = scene.open();
    assert_eq!(
        left(&scene, &seqs),
        [true, true, true],
        "a start looks at none"
    );
    spool.evict_archive(at(1));
    assert_eq!(left(&scene, &seqs), [false, true, true]);
    // One more, before anybody has looked at what was found.
    let spool = scene.open();
    spool.begin_at(1);
    let seq = commit(&spool, &[10]).seq;
    spool.done(seq, at(2)).unwrap();
    assert_eq!(left(&scene, &[2, 3, seq]), [false, true, true]);
}

#[test]
fn a_removal_that_was_cut_short_is_no_damaged_batch() {
    let mut scene = Scene::new();
    scene.config.archive.keep = Duration::ZERO;
    let spool = scene.open();
    let seq = commit(&spool, &[10]).seq;
    spool.done(seq, at(0)).unwrap();
    // As a crash in the middle of it leaves the folder.
    let half = scene.folder.path().join("spool/staging/done-000000000001");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("events-0001.jsonl.zst"), "half").unwrap();
    let spool = scene.open();
    assert!(!half.exists());
    assert_eq!(fs::read_dir(spool.quarantine()).unwrap().count(), 0);
}

#[test]
fn a_window_larger_than_the_spool_comes_in_when_nothing_else_waits() {
    let mut scene = Scene::new();
    scene.config.max_spool_bytes = 100;
    let spool = scene.open();
    let head = commit(&spool, &[1000]);
    assert!(head.bytes() > 100);
    let error = spool.stage("c").unwrap_err();
    assert!(
        matches!(error, SpoolError::Full { limit: 100, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("state.max_spool_bytes"),
        "{error}"
    );
    spool.done(head.seq, at(0)).unwrap();
    spool.stage("c").unwrap();
}

#[test]
fn a_window_larger_than_what_is_left_is_told_while_it_is_written() {
    let mut scene = Scene::new();
    let spool = scene.open();
    let bytes = commit(&spool, &[10]).bytes();
    scene.config.max_spool_bytes = bytes + 50;
    let spool = scene.open();
    let mut staging = spool.stage("c").unwrap();
    for number in 0..10_000 {
        add(&mut staging, &format!("{{\"n\":{number}}}"));
    }
    staging.block_read().unwrap();
    let error = spool.finish(&mut staging, at(0), "s", "c").unwrap_err();
    let SpoolError::TooLarge { needed, room: 50 } = error else {
        panic!("{error}");
    };
    assert!(needed > 50);
    drop(staging);
    // It need not be fetched again to know.
    spool.want("c", needed);
    let error = spool.stage("c").unwrap_err();
    assert!(
        matches!(error, SpoolError::TooLarge { room: 50, .. }),
        "{error}"
    );
    spool.stage("other").unwrap();
}

#[test]
fn the_free_disk_counts_more_than_the_spool() {
    let mut scene = Scene::new();
    scene.config.min_free_disk = u64::MAX;
    let spool = Spool::open(&Disk::machine(), &scene.config, |_| None, &[sets::key()]).unwrap();
    let error = spool.stage("c").unwrap_err();
    assert!(error.to_string().contains("state.min_free_disk"), "{error}");
}

#[test]
fn two_polls_do_not_fill_the_spool_together() {
    let mut scene = Scene::new();
    let spool = scene.open();
    let bytes = commit(&spool, &[10]).bytes();
    let one = {
        let mut staging = spool.stage("one").unwrap();
        add(&mut staging, "{}");
        staging.block_read().unwrap();
        spool.finish(&mut staging, at(0), "s", "c").unwrap()[0].bytes
    };
    scene.config.max_spool_bytes = bytes + one + one / 2;
    let spool = scene.open();
    let stage = |who: &str| {
        let mut staging = spool.stage(who).unwrap();
        add(&mut staging, "{}");
        staging.block_read().unwrap();
        let finished = spool.finish(&mut staging, at(0), "s", "c");
        (staging, finished)
    };
    let (first, finished) = stage("one");
    finished.unwrap();
    let (second, refused) = stage("two");
    assert!(
        matches!(refused, Err(SpoolError::TooLarge { needed, room }) if needed > room),
        "{refused:?}"
    );
    // Neither what is refused nor what is given up takes any.
    drop((first, second));
    stage("two").1.unwrap();
}

#[test]
fn what_waits_in_scratch_files_leaves_the_disk_its_rest() {
    let mut scene = Scene::new();
    scene.config.min_free_disk = 1000;
    let spool = scene.open();
    refusal::pretend_free(Some(10_000));
    let staging = spool.stage("c").unwrap();
    let mut file = staging.scratch().create().unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    refusal::pretend_free(Some(1000));
    let error = file.write_all(&vec![0; 1 << 20]).unwrap_err();
    refusal::pretend_free(None);
    let error = SpoolError::staging(error, staging.folder());
    assert!(
        matches!(error, SpoolError::TooLarge { needed, room: 0 } if needed > 2 << 20),
        "{error}"
    );
}

#[test]
fn room_is_made_for_who_asks_and_only_as_long() {
    let mut scene = Scene::new();
    let spool = scene.open();
    assert_eq!(spool.bytes_to_release(), 0);
    let bytes = commit(&spool, &[100]).bytes();
    scene.config.max_spool_bytes = bytes + 10;
    let spool = scene.open();
    spool.want("one", 10);
    assert_eq!(spool.bytes_to_release(), 0, "that much is left");
    spool.want("one", 15);
    assert_eq!(spool.bytes_to_release(), 5);
    spool.want("two", bytes * 10);
    assert_eq!(spool.bytes_to_release(), bytes, "no more than there is");
    // The other's success does not take back what this one wants.
    spool.want("two", 0);
    assert_eq!(spool.bytes_to_release(), 5);
    spool.want("one", 0);
    assert_eq!(spool.bytes_to_release(), 0);
}

fn letter(reason: &str) -> EventLetter {
    EventLetter {
        output: "o".into(),
        seq: 1,
        line: 0,
        code: "hec-6".into(),
        reason: reason.into(),
        number: None,
        event: serde_json::value::RawValue::from_string("{}".into()).unwrap(),
    }
}

#[test]
fn dead_letters_have_a_limit_that_is_named() {
    let mut scene = Scene::new();
    scene.config.max_dead_letter_bytes = 1000;
    let spool = scene.open();
    let letters = spool.dead_letters();
    let mut kept = 0;
    let error = loop {
        match letters.keep_event(at(0), "s", "c", letter("bad")) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(
        error.to_string().contains("state.max_dead_letter_bytes"),
        "{error}"
    );
    assert!(kept > 1);
    assert_eq!(scene.open().dead_letters().count(), kept);
    // A person removes them while the agent runs.
    let segment = scene
        .folder
        .path()
        .join("spool/dead-letters/00000001.jsonl");
    fs::remove_file(&segment).unwrap();
    letters.keep_event(at(0), "s", "c", letter("bad")).unwrap();
    assert_eq!(letters.count(), 1);
    assert_eq!(fs::read_to_string(&segment).unwrap().lines().count(), 1);
}

#[test]
fn a_dead_letter_is_never_written_to_a_file_that_is_gone() {
    let scene = Scene::new();
    let spool = scene.open();
    let letters = spool.dead_letters();
    letters.keep_event(at(0), "s", "c", letter("one")).unwrap();
    let segment = scene
        .folder
        .path()
        .join("spool/dead-letters/00000001.jsonl");
    fs::remove_file(&segment).unwrap();
    letters.keep_event(at(0), "s", "c", letter("two")).unwrap();
    assert!(fs::read_to_string(&segment).unwrap().contains("two"));
}

#[test]
fn blocks_count_as_dead_letters_and_leave_nothing_where_there_is_no_room() {
    let mut scene = Scene::new();
    scene.config.max_dead_letter_bytes = 1000;
    let spool = scene.open();
    let refused = |bytes: usize| {
        let mut staging = spool.stage("c").unwrap();
        let mut raw = crate::tape::Tape::new(staging.scratch(), 1 << 20, 1 << 20);
        raw.append(&vec![b'x'; bytes]).unwrap();
        staging
            .block_refused(crate::taxii::response::RefusedBlock {
                number: 1,
                binding: None,
                reason: "broken".into(),
                raw: &mut raw,
            })
            .unwrap();
        spool.finish(&mut staging, at(0), "s", "c").map(drop)
    };
    refused(300).unwrap();
    let error = refused(800).unwrap_err();
    assert!(matches!(error, SpoolError::DeadLetter(_)), "{error}");
    // A segment and one block.
    let letters = scene.folder.path().join("spool/dead-letters");
    assert_eq!(fs::read_dir(letters).unwrap().count(), 2);
    assert_eq!(spool.dead_letters().count(), 1);
}

#[test]
fn a_file_among_what_was_staged_and_one_in_the_archive_stop_no_start() {
    let scene = Scene::new();
    drop(scene.open());
    let staged = scene.folder.path().join("spool/staging/left");
    fs::write(&staged, "left").unwrap();
    let stray = scene.folder.path().join("archive/7");
    fs::write(&stray, "stray").unwrap();
    drop(scene.open());
    assert!(!staged.exists() && stray.exists());
}

#[test]
fn a_batch_that_is_in_the_archive_already_is_archived_again() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[3]);
    let copy = scene.archived(head.seq);
    fs::create_dir_all(&copy).unwrap();
    fs::write(copy.join("older"), "older").unwrap();
    spool.done(head.seq, at(0)).unwrap();
    assert!(!copy.join("older").exists());
    assert!(copy.join("batch.json").exists());
    assert!(!scene.ready(head.seq).exists());
}

#[test]
fn an_endless_file_is_not_read() {
    let scene = Scene::new();
    let spool = scene.open();
    let head = commit(&spool, &[3]);
    let path = scene.ready(head.seq).join(&head.files[0].name);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = spool.read(&head, 0, |_| false).next_line().unwrap_err();
    assert!(error.to_string().contains("1099511627776 bytes"), "{error}");
    assert!(spool.inspect(&head).unwrap().files[0].damage.is_some());
}

#[test]
fn a_head_that_is_longer_than_any_can_be_is_damaged_and_not_read() {
    let scene = Scene::new();
    let head = commit(&scene.open(), &[10]);
    let path = scene.ready(head.seq).join("batch.json");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // A hole, which takes no room.
    file.set_len(1 << 40).unwrap();
    let spool = scene.open();
    assert!(spool.numbers().is_empty());
    assert_eq!(spool.set_aside_headless().unwrap().len(), 1);
}
