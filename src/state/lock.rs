//! One agent for one state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::folder::close_to_others;

/// Held as long as this lives; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// The state folder cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the state folder {path:?} is in use by process {pid}: stop it first")]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that has it, as far as it is known.
        pid: String,
    },
    /// The lock file cannot be opened or written.
    #[error("the lock file {path:?} cannot be used: {source}; check the folder's owner and rights")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateLock {
    /// The lock file of a state folder. Who owns it keeps the state.
    #[must_use]
    pub fn path(directory: &Path) -> PathBuf {
        directory.join("lock")
    }

    /// Keeps an agent from starting while somebody looks, as others may who look; changes nothing. None
    /// where no agent ever was.
    pub fn share(directory: &Path) -> Result<Option<Self>, LockError> {
        let path = Self::path(directory);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(held(directory, file)),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// Takes the lock of a state folder, which is made if it is not there.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = Self::path(directory);
        let io_error = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        crate::disk::Disk::machine()
            .create_folders(directory)
            .map_err(io_error)?;
        close_to_others(directory);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(directory, file)),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let write_pid = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

fn held(directory: &Path, mut file: File) -> LockError {
    let mut pid = String::new();
    // Who has it is a courtesy; that somebody has it is certain.
    let _ = file.read_to_string(&mut pid);
    LockError::Held {
        path: directory.to_owned(),
        pid: pid.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_with_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path()).unwrap();
        let error = StateLock::take(folder.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        StateLock::share(folder.path()).unwrap_err();
        drop(first);
        let (one, other) = (
            StateLock::share(folder.path()),
            StateLock::share(folder.path()),
        );
        StateLock::take(folder.path()).unwrap_err();
        drop((one.unwrap().unwrap(), other.unwrap().unwrap()));
        StateLock::take(folder.path()).unwrap();
    }
}
