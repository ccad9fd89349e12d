//! One agent for one state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::folder::close_to_others;

/// Held as long as this lives; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    /// Nobody else has it, and the file says who does.
    is_alone: bool,
}

impl Drop for StateLock {
    fn drop(&mut self) {
        if self.is_alone {
            // Who has it no more is not to be stopped. A name that stays is replaced by the next one's.
            let _ = self.file.set_len(0);
        }
    }
}

/// The state folder cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the state folder {path:?} is in use by {}: stop it first", holder(*.pid))]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that has it, where it has said so.
        pid: Option<u32>,
    },
    /// Others look at what it holds, and nobody changes anything.
    #[error(
        "a command looks at the state folder {path:?}, as `audit` or an export does, and nothing may \
         change meanwhile: wait until it is done, or end it"
    )]
    LookedAt {
        /// The folder.
        path: PathBuf,
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
            Ok(()) => Ok(Some(Self {
                file,
                is_alone: false,
            })),
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
            Err(TryLockError::WouldBlock) => {
                // Those who look let others look.
                return Err(match file.try_lock_shared() {
                    Ok(()) => LockError::LookedAt {
                        path: directory.to_owned(),
                    },
                    Err(_) => held(directory, file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let write_pid = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).map_err(io_error)?;
        Ok(Self {
            file,
            is_alone: true,
        })
    }
}

fn held(directory: &Path, mut file: File) -> LockError {
    let mut pid = String::new();
    // Who has it is a courtesy; that somebody has it is certain.
    let _ = file.read_to_string(&mut pid);
    LockError::Held {
        path: directory.to_owned(),
        pid: pid.trim().parse().ok(),
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
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
        let error = StateLock::take(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::LookedAt { .. }), "{error}");
        drop((one.unwrap().unwrap(), other.unwrap().unwrap()));
        StateLock::take(folder.path()).unwrap();
    }

    #[test]
    fn who_has_let_go_is_not_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(StateLock::take(folder.path()).unwrap());
        // Somebody has it, and has not said so yet.
        let file = File::open(StateLock::path(folder.path())).unwrap();
        file.try_lock().unwrap();
        for error in [
            StateLock::take(folder.path()).unwrap_err(),
            StateLock::share(folder.path()).unwrap_err(),
        ] {
            assert!(
                error.to_string().contains("is in use by another process"),
                "{error}"
            );
        }
    }
}
