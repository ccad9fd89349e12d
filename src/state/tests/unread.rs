//! Batches in the store that nobody has read yet: they are compared behind the start.

use super::*;

/// There may be thousands: a start does not wait for them.
#[test]
fn batches_in_the_store_are_read_behind_the_start_or_when_one_changes() {
    let reads: [fn(&State); 5] = [
        State::compare_stored_batches,
        |state| state.append(at(50), &finished(1)).unwrap(),
        |state| state.append(at(50), &finished(4)).unwrap(),
        |state| drop(state.finish_batches(at(50), "o", &[(2, Finished::default())])),
        |state| assert_eq!(state.forget_output(at(50), "p").unwrap().batches, 4),
    ];
    let mut old = Vec::new();
    let (elsewhere, _) = Fixture::with(&[polled(1), finished(1)]);
    elsewhere.tables.change(&elsewhere.store(), |entries| {
        old = entries[b"batch/1".as_slice()].clone();
    });
    let old = &old;
    let damages: [&dyn Fn(&mut Entries); 4] = [
        &|entries| drop(entries.insert(b"batch/1".to_vec(), old.clone())),
        &|entries| entries.get_mut(b"batch/2".as_slice()).unwrap()[0] ^= 1,
        &|entries| drop(entries.remove(b"batch/3".as_slice()).unwrap()),
        &|entries| drop(entries.insert(b"batch/\xff".to_vec(), old.clone())),
    ];
    for (way, read) in reads.iter().enumerate() {
        for damage in damages {
            let (fixture, before) = Fixture::with(&[polled(1), polled(2), polled(3)]);
            let state = fixture.open().unwrap();
            state.keep_work("o", &delivered(3)).unwrap();
            drop(state);
            fixture
                .tables
                .change(&fixture.store(), |entries| damage(entries));
            let logs = Logs::capture();
            let state = fixture.open().unwrap();
            assert_eq!(logs.take_alarms(), [], "nobody has read them");
            assert_told(&state, &before, "as the ledger says");
            state.keep_work("p", &delivered(2)).unwrap();
            state.append(at(40), &polled(4)).unwrap();
            assert_eq!(logs.take_alarms(), [], "nobody needs them");
            read(&state);
            let told = logs.take_alarms();
            assert_eq!(told.len(), 1, "{way}: {told:?}");
            assert!(
                told[0].text.contains("what the store has of batches"),
                "{told:?}"
            );
            state.compare_stored_batches();
            let picture = state.look(Picture::clone);
            let low = state.progress("p", 1).cursor.low();
            drop(state);
            assert_eq!(fixture.stored(), picture, "{way}");
            let state = fixture.open().unwrap();
            assert_eq!(state.progress("p", 1).cursor.low(), low);
            state.compare_stored_batches();
            assert_eq!(logs.take_alarms(), [], "{way}: it is mended");
        }
    }
}

#[test]
fn batches_in_the_store_that_nobody_has_read_help_where_the_ledger_lacks_records() {
    for is_damaged in [false, true] {
        let (fixture, before) = Fixture::with(&[polled(1), polled(2), polled(3)]);
        fixture.tables.change(&fixture.store(), |entries| {
            if is_damaged {
                entries.remove(b"batch/2".as_slice()).unwrap();
            }
        });
        fixture.edit(|lines| drop(lines.pop()));
        let state = fixture.open().unwrap();
        assert_eq!(state.look(|picture| picture.is_doubtful), is_damaged);
        let batches = state.look(|picture| picture.batches.clone());
        assert_eq!(batches == before.batches, !is_damaged);
        let picture = state.look(Picture::clone);
        drop(state);
        assert_eq!(fixture.stored(), picture);
    }
}

/// Nobody has read them, and what lies there is not known when the table is opened again.
#[test]
fn a_store_that_fails_before_its_batches_were_read_is_written_whole() {
    for refusal in [Refusal::Write, Refusal::WriteThatTook, Refusal::Read] {
        let (fixture, before) = Fixture::with(&[polled(1), polled(2)]);
        let state = fixture.open().unwrap();
        fixture.tables.change(&fixture.store(), |entries| {
            entries.remove(b"batch/1".as_slice()).unwrap();
        });
        fixture.tables.refuse(Some(refusal));
        if refusal == Refusal::Read {
            state.compare_stored_batches();
        } else {
            let _ = state.keep_work("o", &delivered(3));
        }
        fixture.tables.refuse(None);
        state.keep_work("o", &delivered(3)).unwrap();
        drop(state);
        assert_eq!(fixture.stored().batches, before.batches, "{refusal:?}");
        let state = fixture.open().unwrap();
        assert_eq!(state.progress("o", 1).cursor.low(), 3);
    }
}

