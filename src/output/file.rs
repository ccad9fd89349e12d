//! JSON lines appended to a file, which is renamed when it is full.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Outgoing, Problem, Verdict, json_lines};
use crate::config::FileConfig;

/// The file is there for somebody to read: its group may, nobody else.
const MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// One write and one sync for each call.
#[derive(Debug)]
pub(super) struct JsonLinesFile {
    // Shared with the thread that writes, so that a dropped `send` is waited for by the next one.
    appender: Arc<Mutex<Appender>>,
}

impl JsonLinesFile {
    /// Opens nothing yet.
    #[must_use]
    pub(super) fn new(config: &FileConfig) -> Self {
        Self {
            appender: Arc::new(Mutex::new(Appender {
                path: config.path.clone(),
                rotate_bytes: config.rotate_bytes,
                rotate_keep: config.rotate_keep,
                file: None,
            })),
        }
    }

    pub(super) fn send(&self, events: &[Outgoing]) -> impl Future<Output = Verdict> + use<> {
        let lines = json_lines(events);
        let appended = self.blocking(move |appender| appender.append(&lines));
        async {
            match appended.await {
                Ok(()) => Verdict::Delivered { slow_down: false },
                Err(fault) => fault.verdict(),
            }
        }
    }

    pub(super) fn probe(&self) -> impl Future<Output = Result<(), Problem>> + use<> {
        let opened = self.blocking(|appender| appender.opened().map(drop));
        async {
            opened.await.map_err(|fault| Problem {
                reason: fault.to_string(),
                mend: fault.mend(),
                after: None,
            })
        }
    }

    fn blocking<W>(&self, work: W) -> impl Future<Output = Result<(), AppendError>> + use<W>
    where
        W: FnOnce(&mut Appender) -> Result<(), AppendError> + Send + 'static,
    {
        let appender = Arc::clone(&self.appender);
        async {
            tokio::task::spawn_blocking(move || {
                work(&mut appender.lock().unwrap_or_else(PoisonError::into_inner))
            })
            .await
            .unwrap_or_else(|error| Err(AppendError::CutShort(error)))
        }
    }
}

/// Lines could not be appended; none of them is in the file.
#[derive(Debug, thiserror::Error)]
enum AppendError {
    #[error("{step} {path:?} failed: {source}")]
    Step {
        step: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("writing was cut short: {0}")]
    CutShort(tokio::task::JoinError),
}

impl AppendError {
    fn step(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Step {
            step,
            path: path.to_owned(),
            source,
        }
    }

    fn verdict(&self) -> Verdict {
        match self.mend() {
            None => Verdict::Retry {
                delivered: 0,
                reason: self.to_string(),
                after: None,
            },
            Some(mend) => Verdict::Hold {
                delivered: 0,
                reason: self.to_string(),
                mend,
            },
        }
    }

