//! Sets on disk: each is its batch's, whenever it takes its place.

use super::*;

const LIMIT: usize = 100;

pub(super) fn key() -> CollectionKey {
    CollectionKey {
        service: "s".into(),
        collection: "c".into(),
    }
}

/// Stages these events, and tells how many of them are new.
fn stage(spool: &Spool, events: &[u8]) -> (Staging, u64) {
    let mut staging = spool.stage("s/c").unwrap();
    spool.stage_only_new(&mut staging, &key(), LIMIT).unwrap();
    for event in events {
        let event = FlatEvent {
            id: EventId::from_bytes([*event; 16]),
            record_type: RecordType::Flow,
            json: b"{}",
        };
        staging.event(event).unwrap();
    }
    staging.block_read().unwrap();
    let new = events.len() as u64 - staging.left_out().events;
    (staging, new)
}

fn new(spool: &Spool, events: &[u8]) -> u64 {
    stage(spool, events).1
}

/// A start finds a batch in whose folder the set of event 1 still lies.
fn started_over_an_unadopted_one(scene: &Scene) -> (Spool, u64) {
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[1]).0).seq;
    drop(spool);
    (scene.open(), seq)
}

/// The files of the sets that count.
fn kept(scene: &Scene) -> Vec<PathBuf> {
    let files = fs::read_dir(scene.folder.path().join("spool/sets")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn one_that_still_lies_in_its_batch_is_found_by_a_start() {
    let scene = Scene::new();
    let spool = scene.open();
    let (staging, count) = stage(&spool, &[1, 2]);
    assert_eq!(count, 2);
    let seq = commit_staged(&spool, staging).seq;
    let set = scene.ready(seq).join("set.ids");
    assert!(set.exists() && kept(&scene).is_empty());
    drop(spool);
    let spool = scene.open();
    assert_eq!(new(&spool, &[2, 3]), 1);
    assert!(!set.exists());
    assert_eq!(kept(&scene).len(), 1);
}

/// Nobody has looked for it before.
#[test]
fn one_that_lies_in_a_batch_of_an_earlier_start_stays_when_the_batch_goes() {
    let scene = Scene::new();
    let (spool, seq) = started_over_an_unadopted_one(&scene);
    spool.done(seq, at(0)).unwrap();
    assert!(!scene.archived(seq).join("set.ids").exists());
    assert_eq!(new(&spool, &[1]), 0);
}

#[test]
fn one_whose_batch_has_a_damaged_head_is_found_by_what_the_ledger_knows() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[1]).0).seq;
    let head = spool.head(seq).unwrap();
    drop(spool);
    fs::write(scene.ready(seq).join("batch.json"), "{").unwrap();
    let owed = BatchPicture::default().made_of(head.source().as_ref());
    let owed = |_| Some(Arc::new(owed.clone()));
    let spool = Spool::open(&Disk::machine(), &scene.config, owed, &[key()]).unwrap();
    assert_eq!(new(&spool, &[1]), 0);
}

#[test]
fn one_of_another_collection_is_not_looked_for() {
    let scene = Scene::new();
    let (spool, seq) = started_over_an_unadopted_one(&scene);
    let other = CollectionKey {
        collection: "d".into(),
        ..key()
    };
    let mut staging = spool.stage("s/d").unwrap();
    spool.stage_only_new(&mut staging, &other, LIMIT).unwrap();
    drop(staging);
    assert!(scene.ready(seq).join("set.ids").exists());
    assert_eq!(new(&spool, &[1]), 0);
}

#[test]
fn a_disk_that_fails_while_one_is_looked_for_takes_the_next_poll() {
    let scene = Scene::new();
    let (spool, _) = started_over_an_unadopted_one(&scene);
    let mut staging = spool.stage("s/c").unwrap();
    refusal::refuse_as(Steps::Reads, refusal::code::EIO, 0, 0);
    let refused = spool.stage_only_new(&mut staging, &key(), LIMIT);
    assert!(refusal::end() > 0 && refused.is_err());
    drop(staging);
    assert_eq!(new(&spool, &[1]), 0);
}

