//! Why the spool cannot be used.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileDamage, KeepLetterError, NoRoom, SetTooLarge};

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk fails.
    #[error("{action} {path:?} failed: {source}; free space or mend the disk")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "the spool is full: {pending} bytes wait for delivery, {limit} are allowed \
         (state.max_spool_bytes), and {free} bytes of disk are free, of which {min_free} must \
         stay (state.min_free_disk){}",
        aside(*quarantine)
    )]
    Full {
        /// Bytes that wait for delivery.
        pending: u64,
        /// What they may be.
        limit: u64,
        /// Free bytes of disk.
        free: u64,
        /// What must stay free.
        min_free: u64,
        /// What `quarantine/` takes, if that is much.
        quarantine: Option<u64>,
    },
    /// A batch is larger than what is left.
    #[error(
        "the spool has no room for this window: it takes at least {needed} bytes, {room} are left"
    )]
    TooLarge {
        /// Bytes that it took so far.
        needed: u64,
        /// Bytes that it may take.
        room: u64,
    },
    /// The set of a collection is too large to be compared with the next.
    #[error(
        "the answer is too large to be compared with the next one: {0} (limits.max_set_events)"
    )]
    SetTooLarge(#[from] SetTooLarge),
    /// A dead letter could not be kept.
    #[error(transparent)]
    DeadLetter(#[from] KeepLetterError),
}

impl SpoolError {
    /// The damage to a file of events that it tells of; none of a disk that fails.
    #[must_use]
    pub fn damage(&self) -> Option<&FileDamage> {
        match self {
            Self::Io { source, .. } => FileDamage::of(source),
            _ => None,
        }
    }

    /// What was read could not be staged: there is no room, or the disk fails.
    #[must_use]
    pub fn staging(source: io::Error, folder: &Path) -> Self {
        if let Some(error) = found_in::<SetTooLarge>(&source) {
            return Self::SetTooLarge(*error);
        }
        match found_in::<NoRoom>(&source) {
            Some(&NoRoom { needed, room }) => Self::TooLarge { needed, room },
            None => Self::Io {
                action: "staging in",
                path: folder.to_owned(),
                source,
            },
        }
    }
}

/// An error of this kind inside an I/O error, however deep: readers and writers wrap what they pass on.
fn found_in<T: Error + 'static>(error: &io::Error) -> Option<&T> {
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error carries does not show as its source.
        let carrier = error.downcast_ref::<io::Error>();
        let shared = error.downcast_ref::<Arc<io::Error>>();
        cause = match carrier.or(shared.map(|error| &**error)) {
            Some(carrier) => carrier.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    None
}

/// What a person might take away where room is short.
fn aside(quarantine: Option<u64>) -> String {
    quarantine.map_or_else(String::new, |bytes| {
        format!("; quarantine/ takes {bytes} bytes, which are for you to look at and remove")
    })
}

/// What was to be done to what failed.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io {
        action,
        path,
        source,
    }
}