    /// What a person must do, where waiting does not help.
    fn mend(&self) -> Option<String> {
        let Self::Step { path, source, .. } = self else {
            return None;
        };
        match source.kind() {
            ErrorKind::PermissionDenied => Some(format!(
                "let the agent's user write there (under systemd, ReadWritePaths= must name the \
                 folder of {}), or change path",
                path.display()
            )),
            ErrorKind::ReadOnlyFilesystem => Some(
                "mount the file system for writing (under systemd, ReadWritePaths= must name the \
                 folder), or change path"
                    .into(),
            ),
            ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Some(
                "something else stands where a file or its folder should be: move it, or change \
                 path"
                    .into(),
            ),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Appender {
    path: PathBuf,
    rotate_bytes: u64,
    rotate_keep: u32,
    file: Option<File>,
}

impl Appender {
    /// All of the lines, on the disk, or none of them.
    fn append(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let (_, length) = self.opened()?;
        if length > 0 && length.saturating_add(lines.len() as u64) > self.rotate_bytes {
            self.file = None;
            self.rotate()?;
        }
        let path = self.path.clone();
        let (file, length) = self.opened()?;
        let torn = ends_torn(file, length).map_err(AppendError::step("reading", &path))?;
        let completed;
        let lines = if torn {
            completed = [b"\n", lines].concat();
            &completed
        } else {
            lines
        };
        let written = write_whole(&mut &*file, length, lines);
        if written.is_err() {
            // After a failed sync nobody knows what the kernel still holds for this descriptor.
            self.file = None;
        }
        written.map_err(AppendError::step("writing", &path))
    }

    /// The file at the path and its length now: others may have moved or cut it since.
    fn opened(&mut self) -> Result<(&File, u64), AppendError> {
        let path = &self.path;
        if let Some(file) = &self.file {
            let ours = file
                .metadata()
                .map_err(AppendError::step("reading", path))?;
            let same = |there: Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
            if !fs::metadata(path).is_ok_and(same) {
                self.file = None;
            }
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => open(path)?,
        };
        let length = file
            .metadata()
            .map_err(AppendError::step("reading", path))?
            .len();
        Ok((self.file.insert(file), length))
    }

    /// Moves each kept file up by one, but not further than the first free number.
    fn rotate(&self) -> Result<(), AppendError> {
        if self.rotate_keep == 0 {
            return fs::remove_file(&self.path).map_err(AppendError::step("removing", &self.path));
        }
        let free = (1..self.rotate_keep)
            .find(|&n| !self.numbered(n).exists())
            .unwrap_or(self.rotate_keep);
        for n in (1..free).rev() {
            let from = self.numbered(n);
            fs::rename(&from, self.numbered(n + 1))
                .map_err(AppendError::step("renaming", &from))?;
        }
        fs::rename(&self.path, self.numbered(1))
            .map_err(AppendError::step("renaming", &self.path))?;
        sync_folder(&self.path)
    }

    fn numbered(&self, n: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{n}"));
        name.into()
    }
}

fn open(path: &Path) -> Result<File, AppendError> {
    let folder = folder_of(path);
    create_folders(folder).map_err(AppendError::step("creating the folder", folder))?;
    let mut options = OpenOptions::new();
    options.append(true).read(true);
    let file = match options.clone().create_new(true).mode(MODE).open(path) {
        // Its rights are as somebody wants them.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path),
        made => made.and_then(|file| {
            // Whatever the umask of this process is.
            file.set_permissions(fs::Permissions::from_mode(MODE))?;
            Ok(file)
        }),
    };
    let file = file.map_err(AppendError::step("opening", path))?;
    sync_folder(path)?;
    Ok(file)
}

/// Those that are there already are as somebody wants them.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        create_folders(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => {
            made?;
            fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))
        }
    }
}