#[test]
fn one_that_is_older_takes_nothing_back() {
    let scene = Scene::new();
    let spool = scene.open();
    let first = commit_staged(&spool, stage(&spool, &[1]).0).seq;
    let old = fs::read(scene.ready(first).join("set.ids")).unwrap();
    let second = commit_staged(&spool, stage(&spool, &[1, 2]).0).seq;
    spool.adopt_set(second).unwrap();
    let newest = fs::read(&kept(&scene)[0]).unwrap();
    drop(spool);
    // As a disk may leave it that has forgotten a removal.
    fs::write(scene.ready(first).join("set.ids"), old).unwrap();
    let spool = scene.open();
    assert_eq!(new(&spool, &[1, 2]), 0);
    assert_eq!(fs::read(&kept(&scene)[0]).unwrap(), newest);
    assert!(!scene.ready(first).join("set.ids").exists());
}

#[test]
fn one_without_anything_new_takes_the_place_too() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[1, 2]).0).seq;
    spool.adopt_set(seq).unwrap();
    let (mut staging, count) = stage(&spool, &[2]);
    assert_eq!(count, 0);
    spool.replace_set(&mut staging, &key()).unwrap();
    drop(staging);
    // What had gone is new again.
    assert_eq!(new(&spool, &[1, 2]), 1);
}

#[test]
fn it_stays_when_its_batch_goes() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[4]).0).seq;
    spool.done(seq, at(0)).unwrap();
    assert_eq!(new(&spool, &[4]), 0);
    assert!(!scene.archived(seq).join("set.ids").exists());
    spool.forget_set(&key()).unwrap();
    assert_eq!(new(&spool, &[4]), 1);
}

#[test]
fn a_batch_that_is_taken_back_takes_its_set_with_it() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[5]).0).seq;
    spool.take_back(seq).unwrap();
    assert_eq!(new(&spool, &[5]), 1);
}

/// A repair asks for the same answer again, and that has more than what was new of it.
#[test]
fn of_an_answer_that_comes_again_only_what_was_new_passes() {
    let scene = Scene::new();
    let spool = scene.open();
    let first = commit_staged(&spool, stage(&spool, &[1, 2]).0).seq;
    spool.adopt_set(first).unwrap();
    let second = commit_staged(&spool, stage(&spool, &[1, 2, 3, 4]).0).seq;
    let mut answer = spool.stage_repair().unwrap();
    spool.stage_only_of(&mut answer, second).unwrap();
    for event in [1, 2, 3, 4, 5] {
        let event = FlatEvent {
            id: EventId::from_bytes([event; 16]),
            record_type: RecordType::Flow,
            json: b"{}",
        };
        answer.event(event).unwrap();
    }
    answer.block_read().unwrap();
    assert_eq!(answer.events(), 2);
}

#[test]
fn what_is_dropped_is_not_compared_with() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[1]).0).seq;
    spool.drop_set(seq).unwrap();
    assert_eq!(new(&spool, &[1]), 1);
    let (mut staging, _) = stage(&spool, &[1]);
    staging.keep_no_set();
    let seq = commit_staged(&spool, staging).seq;
    assert!(!scene.ready(seq).join("set.ids").exists());
}

#[test]
fn a_damaged_one_is_as_none() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[6]).0).seq;
    spool.adopt_set(seq).unwrap();
    let file = kept(&scene).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[3] ^= 4;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(new(&spool, &[6]), 1);
    bytes.resize(LIMIT * 16 + 100, 0);
    fs::write(&file, &bytes).unwrap();
    assert_eq!(new(&spool, &[6]), 1);
}

#[test]
fn those_that_nobody_needs_are_removed() {
    let scene = Scene::new();
    let spool = scene.open();
    let seq = commit_staged(&spool, stage(&spool, &[7]).0).seq;
    spool.adopt_set(seq).unwrap();
    assert_eq!(spool.keep_sets_of(&[key()]).unwrap(), 0);
    assert_eq!(new(&spool, &[7]), 0);
    let other = CollectionKey {
        collection: "d".into(),
        ..key()
    };
    assert_eq!(spool.keep_sets_of(std::slice::from_ref(&other)).unwrap(), 1);
    assert!(kept(&scene).is_empty());
    assert_eq!(new(&spool, &[7]), 1);
    let unadopted = commit_staged(&spool, stage(&spool, &[8]).0).seq;
    drop(spool);
    let spool = scene.open();
    assert_eq!(spool.keep_sets_of(&[other]).unwrap(), 0);
    assert_eq!(new(&spool, &[8]), 1);
    spool.done(unadopted, at(0)).unwrap();
    assert!(kept(&scene).is_empty());
}
