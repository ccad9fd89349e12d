use std::sync::Arc;

use super::*;
use crate::taxii::window::PollWindow;

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
        checkpoint: None,
        seq: Some(seq),
        outputs: vec!["o".into()],
        counts: PolledCounts {
            events: 10,
            ..PolledCounts::default()
        },
        clock_offset_ms: None,
        gap: None,
        content: None,
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

    fn open(&self) -> Result<State, OpenStateError> {
        let storage = Storage {
            disk: Disk::machine(),
            tables: Arc::new(self.tables.clone()),
        };
        State::open(&storage, self.folder.path(), at(0))
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
fn a_store_that_cannot_be_read_or_written_is_said_and_loses_nothing() {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    state.append(at(1), &polled(1)).unwrap();
    fixture.tables.refuse(Some(Refusal::Write));
    state.keep_work("o", &delivered(3)).unwrap_err();
    state.append(at(2), &polled(2)).unwrap();
    fixture.tables.refuse(None);
    state.keep_work("o", &delivered(3)).unwrap();
    drop(state);
    let state = fixture.open().unwrap();
    assert_eq!(state.look(|picture| picture.batches.len()), 2);
    assert_eq!(state.progress("o", 1).cursor.low(), 3);
}
