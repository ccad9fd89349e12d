//! Everything that can be wrong with the files of a ledger, and values of the store.

use super::*;

#[test]
fn whatever_the_last_record_was_the_store_has_the_whole_picture() {
    let records = records();
    for count in 1..=records.len() {
        let (fixture, before) = Fixture::with(&records[..count]);
        fs::remove_dir_all(fixture.folder.path().join("ledger")).unwrap();
        let state = fixture.open().unwrap();
        let mut expected = told(&before);
        // Its end may be missing: the gates close.
        expected.is_doubtful = true;
        let now = told(&state.look(Picture::clone));
        assert_eq!(now, expected, "{:?}", records[count - 1]);
        let is_open = |seq| now.batches.contains_key(&seq);
        let lacking = (1..now.next_seq).filter(|seq| !is_open(*seq));
        let lacking: Vec<u64> = lacking
            .filter(|seq| state.may_lack_records_of(*seq) && !before.is_doubtful)
            .collect();
        assert_eq!(lacking, Vec::<u64>::new(), "they are done with");
    }
}

#[test]
fn a_flipped_bit_in_any_record_costs_nothing_while_the_store_is_whole() {
    let records = records();
    let lines = records.len() + 1;
    for line in 0..lines {
        for place in [0, 9, 60, usize::MAX] {
            let (fixture, before) = Fixture::with(&records);
            fixture.edit(|lines| {
                let line = &mut lines[line];
                // The last is the line break: then two records are one line.
                let place = place.min(line.len() - 1);
                line[place] ^= 1;
            });
            let state = fixture.open().unwrap();
            let why = format!("line {line}, byte {place}");
            if line == 0 {
                // Of the only snapshot: the ledger is lost.
                assert!(state.look(|picture| picture.is_doubtful), "{why}");
                let picture = state.look(|picture| Picture {
                    is_doubtful: false,
                    ..picture.clone()
                });
                assert_eq!(told(&picture), told(&before), "{why}");
            } else {
                assert_told(&state, &before, &why);
            }
            drop(state);
            let told_again = Logs::capture();
            fixture.open().unwrap();
            assert_eq!(told_again.take_alarms(), [], "{why}: it is said once");
        }
    }
}

#[test]
fn records_that_are_gone_from_anywhere_are_taken_from_the_store() {
    let records = records();
    for from in 1..=records.len() {
        for count in [1, 2, 5, 100] {
            let (fixture, before) = Fixture::with(&records);
            fixture.edit(|lines| {
                let to = (from + count).min(lines.len());
                lines.drain(from..to);
            });
            let logs = Logs::capture();
            let state = fixture.open().unwrap();
            assert_told(&state, &before, &format!("{count} from {from}"));
            let told = logs.take_alarms();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].text.contains("restored from the store"), "{told:?}");
        }
    }
}

#[test]
fn without_the_store_a_damaged_record_is_a_doubt_about_its_own_batch_alone() {
    let records = records();
    let lost = records
        .iter()
        .position(|record| *record == polled(2))
        .unwrap();
    let (fixture, _) = Fixture::with(&records);
    // After `Recovered` there is no doubt any more.
    fixture.edit(|lines| {
        lines.truncate(lost + 5);
        lines[lost + 1][30] ^= 1;
    });
    fixture.tables.crash(|_| 0);
    let state = fixture.open().unwrap();
    assert!(state.look(|picture| picture.is_doubtful));
    assert!(state.may_lack_records_of(2));
    assert!(!state.may_lack_records_of(1));
}

/// The numbers of the records that can be read.
fn numbers(state: &State) -> Vec<u64> {
    let mut numbers = Vec::new();
    let read = state.history(|line| {
        if let HistoryLine::Record { number, .. } = line {
            numbers.push(number);
        }
    });
    read.unwrap();
    numbers
}

