//! Damage to batches in place: how it is told, and how files are set aside and put back.

use std::io;
use std::path::PathBuf;

use super::batch::{self, BatchHead};
use super::event_file::{self, EventFileWriter, EventLines};
use super::{
    BatchReader, DamagedLine, Place, SetAside, Spool, SpoolError, Staging, io_error, number_of,
};
use crate::crash::{self, Point};
use crate::disk;
use crate::state::EventFile;

/// A file of events is damaged or gone. It travels inside an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct FileDamage {
    /// Its name in the folder of the batch.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

impl FileDamage {
    /// The damage that an error tells of; none of a disk that fails.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn found(file: &str, what: String) -> io::Error {
        let file = file.to_owned();
        io::Error::new(io::ErrorKind::InvalidData, Self { file, what })
    }

    /// A file cannot be read: it is gone, or its place on the disk is; anything else may pass.
    pub(super) fn reading(file: &str, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::NotFound || disk::is_unreadable(&error) {
            Self::found(file, error.to_string())
        } else {
            error
        }
    }
}

/// A head is gone, or its place on the disk is, or it is not what was written; all else may pass.
fn is_damage_to_head(error: &io::Error) -> bool {
    let is_it = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::InvalidData
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::IsADirectory
    );
    is_it || disk::is_unreadable(error)
}

/// A file of a batch that is written again.
#[derive(Debug)]
pub struct Rewritten(PathBuf);

impl Spool {
    /// Checks one file of a batch; an error that is no [`FileDamage`] says that the disk fails.
    pub fn check_file(&self, seq: u64, file: &EventFile) -> io::Result<()> {
        EventLines::open(&self.disk, &self.folder(seq), file).map(drop)
    }

    /// Whether a file of a batch is there, whatever it holds. What cannot be looked at is taken to be.
    #[must_use]
    pub fn has_file(&self, seq: u64, file: &str) -> bool {
        let path = self.folder(seq).join(file);
        self.disk.exists(&path).unwrap_or(true)
    }

