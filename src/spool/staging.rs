//! A batch that is being written: invisible until it is committed, removed if it never is.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use zstd::stream::write::Encoder;

use super::event_file::EventFileWriter;
use super::letter::BlockLetter;
use super::room::Room;
use super::sets::{self, LeftOut, SetFilter, SetMark};
use crate::crash::{self, Point};
use crate::disk::{self, Disk, DiskFile};
use crate::flatten::{EventSink, FlatEvent};
use crate::state::{CollectionKey, EventFile};
use crate::tape::{Scratch, ScratchFile, Tape};
use crate::taxii::response::{RefusedBlock, ResponseSink};

/// Bytes of one event file before compression.
const FILE_BYTES: u64 = 8 << 20;
/// Events are handed to the compressor in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Of an answer that cannot be read this much is still kept, for a person to look at.
const MAX_UNREAD_BYTES: u64 = 64 << 20;
/// Fast, and five to ten times smaller.
const ZSTD_LEVEL: i32 = 1;
/// Memory for the events of one content block, which count only when it is whole.
const BLOCK_MEMORY: usize = 4 << 20;

/// A block's raw text in the staging folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StagedLetter {
    pub(super) file: String,
    pub(super) letter: BlockLetter,
}

/// Events on their way into the spool.
pub struct Staging {
    disk: Disk,
    folder: PathBuf,
    room: Arc<Room>,
    files: Vec<EventFile>,
    open: Option<EventFileWriter>,
    /// The lines of the content block that is being read, and how many they are.
    block: Tape,
    block_events: u64,
    letters: Vec<StagedLetter>,
    /// Where only what is new is staged.
    filter: Option<SetFilter>,
    /// Whether the service's answers are kept as they come, and how many were.
    keep_raw: bool,
    raw_files: u32,
    is_kept: bool,
}

/// How much was staged: what comes later can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    files: usize,
    letters: usize,
    set: Option<SetMark>,
}

/// Scratch files in the staging folder, without a name: a crash leaves none.
pub(super) struct StagingScratch {
    pub(super) disk: Disk,
    pub(super) folder: PathBuf,
    /// None where nobody waits for room.
    pub(super) room: Option<Arc<Room>>,
}

impl Scratch for StagingScratch {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        let file = self.disk.scratch_file(&self.folder)?;
        Ok(match &self.room {
            Some(room) => Box::new(room.metered(file)),
            None => file,
        })
    }
}

impl Staging {
    pub(super) fn create(
        disk: &Disk,
        folder: PathBuf,
        room: Room,
        keep_raw: bool,
    ) -> io::Result<Self> {
        disk.create_folder_for_now(&folder)?;
        crash::point(Point::StagingMade);
        let room = Arc::new(room);
        let scratch: Arc<dyn Scratch> = Arc::new(StagingScratch {
            disk: disk.clone(),
            folder: folder.clone(),
            room: Some(Arc::clone(&room)),
        });
        Ok(Self {
            disk: disk.clone(),
            block: Tape::new(scratch, BLOCK_MEMORY, u64::MAX),
            block_events: 0,
            folder,
            room,
            files: Vec::new(),
            open: None,
            letters: Vec::new(),
            filter: None,
            keep_raw,
            raw_files: 0,
            is_kept: false,
        })
    }

    /// Where what must wait can spill to.
    #[must_use]
    pub fn scratch(&self) -> Arc<dyn Scratch> {
        Arc::new(StagingScratch {
            disk: self.disk.clone(),
            folder: self.folder.clone(),
            room: Some(Arc::clone(&self.room)),
        })
    }

