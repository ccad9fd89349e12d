//! A disk that refuses a step, on the thread of the test that asks for it.
//!
//! It keeps watch on who goes on after a refused sync: the system tells of lost pages once, and then
//! calls the file clean. Whoever syncs that file again is told that all is well, so nobody may.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::file_system::{DiskFile, FileSystem, Metadata};
use crate::tape::ScratchFile;

/// Errors of the system.
pub(crate) mod code {
    pub(crate) const EIO: i32 = 5;
    pub(crate) const ENOSPC: i32 = 28;
    pub(crate) const EROFS: i32 = 30;
    pub(crate) const EDQUOT: i32 = 122;

    /// What a disk says that takes nothing: it is broken, full, not to be written, or the user has
    /// had his share.
    pub(crate) const ALL: [i32; 4] = [EIO, ENOSPC, EROFS, EDQUOT];
}

/// What counts as a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Whatever changes something.
    All,
    /// What makes files and folders durable.
    Syncs,
    /// What opens and reads files, and looks what there is.
    Reads,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    steps: Steps,
    first: u64,
    last: u64,
    code: i32,
}

const NOTHING: Plan = Plan {
    steps: Steps::All,
    first: u64::MAX,
    last: u64::MAX,
    code: code::ENOSPC,
};

/// What happens while the disk makes something durable.
type Meanwhile = Box<dyn Fn()>;

thread_local! {
    static AT_EACH_FOLDER: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
    static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    static PLAN: Cell<Plan> = const { Cell::new(NOTHING) };
    static IS_SHORT: Cell<bool> = const { Cell::new(false) };
    static FREE: Cell<Option<u64>> = const { Cell::new(None) };
    static UNSYNCED: RefCell<BTreeSet<PathBuf>> = const { RefCell::new(BTreeSet::new()) };
}

/// From now on the step of this number, counted from 0, is refused, and `more` after it: the disk is
/// full.
pub(crate) fn refuse(number: u64, more: u64) {
    refuse_as(Steps::All, code::ENOSPC, number, more);
}

/// The same for some steps, with another error of the system.
pub(crate) fn refuse_as(steps: Steps, code: i32, number: u64, more: u64) {
    TAKEN.set(0);
    PLAN.set(Plan {
        steps,
        first: number,
        last: number.saturating_add(more),
        code,
    });
}

/// Nothing is refused any more; tells how many steps there were since [`refuse`].
pub(crate) fn end() -> u64 {
    PLAN.set(NOTHING);
    TAKEN.get()
}

/// From now on a write takes half of what it is given, or all.
pub(crate) fn write_short(is_short: bool) {
    IS_SHORT.set(is_short);
}

/// From now on this happens with each sync of a file: time passes, on a slow disk.
pub(crate) fn with_each_sync(meanwhile: Option<Meanwhile>) {
    MEANWHILE.set(meanwhile);
}

/// From now on this happens with each folder that is made.
pub(crate) fn with_each_folder(meanwhile: Option<Meanwhile>) {
    AT_EACH_FOLDER.set(meanwhile);
}

/// A process begins, and does not know which syncs failed in the one before. Of the ledger it need
/// not know: it writes on no file of which it is not told that all syncs were done.
pub(super) fn begin_process() {
    let is_of_ledger = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "ledger");
    UNSYNCED.with_borrow_mut(|unsynced| unsynced.retain(is_of_ledger));
}

/// From now on the disk says that so much is free; none: what is true.
pub(crate) fn pretend_free(bytes: Option<u64>) {
    FREE.set(bytes);
}

/// The machine was off: what it remembers of files that could not be synced is what the disk holds.
pub(crate) fn power_was_cut() {
    UNSYNCED.take();
}

fn step(is_sync: bool) -> io::Result<()> {
    match PLAN.get().steps {
        Steps::All => count(),
        Steps::Syncs if is_sync => count(),
        Steps::Syncs | Steps::Reads => Ok(()),
    }
}

fn read_step() -> io::Result<()> {
    match PLAN.get().steps {
        Steps::Reads => count(),
        Steps::All | Steps::Syncs => Ok(()),
    }
}

