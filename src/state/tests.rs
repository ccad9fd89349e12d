//! Ledger and store together: whatever becomes of one of them, the other has what it told.

mod damage;
mod trials;
mod unread;

use std::fs;
use std::sync::{Arc, mpsc};
use std::thread;

use super::*;
use crate::delivery::Cursor;
use crate::disk::{LookingDisk, refusal};
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;
use crate::world::logs::Logs;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
}

fn key() -> CollectionKey {
    CollectionKey {
        service: "s".into(),
        collection: "c".into(),
    }
}

fn window() -> PollWindow {
    PollWindow {
        exclusive_begin: None,
        inclusive_end: None,
    }
}

fn polled(seq: u64) -> Record {
    Record::Polled {
        key: key(),
        origin: Origin::Poll,
        window: window(),
        checkpoint: Some(Timestamp::from(at(i64::try_from(seq).unwrap() * 600))),
        seq: Some(seq),
        outputs: vec!["o".into(), "p".into()],
        counts: PolledCounts {
            events: 10,
            refused_blocks: 1,
            ..PolledCounts::default()
        },
        clock_offset_ms: Some(7),
        gap: None,
        content: None,
    }
}

fn finished(seq: u64) -> Record {
    Record::OutputFinished {
        output: "p".into(),
        seq,
        finished: Finished {
            delivered: 8,
            dead_letters: 2,
            ..Finished::default()
        },
    }
}

fn letter(id: &str, seq: u64, line: u64) -> RemovedLetter {
    RemovedLetter {
        id: id.into(),
        event: Some(EventPlace {
            output: "p".into(),
            seq,
            line,
        }),
        is_block: false,
    }
}

/// One of each kind, and more of some.
fn records() -> Vec<Record> {
    let removed = |letters| Record::LettersRemoved {
        why: Removal::Dropped,
        letters,
    };
    let added = |output: &str| Record::OutputAdded {
        output: output.into(),
        owes: vec![],
        letters: 3,
    };
    let started = Record::PollStarted {
        gate: "g".into(),
        key: key(),
        window: window(),
    };
    let answered = |counts| Record::PollAnswered {
        gate: "g".into(),
        counts,
    };
    vec![
        added("o"),
        added("p"),
        added("gone"),
        started.clone(),
        answered(true),
        polled(1),
        started.clone(),
        answered(false),
        polled(2),
        finished(1),
        removed(vec![letter("a", 1, 3), letter("b", 2, 3)]),
        Record::BatchAdded {
            key: key(),
            origin: Origin::Retry,
            seq: 3,
            outputs: vec!["p".into()],
            events: 1,
            letters: vec![letter("c", 1, 4)],
            window: None,
            content: None,
            settles: None,
            copies: None,
        },
        Record::PollFailed {
            key: key(),
            failures: 2,
            span: Some(std::time::Duration::from_secs(600)),
            reason: "because".into(),
        },
        Record::LettersCleared,
        Record::WindowAbandoned {
            key: key(),
            window: window(),
            checkpoint: Timestamp::from(at(5000)),
            file: "f".into(),
        },
        Record::OutputForgotten {
            output: "gone".into(),
            debt: None,
        },
        removed(vec![RemovedLetter {
            id: "d".into(),
            event: None,
            is_block: true,
        }]),
        started,
        Record::Doubted,
        Record::Recovered {
            next_seq: 7,
            gates: vec!["g".into(), "h".into()],
            letters: BTreeMap::from([("o".to_owned(), 1)]),
            blocks: 1,
        },
        polled(4),
        Record::LettersCounted {
            events: vec![count("o", None, 1, 0), count("p", Some(4), 2, 1)],
            lost_blocks: 1,
        },
        Record::LettersCounted {
            events: vec![count("p", Some(4), 0, 1)],
            lost_blocks: 0,
        },
    ]
}

fn count(output: &str, seq: Option<u64>, counted: u64, found: u64) -> LetterCount {
    LetterCount {
        output: output.into(),
        seq,
        counted,
        found,
    }
}

fn delivered(lines: u64) -> WorkChanges {
    let mut progress = Progress::default();
    progress.delivered(0..lines);
    WorkChanges {
        progress: vec![(1, progress)],
        ..WorkChanges::default()
    }
}

