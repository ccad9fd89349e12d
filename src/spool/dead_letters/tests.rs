//! Dead letters against the disk: what is kept is there, what is removed is gone and leaves nothing.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::disk::refusal;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000, 0).unwrap()
}

/// Small, so that a few letters fill some.
const SEGMENT_BYTES: u64 = 2000;

struct Scene {
    folder: tempfile::TempDir,
    letters: DeadLetters,
    max_bytes: u64,
}

impl Scene {
    fn with(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            letters: DeadLetters::open_with(
                &Disk::machine(),
                folder.path().join("letters"),
                &folder.path().join("quarantine"),
                max_bytes,
                SEGMENT_BYTES,
            )
            .unwrap(),
            folder,
            max_bytes,
        }
    }

    fn new() -> Self {
        Self::with(64 << 20)
    }

    fn reopen(&mut self) {
        self.letters = DeadLetters::open_with(
            &Disk::machine(),
            self.path(),
            &self.quarantine(),
            self.max_bytes,
            SEGMENT_BYTES,
        )
        .unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("letters")
    }

    fn quarantine(&self) -> PathBuf {
        self.folder.path().join("quarantine")
    }

    fn keep(&self, line: u64, bytes: usize) -> Result<(), KeepLetterError> {
        let letter = EventLetter {
            output: "o".into(),
            seq: 1,
            line,
            code: "hec-6".into(),
            reason: "bad".into(),
            number: None,
            event: RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap(),
        };
        self.letters.keep_event(at(), "s", "c", letter)
    }

    fn keep_block(&self, bytes: usize) -> Result<(), KeepLetterError> {
        let staging = tempfile::tempdir_in(self.folder.path()).unwrap();
        fs::write(staging.path().join("b"), "x".repeat(bytes)).unwrap();
        let letter = StagedLetter {
            file: "b".into(),
            letter: BlockLetter {
                number: 1,
                binding: None,
                reason: "broken".into(),
            },
        };
        self.letters
            .keep_blocks(at(), "s", "c", staging.path(), &[letter])
    }

    fn heads(&self) -> Vec<LetterHead> {
        let mut heads = Vec::new();
        self.letters.each(|head, _| heads.push(head)).unwrap();
        heads
    }

    fn lines(&self) -> Vec<u64> {
        let line = |head: &LetterHead| match head.about {
            super::super::About::Event { line, .. } => line,
            super::super::About::Block { .. } => panic!("{head:?}"),
        };
        self.heads().iter().map(line).collect()
    }

    /// Removes the letters of these places.
    fn remove(&self, places: &[usize]) -> Result<(), KeepLetterError> {
        let heads = self.heads();
        let chosen = places.iter().filter_map(|place| heads.get(*place));
        let chosen = chosen.map(|head| (head.id.clone(), Removal::Dropped));
        self.letters.remove(at(), &chosen.collect())
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

#[test]
fn what_is_removed_is_gone_for_ever_and_the_rest_is_there() {
    let mut scene = Scene::new();
    for line in 0..5 {
        scene.keep(line, 10).unwrap();
    }
    scene.remove(&[1, 3]).unwrap();
    assert_eq!(scene.lines(), [0, 2, 4]);
    assert_eq!(scene.letters.count(), 3);
    // What is there is never written anew.
    let segment = scene.path().join("00000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    assert_eq!(text.lines().count(), 7);
    scene.reopen();
    assert_eq!(scene.lines(), [0, 2, 4]);
    assert_eq!(scene.letters.count(), 3);
    scene.remove(&[0, 1, 2]).unwrap();
    assert_eq!(scene.files(), BTreeSet::new());
    scene.keep(9, 10).unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), [9]);
}

