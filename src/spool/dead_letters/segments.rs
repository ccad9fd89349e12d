//! Reads the segments of the dead letters.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;

use crate::disk::{self, Disk};
use crate::spool::letter::{About, LetterHead, Line, key};

/// What a segment is called.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".jsonl")?.parse().ok()
}

/// The numbers of the segments, in order.
pub(super) fn segments(disk: &Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = disk.names(folder)?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment_number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes durable what lies in them.
pub(super) fn sync(disk: &Disk, folder: &Path) -> io::Result<()> {
    for number in segments(disk, folder)? {
        let mut segment = disk.append_file(&folder.join(segment_name(number)))?;
        disk::sync(&mut *segment)?;
    }
    disk.sync_folder(folder)
}

/// Bytes of all files, whoever put them there.
pub(super) fn bytes_on_disk(disk: &Disk, folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for name in disk.names(folder)? {
        bytes += disk.metadata(&folder.join(name))?.bytes;
    }
    Ok(bytes)
}

/// Gives every whole line of every segment, none for one that is damaged. What does not end with a
/// line break was never whole.
pub(super) fn each_line(
    disk: &Disk,
    folder: &Path,
    mut visit: impl FnMut(u64, Option<Line<'_>>),
) -> io::Result<()> {
    for number in segments(disk, folder)? {
        let text = match disk.read(&folder.join(segment_name(number))) {
            Ok(text) => text,
            // All of its letters have been dealt with meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
            visit(number, std::str::from_utf8(line).ok().and_then(Line::parse));
        }
    }
    Ok(())
}

/// The letters that are gone, though their lines are still there.
pub(super) fn removed(disk: &Disk, folder: &Path) -> io::Result<HashSet<u128>> {
    let mut removed = HashSet::new();
    each_line(disk, folder, |_, line| {
        if let Some(Line::Removed(id)) = line {
            removed.insert(id);
        }
    })?;
    Ok(removed)
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
    pub(super) fn take(disk: &Disk, folder: &Path) -> io::Result<Self> {
        let removed = removed(disk, folder)?;
        let mut inventory = Self::default();
        for number in segments(disk, folder)? {
            inventory.segments.insert(number, Segment::default());
            inventory.last = number;
        }
        let mut blocks = Vec::new();
        each_line(disk, folder, |number, line| {
            let segment = inventory.segments.entry(number).or_default();
            match line {
                Some(Line::Letter(head, _)) => {
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
                Some(Line::Removed(id)) => segment.removes.push(id),
                None => segment.damaged += 1,
            }
        })?;
        for file in blocks {
            inventory.bytes += block_bytes(disk, folder, &file)?;
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

    /// Whether no letter names the block. Where a line cannot be read, it may be the one that does.
    pub(super) fn is_orphan(&self, file: &str) -> bool {
        self.damaged() == 0 && !self.living_blocks.contains(file)
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