/// A state whose store is in memory.
struct Fixture {
    folder: tempfile::TempDir,
    tables: MemoryTables,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            tables: MemoryTables::default(),
        }
    }

    /// One with these records, and the picture that they make.
    fn with(records: &[Record]) -> (Self, Picture) {
        let fixture = Self::new();
        let state = fixture.open().unwrap();
        for (second, record) in (1..).zip(records) {
            state.append(at(second), record).unwrap();
        }
        let picture = state.look(Picture::clone);
        (fixture, picture)
    }

    fn open(&self) -> Result<State, OpenStateError> {
        self.open_on(Disk::machine())
    }

    fn open_on(&self, disk: Disk) -> Result<State, OpenStateError> {
        let storage = Storage {
            disk,
            tables: Arc::new(self.tables.clone()),
        };
        State::open(&storage, self.folder.path(), at(99))
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("state.sled")
    }

    /// What the store alone has, if it is whole.
    fn stored(&self) -> Picture {
        let storage = Storage {
            disk: Disk::machine(),
            tables: Arc::new(self.tables.clone()),
        };
        let (mut store, found) =
            Store::open(&storage, &self.store(), self.folder.path(), true).unwrap();
        match found {
            Found::Whole { .. } => store.picture().unwrap().unwrap(),
            found => panic!("{found:?}"),
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut segments: Vec<PathBuf> = fs::read_dir(self.folder.path().join("ledger"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        segments.sort();
        segments
    }

    /// Changes the lines of the last segment.
    fn edit(&self, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let path = self.segments().pop().unwrap();
        let text = fs::read(&path).unwrap();
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        edit(&mut lines);
        fs::write(path, lines.concat()).unwrap();
    }
}

/// What a picture says but for the numbers of records, which a new segment takes too.
fn told(picture: &Picture) -> Picture {
    Picture {
        number: 0,
        ..picture.clone()
    }
}

#[track_caller]
fn assert_told(state: &State, before: &Picture, why: &str) {
    assert_eq!(told(&state.look(Picture::clone)), told(before), "{why}");
    assert!(state.look(|picture| picture.number) >= before.number);
}

/// As a backup may bring it back: with the rest, or behind the start if its batches alone are others.
#[test]
fn a_store_that_tells_another_story_up_to_the_same_record_is_brought_up() {
    for (second, waits) in [(50, false), (1, true)] {
        let (fixture, _) = Fixture::with(&[polled(1)]);
        let other = Fixture::new();
        let mut elsewhere = polled(1);
        if let Record::Polled { outputs, .. } = &mut elsewhere {
            outputs.pop();
        }
        let state = other.open().unwrap();
        state.append(at(second), &elsewhere).unwrap();
        drop(state);
        let mut entries = BTreeMap::new();
        other
            .tables
            .change(&other.store(), |its| entries.clone_from(its));
        fixture
            .tables
            .change(&fixture.store(), |its| *its = entries);
        let is_brought_up = || fixture.stored().batches[&1].outputs.contains("p");
        assert!(!is_brought_up());
        let state = fixture.open().unwrap();
        let picture = state.look(Picture::clone);
        assert!(picture.batches[&1].outputs.contains("p"));
        assert_eq!(is_brought_up(), !waits);
        state.compare_stored_batches();
        drop(state);
        assert_eq!(fixture.stored(), picture);
    }
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was written behind a large snapshot is not told again where the store says that it is durable: it is
/// brought up behind each record.
#[test]
fn a_start_goes_on_in_the_ledgers_segment_if_the_store_says_that_its_end_is_durable() {
    type Spoil<'s> = &'s dyn Fn(&Fixture, &Entries);
    let back = |fixture: &Fixture, before: &Entries| {
        let back = |entries: &mut Entries| entries.clone_from(before);
        fixture.tables.change(&fixture.store(), back);
    };
    let spoil: [(&str, bool, Spoil<'_>); 7] = [
        ("nothing is wrong", true, &|_, _| {}),
        ("the store is gone", false, &|fixture, _| {
            fixture.tables.change(&fixture.store(), Entries::clear);
        }),
        ("the store lacks the last record", false, &back),
        ("a start has brought it up", false, &|fixture, before| {
            back(fixture, before);
            fixture.open().unwrap().compare_stored_batches();
        }),
        (
            "the last record could not be synced",
            false,
            &|fixture, _| {
                let state = fixture.open().unwrap();
                refusal::refuse_as(refusal::Steps::Syncs, refusal::code::EIO, 0, u64::MAX);
                state.append(at(4), &finished(4)).unwrap_err();
                refusal::end();
            },
        ),
        ("a start has begun a segment", true, &|fixture, _| {
            fixture.edit(|lines| {
                lines.last_mut().unwrap().pop();
            });
            drop(fixture.open().unwrap());
        }),
        ("a line is gone from the middle", false, &|fixture, _| {
            fixture.edit(|lines| drop(lines.remove(1)));
        }),
    ];
    for (what, goes_on, spoil) in spoil {
        let (fixture, _) = Fixture::with(&(1..=200).map(polled).collect::<Vec<_>>());
        let state = fixture.open().unwrap();
        state.retell(at(1)).unwrap();
        state.append(at(2), &finished(1)).unwrap();
        let mut before = Entries::new();
        fixture
            .tables
            .change(&fixture.store(), |entries| before.clone_from(entries));
        state.append(at(3), &finished(2)).unwrap();
        drop(state);
        spoil(&fixture, &before);
        let count = fixture.segments().len();
        let look = LookingDisk::default();
        drop(fixture.open_on(Disk::on(look.clone())).unwrap());
        assert!(!look.would_change(), "{what}: a start writes nothing");
        let state = fixture.open().unwrap();
        state.append(at(4), &finished(3)).unwrap();
        let begun = usize::from(!goes_on);
        assert_eq!(fixture.segments().len(), count + begun, "{what}");
        let told = state.look(Picture::clone);
        drop(state);
        let logs = Logs::capture();
        assert_told(&fixture.open().unwrap(), &told, what);
        assert_eq!(logs.take_alarms(), [], "{what}");
    }
}

#[test]
fn a_store_that_goes_back_to_any_earlier_state_costs_cursors_at_most() {
    for chosen in 0.. {
        let fixture = Fixture::new();
        let state = fixture.open().unwrap();
        state.append(at(1), &polled(1)).unwrap();
        state.keep_work("o", &delivered(3)).unwrap();
        state.append(at(2), &polled(2)).unwrap();
        let before = state.look(Picture::clone);
        drop(state);
        let mut all = 0;
        fixture.tables.crash(|states| {
            all = states;
            chosen.min(states - 1)
        });
        let state = fixture.open().unwrap();
        assert_eq!(state.look(Picture::clone), before);
        let low = state.progress("o", 1).cursor.low();
        assert!(low == 0 || low == 3, "{low}");
        if chosen + 1 >= all {
            assert_eq!(low, 3);
            break;
        }
    }
}

#[test]
fn what_could_not_be_written_is_written_with_the_next_change() {
    for refusal in [Refusal::Write, Refusal::WriteThatTook] {
        let fixture = Fixture::new();
        let state = fixture.open().unwrap();
        state.append(at(1), &polled(1)).unwrap();
        fixture.tables.refuse(Some(refusal));
        state.keep_work("o", &delivered(3)).unwrap_err();
        assert_eq!(state.progress("o", 1).cursor.low(), 0, "it is not kept");
        state.append(at(2), &polled(2)).unwrap();
        fixture.tables.refuse(None);
        state.keep_work("p", &delivered(4)).unwrap();
        let before = state.look(Picture::clone);
        drop(state);
        // Only the store knows.
        fs::remove_dir_all(fixture.folder.path().join("ledger")).unwrap();
        let state = fixture.open().unwrap();
        let now = state.look(Picture::clone);
        assert_eq!(now.batches, before.batches, "{refusal:?}");
        assert_eq!(state.progress("o", 1).cursor.low(), 0);
        assert_eq!(state.progress("p", 1).cursor.low(), 4);
    }
}

#[test]
fn work_that_could_not_be_kept_is_taken_back_from_a_table_that_has_it_all_the_same() {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    state.append(at(1), &polled(1)).unwrap();
    fixture.tables.refuse(Some(Refusal::WriteThatTook));
    state.keep_work("o", &delivered(3)).unwrap_err();
    fixture.tables.refuse(None);
    state.keep_work("p", &delivered(4)).unwrap();
    drop(state);
    let logs = Logs::capture();
    let state = fixture.open().unwrap();
    assert_eq!(logs.take_alarms(), [], "all values are of one time");
    assert_eq!(state.progress("o", 1), Progress::default());
    assert_eq!(state.progress("p", 1).cursor.low(), 4);
}

#[test]
fn a_table_that_breaks_while_the_agent_runs_is_made_anew_and_loses_nothing() {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    state.append(at(1), &polled(1)).unwrap();
    state.keep_work("o", &delivered(3)).unwrap();
    // It is gone behind the back of who has it open.
    let storage = Storage {
        disk: Disk::machine(),
        tables: Arc::new(fixture.tables.clone()),
    };
    let quarantine = fixture.folder.path().join("quarantine");
    storage
        .tables
        .set_aside(&storage.disk, &fixture.store(), &quarantine)
        .unwrap();
    fixture.tables.refuse(Some(Refusal::Damaged));
    state.keep_work("p", &delivered(4)).unwrap();
    drop(state);
    let state = fixture.open().unwrap();
    assert_eq!(state.progress("o", 1).cursor.low(), 3);
    assert_eq!(state.progress("p", 1).cursor.low(), 4);
    assert!(!state.look(|picture| picture.is_doubtful));
}

#[test]
fn a_disk_that_cannot_be_read_is_a_refusal_and_moves_nothing() {
    let (fixture, before) = Fixture::with(&[polled(1)]);
    let state = fixture.open().unwrap();
    state.keep_work("o", &delivered(3)).unwrap();
    drop(state);
    let files = fixture.segments();
    fixture.tables.refuse(Some(Refusal::Read));
    let error = fixture.open().unwrap_err();
    assert!(matches!(error, OpenStateError::Store { .. }), "{error}");
    assert_eq!(fixture.segments(), files);
    fixture.tables.refuse(None);
    let state = fixture.open().unwrap();
    assert_told(&state, &before, "as it was");
    // Only the store knows.
    assert_eq!(state.progress("o", 1).cursor.low(), 3);
}

#[test]
fn a_store_that_stays_unreadable_is_made_anew_if_the_ledger_tells_all() {
    let (fixture, before) = Fixture::with(&[polled(1), polled(2)]);
    fixture.tables.refuse(Some(Refusal::BadSector));
    fixture.open().unwrap_err();
    let logs = Logs::capture();
    let state = fixture
        .open_on(Disk::machine().giving_up_unreadable())
        .unwrap();
    assert_told(&state, &before, "from the ledger");
    assert!(!state.look(|picture| picture.is_doubtful));
    let told = logs.take_alarms();
    assert!(told[0].text.contains("moved to quarantine/"), "{told:?}");
    drop(state);
    assert_told(&fixture.open().unwrap(), &before, "as ever");
}

#[test]
fn a_store_that_stays_unreadable_is_waited_for_if_the_ledger_needs_it() {
    let (fixture, before) = Fixture::with(&[polled(1), polled(2)]);
    fixture.edit(|lines| lines[1][30] ^= 1);
    fixture.tables.refuse(Some(Refusal::BadSector));
    fixture
        .open_on(Disk::machine().giving_up_unreadable())
        .unwrap_err();
    fixture.tables.refuse(None);
    assert_told(&fixture.open().unwrap(), &before, "from the store");
}

#[test]
fn a_disk_that_cannot_be_read_while_the_agent_runs_takes_nothing_from_the_store() {
    let (fixture, _) = Fixture::with(&[polled(1)]);
    let state = fixture.open().unwrap();
    state.keep_work("o", &delivered(3)).unwrap();
    fixture.tables.refuse(Some(Refusal::Read));
    state.keep_work("p", &delivered(4)).unwrap_err();
    // Nobody comes to write it again.
    drop(state);
    fixture.tables.refuse(None);
    let state = fixture.open().unwrap();
    assert_eq!(state.progress("o", 1).cursor.low(), 3);
    assert_eq!(state.progress("p", 1), Progress::default());
}

#[test]
fn an_output_that_was_forgotten_while_it_finished_a_batch_does_not_come_back() {
    let folder = Fixture::new();
    let state = folder.open().unwrap();
    for output in ["o", "p"] {
        let added = Record::OutputAdded {
            output: output.to_owned(),
            owes: Vec::new(),
            letters: 0,
        };
        state.append(at(0), &added).unwrap();
    }
    state.append(at(1), &polled(1)).unwrap();
    state.append(at(2), &polled(2)).unwrap();
    let done = Finished {
        delivered: 10,
        ..Finished::default()
    };
    let finish = |seqs: &[u64]| {
        let batches: Vec<_> = seqs.iter().map(|seq| (*seq, done)).collect();
        let done = state.finish_batches(at(3), "p", &batches);
        assert!(done.error.is_none());
        done.finished.into_iter().collect::<Vec<u64>>()
    };
    assert_eq!(finish(&[1]), [1]);
    assert_eq!(finish(&[1]), [0; 0], "twice");
    assert_eq!(state.look(|picture| picture.outputs["p"].finished), done);
    state.forget_output(at(4), "p").unwrap();
    let before = state.look(told);
    assert_eq!(finish(&[2]), [0; 0]);
    assert_told(&state, &before, "forgotten");
    assert!(state.look(|picture| !picture.outputs.contains_key("p")));
    drop(state);
    assert_told(&folder.open().unwrap(), &before, "the next start");
}

/// As a forwarder does it: in several turns. Gives those that have their record, and whether the disk
/// refused one.
fn finish_all(state: &State, mut batches: Vec<(u64, Finished)>) -> (BTreeSet<u64>, bool) {
    let mut finished = BTreeSet::new();
    while !batches.is_empty() {
        let done = state.finish_batches(at(1), "p", &batches);
        batches.retain(|(seq, _)| !done.finished.contains(seq) && !done.not_owed.contains(seq));
        finished.extend(done.finished);
        if done.error.is_some() {
            return (finished, true);
        }
    }
    (finished, false)
}

#[test]
fn batches_that_are_finished_at_one_moment_have_a_record_each_or_are_told_not_to() {
    let numbers = || 1..=FINISHED_AT_ONCE as u64 + 3;
    let added: Vec<Record> = numbers().map(polled).collect();
    let done = Finished {
        delivered: 10,
        ..Finished::default()
    };
    let batches: Vec<(u64, Finished)> = numbers().map(|seq| (seq, done)).collect();
    for step in 0.. {
        let (fixture, _) = Fixture::with(&added);
        let state = fixture.open().unwrap();
        refusal::refuse(step, 0);
        let (mut finished, is_refused) = finish_all(&state, batches.clone());
        assert_eq!(is_refused, refusal::end() > step, "{step}");
        for seq in numbers() {
            let owes = |picture: &Picture| picture.batches[&seq].outputs.contains("p");
            assert_eq!(state.look(owes), !finished.contains(&seq), "{step} {seq}");
        }
        if is_refused {
            // What has its record is in the store, though it was the only one.
            let owed = state.look(|picture| picture.batches.clone());
            let stored = fixture.stored();
            assert_eq!(stored.batches, owed, "{step}");
        }
        let (again, _) = finish_all(&state, batches.clone());
        assert!(again.is_disjoint(&finished));
        finished.extend(again);
        assert_eq!(finished.len(), batches.len());
        let before = state.look(Picture::clone);
        drop(state);
        let logs = Logs::capture();
        assert_told(&fixture.open().unwrap(), &before, "the next start");
        assert_eq!(logs.take_alarms(), [], "{step}");
        if !is_refused {
            assert!(step >= 2 * numbers().count() as u64, "{step}");
            break;
        }
    }
}

#[test]
fn a_store_that_is_older_than_a_stop_leaves_it_is_said() {
    let batches = || (1..=6).map(polled);
    let finished = || (1..=6).map(finished);
    for (records, missing, is_said) in [
        (batches().collect::<Vec<_>>(), 1, false),
        (batches().collect(), 3, true),
        (batches().chain(finished()).collect(), 4, false),
        (batches().chain(finished()).collect(), 8, true),
    ] {
        let (fixture, before) = Fixture::with(&records);
        fixture.tables.crash(|states| states - 1 - missing);
        let logs = Logs::capture();
        assert_told(&fixture.open().unwrap(), &before, "from the ledger");
        let alarms = logs.take_alarms();
        assert_eq!(!alarms.is_empty(), is_said, "{missing}: {alarms:?}");
    }
}

/// Tables whose changes take as long as a test wants.
#[derive(Debug)]
struct SlowTables {
    tables: MemoryTables,
    /// Told when a change begins.
    begins: mpsc::Sender<()>,
    /// A change ends when this is dropped.
    may_end: Arc<Mutex<mpsc::Receiver<()>>>,
}

#[derive(Debug)]
struct SlowTable {
    table: Box<dyn Table>,
    begins: mpsc::Sender<()>,
    may_end: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Tables for SlowTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        Ok(Box::new(SlowTable {
            table: self.tables.open(path)?,
            begins: self.begins.clone(),
            may_end: Arc::clone(&self.may_end),
        }))
    }

    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()> {
        self.tables.set_aside(disk, path, quarantine)
    }
}

impl Table for SlowTable {
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.table.scan(range, visit)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let _ = self.begins.send(());
        let _ = self.may_end.lock().unwrap().recv();
        self.table.apply(changes)
    }
}

/// With one thread for all: who waits for the disk does so beside it, and who looks does not wait.
#[test]
fn who_waits_for_the_state_holds_up_nobody_else() {
    /// How long a test waits for what must come.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    let (fixture, _) = Fixture::with(&[polled(1)]);
    let (begins, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let storage = Storage {
        disk: Disk::machine(),
        tables: Arc::new(SlowTables {
            tables: fixture.tables.clone(),
            begins,
            may_end: Arc::new(Mutex::new(may_end)),
        }),
    };
    let state = State::open(&storage, fixture.folder.path(), at(99)).unwrap();
    let state = Arc::new(state);
    let disk = {
        let state = Arc::clone(&state);
        thread::spawn(move || state.append(at(100), &polled(2)))
    };
    has_begun.recv_timeout(PATIENCE).unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let waiting = {
        let (state, tell) = (Arc::clone(&state), tell.clone());
        runtime.spawn(async move {
            tell.send("waits".to_owned()).unwrap();
            state.progress("o", 1)
        })
    };
    let waits = told.recv_timeout(PATIENCE);
    let looking = runtime.spawn(async move {
        let batches = state.look(|picture| picture.batches.len());
        tell.send(format!("sees {batches}")).unwrap();
    });
    let sees = told.recv_timeout(PATIENCE);
    let is_waiting = !waiting.is_finished();
    drop(end);
    disk.join().unwrap().unwrap();
    runtime.block_on(waiting).unwrap();
    runtime.block_on(looking).unwrap();
    assert_eq!(waits.as_deref(), Ok("waits"));
    // The ledger has the second.
    assert_eq!(sees.as_deref(), Ok("sees 2"));
    assert!(is_waiting);
}

#[test]
fn what_another_version_has_put_into_the_store_costs_nothing() {
    let damaged = |fixture: &Fixture| fixture.edit(|lines| lines[1][30] ^= 1);
    let cases = [
        (None, false, "another"),
        // One that read batches with all else.
        (None, false, env!("CARGO_PKG_VERSION")),
        (Some("invented/1"), false, "another"),
        (None, true, "another"),
    ];
    for (more, is_ledger_damaged, version) in cases {
        let is_doubtful = is_ledger_damaged;
        let (fixture, before) = Fixture::with(&[polled(1), polled(2)]);
        let state = fixture.open().unwrap();
        state.keep_work("o", &delivered(3)).unwrap();
        drop(state);
        // Its checksum is right, and so is the fingerprint of all.
        fixture.tables.change(&fixture.store(), |entries| {
            store::with_foreign(entries, version, "batch/1", b"{\"of another version\":1}");
            if let Some(key) = more {
                store::with_foreign(entries, version, key, b"1");
            }
        });
        if is_ledger_damaged {
            damaged(&fixture);
        }
        let state = fixture.open().unwrap();
        assert_eq!(state.look(|picture| picture.is_doubtful), is_doubtful);
        if !is_doubtful {
            assert_told(&state, &before, "the ledger tells it");
        }
        assert_eq!(
            state.progress("o", 1).cursor.low(),
            3 * u64::from(!is_doubtful)
        );
        let picture = state.look(Picture::clone);
        drop(state);
        assert_eq!(fixture.stored(), picture, "it is brought up");
        let logs = Logs::capture();
        fixture.open().unwrap();
        assert_eq!(logs.take_alarms(), []);
    }
}