#[test]
fn a_segment_stays_as_long_as_its_tombstones_are_needed() {
    let mut scene = Scene::new();
    // One letter fills a segment.
    let large = 2000;
    for line in 0..3 {
        scene.keep(line, large).unwrap();
    }
    scene.keep(3, 10).unwrap();
    scene.keep(4, 10).unwrap();
    assert_eq!(scene.files().len(), 4);
    // Its tombstone stands in the last segment, which stays.
    scene.remove(&[1]).unwrap();
    assert_eq!(scene.files().len(), 3);
    scene.remove(&[1, 2]).unwrap();
    assert_eq!(scene.lines(), [0, 4]);
    scene.reopen();
    assert_eq!(scene.lines(), [0, 4]);
    scene.remove(&[1]).unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), [0]);
    assert_eq!(scene.files().len(), 1);
}

#[test]
fn a_block_goes_with_its_letter() {
    let mut scene = Scene::new();
    scene.keep_block(100).unwrap();
    scene.keep_block(200).unwrap();
    let bytes: Vec<u64> = scene.heads().iter().map(|head| head.bytes).collect();
    assert_eq!(bytes[1], bytes[0] + 100);
    assert_eq!(scene.files().len(), 3);
    scene.remove(&[0]).unwrap();
    assert_eq!(scene.files().len(), 2);
    let heads = scene.heads();
    let mut text = String::new();
    let mut block = scene.letters.block(heads[0].file().unwrap()).unwrap();
    io::Read::read_to_string(&mut block, &mut text).unwrap();
    assert_eq!(text.len(), 200);
    // One that a stop has left without its letter is no use to anybody.
    fs::write(scene.path().join("block-lost.xml"), "lost").unwrap();
    scene.reopen();
    assert_eq!(scene.files().len(), 2);
}

#[test]
fn what_is_removed_makes_room() {
    let scene = Scene::with(3000);
    let mut kept = 0;
    while scene.keep(kept, 500).is_ok() {
        kept += 1;
    }
    assert!(kept > 2);
    // The lines of a segment stay as long as one of its letters, and count no more.
    scene.remove(&[0]).unwrap();
    scene.keep(kept, 500).unwrap();
    let error = scene.keep(kept, 500).unwrap_err();
    assert!(matches!(error, KeepLetterError::Full { .. }), "{error}");
    assert!(error.to_string().contains("cta-forwarder dead-letters"));
    // There is always room to remove one.
    scene.remove(&[0, 1]).unwrap();
    scene.keep(kept, 500).unwrap();
}

#[test]
fn a_line_that_cannot_be_read_stays_for_a_person() {
    let mut scene = Scene::new();
    for line in 0..3 {
        scene.keep(line, 10).unwrap();
    }
    let segment = scene.path().join("00000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("\"line\":1", "\"l1ne\":1", 1)).unwrap();
    fs::write(scene.path().join("block-named.xml"), "by that line?").unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), [0, 2]);
    assert_eq!(scene.letters.each(|_, _| {}).unwrap(), 1);
    scene.remove(&[0, 1]).unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), Vec::<u64>::new());
    // The segment, the block, and the segment with the tombstones.
    assert_eq!(scene.files().len(), 3);
}