/// The same with a new batch, which the ledger has.
#[test]
fn a_new_batch_that_the_store_could_not_take_before_the_others_were_read_is_written_with_them() {
    for refusal in [Refusal::Write, Refusal::WriteThatTook] {
        let (fixture, _) = Fixture::with(&[polled(1), polled(2)]);
        let state = fixture.open().unwrap();
        fixture.tables.refuse(Some(refusal));
        state.append(at(50), &polled(3)).unwrap();
        fixture.tables.refuse(None);
        state.keep_work("o", &delivered(3)).unwrap();
        let picture = state.look(Picture::clone);
        drop(state);
        assert_eq!(fixture.stored(), picture, "{refusal:?}");
        let logs = Logs::capture();
        let state = fixture.open().unwrap();
        state.compare_stored_batches();
        assert_eq!(logs.take_alarms(), [], "{refusal:?}");
    }
}

/// A start in doubt tells of a batch once more that is done with, or owed though nobody knows that.
#[test]
fn a_batch_that_is_told_again_is_not_taken_for_a_new_one() {
    for seq in [2, 9] {
        let (fixture, _) = Fixture::with(&[polled(1), polled(2)]);
        let state = fixture.open().unwrap();
        let mut again = polled(seq);
        if let Record::Polled { outputs, .. } = &mut again {
            outputs.clear();
        }
        let logs = Logs::capture();
        state.append(at(50), &again).unwrap();
        state.compare_stored_batches();
        assert_eq!(logs.take_alarms(), [], "{seq}");
        let picture = state.look(Picture::clone);
        drop(state);
        assert_eq!(fixture.stored(), picture, "{seq}");
    }
}

/// All that the store must hold is in memory by then.
#[test]
fn batches_in_the_store_that_stay_unreadable_are_made_anew_with_all_else() {
    for is_behind in [false, true] {
        let (fixture, _) = Fixture::with(&[polled(1), polled(2)]);
        let state = fixture.open().unwrap();
        state.keep_work("o", &delivered(3)).unwrap();
        if is_behind {
            fixture.tables.refuse(Some(Refusal::Write));
            state.append(at(50), &polled(3)).unwrap();
        }
        let before = state.look(Picture::clone);
        drop(state);
        fixture.tables.refuse(Some(Refusal::BadBatches));
        // It may pass.
        let opened = fixture.open();
        assert_eq!(opened.is_err(), is_behind);
        if let Ok(state) = opened {
            state.keep_work("p", &delivered(2)).unwrap();
            state.compare_stored_batches();
            state.keep_work("p", &delivered(3)).unwrap_err();
            fixture.tables.refuse(None);
            state.keep_work("p", &delivered(3)).unwrap();
            let low = |output| state.progress(output, 1).cursor.low();
            assert_eq!((low("o"), low("p")), (3, 3));
            drop(state);
            assert_eq!(fixture.stored(), before, "it is written whole");
            fixture.tables.refuse(Some(Refusal::BadBatches));
        }
        let logs = Logs::capture();
        let state = fixture
            .open_on(Disk::machine().giving_up_unreadable())
            .unwrap();
        state.compare_stored_batches();
        state.keep_work("p", &delivered(4)).unwrap();
        let told = logs.take_alarms();
        assert!(
            told.iter().any(|line| line.text.contains("made anew")),
            "{told:?}"
        );
        let picture = state.look(Picture::clone);
        assert_eq!(picture.batches, before.batches);
        drop(state);
        assert_eq!(fixture.stored(), picture);
        let state = fixture.open().unwrap();
        let low = |output| state.progress(output, 1).cursor.low();
        assert_eq!((low("o"), low("p")), (3, 4), "no cursor is lost");
    }
}
