//! The real store, damaged in hundreds of ways: it opens or is made anew, and the state is as the
//! ledger says.

use super::*;
use crate::world::logs::Line;

/// Trials in a row; the long run is asked for by the environment.
const TRIALS: u32 = 300;
const TRIALS_VARIABLE: &str = "STORE_TRIALS";
/// Batches that are owed.
const BATCHES: u64 = 30;
/// Lines that an output has done with in each.
const LOW: u64 = 7;

fn open(folder: &Path) -> State {
    State::open(&Storage::machine(), folder, at(9999)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn work(seq: u64, lines: u64) -> WorkChanges {
    let mut work = delivered(lines);
    work.progress[0].0 = seq;
    work
}

/// State folders as they are while an agent runs, after it has stopped, and after many stops.
struct Samples {
    folder: tempfile::TempDir,
    before: Picture,
}

const SAMPLES: [&str; 3] = ["running", "stopped", "stopped-often"];

impl Samples {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let place = |name: &str| folder.path().join(name);
        let at_work = place("at-work");
        let state = open(&at_work);
        for seq in 1..=BATCHES {
            state.append(at(1), &polled(seq)).unwrap();
            for lines in 1..=LOW {
                state.keep_work("o", &work(seq, lines)).unwrap();
            }
        }
        let before = state.look(Picture::clone);
        copy(&at_work, &place(SAMPLES[0]));
        drop(state);
        copy(&at_work, &place(SAMPLES[1]));
        for _ in 0..5 {
            let state = open(&at_work);
            for seq in 1..=BATCHES {
                state.keep_work("o", &work(seq, LOW)).unwrap();
            }
        }
        copy(&at_work, &place(SAMPLES[2]));
        Self { folder, before }
    }

    /// Damages the store of a copy of a sample, and sees what becomes of it; gives what was said.
    #[track_caller]
    fn try_with(&self, sample: &str, why: &str, damage: impl FnOnce(&Path)) -> Vec<Line> {
        let folder = self.folder.path().join("trial");
        let _ = fs::remove_dir_all(&folder);
        copy(&self.folder.path().join(sample), &folder);
        damage(&folder.join("state.sled"));
        let logs = Logs::capture();
        let state = open(&folder);
        assert_told(&state, &self.before, why);
        for seq in 1..=BATCHES {
            let low = state.progress("o", seq).cursor.low();
            assert!(low <= LOW, "{why}: {low} of batch {seq}");
        }
        // It goes on, and what it keeps stays.
        state.append(at(2), &polled(BATCHES + 1)).unwrap();
        state.keep_work("o", &work(BATCHES + 1, 5)).unwrap();
        let now = state.look(Picture::clone);
        drop(state);
        let said = logs.take_alarms();
        assert!(said.len() <= 1, "{why}: {said:#?}");
        let state = open(&folder);
        assert_told(&state, &now, why);
        let low = state.progress("o", BATCHES + 1).cursor.low();
        assert_eq!(low, 5, "{why}");
        assert_eq!(logs.take_alarms(), [], "{why}: it is said once");
        said
    }
}

fn trials() -> u32 {
    let trials = std::env::var(TRIALS_VARIABLE).ok();
    trials.map_or(TRIALS, |trials| trials.parse().unwrap())
}

/// A byte, sooner one that is not one of many zeros.
fn place(random: &mut fastrand::Rng, text: &[u8]) -> usize {
    let mut place = random.usize(..text.len());
    for _ in 0..20 {
        if text[place] != 0 {
            break;
        }
        place = random.usize(..text.len());
    }
    place
}

#[test]
fn a_damaged_store_is_noticed_or_harmless_and_never_stops_the_state() {
    let samples = Samples::new();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut noticed = 0;
    for trial in 0..trials() {
        let sample = SAMPLES[random.usize(..SAMPLES.len())];
        let why = format!("trial {trial} of seed {seed}, {sample}");
        let said = samples.try_with(sample, &why, |store| {
            let files = files(store);
            let path = &files[random.usize(..files.len())];
            let mut text = fs::read(path).unwrap();
            if text.is_empty() {
                return;
            }
            let from = place(&mut random, &text);
            match random.u8(..6) {
                0 => text.truncate(from),
                1 => {
                    let to = (from + random.usize(1..5000)).min(text.len());
                    text[from..to].fill(0);
                }
                _ => text[from] ^= 1 << random.u8(..8),
            }
            fs::write(path, text).unwrap();
        });
        noticed += u32::from(!said.is_empty());
    }
    // A flipped bit that nobody reads is none; most are read.
    assert!(noticed > trials() / 3, "{noticed} of seed {seed}");
}

#[test]
fn files_of_the_store_that_are_gone_old_or_foreign_never_stop_the_state() {
    let samples = Samples::new();
    for sample in SAMPLES {
        let store = samples.folder.path().join(sample).join("state.sled");
        for path in files(&store) {
            let name = path.strip_prefix(&store).unwrap().to_owned();
            let why = |what| format!("{what} {} of {sample}", name.display());
            samples.try_with(sample, &why("no"), |store| {
                fs::remove_file(store.join(&name)).unwrap();
            });
            for content in [&b""[..], b"foreign", &vec![0xff; 70_000]] {
                samples.try_with(sample, &why("a foreign"), |store| {
                    fs::write(store.join(&name), content).unwrap();
                });
            }
            samples.try_with(sample, &why("a folder instead of"), |store| {
                fs::remove_file(store.join(&name)).unwrap();
                fs::create_dir(store.join(&name)).unwrap();
            });
            for other in SAMPLES {
                let other = samples.folder.path().join(other).join("state.sled");
                samples.try_with(sample, &why("another's"), |store| {
                    // Not all have all files.
                    let _ = fs::copy(other.join(&name), store.join(&name));
                });
            }
        }
        let said = samples.try_with(sample, "no store", |store| {
            fs::remove_dir_all(store).unwrap();
        });
        assert_eq!(said.len(), 1, "{said:?}");
        samples.try_with(sample, "a file instead of the store", |store| {
            fs::remove_dir_all(store).unwrap();
            fs::write(store, "foreign").unwrap();
        });
        samples.try_with(sample, "strange files", |store| {
            for name in [
                "snap.0000000000000001",
                "snap.x",
                "snap.00000000000000ff",
                "db2",
            ] {
                fs::write(store.join(name), "foreign").unwrap();
            }
            fs::create_dir_all(store.join("blobs")).unwrap();
            fs::write(store.join("blobs/x"), "foreign").unwrap();
        });
    }
}

#[test]
fn a_store_that_another_has_open_is_left_to_it() {
    let samples = Samples::new();
    let mut held = None;
    let said = samples.try_with("stopped", "held", |store| {
        held = Some(SledTables.open(store).unwrap());
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].text.contains("another process has it open"),
        "{said:?}"
    );
}