#[test]
fn the_numbers_of_damaged_records_are_not_used_again() {
    for damaged in 1..4 {
        let (fixture, before) = Fixture::with(&records());
        fixture.edit(|lines| {
            let from = lines.len() - damaged;
            lines[from..].iter_mut().for_each(|line| line[0] ^= 1);
        });
        // It would know the last number.
        fixture.tables.crash(|_| 0);
        let state = fixture.open().unwrap();
        state.append(at(200), &polled(9)).unwrap();
        let numbers = numbers(&state);
        let whole = usize::try_from(before.number).unwrap() - damaged;
        let used = numbers.iter().filter(|number| **number <= before.number);
        assert_eq!(used.count(), whole, "{damaged} damaged: {numbers:?}");
    }
}

#[test]
fn a_store_with_an_old_value_beside_new_ones_is_noticed_and_not_believed() {
    let (fixture, before) = Fixture::with(&records());
    let mut old = Vec::new();
    let (elsewhere, _) = Fixture::with(&records()[..6]);
    elsewhere.tables.change(&elsewhere.store(), |entries| {
        old = entries.get(b"collection/s/c".as_slice()).unwrap().clone();
    });
    fixture.tables.change(&fixture.store(), |entries| {
        let new = entries.insert(b"collection/s/c".to_vec(), old).unwrap();
        assert_ne!(Some(&new), entries.get(b"collection/s/c".as_slice()));
    });
    let logs = Logs::capture();
    let state = fixture.open().unwrap();
    let told = logs.take_alarms();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].text.contains("different times"), "{told:?}");
    assert_told(&state, &before, "as the ledger says");
    drop(state);
    let state = fixture.open().unwrap();
    assert_eq!(logs.take_alarms(), [], "it is mended");
    let number = state.look(|picture| picture.number);
    drop(state);
    // And it is not believed where the ledger lacks something, but for how far it was.
    fixture.tables.change(&fixture.store(), |entries| {
        entries.remove(b"collection/s/c".as_slice()).unwrap();
    });
    fixture.edit(|lines| drop(lines.pop()));
    let state = fixture.open().unwrap();
    assert!(state.look(|picture| picture.is_doubtful));
    assert!(state.look(|picture| picture.collections.contains_key("s/c")));
    assert!(state.look(|picture| picture.number) > number);
}

#[test]
fn a_damaged_value_is_said_with_its_key_counts_as_nothing_done_and_is_removed() {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    state.append(at(1), &polled(1)).unwrap();
    state.keep_work("o", &delivered(3)).unwrap();
    state.keep_work("p", &delivered(4)).unwrap();
    drop(state);
    fixture.tables.change(&fixture.store(), |entries| {
        let value = entries.get_mut(b"cursor/o/1".as_slice()).unwrap();
        *value.last_mut().unwrap() ^= 1;
        entries.insert(b"\xff".to_vec(), b"foreign".to_vec());
    });
    let logs = Logs::capture();
    let state = fixture.open().unwrap();
    let told = logs.take_alarms();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].text.contains("cursor/o/1"), "{told:?}");
    assert_eq!(state.progress("o", 1), Progress::default());
    assert_eq!(state.progress("p", 1).cursor.low(), 4);
    drop(state);
    let state = fixture.open().unwrap();
    assert_eq!(logs.take_alarms(), [], "it is mended");
    assert_eq!(state.progress("p", 1).cursor.low(), 4);
    fixture.tables.change(&fixture.store(), |entries| {
        assert!(!entries.contains_key(b"cursor/o/1".as_slice()));
        assert!(!entries.contains_key(b"\xff".as_slice()));
    });
}

/// A state whose ledger has three segments.
fn three_segments() -> (Fixture, Picture) {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    for (second, record) in (1..).zip(&records()) {
        if second % 8 == 0 {
            state.retell(at(second)).unwrap();
        }
        state.append(at(second), record).unwrap();
    }
    let before = state.look(Picture::clone);
    drop(state);
    assert_eq!(fixture.segments().len(), 3);
    (fixture, before)
}

