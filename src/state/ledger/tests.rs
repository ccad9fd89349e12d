use super::*;
use crate::disk::refusal::{self, Steps};
use crate::state::record::CollectionKey;
use crate::state::restoration::{Way, tell};
use crate::state::store::Found;
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;
use std::fs::{self, OpenOptions};
use std::io::Write;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
}

fn abandoned(until: i64) -> Record {
    Record::WindowAbandoned {
        key: CollectionKey {
            service: "s".into(),
            collection: "c".into(),
        },
        window: PollWindow {
            exclusive_begin: None,
            inclusive_end: None,
        },
        checkpoint: Timestamp::from(at(until)),
        file: "test".into(),
    }
}

/// Opens the ledger where there is no store.
fn open(folder: &Path, second: i64) -> (Ledger, Picture, Way) {
    open_durable(folder, second, None)
}

/// The same where it is known up to which record it is durable.
fn open_durable(folder: &Path, second: i64, durable: Option<u64>) -> (Ledger, Picture, Way) {
    let disk = Disk::machine();
    let mut reading = Reading::read(&disk, folder).unwrap();
    let told = tell(&mut reading, &Found::Nothing, || Ok(None), false).unwrap();
    let ledger = Ledger::go_on_with(
        &disk,
        folder,
        &reading,
        &told.picture,
        durable,
        at(second),
        1000,
    );
    let ledger = ledger.unwrap();
    (ledger, told.picture, told.way)
}

struct Fixture {
    folder: tempfile::TempDir,
    ledger: Ledger,
    picture: Picture,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, picture, _) = open(folder.path(), 0);
        Self {
            folder,
            ledger,
            picture,
        }
    }

    /// So many batches wait, and a segment has begun with them.
    fn owing(batches: u64) -> Self {
        let mut fixture = Self::new();
        for seq in 1..=batches {
            let record = Record::Pushed {
                key: CollectionKey {
                    service: "s".into(),
                    collection: "c".into(),
                },
                message_id: None,
                subscription: None,
                seq: Some(seq),
                outputs: vec!["o".into()],
                counts: crate::state::PolledCounts::default(),
                content: None,
            };
            fixture.append_record(1, &record);
        }
        fixture
            .ledger
            .begin_segment(at(1), &fixture.picture)
            .unwrap();
        fixture.picture.number = fixture.ledger.number();
        fixture
    }

    fn append(&mut self, second: i64) -> u64 {
        self.append_record(second, &abandoned(second))
    }

    fn append_record(&mut self, second: i64, record: &Record) -> u64 {
        let number = self
            .ledger
            .append(at(second), record, &self.picture)
            .unwrap();
        self.picture.apply(number, at(second), record);
        number
    }

    /// Flips a bit in a line of a segment.
    fn flip(&self, segment: u64, line: usize) {
        let path = self.ledger.path(segment);
        let mut bytes = fs::read(&path).unwrap();
        let begin: usize = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .take(line)
            .map(<[u8]>::len)
            .sum();
        bytes[begin + 60] ^= 1;
        fs::write(&path, bytes).unwrap();
    }

    fn reopen(&mut self) {
        let (ledger, picture, _) = open(self.folder.path(), 99);
        self.ledger = ledger;
        self.picture = picture;
    }

    fn gaps(&self) -> u64 {
        self.picture.collections.get("s/c").map_or(0, |c| c.gaps)
    }
}

#[test]
fn what_is_appended_is_there_after_a_reopen() {
    let mut fixture = Fixture::new();
    for second in 1..=200 {
        fixture.append(second);
        let before = fixture.picture.clone();
        fixture.reopen();
        assert_eq!(fixture.picture.collections, before.collections);
        assert!(fixture.picture.number >= before.number);
    }
    assert_eq!(fixture.gaps(), 200);
    let left = segments(&Disk::machine(), fixture.folder.path()).unwrap();
    assert!(
        left.len() > MIN_SEGMENTS && left.first() > Some(&1),
        "{left:?}"
    );
    let bytes = left
        .iter()
        .map(|segment| fs::metadata(fixture.ledger.path(*segment)).unwrap().len());
    assert!(bytes.sum::<u64>() <= KEEP_FULL_SEGMENTS * 1000, "{left:?}");
}

#[test]
fn numbers_only_rise() {
    let mut fixture = Fixture::new();
    let mut last = 0;
    for second in 1..30 {
        let number = fixture.append(second);
        assert!(number > last);
        last = number;
        fixture.reopen();
    }
}

