//! Dead letters: what no retry can deliver, with the reason, for a person to look at.
//!
//! JSON lines in segments. An event stands in its line; a content block that could not be read
//! lies beside the segment in a file of its own. A letter that a person has dealt with gets a
//! tombstone, a line that names it; a segment goes when nobody needs any of its lines.

mod mending;
mod segments;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::letter::{
    self, BlockLetter, Content, EventLetter, LetterHead, Line, NewLetter, Tombstone, key,
};
use super::staging::StagedLetter;
use crate::crash::{self, Point};
use crate::disk::{self, Disk, DiskFile};
use crate::state::Removal;
pub use mending::{DamagedLine, DamagedSegment, SetAside};
use segments::{Found, Inventory, Segments};

/// A segment is closed when it has grown to this: it stays as long as one of its letters.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Segments that are looked at for the newest letters.
const NEWEST_SEGMENTS: usize = 4;
/// What a segment may hold above all letters that are allowed: tombstones, and what a lower limit
/// found.
const SPARE_BYTES: u64 = 64 << 20;

/// What a person does about dead letters that have no more room.
pub const MEND_LETTERS: &str = "look at them with `cta-forwarder dead-letters list`, then retry or \
                                drop what is not needed, or raise state.max_dead_letter_bytes";

/// All dead letters of a state folder.
#[derive(Debug)]
pub struct DeadLetters {
    segments: Segments,
    max_bytes: u64,
    segment_bytes: u64,
    inner: Mutex<Inner>,
    deciding: Mutex<()>,
    /// Held from the linking of blocks until their letters are written.
    linking: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bytes of the letters that are there.
    bytes: u64,
    count: u64,
    /// The segment that is written, once there is one. It is opened for each letter: a person may
    /// have removed it.
    segment: Option<u64>,
    /// The highest number that there is.
    last: u64,
    /// The highest number of a batch that a letter was found to name.
    last_batch: u64,
    /// Lines that cannot be read.
    damaged: u64,
    /// Segments that were set aside since the start.
    quarantined: u64,
    /// Letters may be missing that were set aside, and the ledger was not told yet.
    is_marked: bool,
    /// Bytes on disk when it was last found to be full.
    full_at: Option<u64>,
    /// A segment that ends with what was not kept, and the length that it should have.
    too_long: Option<TooLong>,
    /// What was not kept the last time may be there again after a crash.
    may_come_back: bool,
}

/// A content block that has its second name and no letter yet.
struct LinkedBlock {
    letter: BlockLetter,
    file: String,
    size: u64,
}

