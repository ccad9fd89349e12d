//! Damage to segments on a model of a file system: whole lines stay, wherever the machine stops.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::*;
use crate::clock::SystemClock;
use crate::disk::Disk;
use crate::disk::model::ModelDisk;
use crate::spool::letter::{BlockLetter, EventLetter};
use crate::spool::staging::StagedLetter;
use crate::state::Removal;

const MAX_BYTES: u64 = 1 << 20;

struct Scene {
    model: ModelDisk,
    disk: Disk,
    letters: DeadLetters,
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000, 0).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from("/d/letters")
}

fn quarantine() -> PathBuf {
    PathBuf::from("/d/quarantine")
}

fn open(disk: &Disk) -> std::io::Result<DeadLetters> {
    DeadLetters::open_with(disk, folder(), &quarantine(), MAX_BYTES, 2000)
}

impl Scene {
    fn new() -> Self {
        let model =
            ModelDisk::new(Arc::new(SystemClock::new()), 1).with_folder(std::path::Path::new("/d"));
        let disk = Disk::on(model.clone());
        let letters = open(&disk).unwrap();
        Self {
            model,
            disk,
            letters,
        }
    }

    fn keep(&self, line: u64) {
        let letter = EventLetter {
            output: "o".into(),
            seq: 7,
            line,
            code: "hec-6".into(),
            reason: "bad".into(),
            number: None,
            event: RawValue::from_string(format!("\"{}\"", "x".repeat(500))).unwrap(),
        };
        self.letters.keep_event(at(), "s", "c", letter).unwrap();
    }

    fn keep_block(&self) {
        let staging = PathBuf::from("/d/staging");
        self.disk.create_folders(&staging).unwrap();
        self.disk.remove_file_if_there(&staging.join("b")).unwrap();
        self.disk.write_file(&staging.join("b"), b"text").unwrap();
        let letter = StagedLetter {
            file: "b".into(),
            letter: BlockLetter {
                number: 1,
                binding: None,
                reason: "broken".into(),
            },
        };
        self.letters
            .keep_blocks(at(), "s", "c", &staging, &[letter])
            .unwrap();
    }

    fn heads(&self) -> Vec<LetterHead> {
        let mut heads = Vec::new();
        self.letters.each(|head, _| heads.push(head)).unwrap();
        heads
    }

    fn names(&self, folder: &Path) -> BTreeSet<String> {
        let names = self.disk.names(folder).unwrap_or_default();
        names.into_iter().collect()
    }

    /// Spoils one byte of a segment.
    fn spoil(&self, number: u64, place: usize) {
        let mut text = self.letters.segments.read(number).unwrap();
        text[place] ^= 0x80;
        self.letters.segments.write_anew(number, &text).unwrap();
    }

    fn mend(&self) -> std::io::Result<Vec<SetAside>> {
        self.letters.mend(&quarantine(), false, |_| None)
    }
}

#[test]
fn what_is_whole_stays_and_the_copy_is_as_it_was() {
    let scene = Scene::new();
    for line in 0..5 {
        scene.keep(line);
    }
    let text = scene.letters.segments.read(1).unwrap();
    let second = text.iter().position(|&byte| byte == b'\n').unwrap() + 30;
    scene.spoil(1, second);
    let damaged = scene.letters.segments.read(1).unwrap();
    let found = scene.letters.damaged().unwrap();
    assert_eq!((found.len(), found[0].lines[0].number), (1, 2));
    let after = found[0].lines[0].after.as_ref().unwrap();
    assert_eq!(after.output(), Some("o"));
    let set_aside = scene.mend().unwrap();
    assert_eq!(set_aside[0].quarantined, "dead-letters-00000001.jsonl");
    let copy = quarantine().join(&set_aside[0].quarantined);
    assert_eq!(scene.disk.read(&copy).unwrap(), damaged);
    assert_eq!(scene.letters.damaged().unwrap(), []);
    assert_eq!(scene.heads().len(), 4);
    assert_eq!(scene.letters.count(), 4);
    // What comes next stands in another segment than what was copied.
    scene.keep(9);
    assert_eq!(scene.disk.read(&copy).unwrap(), damaged);
    assert_eq!(scene.mend().unwrap(), []);
    assert_eq!(scene.heads().len(), 5);
}

