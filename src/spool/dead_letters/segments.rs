//! Reads the segments of the dead letters.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Disk};
use crate::spool::letter::{About, LetterHead, Line, key};

/// What a segment ends with that is being written anew.
const UNFINISHED: &str = ".new";

/// Where the segments lie, and how long one can be.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    pub(super) disk: Disk,
    pub(super) folder: PathBuf,
    /// Of a longer one nothing is read: it was not written here.
    pub(super) max_bytes: u64,
    /// They are not looked at.
    pub(super) passed_over: BTreeSet<u64>,
}

/// What stands in a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A whole line.
    Line(Line<'a>),
    /// A line that cannot be read, by its number from 1.
    Damaged(u64, &'a [u8]),
    /// Nothing can be read of it, for this reason.
    Nothing(String),
}

/// What a segment is called.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".jsonl")?.parse().ok()
}

impl Segments {
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(segment_name(number))
    }

    /// Their numbers, in order.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.names(&self.folder)?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| segment_number(name))
            .filter(|number| !self.passed_over.contains(number))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes durable what lies in them, and removes what a stop has left of one that was to be
    /// written anew.
    pub(super) fn sync(&self) -> io::Result<()> {
        for name in self.disk.names(&self.folder)? {
            if name.ends_with(UNFINISHED) {
                self.disk.remove_file_if_there(&self.folder.join(name))?;
            }
        }
        for number in self.numbers()? {
            let mut segment = self.disk.append_file(&self.path(number))?;
            disk::sync(&mut *segment)?;
        }
        self.disk.sync_folder(&self.folder)
    }

    /// Bytes of all files, whoever put them there.
    pub(super) fn bytes_on_disk(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for name in self.disk.names(&self.folder)? {
            bytes += self.disk.metadata(&self.folder.join(name))?.bytes;
        }
        Ok(bytes)
    }

    /// Gives every whole line of every segment, and what is damaged. What does not end with a line
    /// break was never whole.
    pub(super) fn each_line(&self, mut visit: impl FnMut(u64, Found<'_>)) -> io::Result<()> {
        for number in self.numbers()? {
            match self.read(number) {
                Ok(text) => each_line_of(&text, |found| visit(number, found)),
                // All of its letters have been dealt with meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if disk::is_too_large(&error) => {
                    visit(number, Found::Nothing(error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.disk.read_at_most(&self.path(number), self.max_bytes)
    }

    /// The segments that the disk cannot read, and what it says.
    pub(super) fn unreadable(&self) -> io::Result<BTreeMap<u64, String>> {
        let mut unreadable = BTreeMap::new();
        for number in self.numbers()? {
            match self.read(number) {
                Err(error) if disk::is_unreadable(&error) => {
                    unreadable.insert(number, error.to_string());
                }
                _ => {}
            }
        }
        Ok(unreadable)
    }

    /// Puts other lines in the place of a segment's, durably: a stop leaves the one or the other.
    pub(super) fn write_anew(&self, number: u64, lines: &[u8]) -> io::Result<()> {
        let path = self.path(number);
        let new = self.folder.join(segment_name(number) + UNFINISHED);
        self.disk.remove_file_if_there(&new)?;
        self.disk.write_file(&new, lines)?;
        self.disk.rename(&new, &path)
    }

    /// The letters that are gone, though their lines are still there.
    pub(super) fn removed(&self) -> io::Result<HashSet<u128>> {
        let mut removed = HashSet::new();
        self.each_line(|_, found| {
            if let Found::Line(Line::Removed(id)) = found {
                removed.insert(id);
            }
        })?;
        Ok(removed)
    }
}

/// Gives every line of a segment that ends.
pub(super) fn each_line_of(text: &[u8], mut visit: impl FnMut(Found<'_>)) {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.filter_map(|line| line.strip_suffix(b"\n"));
    for (line, number) in lines.zip(1..) {
        let whole = std::str::from_utf8(line).ok().and_then(Line::parse);
        visit(whole.map_or(Found::Damaged(number, line), Found::Line));
    }
}

/// What lies in the folder, to count it and to see what can go.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Letters that are there.
    pub(super) count: u64,
    /// Their bytes, blocks included.
    pub(super) bytes: u64,
    /// The highest number of a segment.
    pub(super) last: u64,
    /// The highest number of a batch that a line names, also of a letter that is gone.
    pub(super) last_batch: u64,
    segments: BTreeMap<u64, Segment>,
    /// The segment of every line, also of letters that are gone.
    places: HashMap<u128, u64>,
    /// Blocks of letters that are gone.
    dead_blocks: HashSet<String>,
    living_blocks: HashSet<String>,
}

#[derive(Debug, Default)]
struct Segment {
    living: u64,
    damaged: u64,
    /// The letters that its tombstones name.
    removes: Vec<u128>,
}

impl Inventory {
    pub(super) fn take(segments: &Segments) -> io::Result<Self> {
        let removed = segments.removed()?;
        let mut inventory = Self::default();
        for number in segments.numbers()? {
            inventory.segments.insert(number, Segment::default());
            inventory.last = number;
        }
        let mut blocks = Vec::new();
        segments.each_line(|number, found| {
            let segment = inventory.segments.entry(number).or_default();
            match found {
                Found::Line(Line::Letter(head, _)) => {
                    let Some(id) = key(&head.id) else { return };
                    inventory.places.insert(id, number);
                    if let About::Event { seq, .. } = head.about {
                        inventory.last_batch = inventory.last_batch.max(seq);
                    }
                    if removed.contains(&id) {
                        inventory.dead_blocks.extend(head.file().map(str::to_owned));
                        return;
                    }
                    segment.living += 1;
                    inventory.count += 1;
                    inventory.bytes += head.bytes;
                    blocks.extend(head.file().map(str::to_owned));
                }
                Found::Line(Line::Removed(id)) => segment.removes.push(id),
                Found::Damaged(..) | Found::Nothing(_) => segment.damaged += 1,
            }
        })?;
        for file in blocks {
            inventory.bytes += block_bytes(&segments.disk, &segments.folder, &file)?;
            inventory.living_blocks.insert(file);
        }
        Ok(inventory)
    }

    /// Lines that cannot be read.
    pub(super) fn damaged(&self) -> u64 {
        self.segments.values().map(|segment| segment.damaged).sum()
    }

    /// Blocks whose letters are gone.
    pub(super) fn dead_blocks(&self) -> impl Iterator<Item = &str> {
        self.dead_blocks.iter().map(String::as_str)
    }

    /// Whether no letter that can be read names the block, not even one that is gone.
    pub(super) fn is_nameless(&self, file: &str) -> bool {
        is_block(file) && !self.living_blocks.contains(file) && !self.dead_blocks.contains(file)
    }

    /// Whether no letter needs the block. Where a line cannot be read, it may be the one that does.
    pub(super) fn is_orphan(&self, file: &str) -> bool {
        is_block(file) && self.damaged() == 0 && !self.living_blocks.contains(file)
    }

    /// Takes out a segment that nobody needs any more: all of its letters are gone, and so are
    /// those that its tombstones name, with their segments. One that cannot be read stays for a
    /// person.
    pub(super) fn take_unneeded(&mut self) -> Option<u64> {
        let is_unneeded = |(number, segment): (&u64, &Segment)| {
            let is_needed = |id: &u128| self.places.get(id).is_some_and(|place| place != number);
            let is_free = segment.living == 0
                && segment.damaged == 0
                && !segment.removes.iter().any(is_needed);
            is_free.then_some(*number)
        };
        let number = self.segments.iter().find_map(is_unneeded)?;
        self.segments.remove(&number);
        self.places.retain(|_, place| *place != number);
        Some(number)
    }
}

fn is_block(file: &str) -> bool {
    file.starts_with("block-")
}

/// Bytes of a block; none if a person has taken it away.
pub(super) fn block_size(disk: &Disk, folder: &Path, file: &str) -> io::Result<Option<u64>> {
    let found = disk.metadata_if_there(&folder.join(file))?;
    Ok(found.map(|found| found.bytes))
}

fn block_bytes(disk: &Disk, folder: &Path, file: &str) -> io::Result<u64> {
    block_size(disk, folder, file).map(Option::unwrap_or_default)
}

/// Adds to a letter's bytes those of its block.
pub(super) fn with_block_bytes(
    disk: &Disk,
    folder: &Path,
    mut head: LetterHead,
) -> io::Result<LetterHead> {
    if let Some(file) = head.file() {
        head.bytes += block_bytes(disk, folder, file)?;
    }
    Ok(head)
}