#[test]
fn a_snapshot_tells_what_is_owed() {
    let mut fixture = Fixture::new();
    let polled = Record::Polled {
        key: CollectionKey {
            service: "s".into(),
            collection: "c".into(),
        },
        origin: crate::state::Origin::Poll,
        window: PollWindow {
            exclusive_begin: None,
            inclusive_end: None,
        },
        checkpoint: None,
        seq: Some(12),
        outputs: vec!["o".into()],
        counts: crate::state::PolledCounts::default(),
        clock_offset_ms: None,
        gap: None,
        content: None,
    };
    fixture.append_record(1, &polled);
    while fixture.ledger.segment < 3 {
        fixture.append(2);
    }
    let before = fixture.picture.clone();
    assert_eq!(before.batches.len(), 1);
    for segment in [1, 2] {
        fs::remove_file(fixture.ledger.path(segment)).unwrap();
    }
    fixture.reopen();
    assert_eq!(fixture.picture, before);
    assert!(!fixture.picture.is_doubtful);
}

#[test]
fn a_torn_tail_costs_only_itself_and_leaves_no_doubt() {
    let mut fixture = Fixture::new();
    fixture.append(1);
    fixture.append(2);
    let path = fixture.ledger.path(fixture.ledger.segment);
    let length = fs::metadata(&path).unwrap().len();
    // Without its line break alone the record would still be whole.
    for cut in 2..20 {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - cut).unwrap();
        fixture.reopen();
        assert_eq!(fixture.gaps(), 1, "cut by {cut}");
        assert!(!fixture.picture.is_doubtful);
        for segment in segments(&Disk::machine(), fixture.folder.path()).unwrap() {
            if fixture.ledger.path(segment) != path {
                fs::remove_file(fixture.ledger.path(segment)).unwrap();
            }
        }
    }
    fixture.reopen();
    fixture.append(3);
    fixture.reopen();
    assert_eq!(fixture.gaps(), 2);
}

#[test]
fn a_flipped_byte_costs_one_record_and_is_told_until_it_is_dealt_with() {
    for line in [1, 2] {
        let mut fixture = Fixture::new();
        fixture.append(1);
        fixture.append(2);
        fixture.flip(fixture.ledger.segment, line);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 1);
        assert!(fixture.picture.is_doubtful);
        fixture.append(3);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 2);
        assert!(
            fixture.picture.is_doubtful,
            "until somebody has dealt with it"
        );

        let recovered = Record::Recovered {
            next_seq: 7,
            gates: vec!["g".into()],
            letters: std::collections::BTreeMap::new(),
            blocks: 0,
        };
        fixture.append_record(50, &recovered);
        fixture.reopen();
        assert!(!fixture.picture.is_doubtful);
        assert_eq!(fixture.picture.gates.get("g"), Some(&at(50)));
    }
}

#[test]
fn a_damaged_snapshot_costs_no_record() {
    let mut fixture = Fixture::new();
    let mut second = 0;
    while fixture.ledger.segment < 3 {
        second += 1;
        fixture.append(second);
    }
    second += 1;
    fixture.append(second);
    let before = fixture.picture.clone();
    fixture.flip(3, 0);
    fixture.reopen();
    assert_eq!(fixture.picture.collections, before.collections);
    assert!(fixture.picture.number >= before.number);
    assert!(!fixture.picture.is_doubtful, "it told nothing new");
}

/// What its first bytes say is believed only where its checksum is right.
#[test]
fn a_snapshot_whose_number_is_damaged_costs_no_record() {
    for damaged in ["1", "2", "99999"] {
        let mut fixture = Fixture::new();
        for second in 1..=4 {
            fixture.append(second);
        }
        for second in 5..=6 {
            fixture.reopen();
            fixture.append(second);
        }
        let told = fixture.picture.clone();
        // The last segment, the one before it, and both: an older one is left.
        assert!(fixture.ledger.segment > 2);
        for segments in [&[0][..], &[1], &[0, 1]] {
            let folder = tempfile::tempdir().unwrap();
            for segment in 1..=fixture.ledger.segment {
                let mut text = fs::read_to_string(fixture.ledger.path(segment)).unwrap();
                if segments.contains(&(fixture.ledger.segment - segment)) {
                    let (_, rest) = text.split_once(',').unwrap();
                    text = format!("{{\"number\":{damaged},{rest}");
                }
                fs::write(folder.path().join(segment_name(segment)), text).unwrap();
            }
            let (_, picture, way) = open(folder.path(), 9);
            assert_eq!(way, Way::Ledger, "{damaged} {segments:?}");
            assert_eq!(
                picture.collections, told.collections,
                "{damaged} {segments:?}"
            );
        }
    }
}

