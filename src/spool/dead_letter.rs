//! Dead letters: what no retry can deliver, with the reason, for a person to look at.
//!
//! JSON lines in segments. An event stands in its line; a content block that could not be read
//! lies beside the segment in a file of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::disk;

/// A segment is closed when it has grown to this.
const SEGMENT_BYTES: u64 = 8 << 20;

/// A dead letter as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its name, unique in this state folder.
    pub id: String,
    /// When it was set aside.
    pub at: DateTime<Utc>,
    /// The service that it came from.
    pub service: String,
    /// The collection that it came from.
    pub collection: String,
    /// What it is and why it is here.
    #[serde(flatten)]
    pub content: Content,
}

/// What is dead.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// An event that an output's receiver refuses.
    Event(EventLetter),
    /// A content block that cannot be read.
    Block {
        /// What is known of it.
        #[serde(flatten)]
        letter: BlockLetter,
        /// Its raw text, beside the segment.
        file: String,
    },
}

impl Content {
    /// The file that lies beside the segment.
    fn file(&self) -> Option<String> {
        match self {
            Self::Event(_) => None,
            Self::Block { file, .. } => Some(file.clone()),
        }
    }
}

/// An event that an output's receiver refuses.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventLetter {
    /// The output.
    pub output: String,
    /// The batch.
    pub seq: u64,
    /// The event's line in the batch, from 0.
    pub line: u64,
    /// The receiver's code.
    pub code: String,
    /// What the receiver said.
    pub reason: String,
    /// The event.
    pub event: Box<RawValue>,
}

/// A content block that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLetter {
    /// Its place in the answer, from 1.
    pub number: u64,
    /// Its content binding.
    pub binding: Option<String>,
    /// Why it cannot be read.
    pub reason: String,
}

/// A block's raw text in the staging folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StagedLetter {
    pub(super) file: String,
    pub(super) letter: BlockLetter,
}

/// All dead letters of a state folder.
#[derive(Debug)]
pub struct DeadLetters {
    folder: PathBuf,
    max_bytes: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: u64,
    count: u64,
    /// The segment that is written, once there is one. It is opened for each letter: a person may
    /// have removed it.
    segment: Option<u64>,
    /// The highest number that there is.
    last: u64,
}

/// A dead letter cannot be kept; the output or the poll waits.
#[derive(Debug, thiserror::Error)]
pub enum KeepLetterError {
    /// There are too many.
    #[error(
        "the dead letters take {bytes} bytes, {limit} are allowed (state.max_dead_letter_bytes): \
         look at them in {folder:?}, then remove what is not needed or raise the limit"
    )]
    Full {
        /// What they take.
        bytes: u64,
        /// What they may take.
        limit: u64,
        /// Where they are.
        folder: PathBuf,
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

impl DeadLetters {
    /// Opens the dead letters in `folder`, which is made if it is not there.
    pub(super) fn open(folder: PathBuf, max_bytes: u64) -> io::Result<Self> {
        disk::create_folder(&folder)?;
        let inner = Inner::measure(&folder)?;
        Ok(Self {
            folder,
            max_bytes,
            inner: Mutex::new(inner),
        })
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
        let mut contents = Vec::new();
        let mut bytes = 0;
        for StagedLetter { file, letter } in letters {
            let name = format!("block-{}.xml", uuid::Uuid::new_v4());
            let staged = staging.join(file);
            // Linked, not moved: a commit that fails later leaves the staging folder as it was.
            let linked = fs::metadata(&staged).and_then(|metadata| {
                fs::hard_link(&staged, self.folder.join(&name))?;
                Ok(metadata.len())
            });
            bytes += linked.map_err(|source| self.io_error(source))?;
            contents.push(Content::Block {
                letter: letter.clone(),
                file: name,
            });
        }
        let names: Vec<String> = contents.iter().filter_map(Content::file).collect();
        let kept = self.keep(at, service, collection, contents, bytes);
        if kept.is_err() {
            for name in names {
                // No letter names it, and the next try links it anew.
                let _ = fs::remove_file(self.folder.join(name));
            }
        }
        kept
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
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
            let letter = DeadLetter {
                id: uuid::Uuid::new_v4().to_string(),
                at,
                service: service.to_owned(),
                collection: collection.to_owned(),
                content,
            };
            serde_json::to_writer(&mut lines, &letter)
                .map_err(|source| self.io_error(source.into()))?;
            lines.push(b'\n');
        }
        let mut inner = self.lock();
        let new_bytes = block_bytes + lines.len() as u64;
        if inner.bytes + new_bytes > self.max_bytes {
            // A person may have looked at them meanwhile, and removed some.
            let found = Inner::measure(&self.folder).map_err(|source| self.io_error(source))?;
            // The blocks of this letter lie there already.
            inner.bytes = found.bytes.saturating_sub(block_bytes);
            inner.count = found.count;
        }
        if inner.bytes + new_bytes > self.max_bytes {
            return Err(KeepLetterError::Full {
                bytes: inner.bytes,
                limit: self.max_bytes,
                folder: self.folder.clone(),
            });
        }
        self.append(&mut inner, &lines)
            .map_err(|source| self.io_error(source))?;
        inner.bytes += new_bytes;
        inner.count += count;
        Ok(())
    }

    fn append(&self, inner: &mut Inner, lines: &[u8]) -> io::Result<()> {
        // Taken out, and put back only when all went well: after a failed write a new segment is
        // begun.
        let segment = inner.segment.take().unwrap_or_else(|| {
            inner.last += 1;
            inner.last
        });
        let mut file = disk::append_file(&self.folder.join(format!("{segment:08}.jsonl")))?;
        disk::append(&mut file, lines)?;
        disk::sync_folder(&self.folder)?;
        inner.segment = (file.metadata()?.len() < SEGMENT_BYTES).then_some(segment);
        Ok(())
    }

    fn io_error(&self, source: io::Error) -> KeepLetterError {
        KeepLetterError::Io {
            folder: self.folder.clone(),
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn measure(folder: &Path) -> io::Result<Self> {
        let mut inner = Self::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            inner.bytes += entry.metadata()?.len();
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(segment_number) else {
                continue;
            };
            inner.last = inner.last.max(number);
            let text = fs::read(entry.path())?;
            inner.count += memchr::memchr_iter(b'\n', &text).count() as u64;
        }
        Ok(inner)
    }
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".jsonl")?.parse().ok()
}