#[test]
fn a_letter_that_is_cut_short_never_was() {
    let mut scene = Scene::new();
    scene.keep(0, 10).unwrap();
    let segment = scene.path().join("00000001.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, whole.clone() + &whole[..whole.len() - 1]).unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), [0]);
    scene.keep(1, 10).unwrap();
    scene.reopen();
    assert_eq!(scene.lines(), [0, 1]);
}

#[test]
fn a_letter_is_kept_or_not_wherever_the_disk_refuses() {
    for more in [0, u64::MAX] {
        for step in 0.. {
            let mut scene = Scene::new();
            scene.keep(0, 10).unwrap();
            refusal::refuse(step, more);
            let kept = scene.keep(1, 10).and_then(|()| scene.keep_block(10));
            let is_over = refusal::end() <= step;
            let found = scene.heads().len();
            match kept {
                Ok(()) => assert_eq!(found, 3, "step {step}"),
                // Both, one, or none; never half of one.
                Err(_) => assert!(found < 3, "step {step}"),
            }
            assert_eq!(scene.letters.count(), found as u64, "step {step}");
            scene.reopen();
            assert_eq!(scene.heads().len(), found, "step {step}");
            assert_eq!(scene.letters.count(), found as u64, "step {step}");
            if is_over {
                break;
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Action {
    Keep(usize),
    Remove(Vec<usize>),
    Reopen,
    Refuse(u64, u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop_oneof![Just(10_usize), Just(900_usize)].prop_map(Action::Keep),
        3 => prop::collection::vec(0_usize..12, 1..4).prop_map(Action::Remove),
        1 => Just(Action::Reopen),
        2 => (0_u64..8, prop_oneof![Just(0), Just(u64::MAX)])
            .prop_map(|(step, more)| Action::Refuse(step, more)),
    ]
}

#[test]
fn the_newest_are_found_in_the_last_segments_alone() {
    let scene = Scene::new();
    assert!(scene.letters.newest(3).unwrap().is_empty());
    for line in 0..40 {
        scene.keep(line, 300).unwrap();
    }
    let heads = scene.heads();
    scene.remove(&[38]).unwrap();
    let ids = |heads: &[LetterHead]| heads.iter().map(|head| head.id.clone()).collect::<Vec<_>>();
    let newest = scene.letters.newest(3).unwrap();
    let expect = [&heads[39], &heads[37], &heads[36]];
    assert_eq!(ids(&newest), expect.map(|head| head.id.clone()));
    // Those before are not worth the reading.
    let found = scene.letters.newest(1000).unwrap().len();
    assert!((4..30).contains(&found), "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn agrees_with_a_list_of_letters(actions in prop::collection::vec(action(), 1..25)) {
        let mut scene = Scene::new();
        let mut model: BTreeSet<u64> = BTreeSet::new();
        let mut next = 0;
        for action in actions {
            match action {
                Action::Keep(bytes) => {
                    // Where it fails, it may be there after a stop, or not.
                    let is_kept = scene.keep(next, bytes).is_ok();
                    refusal::end();
                    let is_there = scene.lines().contains(&next);
                    prop_assert!(is_there || !is_kept);
                    if is_there {
                        model.insert(next);
                    }
                    next += 1;
                }
                Action::Remove(places) => {
                    let lines = scene.lines();
                    let is_removed = scene.remove(&places).is_ok();
                    refusal::end();
                    let left: BTreeSet<u64> = scene.lines().into_iter().collect();
                    for (place, line) in lines.iter().enumerate() {
                        let is_chosen = places.contains(&place);
                        prop_assert!(is_chosen || left.contains(line));
                        prop_assert!(!(is_chosen && is_removed && left.contains(line)));
                    }
                    model.retain(|line| left.contains(line));
                }
                Action::Reopen => {
                    refusal::end();
                    scene.reopen();
                    prop_assert_eq!(scene.letters.count(), model.len() as u64);
                }
                Action::Refuse(step, more) => refusal::refuse(step, more),
            }
            let found: BTreeSet<u64> = scene.lines().into_iter().collect();
            prop_assert_eq!(&found, &model);
            let newest = scene.letters.newest(3).unwrap();
            let all = scene.heads();
            for (found, expect) in newest.iter().zip(all.iter().rev()) {
                prop_assert_eq!(&found.id, &expect.id);
            }
            prop_assert!(newest.len() <= 3);
        }
        refusal::end();
        scene.reopen();
        let found: BTreeSet<u64> = scene.lines().into_iter().collect();
        prop_assert_eq!(&found, &model);
        let all: Vec<usize> = (0..model.len()).collect();
        scene.remove(&all).unwrap();
        prop_assert_eq!(scene.files(), BTreeSet::new());
    }
}
