use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;

use super::super::machine::MachineDisk;
use super::super::{Disk, DiskFile, FileSystem, Metadata};
use super::*;
use crate::clock::SimulatedClock;

const SEEDS: u64 = 400;

fn model() -> ModelDisk {
    let clock = SimulatedClock::at(DateTime::from_timestamp(1_400_000_000, 0).unwrap());
    ModelDisk::new(Arc::new(clock), 1).with_folder(Path::new("/d"))
}

fn at(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn read(disk: &ModelDisk, name: &str) -> Option<String> {
    let bytes = Disk::on(disk.clone()).read(&at(name)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// All that crashes make of what was done.
fn crashes<T: Ord>(act: impl Fn(&ModelDisk), look: impl Fn(&ModelDisk) -> T) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = model();
        act(&disk);
        let mut random = fastrand::Rng::with_seed(seed);
        if random.bool() {
            disk.write_back(&mut random);
        }
        disk.crash(&mut random);
        found.insert(look(&disk));
        // What has survived one crash survives the next.
        let after = look(&disk);
        disk.crash(&mut random);
        assert!(look(&disk) == after, "seed {seed}");
    }
    found
}

fn write(disk: &ModelDisk, name: &str, text: &str) -> Box<dyn DiskFile> {
    let mut file = disk.create_file(&at(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn durable(disk: &ModelDisk, name: &str, text: &str) {
    write(disk, name, text).sync().unwrap();
    disk.sync_folder(at(name).parent().unwrap()).unwrap();
}

#[test]
fn what_is_synced_with_its_folder_stays() {
    let found = crashes(|disk| durable(disk, "a", "text"), |disk| read(disk, "a"));
    assert_eq!(found, BTreeSet::from([Some("text".to_owned())]));
}

#[test]
fn a_file_that_is_synced_may_lose_its_name() {
    let found = crashes(
        |disk| write(disk, "a", "text").sync().unwrap(),
        |disk| read(disk, "a"),
    );
    assert_eq!(found, BTreeSet::from([None, Some("text".to_owned())]));
}

#[test]
fn writes_that_are_not_synced_may_be_lost_torn_or_nothing_but_length() {
    let found = crashes(
        |disk| {
            durable(disk, "a", "one ");
            let mut file = disk.append_file(&at("a")).unwrap();
            file.write_all(b"two ").unwrap();
            file.write_all(b"three").unwrap();
        },
        |disk| read(disk, "a").unwrap(),
    );
    assert!(found.iter().all(|text| text.starts_with("one ")));
    for expected in [
        "one ",
        "one two ",
        "one two three",
        "one \0\0\0\0three",
        "one two \0\0\0\0\0",
    ] {
        assert!(found.contains(expected), "{expected:?} of {found:?}");
    }
    let is_torn =
        |text: &String| "one two three".starts_with(text.as_str()) && !text.ends_with('e');
    assert!(
        found
            .iter()
            .any(|text| is_torn(text) && !text.ends_with(' ')),
        "{found:?}"
    );
    let has_garbage =
        |text: &String| text.len() == 13 && !text.contains('\0') && text != "one two three";
    assert!(found.iter().any(has_garbage), "{found:?}");
}

#[test]
fn a_file_that_is_cut_may_be_as_long_as_before() {
    let found = crashes(
        |disk| {
            durable(disk, "a", "longer");
            disk.append_file(&at("a")).unwrap().cut_back(4).unwrap();
        },
        |disk| read(disk, "a").unwrap(),
    );
    assert_eq!(
        found,
        BTreeSet::from(["long".to_owned(), "longer".to_owned()])
    );
}

#[test]
fn a_rename_is_there_or_not_until_both_folders_are_synced() {
    for synced in [&["x"][..], &["y"], &["x", "y"]] {
        let found = crashes(
            |disk| {
                for folder in ["x", "y"] {
                    disk.create_folder(&at(folder)).unwrap();
                }
                disk.sync_folder(Path::new("/d")).unwrap();
                durable(disk, "x/a", "new");
                durable(disk, "y/a", "old");
                disk.rename(&at("x/a"), &at("y/a")).unwrap();
                for folder in synced {
                    disk.sync_folder(&at(folder)).unwrap();
                }
            },
            |disk| (read(disk, "x/a"), read(disk, "y/a")),
        );
        let text = |text: &str| Some(text.to_owned());
        let mut expected = BTreeSet::from([(None, text("new"))]);
        if synced.len() < 2 {
            // What it replaced is back with it.
            expected.insert((text("new"), text("old")));
        }
        assert_eq!(found, expected, "synced {synced:?}");
    }
}

#[test]
fn what_was_removed_may_be_back() {
    let remove = |disk: &ModelDisk| {
        for name in ["a", "b"] {
            durable(disk, name, name);
        }
        for name in ["a", "b"] {
            disk.remove_file(&at(name)).unwrap();
        }
    };
    let found = crashes(remove, |disk| (read(disk, "a"), read(disk, "b")));
    // In any order.
    assert_eq!(found.len(), 4);
    let found = crashes(
        |disk| {
            remove(disk);
            disk.sync_folder(Path::new("/d")).unwrap();
        },
        |disk| (read(disk, "a"), read(disk, "b")),
    );
    assert_eq!(found, BTreeSet::from([(None, None)]));
}

#[test]
fn a_folder_that_is_removed_may_be_back_with_half_of_what_was_in_it() {
    let found = crashes(
        |disk| {
            disk.create_folder(&at("x")).unwrap();
            disk.sync_folder(Path::new("/d")).unwrap();
            durable(disk, "x/a", "a");
            durable(disk, "x/b", "b");
            disk.remove_folder(&at("x")).unwrap();
        },
        |disk| disk.names(&at("x")).ok(),
    );
    let half = vec!["a".to_owned()];
    assert!(found.contains(&None) && found.contains(&Some(half)));
}

#[test]
fn a_new_folder_is_lost_with_all_in_it_until_the_one_above_is_synced() {
    let act = |is_synced: bool| {
        move |disk: &ModelDisk| {
            disk.create_folder(&at("x")).unwrap();
            if is_synced {
                disk.sync_folder(Path::new("/d")).unwrap();
            }
            durable(disk, "x/a", "text");
        }
    };
    let text = Some("text".to_owned());
    let found = crashes(act(false), |disk| read(disk, "x/a"));
    assert_eq!(found, BTreeSet::from([None, text.clone()]));
    let found = crashes(act(true), |disk| read(disk, "x/a"));
    assert_eq!(found, BTreeSet::from([text]));
}

#[test]
fn a_second_name_is_one_of_its_own() {
    let found = crashes(
        |disk| {
            durable(disk, "a", "text");
            disk.link(&at("a"), &at("b")).unwrap();
            disk.remove_file(&at("a")).unwrap();
        },
        |disk| (read(disk, "a").is_some(), read(disk, "b").is_some()),
    );
    assert_eq!(found.len(), 4);
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let found = crashes(
        |disk| {
            write(disk, "a", "text");
            disk.kill();
            assert_eq!(read(disk, "a").unwrap(), "text");
        },
        |disk| read(disk, "a").is_some(),
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn what_a_sync_has_failed_over_is_never_durable() {
    let found = crashes(
        |disk| {
            durable(disk, "a", "one ");
            let mut file = disk.append_file(&at("a")).unwrap();
            file.write_all(b"two").unwrap();
            disk.refuse(0, code::IO);
            assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(code::IO));
            file.sync().unwrap();
            assert_eq!(read(disk, "a").unwrap(), "one two");
        },
        |disk| read(disk, "a").unwrap(),
    );
    assert!(
        found.contains("one ") && found.contains("one two"),
        "{found:?}"
    );
}

#[test]
fn files_that_were_open_are_dead_after_a_start() {
    for is_killed in [true, false] {
        let disk = model();
        durable(&disk, "a", "text");
        let mut file = disk.append_file(&at("a")).unwrap();
        let mut reader = disk.open_file(&at("a")).unwrap();
        if is_killed {
            disk.kill();
        } else {
            disk.crash(&mut fastrand::Rng::with_seed(1));
        }
        file.write_all(b"more").unwrap_err();
        file.sync().unwrap_err();
        file.cut_back(0).unwrap_err();
        reader.read(&mut [0]).unwrap_err();
        assert_eq!(read(&disk, "a").unwrap(), "text");
    }
}

#[test]
fn a_machine_that_stops_does_nothing_more_until_it_starts() {
    let mut unheard = 0;
    for seed in 0..20 {
        let disk = model();
        disk.lock().random.seed(seed);
        let mut file = write(&disk, "a", "text");
        disk.stop(1);
        disk.create_folder(&at("x")).unwrap();
        disk.create_folder(&at("y")).unwrap_err();
        assert!(disk.is_stopped());
        file.write_all(b"more").unwrap_err();
        disk.metadata(&at("a")).unwrap_err();
        disk.free_bytes(&at("a")).unwrap_err();
        disk.kill();
        assert_eq!(read(&disk, "a").unwrap(), "text");
        unheard += usize::from(disk.metadata(&at("y")).is_ok());
    }
    assert!((1..20).contains(&unheard), "{unheard}");
}

#[test]
fn a_disk_has_room_for_so_much() {
    let disk = model();
    disk.set_capacity(Some(10));
    let mut file = write(&disk, "a", "1234567");
    assert_eq!(disk.free_bytes(&at("a")).unwrap(), 3);
    let full = file.write_all(b"89abc").unwrap_err();
    assert_eq!(full.raw_os_error(), Some(code::NOSPC));
    // What fitted is there.
    assert_eq!(read(&disk, "a").unwrap(), "123456789a");
    let full = disk.create_file(&at("b")).err().unwrap();
    assert_eq!(full.raw_os_error(), Some(code::NOSPC));
    file.cut_back(0).unwrap();
    file.write_all(b"again").unwrap();
    disk.remove_file(&at("a")).unwrap();
    assert_eq!(disk.free_bytes(&at("")).unwrap(), 10);
}

#[test]
fn the_syncs_of_one_place_can_be_left_out() {
    let found = |ignored: Option<Site>| {
        let sites = std::cell::RefCell::new(BTreeSet::new());
        let found = crashes(
            |disk| {
                disk.leave_out(ignored);
                let disk_of_code = Disk::on(disk.clone());
                disk_of_code.write_file(&at("a"), b"text").unwrap();
                disk_of_code.sync_folder(Path::new("/d")).unwrap();
                sites.borrow_mut().extend(disk.sites());
            },
            |disk| read(disk, "a"),
        );
        (found, sites.into_inner())
    };
    let text = Some("text".to_owned());
    let (whole, sites) = found(None);
    assert_eq!(whole, BTreeSet::from([text]));
    assert_eq!(sites.len(), 2);
    for site in sites {
        let (lost, _) = found(Some(site));
        assert!(lost.len() > 1, "{site}");
    }
}

/// What somebody does to a file system, and what comes of it.
struct Twin {
    disk: Box<dyn FileSystem>,
    root: PathBuf,
    open: Vec<Option<Box<dyn DiskFile>>>,
}

impl Twin {
    fn act(&mut self, random: &mut fastrand::Rng) -> String {
        const NAMES: [&str; 9] = ["a", "b", "c", "x", "x/a", "x/b", "x/y", "x/y/a", "a/b"];
        let mut path = || self.root.join(NAMES[random.usize(..NAMES.len())]);
        let (one, other) = (path(), path());
        let disk = &self.disk;
        let of = |path: &Path| path.strip_prefix(&self.root).unwrap().to_owned();
        let (number, bytes, kind) = (random.usize(..4), random.u8(..), random.u8(..17));
        let file = match kind {
            14.. => self.open[number].as_mut(),
            _ => None,
        };
        let outcome = match kind {
            0 => told(disk.create_folder(&one)),
            1 => {
                let made = disk.create_file(&one);
                told(made.map(|made| self.open[number] = Some(made)))
            }
            2 => {
                let opened = disk.append_file(&one);
                told(opened.map(|opened| self.open[number] = Some(opened)))
            }
            3 => {
                let mut text = Vec::new();
                let read = disk.open_file(&one);
                let read = read.and_then(|mut file| file.read_to_end(&mut text));
                told(read.map(|_| text))
            }
            4 => {
                let bytes = |found: &Metadata| (!found.is_folder).then_some(found.bytes);
                told(
                    disk.metadata(&one)
                        .map(|found| (found.is_folder, bytes(&found))),
                )
            }
            5 => told(disk.names(&one).map(|mut names| {
                names.sort_unstable();
                names
            })),
            6 => told(disk.link(&one, &other)),
            7..=9 => told(disk.rename(&one, &other)),
            10 => told(disk.remove_file(&one)),
            11 => told(disk.remove_folder(&one)),
            12 => told(disk.sync_folder(&one)),
            13 => told(disk.scratch_file(&one).map(drop)),
            14 => told(file.map(|file| file.write_all(&[bytes; 5])).transpose()),
            15 => told(file.map(|file| file.length()).transpose()),
            _ => {
                let cut = file.map(|file| {
                    let length = file.length()?.min(u64::from(bytes % 8));
                    file.cut_back(length).and_then(|()| file.sync())
                });
                told(cut.transpose())
            }
        };
        format!("{kind} {:?} {:?}: {outcome}", of(&one), of(&other))
    }

    /// All that is there.
    fn content(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for name in self.disk.names(&folder).unwrap() {
                let path = folder.join(name);
                let mut bytes = None;
                if self.disk.metadata(&path).unwrap().is_folder {
                    folders.push(path.clone());
                } else {
                    let text: &mut Vec<u8> = bytes.insert(Vec::new());
                    let mut file = self.disk.open_file(&path).unwrap();
                    file.read_to_end(text).unwrap();
                }
                found.insert(path.strip_prefix(&self.root).unwrap().to_owned(), bytes);
            }
        }
        found
    }
}

fn told<T: fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error {:?}", error.raw_os_error()),
    }
}

#[test]
fn without_a_crash_it_does_what_this_machine_does() {
    for seed in 0..60 {
        // In memory where there is such a thing: nothing here looks at what is durable.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let twin = |disk: Box<dyn FileSystem>, root: &Path| Twin {
            disk,
            root: root.to_owned(),
            open: (0..4).map(|_| None).collect(),
        };
        let mut machine = twin(Box::new(MachineDisk), folder.path());
        let mut model = twin(Box::new(model()), Path::new("/d"));
        let mut random = fastrand::Rng::with_seed(seed);
        for step in 0..300 {
            let mut same = random.clone();
            let expected = machine.act(&mut random);
            let found = model.act(&mut same);
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
        assert_eq!(model.content(), machine.content(), "seed {seed}");
    }
}

#[test]
fn a_file_is_as_old_as_its_last_write() {
    let clock = Arc::new(SimulatedClock::at(
        DateTime::from_timestamp(1_400_000_000, 0).unwrap(),
    ));
    let disk = ModelDisk::new(Arc::clone(&clock) as _, 1).with_folder(Path::new("/d"));
    let mut file = write(&disk, "a", "text");
    let before = disk.metadata(&at("a")).unwrap().modified;
    clock.advance(Duration::from_secs(9));
    assert_eq!(disk.metadata(&at("a")).unwrap().modified, before);
    file.write_all(b"more").unwrap();
    let after = disk.metadata(&at("a")).unwrap().modified;
    assert_eq!(
        after.duration_since(before).unwrap(),
        Duration::from_secs(9)
    );
}