fn count() -> io::Result<()> {
    let step = TAKEN.get();
    TAKEN.set(step + 1);
    let Plan {
        first, last, code, ..
    } = PLAN.get();
    if (first..=last).contains(&step) && first != u64::MAX {
        return Err(io::Error::from_raw_os_error(code));
    }
    Ok(())
}

/// How much of a write the disk takes.
fn taken(bytes: &[u8]) -> &[u8] {
    match bytes.len() {
        length @ 2.. if IS_SHORT.get() => bytes.get(..length / 2).unwrap_or_default(),
        _ => bytes,
    }
}

/// Nobody has it in mind any more, or it is another file.
fn forget(path: &Path) {
    UNSYNCED.with_borrow_mut(|unsynced| unsynced.retain(|known| !known.starts_with(path)));
}

fn renamed(from: &Path, to: &Path) {
    forget(to);
    UNSYNCED.with_borrow_mut(|unsynced| {
        let moved = |known: &PathBuf| known.strip_prefix(from).map(|rest| to.join(rest));
        let moved: Vec<PathBuf> = unsynced
            .iter()
            .filter_map(|known| moved(known).ok())
            .collect();
        unsynced.retain(|known| !known.starts_with(from));
        unsynced.extend(moved);
    });
}

/// What changes something on it is a step.
#[derive(Debug)]
pub(super) struct RefusingDisk<F>(pub(super) F);

#[derive(Debug)]
struct RefusingFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
}

#[derive(Debug)]
struct RefusingReader<R>(R);

impl<F: FileSystem> FileSystem for RefusingDisk<F> {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        AT_EACH_FOLDER.with_borrow(|meanwhile| meanwhile.iter().for_each(|happens| happens()));
        step(false)?;
        self.0.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        step(false)?;
        let file = self.0.create_file(path)?;
        forget(path);
        Ok(Box::new(RefusingFile {
            file,
            path: path.to_owned(),
        }))
    }

    fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        step(false)?;
        Ok(Box::new(RefusingFile {
            file: self.0.append_file(path)?,
            path: path.to_owned(),
        }))
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        read_step()?;
        Ok(Box::new(RefusingReader(self.0.open_file(path)?)))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        read_step()?;
        self.0.metadata(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        read_step()?;
        self.0.names(folder)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        step(false)?;
        self.0.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step(false)?;
        self.0.rename(from, to)?;
        renamed(from, to);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        step(false)?;
        self.0.remove_file(path)?;
        forget(path);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        step(false)?;
        self.0.remove_folder(path)?;
        forget(path);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        step(true)?;
        self.0.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        FREE.get().map_or_else(|| self.0.free_bytes(path), Ok)
    }

    fn scratch_file(&self, folder: &Path) -> io::Result<Box<dyn ScratchFile>> {
        step(false)?;
        Ok(Box::new(RefusingReader(self.0.scratch_file(folder)?)))
    }
}

impl Write for RefusingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = step(false) {
            // As a disk that becomes full, or a machine that stops, leaves it.
            self.file
                .write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(error);
        }
        self.file.write(taken(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for RefusingFile {
    fn sync(&mut self) -> io::Result<()> {
        let was_refused = UNSYNCED.with_borrow(|unsynced| unsynced.contains(&self.path));
        assert!(
            !was_refused,
            "{} is synced again after a sync that failed, as if that had not been",
            self.path.display()
        );
        step(true).inspect_err(|_| {
            UNSYNCED.with_borrow_mut(|unsynced| unsynced.insert(self.path.clone()));
        })?;
        MEANWHILE.with_borrow(|meanwhile| meanwhile.iter().for_each(|happens| happens()));
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        step(false)?;
        self.file.cut_back(length)
    }
}

impl<R: Read> Read for RefusingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_step()?;
        self.0.read(out)
    }
}

impl<R: Write> Write for RefusingReader<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step(false)?;
        self.0.write(taken(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<R: Seek> Seek for RefusingReader<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}