/// A name that is not on the disk would take its lines with it.
fn sync_folder(path: &Path) -> Result<(), AppendError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(AppendError::step("syncing the folder", folder))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether a crash left the last line without its end.
fn ends_torn(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(false);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// What `write_whole` asks of a file.
trait Disk {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync_data(&mut self) -> io::Result<()>;
    fn set_len(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for &File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }
}

/// Appends to a file of this length; a failure leaves nothing of the bytes behind.
fn write_whole(disk: &mut impl Disk, length: u64, bytes: &[u8]) -> io::Result<()> {
    let written = disk.write_all(bytes).and_then(|()| disk.sync_data());
    if written.is_err() {
        // If this fails too, the next append completes the torn line; the first error says more.
        let _ = disk.set_len(length);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::loopback::outgoing;
    use super::*;

    fn output(path: &Path, rotate_bytes: u64, rotate_keep: u32) -> JsonLinesFile {
        JsonLinesFile::new(&FileConfig {
            path: path.to_owned(),
            rotate_bytes,
            rotate_keep,
        })
    }

    async fn deliver(output: &JsonLinesFile, json: &str) {
        assert_eq!(
            output.send(&[outgoing(json)]).await,
            Verdict::Delivered { slow_down: false }
        );
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn appends_lines_and_makes_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/events.jsonl");
        let first = output(&path, 1000, 3);
        deliver(&first, r#"{"n":1}"#).await;
        deliver(&first, r#"{"n":2}"#).await;
        deliver(&output(&path, 1000, 3), r#"{"n":3}"#).await;
        assert_eq!(read(&path), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    }

    #[tokio::test]
    async fn rotation_keeps_so_many_files_and_loses_no_other_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let output = output(&path, 16, 2);
        for n in 1..=7 {
            deliver(&output, &format!(r#"{{"n":{n}}}"#)).await;
        }
        assert_eq!(
            names(folder.path()),
            ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
        );
        assert_eq!(read(&path), "{\"n\":7}\n");
        assert_eq!(
            read(&folder.path().join("events.jsonl.1")),
            "{\"n\":5}\n{\"n\":6}\n"
        );
        assert_eq!(
            read(&folder.path().join("events.jsonl.2")),
            "{\"n\":3}\n{\"n\":4}\n"
        );
    }

    #[tokio::test]
    async fn a_rotation_that_was_cut_short_costs_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "now\n").unwrap();
        fs::write(folder.path().join("events.jsonl.2"), "older\n").unwrap();
        fs::write(folder.path().join("events.jsonl.3"), "oldest\n").unwrap();
        deliver(&output(&path, 6, 3), r#"{"n":1}"#).await;
        assert_eq!(read(&folder.path().join("events.jsonl.1")), "now\n");
        assert_eq!(read(&folder.path().join("events.jsonl.2")), "older\n");
        assert_eq!(read(&folder.path().join("events.jsonl.3")), "oldest\n");
    }

    #[tokio::test]
    async fn a_torn_last_line_is_ended_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, r#"{"n":"#).unwrap();
        deliver(&output(&path, 1000, 3), r#"{"n":1}"#).await;
        assert_eq!(read(&path), "{\"n\":\n{\"n\":1}\n");
    }

    #[tokio::test]
    async fn follows_a_file_that_was_moved_away_or_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let moved = folder.path().join("moved");
        let output = output(&path, 1000, 3);
        deliver(&output, r#"{"n":1}"#).await;
        fs::rename(&path, &moved).unwrap();
        deliver(&output, r#"{"n":2}"#).await;
        fs::rename(&path, folder.path().join("moved again")).unwrap();
        fs::write(&path, "from somebody else\n").unwrap();
        deliver(&output, r#"{"n":3}"#).await;
        assert_eq!(read(&moved), "{\"n\":1}\n");
        assert_eq!(read(&path), "from somebody else\n{\"n\":3}\n");
        fs::write(&path, "").unwrap();
        deliver(&output, r#"{"n":4}"#).await;
        assert_eq!(read(&path), "{\"n\":4}\n");
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_holds_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::create_dir(&path).unwrap();
        let output = output(&path, 1000, 3);
        let verdict = output.send(&[outgoing("{}")]).await;
        let Verdict::Hold { reason, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(reason.contains("events.jsonl"), "{reason}");
        assert!(output.probe().await.is_err());
        fs::remove_dir(&path).unwrap();
        output.probe().await.unwrap();
        deliver(&output, "{}").await;
    }

    #[tokio::test]
    async fn a_folder_that_is_a_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        let output = output(&folder.path().join("a/events.jsonl"), 1000, 3);
        let verdict = output.send(&[outgoing("{}")]).await;
        let Verdict::Hold { reason, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(reason.starts_with("creating the folder"), "{reason}");
    }

    #[tokio::test]
    async fn a_full_disk_is_tried_again() {
        let output = output(Path::new("/dev/full"), u64::MAX, 0);
        let verdict = output.send(&[outgoing("{}")]).await;
        let Verdict::Retry {
            delivered: 0,
            reason,
            ..
        } = verdict
        else {
            panic!("{verdict:?}");
        };
        assert!(
            reason.starts_with("writing \"/dev/full\" failed"),
            "{reason}"
        );
    }

    /// A file on a disk that has room for so many bytes, or that cannot sync.
    struct Failing {
        file: File,
        room: usize,
    }

    impl Disk for Failing {
        fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
            let fits = bytes.len().min(self.room);
            Disk::write_all(&mut &self.file, &bytes[..fits])?;
            if fits < bytes.len() {
                return Err(ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn sync_data(&mut self) -> io::Result<()> {
            Err(ErrorKind::StorageFull.into())
        }

        fn set_len(&mut self, length: u64) -> io::Result<()> {
            self.file.set_len(length)
        }
    }

    #[test]
    fn a_failed_write_or_sync_leaves_nothing_behind() {
        for room in [0, 3, 100] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.jsonl");
            fs::write(&path, "{}\n").unwrap();
            let mut disk = Failing {
                file: open(&path).unwrap(),
                room,
            };
            write_whole(&mut disk, 3, b"{\"n\":1}\n").unwrap_err();
            assert_eq!(read(&path), "{}\n");
        }
    }
}