    /// How many events are staged.
    #[must_use]
    pub fn events(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, EventFileWriter::events);
        open + self.files.iter().map(|file| file.events).sum::<u64>()
    }

    /// Remembers how much is staged, for [`Staging::take_back`].
    pub fn mark(&mut self) -> io::Result<Mark> {
        self.close_file()?;
        Ok(Mark {
            files: self.files.len(),
            letters: self.letters.len(),
            set: self.filter.as_ref().map(SetFilter::mark),
        })
    }

    /// Takes back everything since the mark.
    pub fn take_back(&mut self, mark: &Mark) -> io::Result<()> {
        self.forget_block();
        if let (Some(filter), Some(mark)) = (&mut self.filter, mark.set) {
            filter.take_back(mark);
        }
        if let Some(open) = self.open.take() {
            self.disk.remove_file(&self.folder.join(open.name()))?;
        }
        for file in self.files.drain(mark.files..) {
            self.room.unstage(file.bytes);
            self.disk.remove_file(&self.folder.join(file.name))?;
        }
        for letter in self.letters.drain(mark.letters..) {
            self.disk.remove_file(&self.folder.join(letter.file))?;
        }
        Ok(())
    }

    /// From here on only what is new is staged.
    pub(super) fn filter(&mut self, filter: SetFilter) {
        self.filter = Some(filter);
    }

    /// What was left out, since it is not new.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        let filter = self.filter.as_ref();
        filter.map_or_else(LeftOut::default, SetFilter::left_out)
    }

    /// What came is not remembered.
    pub fn keep_no_set(&mut self) {
        self.filter = None;
    }

    /// Writes the set of what came, if there is one and it is another than before.
    pub(super) fn write_set(&mut self, as_of: u64) -> io::Result<Option<PathBuf>> {
        let Some(files) = self.filter.as_mut().and_then(|filter| filter.files(as_of)) else {
            return Ok(None);
        };
        let path = self.folder.join(sets::FILE_NAME);
        self.disk.write_file(&path, &files.all)?;
        self.disk
            .write_file(&self.folder.join(sets::NEW_FILE_NAME), &files.new)?;
        Ok(Some(path))
    }

    /// From here on the service's answers are kept beside the events.
    pub fn keep_raw(&mut self) {
        self.keep_raw = true;
    }

    /// The answer, which is copied while it is read if it is to be kept.
    pub fn record_raw<'b>(&mut self, body: &'b mut dyn Read) -> io::Result<RawReader<'b>> {
        let copy = if self.keep_raw {
            self.raw_files += 1;
            let name = format!("answer-{:04}.xml.zst", self.raw_files);
            let file = self.create_file(&name)?;
            Some(Encoder::new(file, ZSTD_LEVEL)?)
        } else {
            None
        };
        Ok(RawReader {
            body,
            copy,
            failed: None,
        })
    }

    /// Moves everything to a folder of its own in `quarantine`, for a person; gives its name.
    pub(super) fn quarantine(
        self,
        quarantine: &Path,
        key: &CollectionKey,
        at: DateTime<Utc>,
    ) -> io::Result<String> {
        let safe = |text: &str| -> String {
            let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            text.chars().take(64).map(letter).collect()
        };
        let name = format!(
            "{}-{}-{}",
            at.format("%Y%m%dT%H%M%S%3fZ"),
            safe(&key.service),
            safe(&key.collection)
        );
        self.disk.rename(&self.folder, &quarantine.join(&name))?;
        self.keep();
        Ok(name)
    }

    /// Where it lies until it is committed.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a file here whose bytes count.
    pub(super) fn create_file(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.create_file(&self.folder.join(name))?;
        Ok(Box::new(self.room.metered(file)))
    }

    /// All is staged; every file is durable.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.forget_block();
        self.close_file()
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn files(&self) -> &[EventFile] {
        &self.files
    }

    pub(super) fn letters(&self) -> &[StagedLetter] {
        &self.letters
    }

    /// What was refused is not kept.
    pub(super) fn drop_letters(&mut self) -> io::Result<()> {
        for letter in self.letters.drain(..) {
            self.disk.remove_file(&self.folder.join(letter.file))?;
        }
        Ok(())
    }

    /// The folder has been renamed into place.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }

    fn forget_block(&mut self) {
        self.block.clear();
        self.block_events = 0;
    }

    fn append(&mut self, lines: &[u8], events: u64) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let name = format!("events-{:04}.jsonl.zst", self.files.len() + 1);
                let file = self.create_file(&name)?;
                crash::point(Point::EventsMade);
                self.open.insert(EventFileWriter::new(file, name)?)
            }
        };
        open.write(lines, events)?;
        if open.bytes_before() >= FILE_BYTES {
            self.close_file()?;
        }
        Ok(())
    }

    fn close_file(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let file = open.finish()?;
        crash::point(Point::EventsSynced);
        let bytes = file.bytes;
        self.files.push(file);
        self.room.stage(bytes)
    }
}

/// Gives so many lines to `append`, several whole ones each time.
fn in_pieces(
    lines: &mut impl Read,
    events: u64,
    mut append: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let (mut piece, mut appended) = (Vec::new(), 0);
    while lines.take(PIECE_BYTES as u64).read_to_end(&mut piece)? > 0 {
        let end = memchr::memrchr(b'\n', &piece).map_or(0, |end| end + 1);
        let (whole, _) = piece.split_at(end);
        let several = memchr::memchr_iter(b'\n', whole).count() as u64;
        append(whole, several)?;
        appended += several;
        piece.drain(..end);
    }
    if piece.is_empty() && appended == events {
        Ok(())
    } else {
        Err(io::Error::other(
            "what was in the scratch file is not what was written to it",
        ))
    }
}