/// A dead letter cannot be kept or removed; the output or the poll waits.
#[derive(Debug, thiserror::Error)]
pub enum KeepLetterError {
    /// There are too many.
    #[error(
        "the dead letters take {bytes} bytes, {limit} are allowed (state.max_dead_letter_bytes): \
         look at them with `cta-forwarder dead-letters list`, then retry or drop what is not \
         needed, or raise the limit"
    )]
    Full {
        /// What they take.
        bytes: u64,
        /// What they may take.
        limit: u64,
    },
    /// The disk fails.
    #[error("a dead letter cannot be written to {folder:?}: {source}; free space or mend the disk")]
    Io {
        /// Where to.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A segment that ends with lines which were not kept.
#[derive(Debug)]
struct TooLong {
    path: PathBuf,
    /// What it is to be cut back to.
    length: u64,
    /// No sync of it has failed.
    can_be_synced: bool,
}

impl DeadLetters {
    /// Opens the dead letters in `folder`, which is made if it is not there. What a stop has left of
    /// letters that are gone, or never were, is cleared away. What the disk cannot read goes to
    /// `quarantine`, if it has been waited for long enough.
    pub(super) fn open(
        disk: &Disk,
        folder: PathBuf,
        quarantine: &Path,
        max_bytes: u64,
    ) -> io::Result<Self> {
        Self::open_with(disk, folder, quarantine, max_bytes, SEGMENT_BYTES)
    }

    fn open_with(
        disk: &Disk,
        folder: PathBuf,
        quarantine: &Path,
        max_bytes: u64,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        disk.create_folders(&folder)?;
        let letters = Self {
            segments: Segments {
                disk: disk.clone(),
                folder,
                max_bytes: max_bytes.saturating_add(SPARE_BYTES),
                passed_over: BTreeSet::new(),
            },
            max_bytes,
            segment_bytes,
            inner: Mutex::default(),
            deciding: Mutex::default(),
            linking: Mutex::default(),
        };
        let mut inner = letters.lock();
        letters.look_for_mark(&mut inner)?;
        if disk.gives_up_unreadable() {
            for set_aside in letters.set_aside_unreadable(&mut inner, quarantine)? {
                set_aside.tell();
            }
        }
        // What a process wrote that was killed may not be durable yet, and is acted on now.
        letters.segments.sync()?;
        let found = Inventory::take(&letters.segments)?;
        letters.remove_orphans(&found)?;
        letters.count_and_clear(&mut inner, found);
        drop(inner);
        Ok(letters)
    }

    /// Sets an event aside, durably. Blocks while the disk works.
    pub fn keep_event(
        &self,
        at: DateTime<Utc>,
        service: &str,
        collection: &str,
        letter: EventLetter,
    ) -> Result<(), KeepLetterError> {
        self.keep(at, service, collection, vec![Content::Event(letter)], 0)
    }

    /// Sets the content blocks of a staged batch aside, durably.
    pub(super) fn keep_blocks(
        &self,
        at: DateTime<Utc>,
        service: &str,
        collection: &str,
        staging: &Path,
        letters: &[StagedLetter],
    ) -> Result<(), KeepLetterError> {
        let _linking = self.linking();
        let mut blocks = Vec::new();
        let kept = self
            .link_blocks(staging, letters, &mut blocks)
            // Before any letter names them.
            .and_then(|()| {
                if blocks.is_empty() {
                    return Ok(());
                }
                self.segments.disk.sync_folder(&self.segments.folder)
            })
            .map_err(|source| self.io_error(source))
            .and_then(|()| {
                let content = |block: &LinkedBlock| Content::Block {
                    letter: block.letter.clone(),
                    file: block.file.clone(),
                    size: block.size,
                };
                let contents = blocks.iter().map(content).collect();
                let bytes = blocks.iter().map(|block| block.size).sum();
                self.keep(at, service, collection, contents, bytes)
            });
        // Where the letters may lie there after all, now or after a crash, so must their blocks: what
        // no letter names goes at the next start.
        if kept.is_err() && !self.lock().may_come_back {
            for block in blocks {
                // No letter names it, and the next try links it anew.
                let _ = self
                    .segments
                    .disk
                    .remove_file(&self.segments.folder.join(block.file));
            }
        }
        kept
    }

    /// Gives the blocks a second name here.
    fn link_blocks(
        &self,
        staging: &Path,
        letters: &[StagedLetter],
        blocks: &mut Vec<LinkedBlock>,
    ) -> io::Result<()> {
        for StagedLetter { file, letter } in letters {
            let name = format!("block-{}.xml", uuid::Uuid::new_v4());
            let staged = staging.join(file);
            let size = self.segments.disk.metadata(&staged)?.bytes;
            // Linked, not moved: a commit that fails later leaves the staging folder as it was.
            self.segments
                .disk
                .link(&staged, &self.segments.folder.join(&name))?;
            crash::point(Point::BlockLinked);
            blocks.push(LinkedBlock {
                letter: letter.clone(),
                file: name,
                size,
            });
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// How many damaged segments were moved to `quarantine/` since the start.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.lock().quarantined
    }

    /// The highest number of a batch that the letters named which the start found.
    pub(super) fn last_batch(&self) -> u64 {
        self.lock().last_batch
    }

    /// One person decides about letters at a time.
    pub fn decide(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives each letter, with its event if it is one; tells how many lines cannot be read.
    pub fn each(&self, give: impl FnMut(LetterHead, Option<&str>)) -> io::Result<u64> {
        self.cut_back(&mut self.lock());
        self.read(give)
    }

    fn read(&self, mut give: impl FnMut(LetterHead, Option<&str>)) -> io::Result<u64> {
        let removed = self.segments.removed()?;
        let mut damaged = 0;
        let mut failed = Ok(());
        self.segments.each_line(|_, found| match found {
            Found::Line(Line::Letter(head, event)) => {
                if key(&head.id).is_some_and(|id| removed.contains(&id)) {
                    return;
                }
                match segments::with_block_bytes(&self.segments.disk, &self.segments.folder, *head)
                {
                    Ok(head) => give(head, event.map(serde_json::value::RawValue::get)),
                    Err(error) => failed = Err(error),
                }
            }
            Found::Line(Line::Removed(_)) => {}
            Found::Damaged(..) | Found::Nothing(_) => damaged += 1,
        })?;
        failed.map(|()| damaged)
    }

    /// The newest ones, newest first, as far as they lie in the last segments: at most some megabytes
    /// are read, whatever there is.
    pub fn newest(&self, most: usize) -> io::Result<Vec<LetterHead>> {
        self.cut_back(&mut self.lock());
        let mut removed = HashSet::new();
        let mut newest = Vec::new();
        for number in self
            .segments
            .numbers()?
            .into_iter()
            .rev()
            .take(NEWEST_SEGMENTS)
        {
            let text = match self.segments.read(number) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text?,
            };
            let mut of_segment = Vec::new();
            segments::each_line_of(&text, |found| match found {
                Found::Line(Line::Letter(head, _)) => of_segment.push(*head),
                Found::Line(Line::Removed(id)) => {
                    removed.insert(id);
                }
                Found::Damaged(..) | Found::Nothing(_) => {}
            });
            // A tombstone never lies before its letter.
            let is_there =
                |head: &LetterHead| key(&head.id).is_some_and(|id| !removed.contains(&id));
            newest.extend(of_segment.into_iter().rev().filter(is_there));
            if newest.len() >= most {
                break;
            }
        }
        newest.truncate(most);
        Ok(newest)
    }

    /// The raw text of a content block.
    pub fn block(&self, file: &str) -> io::Result<Box<dyn Read + Send>> {
        self.segments
            .disk
            .open_file(&self.segments.folder.join(file))
    }

    /// Bytes of a content block; none if it is not there.
    pub fn block_size(&self, file: &str) -> io::Result<Option<u64>> {
        segments::block_size(&self.segments.disk, &self.segments.folder, file)
    }

    /// Removes letters, durably; those that are not there are passed over. Blocks while the disk
    /// works.
    pub fn remove(
        &self,
        at: DateTime<Utc>,
        letters: &BTreeMap<String, Removal>,
    ) -> Result<(), KeepLetterError> {
        let mut inner = self.lock();
        let mut lines = Vec::new();
        let mut found = HashSet::new();
        self.read(|head, _| {
            found.insert(head.id);
        })
        .map_err(|source| self.io_error(source))?;
        for (id, why) in letters {
            if found.contains(id) {
                self.write_line(&mut lines, &Tombstone::new(id, at, *why))?;
            }
        }
        if !lines.is_empty() {
            self.append(&mut inner, &lines)
                .map_err(|source| self.io_error(source))?;
            crash::point(Point::TombstonesWritten);
        }
        match Inventory::take(&self.segments) {
            Ok(found) => self.count_and_clear(&mut inner, found),
            Err(error) => tracing::warn!(%error, "the dead letters cannot be counted again"),
        }
        Ok(())
    }

    fn keep(
        &self,
        at: DateTime<Utc>,
        service: &str,
        collection: &str,
        contents: Vec<Content>,
        block_bytes: u64,
    ) -> Result<(), KeepLetterError> {
        if contents.is_empty() {
            return Ok(());
        }
        let count = contents.len() as u64;
        let mut lines = Vec::new();
        for content in contents {
            let letter = NewLetter {
                id: uuid::Uuid::new_v4().to_string(),
                at,
                service,
                collection,
                content,
            };
            self.write_line(&mut lines, &letter)?;
        }
        let mut inner = self.lock();
        let new_bytes = block_bytes + lines.len() as u64;
        if inner.bytes + new_bytes > self.max_bytes {
            self.measure_again(&mut inner)
                .map_err(|source| self.io_error(source))?;
        }
        if inner.bytes + new_bytes > self.max_bytes {
            return Err(KeepLetterError::Full {
                bytes: inner.bytes,
                limit: self.max_bytes,
            });
        }
        self.append(&mut inner, &lines)
            .map_err(|source| self.io_error(source))?;
        inner.bytes += new_bytes;
        inner.count += count;
        Ok(())
    }

    /// A person may have looked at them meanwhile, and removed some by hand.
    fn measure_again(&self, inner: &mut Inner) -> io::Result<()> {
        let on_disk = self.segments.bytes_on_disk()?;
        if inner.full_at != Some(on_disk) {
            let found = Inventory::take(&self.segments)?;
            (inner.bytes, inner.count) = (found.bytes, found.count);
            inner.full_at = Some(on_disk);
        }
        Ok(())
    }

    fn append(&self, inner: &mut Inner, lines: &[u8]) -> io::Result<()> {
        self.cut_back(inner);
        // Taken out, and put back only when all went well: after a failed write a new segment is
        // begun.
        let segment = inner.segment.take().unwrap_or_else(|| {
            inner.last += 1;
            inner.last
        });
        let path = self.segments.path(segment);
        inner.may_come_back = false;
        let mut file = self.segments.disk.append_file(&path)?;
        let before = file.length()?;
        let mut can_be_synced = true;
        let written = self.append_to(&mut *file, lines, &mut can_be_synced);
        if let Err(error) = written {
            inner.may_come_back = true;
            inner.too_long = Some(TooLong {
                path,
                length: before,
                can_be_synced,
            });
            self.cut_back(inner);
            return Err(error);
        }
        let length = before + lines.len() as u64;
        inner.segment = (length < self.segment_bytes).then_some(segment);
        Ok(())
    }

    fn append_to(
        &self,
        file: &mut dyn DiskFile,
        lines: &[u8],
        can_be_synced: &mut bool,
    ) -> io::Result<()> {
        crash::torn(Point::LineTorn, file, lines)?;
        file.write_all(lines)?;
        crash::point(Point::LineWritten);
        disk::sync(file).inspect_err(|_| *can_be_synced = false)?;
        self.segments.disk.sync_folder(&self.segments.folder)?;
        crash::point(Point::LineSynced);
        Ok(())
    }

    /// What was not kept must not lie there as if it were. Where the disk refuses this as well, it is
    /// tried again.
    fn cut_back(&self, inner: &mut Inner) {
        let Some(too_long) = &mut inner.too_long else {
            return;
        };
        let mut cut = || -> io::Result<()> {
            let mut file = self.segments.disk.append_file(&too_long.path)?;
            file.cut_back(too_long.length)?;
            if too_long.can_be_synced {
                disk::sync(&mut *file).inspect_err(|_| too_long.can_be_synced = false)?;
            }
            Ok(())
        };
        if cut().is_ok() {
            inner.may_come_back &= !too_long.can_be_synced;
            inner.too_long = None;
        }
    }

    /// Takes what was found as the truth, and clears away what nobody needs any more. What cannot be
    /// cleared away is at the next start.
    fn count_and_clear(&self, inner: &mut Inner, mut found: Inventory) {
        (inner.bytes, inner.count) = (found.bytes, found.count);
        inner.damaged = found.damaged();
        inner.last = inner.last.max(found.last);
        inner.last_batch = inner.last_batch.max(found.last_batch);
        let mut clear = || -> io::Result<()> {
            for block in found.dead_blocks() {
                self.segments
                    .disk
                    .remove_file_if_there(&self.segments.folder.join(block))?;
                crash::point(Point::DeadBlockRemoved);
            }
            while let Some(number) = found.take_unneeded() {
                if inner.segment == Some(number) {
                    inner.segment = None;
                }
                self.segments
                    .disk
                    .remove_file_if_there(&self.segments.path(number))?;
                // Before the tombstones go that name its letters.
                self.segments.disk.sync_folder(&self.segments.folder)?;
                crash::point(Point::LetterSegmentRemoved);
            }
            Ok(())
        };
        if let Err(error) = clear() {
            tracing::warn!(
                %error,
                folder = %self.segments.folder.display(),
                "what is left of dead letters that are gone cannot be removed; the next start does it"
            );
        }
    }

    /// Blocks whose letter was never written: the stop came between the two, and they are fetched
    /// again.
    fn remove_orphans(&self, found: &Inventory) -> io::Result<()> {
        for name in self.segments.disk.names(&self.segments.folder)? {
            if found.is_orphan(&name) {
                self.segments
                    .disk
                    .remove_file_if_there(&self.segments.folder.join(name))?;
            }
        }
        Ok(())
    }

    fn write_line(
        &self,
        lines: &mut Vec<u8>,
        line: &impl serde::Serialize,
    ) -> Result<(), KeepLetterError> {
        let line = letter::encode(line).map_err(|source| self.io_error(source.into()))?;
        lines.extend_from_slice(&line);
        Ok(())
    }

    fn io_error(&self, source: io::Error) -> KeepLetterError {
        KeepLetterError::Io {
            folder: self.segments.folder.clone(),
            source,
        }
    }

    fn linking(&self) -> MutexGuard<'_, ()> {
        self.linking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