    /// Moves a file of a batch to `quarantine/`, durably; gives its name there, none if it is gone.
    pub fn set_aside(&self, seq: u64, file: &str) -> Result<Option<String>, SpoolError> {
        let from = self.folder(seq).join(file);
        let first = format!("{seq:012}-{file}");
        let name = self
            .free_quarantine_name(&first)
            .map_err(io_error("looking into", &self.quarantine))?;
        match self.disk.rename(&from, &self.quarantine.join(&name)) {
            Ok(()) => {
                self.counting_quarantined().files += 1;
                Ok(Some(name))
            }
            // It was moved before, and the ledger could not be told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((name != first).then_some(first))
            }
            Err(error) => Err(io_error("moving to quarantine/", &from)(error)),
        }
    }

    fn free_quarantine_name(&self, name: &str) -> io::Result<String> {
        self.disk
            .free_name(&self.quarantine, |number| match number {
                1 => name.to_owned(),
                _ => format!("{name}.{number}"),
            })
    }

    /// Sets aside what is damaged of the dead letters, and with `is_asked` what the disk cannot read as
    /// well; what `restore` gives for a line takes its place.
    pub fn mend_letters(
        &self,
        is_asked: bool,
        restore: impl FnMut(&DamagedLine) -> Option<Vec<u8>>,
    ) -> io::Result<Vec<SetAside>> {
        self.dead_letters.mend(&self.quarantine, is_asked, restore)
    }

    /// The lines that can still be read of a batch's file in `quarantine/`, where it is called `name`:
    /// nothing says that they are what they were.
    #[must_use]
    pub fn quarantined_lines(&self, file: &EventFile, name: &str) -> Vec<String> {
        event_file::readable_lines(&self.disk, &self.quarantine, &named(file, name))
    }

    /// Begins what a repair brings: it takes the place of what is counted already, so that a full
    /// spool does not refuse it.
    pub fn stage_repair(&self) -> Result<Staging, SpoolError> {
        let free = self
            .disk
            .free_bytes(&self.state)
            .map_err(io_error("measuring", &self.state))?;
        let room = free.saturating_sub(self.min_free_disk);
        if room == 0 {
            return Err(self.full(self.pending_bytes(), free));
        }
        self.stage_in(room)
    }

    /// Ends the writing of what a repair has brought, and gives its files. Content blocks that were
    /// refused are passed over: they were set aside when the window was polled first.
    pub fn finish_repair(&self, staging: &mut Staging) -> Result<Vec<EventFile>, SpoolError> {
        let finished = staging.finish();
        finished.map_err(|error| SpoolError::staging(error, staging.folder()))?;
        staging
            .drop_letters()
            .map_err(io_error("clearing", staging.folder()))?;
        Ok(staging.files().to_vec())
    }

    /// Reads what is staged.
    #[must_use]
    pub fn read_repair(&self, staging: &Staging) -> BatchReader {
        BatchReader::of_folder(&self.disk, staging.folder(), staging.files())
    }

    /// Writes a file of a batch again, beside what is staged. It is durable then, and not yet in its
    /// place; none if the lines are not those that it had.
    pub fn rewrite(
        &self,
        staging: &Staging,
        file: &EventFile,
        mut lines: impl FnMut() -> io::Result<Option<String>>,
    ) -> Result<Option<Rewritten>, SpoolError> {
        let folder = staging.folder();
        let mut write = || -> io::Result<Option<Rewritten>> {
            let name = format!("again-{}", file.name);
            let mut writer = EventFileWriter::new(staging.create_file(&name)?, name.clone())?;
            while let Some(mut line) = lines()? {
                line.push('\n');
                writer.write(line.as_bytes(), 1)?;
            }
            let written = writer.finish()?;
            let is_same = (written.events, &written.crc32) == (file.events, &file.crc32);
            let path = folder.join(name);
            if is_same {
                crash::point(Point::FileRewritten);
            } else {
                self.disk.remove_file(&path)?;
            }
            Ok(is_same.then_some(Rewritten(path)))
        };
        write().map_err(io_error("staging in", folder))
    }

    /// Puts a file that was written again in its place, durably.
    pub fn put_back(
        &self,
        head: &BatchHead,
        file: &EventFile,
        rewritten: &Rewritten,
    ) -> Result<(), SpoolError> {
        let to = self.folder(head.seq).join(&file.name);
        let put_back = || -> io::Result<()> {
            self.make_head(head)?;
            self.disk.rename(&rewritten.0, &to)?;
            crash::point(Point::FileBack);
            Ok(())
        };
        put_back().map_err(io_error("putting back", &to))
    }

    /// Takes a file back from `quarantine/`, durably, if it is whole.
    pub fn take_from_quarantine(
        &self,
        head: &BatchHead,
        file: &EventFile,
        name: &str,
    ) -> Result<(), SpoolError> {
        let from = self.quarantine.join(name);
        let take = || -> io::Result<()> {
            EventLines::open(&self.disk, &self.quarantine, &named(file, name))?;
            self.make_head(head)?;
            let to = self.folder(head.seq).join(&file.name);
            self.disk.rename(&from, &to)?;
            crash::point(Point::FileReclaimed);
            Ok(())
        };
        take().map_err(io_error("taking back", &from))
    }

    /// Whether the head of a batch in place is damaged or gone; an error says that it cannot be read now.
    pub fn is_head_damaged(&self, seq: u64) -> Result<bool, SpoolError> {
        let folder = self.folder(seq);
        match BatchHead::check(&self.disk, &folder, seq) {
            Ok(()) => Ok(false),
            Err(error) if is_damage_to_head(&error) => Ok(true),
            Err(error) => Err(io_error("reading the head in", &folder)(error)),
        }
    }

    /// The same as [`write_head`](Self::write_head), and makes the folder if that is gone.
    fn make_head(&self, head: &BatchHead) -> io::Result<bool> {
        self.disk.create_folders(&self.folder(head.seq))?;
        self.write_head(head)
    }

    /// Writes the head of a batch if what lies there is not it; what lay there goes to `quarantine/`.
    /// Tells whether there was something to do.
    pub(super) fn write_head(&self, head: &BatchHead) -> io::Result<bool> {
        let folder = self.folder(head.seq);
        let found = BatchHead::read(&self.disk, &folder);
        if found.is_ok_and(|found| found.is_of(head)) {
            return Ok(false);
        }
        let path = folder.join(batch::FILE_NAME);
        if self.disk.exists(&path)? {
            let name = format!("{:012}-{}", head.seq, batch::FILE_NAME);
            let name = self.free_quarantine_name(&name)?;
            self.disk.rename(&path, &self.quarantine.join(name))?;
            crash::point(Point::HeadSetAside);
        }
        // Complete under another name first: half a head must not take the place of none.
        let new = folder.join("batch.json.new");
        self.disk.remove_file_if_there(&new)?;
        self.disk.write_file(&new, &head.text()?)?;
        crash::point(Point::HeadStaged);
        self.disk.rename(&new, &path)?;
        crash::point(Point::HeadRestored);
        Ok(true)
    }

    /// Writes the head of a batch that is not in place, as the ledger knows it, and takes the batch in.
    pub fn restore_batch(&self, head: &BatchHead) -> Result<(), SpoolError> {
        let folder = self.folder(head.seq);
        self.make_head(head)
            .map_err(io_error("writing the head of", &folder))?;
        self.lock().insert(head.seq, head.outline());
        Ok(())
    }

    /// Writes the head of a batch in place again, if it is not whole. Tells whether there was something
    /// to do: there is not if the batch has gone to the archive meanwhile.
    pub fn restore_head(&self, head: &BatchHead) -> Result<bool, SpoolError> {
        match self.write_head(head) {
            Err(_) if self.in_place(head.seq).is_none() => Ok(false),
            written => written.map_err(io_error("writing the head of", &self.folder(head.seq))),
        }
    }

    /// Moves the folders to `quarantine/` that lay where batches do when the spool was opened and are none,
    /// and gives what they are called; a batch that was [restored](Self::restore_batch) is one.
    pub fn set_aside_headless(&self) -> Result<Vec<String>, SpoolError> {
        let mut set_aside = Vec::new();
        for name in std::mem::take(&mut *self.headless()) {
            if number_of(&name).is_some_and(|seq| self.in_place(seq).is_some()) {
                continue;
            }
            let from = self.ready.join(&name);
            self.free_quarantine_name(&name)
                .and_then(|free| self.disk.rename(&from, &self.quarantine.join(free)))
                .map_err(io_error("moving to quarantine/", &from))?;
            crash::point(Point::HeadlessSetAside);
            self.counting_quarantined().batches += 1;
            set_aside.push(name);
        }
        Ok(set_aside)
    }

    /// Reads a batch that was delivered, if the archive still has it.
    #[must_use]
    pub fn read_archived(&self, seq: u64) -> Option<(BatchHead, BatchReader)> {
        let head = self.read_head(Place::Archive, seq).ok()?;
        let folder = self.archive.path(seq);
        let reader = BatchReader::open(&self.disk, &folder, &head, 0, |_| false);
        Some((head, reader))
    }
}

/// A file that lies there under another name.
fn named(file: &EventFile, name: &str) -> EventFile {
    EventFile {
        name: name.to_owned(),
        ..file.clone()
    }
}