/// Reads an answer, and copies it if it is to be kept.
pub struct RawReader<'b> {
    body: &'b mut dyn Read,
    copy: Option<Encoder<'static, Box<dyn DiskFile>>>,
    /// Why the copy ended early: the answer itself may be well.
    failed: Option<io::Error>,
}

impl RawReader<'_> {
    /// Ends the copy. What nobody read goes into it too: an answer that cannot be read is of use
    /// only when it is whole.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.copy.is_some() {
            // Where the connection fails, the copy ends.
            let _ = io::copy(&mut (&mut self).take(MAX_UNREAD_BYTES), &mut io::sink());
        }
        match self.copy {
            Some(copy) => disk::sync(&mut *copy.finish()?),
            None => Ok(()),
        }
    }
}

impl Read for RawReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(out)?;
        if let (Some(copy), Some(bytes)) = (&mut self.copy, out.get(..read))
            && let Err(error) = copy.write_all(bytes)
        {
            self.failed = Some(error);
            return Err(io::Error::other("it cannot be kept"));
        }
        Ok(read)
    }
}

impl EventSink for Staging {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        if let Some(filter) = &mut self.filter
            && !filter.passes(event.id)?
        {
            return Ok(());
        }
        self.block.append(event.json)?;
        self.block.append(b"\n")?;
        self.block_events += 1;
        Ok(())
    }
}

impl ResponseSink for Staging {
    fn block_read(&mut self) -> io::Result<()> {
        if let Some(filter) = &mut self.filter {
            filter.block_read();
        }
        let scratch = self.scratch();
        let empty = Tape::new(scratch, BLOCK_MEMORY, u64::MAX);
        let mut block = std::mem::replace(&mut self.block, empty);
        let events = std::mem::take(&mut self.block_events);
        let mut reader = block.rewind()?;
        match reader.in_memory() {
            Some([]) => {}
            Some(lines) if lines.len() <= PIECE_BYTES => self.append(lines, events)?,
            _ => in_pieces(&mut reader, events, |lines, events| {
                self.append(lines, events)
            })?,
        }
        drop(reader);
        // Back again, for its memory.
        self.block = block;
        self.forget_block();
        Ok(())
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.forget_block();
        if let Some(filter) = &mut self.filter {
            filter.block_refused();
            if !filter.passes_block(block.raw)? {
                return Ok(());
            }
        }
        let name = format!("block-{:04}.xml", self.letters.len() + 1);
        let mut file = self.create_file(&name)?;
        io::copy(&mut (&mut block.raw.rewind()?).take(u64::MAX), &mut file)?;
        disk::sync(&mut *file)?;
        crash::point(Point::BlockStaged);
        tracing::error!(
            block = block.number,
            binding = block.binding,
            reason = %block.reason,
            "a content block cannot be read: it is set aside in spool/dead-letters/, the rest of \
             the answer goes on"
        );
        self.letters.push(StagedLetter {
            file: name,
            letter: BlockLetter {
                number: block.number,
                binding: block.binding.map(str::to_owned),
                reason: block.reason,
            },
        });
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = self.disk.remove_folder(&self.folder) {
            tracing::warn!(
                %error,
                folder = %self.folder.display(),
                "a staging folder cannot be removed; the next start does it"
            );
        }
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging")
            .field("folder", &self.folder)
            .field("events", &self.events())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_what_was_written_are_refused() {
        let read = |mut lines: &[u8], events| {
            let mut read = Vec::new();
            in_pieces(&mut lines, events, |whole, several| {
                assert_eq!(
                    whole.split_inclusive(|b| *b == b'\n').count() as u64,
                    several
                );
                read.extend_from_slice(whole);
                Ok(())
            })
            .map(|()| read)
        };
        assert_eq!(read(b"{1}\n{2}\n", 2).unwrap(), b"{1}\n{2}\n");
        for (damaged, events) in [
            (&b"{1} {2}\n"[..], 2),
            (b"{1}\n{2}", 2),
            (b"{1}\n", 2),
            (b"", 1),
            (b"{1}\n\n", 1),
        ] {
            let error = read(damaged, events).unwrap_err();
            assert!(error.to_string().contains("scratch file"), "{error}");
        }
    }
}