/// Its checksum is right, and a newer version has written what this one does not know.
#[test]
fn a_snapshot_that_says_something_else_costs_no_record() {
    let mut fixture = Fixture::new();
    for second in 1..=2 {
        fixture.append(second);
    }
    fixture.reopen();
    fixture.append(3);
    let told = fixture.picture.clone();
    let segment = fixture.ledger.segment;
    let path = fixture.ledger.path(segment);
    let text = fs::read_to_string(&path).unwrap();
    let (snapshot, rest) = text.split_once('\n').unwrap();
    let (body, _) = snapshot.rsplit_once(",\"crc32\"").unwrap();
    let body = body.replacen("\"next_seq\":", "\"next_sequence\":", 1);
    let crc = crc32fast::hash(body.as_bytes());
    let snapshot = format!("{body},\"crc32\":\"{crc:08x}\"}}");
    assert_eq!(line::decode(snapshot.as_bytes()), None);
    assert!(line::snapshot_number(snapshot.as_bytes()).is_some());
    fs::write(&path, format!("{snapshot}\n{rest}")).unwrap();
    let (_, picture, way) = open(fixture.folder.path(), 9);
    assert_eq!(way, Way::Ledger);
    assert_eq!(picture.collections, told.collections);
}

#[test]
fn a_first_start_that_was_cut_short_begins_anew() {
    for torn in ["", "{\"number\":1,\"at\":\"20"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000001.jsonl"), torn).unwrap();
        let (_, picture, way) = open(folder.path(), 1);
        assert_eq!(way, Way::New);
        assert_eq!(picture.next_seq, 1);
    }
}

#[test]
fn a_segment_that_could_not_be_begun_is_passed_over() {
    let mut fixture = Fixture::new();
    fixture.append(1);
    let next = fixture.ledger.path(fixture.ledger.segment + 1);
    fs::write(&next, "").unwrap();
    fixture.reopen();
    assert_eq!(fixture.gaps(), 1);
    fixture.append(2);
    fixture.reopen();
    assert_eq!(fixture.gaps(), 2);
    assert!(!fixture.picture.is_doubtful);
}

#[test]
fn a_disk_that_refuses_one_step_of_a_new_segment_takes_the_next_record() {
    for step in 0.. {
        let mut fixture = Fixture::new();
        fixture.ledger.record_bytes = fixture.ledger.segment_bytes;
        refusal::refuse(step, 0);
        let refused = fixture
            .ledger
            .append(at(1), &abandoned(1), &fixture.picture)
            .is_err();
        if refusal::end() <= step {
            assert!(!refused && step > 2, "{step} steps");
            break;
        }
        assert!(refused, "step {step}");
        fixture.append(2);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 1, "step {step}");
        assert!(!fixture.picture.is_doubtful, "step {step}");
    }
}

#[test]
fn without_any_snapshot_it_is_lost() {
    let mut fixture = Fixture::new();
    fixture.append(1);
    let number = fixture.picture.number;
    fixture.flip(1, 0);
    let (ledger, picture, way) = open(fixture.folder.path(), 1);
    assert_eq!(way, Way::Lost);
    assert!(picture.is_doubtful && picture.number >= number);
    let quarantine = fixture.folder.path().join("quarantine");
    let moved = ledger.set_aside_others(&quarantine).unwrap();
    assert!(moved.join(segment_name(1)).exists());
    fixture.reopen();
    assert!(fixture.picture.is_doubtful, "until it is dealt with");
    fixture.append(2);
    fixture.reopen();
    assert_eq!(fixture.gaps(), 1);
}