/// After damage to the segments: what is told, with the store and without.
#[track_caller]
fn damage_segments(damage: impl Fn(&[PathBuf]), with_store: bool, without: Option<bool>) {
    for has_store in [true, false] {
        let (fixture, before) = three_segments();
        damage(&fixture.segments());
        if !has_store {
            fixture.tables.crash(|_| 0);
        }
        let state = fixture.open().unwrap();
        let is_doubtful = state.look(|picture| picture.is_doubtful);
        let collections = state.look(|picture| picture.collections.clone());
        match (has_store, without) {
            (true, _) => {
                assert_eq!(is_doubtful, !with_store, "with the store");
                assert_eq!(collections, before.collections);
            }
            (false, Some(is_whole)) => {
                assert_eq!(is_doubtful, !is_whole, "without the store");
                assert_eq!(collections == before.collections, is_whole);
            }
            (false, None) => {}
        }
        // Whatever it was, from here on all is as ever.
        state.append(at(200), &polled(9)).unwrap();
        let now = state.look(Picture::clone);
        drop(state);
        let state = fixture.open().unwrap();
        assert_told(&state, &now, "reopened");
        let numbers = numbers(&state);
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn a_segment_that_vanished_in_the_middle_tells_nothing_that_is_needed() {
    damage_segments(
        |paths| fs::remove_file(&paths[1]).unwrap(),
        true,
        Some(true),
    );
    damage_segments(
        |paths| fs::remove_file(&paths[0]).unwrap(),
        true,
        Some(true),
    );
}

#[test]
fn a_last_segment_that_vanished_is_in_the_store() {
    // Without it nobody can know.
    damage_segments(|paths| fs::remove_file(&paths[2]).unwrap(), true, None);
}

#[test]
fn an_old_segment_under_a_new_name_takes_nothing_back() {
    for (old, new) in [
        (0, "00000009.jsonl"),
        (1, "00000009.jsonl"),
        (2, "00000009.jsonl"),
    ] {
        damage_segments(
            |paths| {
                fs::copy(&paths[old], paths[0].with_file_name(new)).unwrap();
            },
            true,
            Some(true),
        );
    }
}

#[test]
fn an_earlier_length_of_the_last_segment_is_made_up_for_by_the_store() {
    damage_segments(
        |paths| {
            let text = bytes(&paths[2]);
            let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
            fs::write(&paths[2], lines[..2].concat()).unwrap();
        },
        true,
        None,
    );
}

#[test]
fn a_last_segment_that_is_cut_anywhere_is_made_up_for_by_the_store() {
    let length = bytes(&three_segments().0.segments()[2]).len();
    for cut in (1..length).step_by(97) {
        let (fixture, before) = three_segments();
        let path = &fixture.segments()[2];
        fs::write(path, &bytes(path)[..length - cut]).unwrap();
        let state = fixture.open().unwrap();
        assert_told(&state, &before, &format!("cut by {cut}"));
    }
}

#[test]
fn a_foreign_an_empty_and_a_nul_segment_stop_nothing() {
    let name = |paths: &[PathBuf], name| paths[0].with_file_name(name);
    for (content, is_certain) in [
        (&b""[..], true),
        (b"what is this", true),
        // It may have been the last record.
        (b"what is this\n", false),
        (&[0; 4096], true),
    ] {
        damage_segments(
            |paths| fs::write(name(paths, "00000007.jsonl"), content).unwrap(),
            is_certain,
            None,
        );
    }
    for foreign in [
        "18446744073709551615.jsonl",
        "7.jsonl",
        "x",
        "00000007.jsonl.gz",
    ] {
        damage_segments(
            |paths| fs::write(name(paths, foreign), "foreign\n").unwrap(),
            true,
            Some(true),
        );
    }
    damage_segments(
        |paths| fs::create_dir(name(paths, "00000007.jsonl")).unwrap(),
        true,
        Some(true),
    );
}

#[test]
fn a_damaged_snapshot_costs_nothing() {
    damage_segments(
        |paths| {
            let mut text = bytes(&paths[2]);
            text[40] ^= 1;
            fs::write(&paths[2], text).unwrap();
        },
        true,
        Some(true),
    );
}

#[test]
fn a_ledger_without_any_snapshot_is_moved_away_and_the_store_takes_its_place() {
    for has_store in [true, false] {
        let (fixture, before) = three_segments();
        for path in fixture.segments() {
            let mut text = bytes(&path);
            text[40] ^= 1;
            fs::write(&path, text).unwrap();
        }
        if !has_store {
            fixture.tables.crash(|_| 0);
        }
        let logs = Logs::capture();
        let state = fixture.open().unwrap();
        let told = logs.take_alarms();
        let errors = told
            .iter()
            .filter(|line| line.level == tracing::Level::ERROR);
        assert_eq!(errors.count(), 1, "{told:#?}");
        assert!(state.look(|picture| picture.is_doubtful), "the gates close");
        let collections = state.look(|picture| picture.collections.clone());
        if has_store {
            assert_eq!(collections, before.collections);
        } else {
            assert!(collections.is_empty());
        }
        assert_eq!(fixture.segments().len(), 1);
        let moved = fixture.folder.path().join("quarantine/ledger-1");
        assert_eq!(fs::read_dir(moved).unwrap().count(), 3);
        assert!(state.look(|picture| picture.number) >= before.number);
    }
}

/// Of what is missing from the ledger nobody else knows.
#[test]
fn a_store_that_cannot_be_read_once_more_is_waited_for() {
    for is_lost in [true, false] {
        let (fixture, before) = three_segments();
        let segments = fixture.segments();
        for path in segments
            .iter()
            .filter(|path| is_lost || Some(*path) == segments.last())
        {
            // The snapshots, or the last record.
            let mut text = bytes(path);
            let place = if is_lost { 40 } else { text.len() - 20 };
            text[place] ^= 1;
            fs::write(path, text).unwrap();
        }
        fixture.tables.refuse(Some(Refusal::ReadAgain));
        let error = fixture.open().unwrap_err();
        assert!(matches!(error, OpenStateError::Store { .. }), "{error}");
        assert_eq!(fixture.segments(), segments, "nothing is moved or begun");
        fixture.tables.refuse(None);
        let state = fixture.open().unwrap();
        let collections = state.look(|picture| picture.collections.clone());
        assert_eq!(collections, before.collections);
    }
}

#[test]
fn a_cursor_goes_with_the_batch_that_is_done_with() {
    let fixture = Fixture::new();
    let state = fixture.open().unwrap();
    state.append(at(1), &polled(1)).unwrap();
    let mut work = delivered(3);
    let mut cursor = Cursor::new();
    cursor.finish(0..3);
    assert_eq!(work.progress[0].1.cursor, cursor);
    work.progress[0].0 = 1;
    state.keep_work("p", &work).unwrap();
    state.append(at(2), &finished(1)).unwrap();
    assert_eq!(state.progress("p", 1), Progress::default());
    drop(state);
    fixture.tables.change(&fixture.store(), |entries| {
        assert!(!entries.contains_key(b"cursor/p/1".as_slice()));
    });
}

#[test]
fn a_segment_that_is_longer_than_any_can_be_is_not_read() {
    for name in ["00000000.jsonl", "00000009.jsonl"] {
        let records = records();
        let (fixture, before) = Fixture::with(&records);
        let path = fixture.folder.path().join("ledger").join(name);
        let foreign = fs::File::create(&path).unwrap();
        // A hole, which takes no room.
        foreign.set_len(1 << 40).unwrap();
        let state = fixture.open().unwrap();
        let now = told(&state.look(Picture::clone));
        // Nobody can tell what it would have told.
        let expected = Picture {
            is_doubtful: now.is_doubtful,
            ..told(&before)
        };
        assert_eq!(now, expected, "{name}");
        let mut unreadable = 0;
        let read = state.history(|line| {
            unreadable += u32::from(matches!(line, HistoryLine::Unreadable { .. }));
        });
        read.unwrap();
        // An old one goes, as any that takes so much.
        assert_eq!(unreadable, u32::from(path.exists()), "{name}");
        assert_eq!(path.exists(), name == "00000009.jsonl");
    }
}