#[test]
fn any_spoilt_byte_costs_at_most_two_letters_and_never_a_start() {
    let length = {
        let scene = Scene::new();
        (0..3).for_each(|line| scene.keep(line));
        scene.letters.segments.read(1).unwrap().len()
    };
    for place in 0..length {
        let scene = Scene::new();
        (0..3).for_each(|line| scene.keep(line));
        scene.spoil(1, place);
        let letters = open(&scene.disk).unwrap();
        let scene = Scene { letters, ..scene };
        scene.mend().unwrap();
        // A line break that is gone joins two lines.
        assert!(!scene.heads().is_empty(), "{place}");
        assert_eq!(scene.letters.damaged().unwrap(), [], "{place}");
        assert_eq!(scene.letters.count(), scene.heads().len() as u64);
    }
}

#[test]
fn a_block_whose_letter_is_damaged_goes_with_the_copy_and_no_other_does() {
    let scene = Scene::new();
    scene.keep_block();
    scene.keep(1);
    let first: BTreeSet<String> = scene.names(&folder());
    scene.keep_block();
    let text = scene.letters.segments.read(1).unwrap();
    scene.spoil(1, 5);
    assert!(text.len() > 5);
    scene.mend().unwrap();
    let block = first
        .iter()
        .find(|name| name.starts_with("block-"))
        .unwrap();
    assert!(scene.names(&quarantine()).contains(block));
    let there = scene.heads();
    let named: Vec<&str> = there.iter().filter_map(LetterHead::file).collect();
    assert_eq!(named.len(), 1);
    assert!(scene.names(&folder()).contains(named[0]));
    open(&scene.disk).unwrap();
    assert!(scene.names(&folder()).contains(named[0]));
}

#[test]
fn a_damaged_tombstone_is_set_aside_too() {
    let scene = Scene::new();
    scene.keep(0);
    scene.keep(1);
    let removed = [(scene.heads()[0].id.clone(), Removal::Dropped)].into();
    scene.letters.remove(at(), &removed).unwrap();
    let text = scene.letters.segments.read(1).unwrap();
    scene.spoil(1, text.len() - 10);
    let set_aside = scene.mend().unwrap();
    assert_eq!(set_aside[0].segment.lines[0].number, 3);
    // Whoever knows that it is gone says so again.
    assert_eq!(scene.heads().len(), 2);
    scene.letters.remove(at(), &removed).unwrap();
    assert_eq!(scene.heads().len(), 1);
}

#[test]
fn wherever_the_machine_stops_nothing_that_is_whole_is_lost() {
    let mut random = fastrand::Rng::with_seed(3);
    for step in 0.. {
        let scene = Scene::new();
        scene.keep_block();
        for line in 0..3 {
            scene.keep(line);
        }
        scene.keep_block();
        // The letter of the first block, and the last event of the first segment.
        scene.spoil(1, 5);
        let whole = scene.heads();
        let damaged = scene.letters.segments.read(1).unwrap();
        let blocks: BTreeSet<String> = scene
            .names(&folder())
            .into_iter()
            .filter(|name| name.starts_with("block-"))
            .collect();
        scene.model.stop(step);
        let is_over = scene.mend().is_ok();
        scene.model.crash(&mut random);
        let letters = open(&scene.disk).unwrap();
        let scene = Scene { letters, ..scene };
        scene.mend().unwrap();
        assert!(scene.letters.may_lack_letters(), "step {step}");
        assert_eq!(scene.heads(), whole, "step {step}");
        let names = scene.names(&quarantine());
        let copies = names
            .iter()
            .filter(|name| name.starts_with("dead-letters-"));
        let copies: Vec<&String> = copies.collect();
        assert!(!copies.is_empty(), "step {step}");
        for copy in copies {
            let copy = scene.disk.read(&quarantine().join(copy)).unwrap();
            assert_eq!(copy, damaged, "step {step}");
        }
        let kept: BTreeSet<String> = names.union(&scene.names(&folder())).cloned().collect();
        assert!(kept.is_superset(&blocks), "step {step}: {kept:?}");
        if is_over {
            assert!(step > 8, "{step}");
            break;
        }
    }
}