#[test]
fn a_disk_that_fails_is_no_damage() {
    let fixture = Fixture::new();
    // What cannot be read as a file at all is passed over.
    fs::create_dir(fixture.ledger.path(2)).unwrap();
    let (_, picture, way) = open(fixture.folder.path(), 1);
    assert_eq!((way, picture.is_doubtful), (Way::Ledger, false));
    fs::remove_dir(fixture.ledger.path(2)).unwrap();
    std::os::unix::fs::symlink("loop", fixture.folder.path().join("loop")).unwrap();
    let error = Reading::read(&Disk::machine(), &fixture.folder.path().join("loop")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn a_segment_that_cannot_be_read_is_in_the_way_only_where_it_is_needed() {
    let mut fixture = Fixture::new();
    for second in 1..20 {
        fixture.append(second);
    }
    let last = fixture.ledger.path(fixture.ledger.segment);
    let read = || Reading::read(&Disk::machine(), fixture.folder.path());
    refusal::refuse_as(Steps::Reads, refusal::code::EIO, u64::MAX, 0);
    let whole = read().unwrap();
    let steps = refusal::end();
    let (mut passed_over, mut refused) = (0, 0);
    for step in 0..steps {
        refusal::refuse_as(Steps::Reads, refusal::code::EIO, step, 0);
        let reading = read();
        refusal::end();
        match reading {
            Ok(reading) => {
                passed_over += 1;
                assert!(reading.tells_all(whole.last_number()), "step {step}");
                assert_eq!(reading.last_segment, whole.last_segment);
            }
            Err(error) => refused += u32::from(error.to_string().contains(last.to_str().unwrap())),
        }
    }
    assert!(
        passed_over > 2 && refused > 2,
        "{passed_over} {refused} of {steps}"
    );
}

#[test]
fn a_first_start_that_was_cut_short_is_no_obstacle_later() {
    for cut_short in ["", "{\"number\":1"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000001.jsonl"), cut_short).unwrap();
        let (mut ledger, picture, _) = open(folder.path(), 0);
        ledger.append(at(1), &abandoned(1), &picture).unwrap();
        drop(ledger);
        let (_, picture, _) = open(folder.path(), 2);
        assert_eq!(picture.collections.len(), 1, "after {cut_short:?}");
    }
}

#[test]
fn a_start_writes_nothing_and_its_first_record_begins_a_segment() {
    let mut fixture = Fixture::new();
    fixture.append(1);
    let before = fs::read(fixture.ledger.path(1)).unwrap();
    fixture.reopen();
    assert!(!fixture.ledger.path(2).exists());
    fixture.append(2);
    // What is in the old one may not be durable: the snapshot tells it again.
    assert_eq!(fs::read(fixture.ledger.path(1)).unwrap(), before);
    fs::remove_file(fixture.ledger.path(1)).unwrap();
    fixture.reopen();
    assert_eq!(fixture.gaps(), 2);
}

#[test]
fn a_start_goes_on_in_a_durable_segment_with_few_records_behind_a_large_snapshot() {
    let mut fixture = Fixture::owing(200);
    let (mut goes_on, mut begins) = (0, 0);
    for second in 1..=60 {
        fixture.append(second);
        let Ledger {
            segment,
            snapshot_bytes,
            record_bytes,
            ..
        } = fixture.ledger;
        let durable = Some(fixture.picture.number);
        let (ledger, picture, way) = open_durable(fixture.folder.path(), 99, durable);
        assert_eq!((way, &picture), (Way::Ledger, &fixture.picture));
        fixture.ledger = ledger;
        let is_small = record_bytes > snapshot_bytes / SNAPSHOT_SHARE;
        assert_eq!(fixture.ledger.is_durable(), !is_small);
        fixture.append(second);
        if is_small {
            begins += 1;
            assert_eq!(fixture.ledger.segment, segment + 1);
        } else {
            goes_on += 1;
            assert_eq!(fixture.ledger.segment, segment);
            assert_eq!(fixture.ledger.snapshot_bytes, snapshot_bytes);
            let length = fs::metadata(fixture.ledger.path(segment)).unwrap().len();
            assert_eq!(length, snapshot_bytes + fixture.ledger.record_bytes);
        }
    }
    assert!(goes_on > 10 && begins > 0, "{goes_on} {begins}");
    fixture.reopen();
    assert_eq!(fixture.gaps(), 120);
    assert!(!fixture.picture.is_doubtful);
}

#[test]
fn a_start_goes_on_in_no_segment_of_which_that_is_not_known() {
    type Spoil = fn(&Fixture) -> Option<u64>;
    let spoil: [(&str, Spoil); 6] = [
        ("nothing is known", |_| None),
        ("the last record is not", |fixture| {
            Some(fixture.picture.number - 1)
        }),
        ("it was cut short", |fixture| {
            let path = fixture.ledger.path(fixture.ledger.segment);
            let length = fs::metadata(&path).unwrap().len();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length - 1).unwrap();
            Some(fixture.picture.number)
        }),
        ("an older one has a newer name", |fixture| {
            let last = fixture.ledger.segment;
            let [from, to] = [last - 1, last + 9].map(|segment| fixture.ledger.path(segment));
            fs::copy(from, to).unwrap();
            Some(fixture.picture.number)
        }),
        ("a shorter copy has a newer name", |fixture| {
            let last = fixture.ledger.segment;
            let [from, to] = [last, last + 9].map(|segment| fixture.ledger.path(segment));
            let text = fs::read_to_string(from).unwrap();
            let (copied, _) = text.trim_end().rsplit_once('\n').unwrap();
            fs::write(to, format!("{copied}\n")).unwrap();
            Some(fixture.picture.number)
        }),
        ("its snapshot is damaged", |fixture| {
            fixture.flip(fixture.ledger.segment, 0);
            Some(fixture.picture.number)
        }),
    ];
    for (what, spoil) in spoil {
        let mut fixture = Fixture::owing(200);
        let before = fixture.gaps();
        fixture.append(1);
        let durable = Some(fixture.picture.number);
        let (ledger, ..) = open_durable(fixture.folder.path(), 99, durable);
        assert!(ledger.is_durable(), "before");
        let durable = spoil(&fixture);
        let last = *segments(&Disk::machine(), fixture.folder.path())
            .unwrap()
            .last()
            .unwrap();
        let (ledger, picture, way) = open_durable(fixture.folder.path(), 99, durable);
        assert_eq!(way, Way::Ledger, "{what}");
        assert_eq!(picture.collections, fixture.picture.collections, "{what}");
        (fixture.ledger, fixture.picture) = (ledger, picture);
        fixture.append(2);
        assert_eq!(fixture.ledger.segment, last + 1, "{what}");
        fixture.reopen();
        assert_eq!(fixture.gaps(), before + 2, "{what}");
    }
}

#[test]
fn a_segment_that_was_touched_since_it_was_read_is_left_as_it_is() {
    let touch: [fn(&Path); 2] = [
        |path| {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"\n").unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for touch in touch {
        let mut fixture = Fixture::owing(200);
        let durable = Some(fixture.picture.number);
        let (ledger, ..) = open_durable(fixture.folder.path(), 99, durable);
        fixture.ledger = ledger;
        let segment = fixture.ledger.segment;
        let path = fixture.ledger.path(segment);
        touch(&path);
        let touched = fs::read(&path).ok();
        fixture.append(1);
        assert_eq!(fixture.ledger.segment, segment + 1);
        assert_eq!(fs::read(&path).ok(), touched);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 1);
    }
}

#[test]
fn many_starts_keep_a_bounded_number_of_segments() {
    let folder = tempfile::tempdir().unwrap();
    for second in 0..i64::try_from(MAX_SEGMENTS).unwrap() + 10 {
        let disk = Disk::machine();
        let mut reading = Reading::read(&disk, folder.path()).unwrap();
        let picture = tell(&mut reading, &Found::Nothing, || Ok(None), false)
            .unwrap()
            .picture;
        let ledger = Ledger::go_on(&disk, folder.path(), &reading, &picture, None, at(second));
        let record = abandoned(second);
        ledger
            .unwrap()
            .append(at(second), &record, &picture)
            .unwrap();
    }
    let left = segments(&Disk::machine(), folder.path()).unwrap();
    assert_eq!(left.len(), MAX_SEGMENTS);
}

#[test]
fn a_large_snapshot_does_not_come_with_each_record() {
    let mut fixture = Fixture::owing(1600);
    // Each batch is in every snapshot, and a share of one is more than the records of a segment.
    let Ledger {
        segment,
        snapshot_bytes: snapshot,
        ..
    } = fixture.ledger;
    let share = snapshot / SNAPSHOT_SHARE;
    assert!(share > 2 * fixture.ledger.segment_bytes, "{snapshot}");
    while fixture.ledger.segment == segment {
        fixture.append(2);
    }
    let records = fs::metadata(fixture.ledger.path(segment)).unwrap().len() - snapshot;
    assert!(
        (share..share + 1000).contains(&records),
        "{records} behind {snapshot}"
    );
}

#[test]
fn the_last_segments_alone_are_read_back() {
    let mut fixture = Fixture::new();
    for second in 1..=60 {
        fixture.append(second);
    }
    let disk = Disk::machine();
    let folder = fixture.folder.path();
    let read = |most_bytes| {
        let mut numbers = Vec::new();
        recent(&disk, folder, most_bytes, |line| match line {
            HistoryLine::Record { number, .. } => numbers.push(number),
            other => panic!("{other:?}"),
        })
        .unwrap();
        numbers
    };
    let all = read(u64::MAX);
    let last = *all.last().unwrap();
    let some = read(3000);
    assert!(some.len() < all.len() && all.ends_with(&some), "{some:?}");
    // However large it is, the last one is read.
    let shortest = read(0);
    assert!(!shortest.is_empty() && some.ends_with(&shortest) && shortest.len() < some.len());
    assert_eq!(shortest.last(), Some(&last));
}