#[test]
fn a_segment_that_is_longer_than_any_can_be_is_not_read() {
    let scene = Scene::new();
    scene.keep(0);
    let max_bytes = scene.letters.segments.max_bytes;
    let mut letters = open(&scene.disk).unwrap();
    letters.segments.max_bytes = 100;
    let scene = Scene { letters, ..scene };
    assert_eq!(scene.letters.each(|_, _| {}).unwrap(), 1);
    let set_aside = scene.mend().unwrap();
    let why = set_aside[0].segment.unreadable.as_ref().unwrap();
    assert!(why.contains("more than 100 bytes"), "{why}");
    assert_eq!(scene.heads(), []);
    assert!(max_bytes > MAX_BYTES);
}

/// Two segments: the first holds the letter of a block and a tombstone for one in the second.
fn with_a_bad_sector() -> (Scene, Vec<LetterHead>) {
    let scene = Scene::new();
    scene.keep_block();
    for line in 0..3 {
        scene.keep(line);
    }
    scene.keep_block();
    let heads = scene.heads();
    let folder = folder();
    let first = folder.join("00000001.jsonl");
    assert!(scene.names(&folder).contains("00000002.jsonl"));
    scene.model.make_unreadable(&first);
    (scene, heads)
}

#[test]
fn a_segment_that_the_disk_cannot_read_is_waited_for_and_then_set_aside() {
    let (scene, heads) = with_a_bad_sector();
    assert!(crate::disk::is_unreadable(&open(&scene.disk).unwrap_err()));
    assert!(crate::disk::is_unreadable(&scene.mend().unwrap_err()));
    assert_eq!(scene.names(&quarantine()), BTreeSet::new());
    let letters = open(&scene.disk.clone().giving_up_unreadable()).unwrap();
    let scene = Scene { letters, ..scene };
    let there = scene.heads();
    assert!(!there.is_empty() && there.len() < heads.len(), "{there:?}");
    assert!(heads.ends_with(&there));
    let names = scene.names(&quarantine());
    assert!(names.contains("dead-letters-00000001.jsonl"), "{names:?}");
    // Its block is not taken for left over, nor is that of a letter that is there.
    let blocks = heads.iter().filter_map(LetterHead::file);
    for block in blocks {
        let is_there = there.iter().any(|head| head.file() == Some(block));
        assert_eq!(scene.names(&folder()).contains(block), is_there);
        assert_eq!(names.contains(block), !is_there);
    }
}

#[test]
fn wherever_the_machine_stops_no_block_of_an_unreadable_segment_is_lost() {
    let mut random = fastrand::Rng::with_seed(5);
    for step in 0.. {
        let (scene, heads) = with_a_bad_sector();
        let giving_up = scene.disk.clone().giving_up_unreadable();
        scene.model.stop(step);
        let is_over = open(&giving_up).is_ok();
        scene.model.crash(&mut random);
        let letters = open(&giving_up).unwrap();
        let scene = Scene { letters, ..scene };
        let there: BTreeSet<String> = scene
            .names(&folder())
            .union(&scene.names(&quarantine()))
            .cloned()
            .collect();
        for block in heads.iter().filter_map(LetterHead::file) {
            assert!(there.contains(block), "step {step}: {there:?}");
        }
        if is_over {
            assert!(step > 4, "{step}");
            break;
        }
    }
}

#[test]
fn who_is_asked_to_does_not_wait() {
    let (scene, heads) = with_a_bad_sector();
    assert!(scene.letters.each(|_, _| {}).is_err());
    let damaged = scene.letters.damaged().unwrap();
    assert!(damaged[0].unreadable.is_some());
    let set_aside = scene.letters.mend(&quarantine(), true, |_| None).unwrap();
    assert_eq!(set_aside.len(), 1);
    assert!(heads.ends_with(&scene.heads()));
}
