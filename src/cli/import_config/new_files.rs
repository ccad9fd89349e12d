//! Files that are laid down together: all of them, or none.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};

/// The bits of a mode that say who may do what.
const RIGHTS: u32 = 0o777;

/// Files that wait beside their places until all of them can be laid down. What was laid down is taken
/// back when this is dropped, unless it is [kept](Self::keep).
#[derive(Debug, Default)]
pub(super) struct NewFiles {
    /// Those that were made, the outermost first.
    folders: Vec<PathBuf>,
    waiting: Vec<Waiting>,
    laid: Vec<Laid>,
}

#[derive(Debug)]
struct Waiting {
    place: PathBuf,
    file: NamedTempFile,
    replaces: bool,
}

#[derive(Debug)]
struct Laid {
    place: PathBuf,
    /// What was there before.
    old: Option<TempPath>,
}

/// Who may do what with a new file or folder. A file that takes another's place has that one's owner,
/// group and mode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    pub(super) mode: u32,
    /// Its group, if it is not that of whoever makes it.
    pub(super) group: Option<u32>,
}

/// A file cannot be laid down.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayError {
    #[error(
        "{} is there already: name another file, or write over it with --force; nothing was written",
        path.display()
    )]
    IsThere { path: PathBuf },
    #[error(
        "{} is not a plain file: name the file itself; nothing was written",
        path.display()
    )]
    NotAFile { path: PathBuf },
    #[error("{} cannot be written: {source}; nothing was written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl NewFiles {
    /// Makes a folder, and those above it.
    pub(super) fn make_folder(&mut self, path: &Path, rights: Rights) -> Result<(), LayError> {
        let cannot = |source| LayError::Write {
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.make_folder(above, rights)?;
        }
        let mut builder = DirBuilder::new();
        builder.mode(0o700).create(path).map_err(cannot)?;
        self.folders.push(path.to_owned());
        let folder = File::open(path).map_err(cannot)?;
        give(&folder, None, rights.group, rights.mode).map_err(cannot)
    }

    /// Writes a file beside its place, durably.
    pub(super) fn prepare(
        &mut self,
        place: &Path,
        text: &str,
        rights: Rights,
        may_replace: bool,
    ) -> Result<(), LayError> {
        let path = || place.to_owned();
        let old = match fs::symlink_metadata(place) {
            Ok(old) if !old.is_file() => return Err(LayError::NotAFile { path: path() }),
            Ok(_) if !may_replace => return Err(LayError::IsThere { path: path() }),
            Ok(old) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(LayError::Write {
                    path: path(),
                    source,
                });
            }
        };
        let file =
            written(place, text, rights, old.as_ref()).map_err(|source| LayError::Write {
                path: path(),
                source,
            })?;
        self.waiting.push(Waiting {
            place: path(),
            file,
            replaces: old.is_some(),
        });
        Ok(())
    }

    /// Where the file of that place waits.
    pub(super) fn waiting(&self, place: &Path) -> Option<&Path> {
        let mut waiting = self.waiting.iter();
        let found = waiting.find(|waiting| waiting.place == place);
        found.map(|found| found.file.path())
    }

    /// Gives each file its place.
    pub(super) fn lay_down(&mut self) -> Result<(), LayError> {
        for waiting in std::mem::take(&mut self.waiting) {
            let path = waiting.place.clone();
            let laid = waiting.lay_down();
            self.laid
                .push(laid.map_err(|source| LayError::Write { path, source })?);
        }
        for laid in &self.laid {
            sync_folder_of(&laid.place).map_err(|source| LayError::Write {
                path: laid.place.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// All of it stays. Gives the places.
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        self.folders.clear();
        let laid = std::mem::take(&mut self.laid);
        laid.into_iter().map(|laid| laid.place).collect()
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for laid in self.laid.drain(..).rev() {
            let path = laid.place.clone();
            if let Err(error) = laid.take_back() {
                crate::cli::complain(format_args!(
                    "{} cannot be taken back ({error}): look at it",
                    path.display()
                ));
            }
        }
        self.waiting.clear();
        for folder in self.folders.drain(..).rev() {
            // Whoever has put something into it meanwhile wants it.
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Waiting {
    fn lay_down(self) -> io::Result<Laid> {
        let Self {
            place,
            file,
            replaces,
        } = self;
        let old = if replaces {
            // A second name, so that at each moment there is a whole file in the place.
            let link = |path: &Path| fs::hard_link(&place, path);
            let old = hidden().make_in(folder_of(&place), link)?;
            file.persist(&place)?;
            Some(old.into_temp_path())
        } else {
            file.persist_noclobber(&place)?;
            None
        };
        Ok(Laid { place, old })
    }
}

impl Laid {
    fn take_back(self) -> io::Result<()> {
        match self.old {
            Some(old) => old.persist(&self.place)?,
            None => fs::remove_file(&self.place)?,
        }
        sync_folder_of(&self.place)
    }
}

fn written(
    place: &Path,
    text: &str,
    rights: Rights,
    old: Option<&Metadata>,
) -> io::Result<NamedTempFile> {
    let mut file = hidden().tempfile_in(folder_of(place))?;
    file.write_all(text.as_bytes())?;
    match old {
        Some(old) => give(
            file.as_file(),
            Some(old.uid()),
            Some(old.gid()),
            old.mode() & RIGHTS,
        )?,
        None => give(file.as_file(), None, rights.group, rights.mode)?,
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// The mode last: no one may read what is not yet the right group's.
fn give(file: &File, owner: Option<u32>, group: Option<u32>, mode: u32) -> io::Result<()> {
    let found = file.metadata()?;
    let owner = owner.filter(|owner| *owner != found.uid());
    let group = group.filter(|group| *group != found.gid());
    if owner.is_some() || group.is_some() {
        fchown(file, owner, group)?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// How a file is named that waits, or that was there before.
fn hidden() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".cta-forwarder-import-");
    builder
}

fn folder_of(place: &Path) -> &Path {
    let above = place.parent();
    above
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn sync_folder_of(place: &Path) -> io::Result<()> {
    File::open(folder_of(place))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Rights = Rights {
        mode: 0o640,
        group: None,
    };

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & RIGHTS
    }

    #[test]
    fn all_are_laid_down_and_one_that_takes_anothers_place_has_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("old"), "old").unwrap();
        fs::set_permissions(place("old"), Permissions::from_mode(0o604)).unwrap();
        // Where the test may give files away, it does.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(place("old"), Some(12), Some(34)).unwrap();
        }
        let mut files = NewFiles::default();
        files
            .make_folder(&place("a/b"), Rights { mode: 0o750, ..OWN })
            .unwrap();
        files.prepare(&place("a/b/new"), "new", OWN, false).unwrap();
        files.prepare(&place("old"), "newer", OWN, true).unwrap();
        assert_eq!(fs::read_to_string(place("old")).unwrap(), "old");
        files.lay_down().unwrap();
        assert_eq!(files.keep(), [place("a/b/new"), place("old")]);
        assert_eq!(fs::read_to_string(place("old")).unwrap(), "newer");
        assert_eq!(
            (mode(&place("old")), mode(&place("a/b/new"))),
            (0o604, 0o640)
        );
        assert_eq!(mode(&place("a")), 0o750);
        let found = fs::metadata(place("old")).unwrap();
        if is_root {
            assert_eq!((found.uid(), found.gid()), (12, 34));
        }
        assert_eq!(names(folder.path()), ["a", "old"]);
    }

    #[test]
    fn where_one_cannot_be_laid_down_all_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("old"), "old").unwrap();
        fs::set_permissions(place("old"), Permissions::from_mode(0o600)).unwrap();
        let inode = fs::metadata(place("old")).unwrap().ino();
        let mut files = NewFiles::default();
        files.make_folder(&place("a/b"), OWN).unwrap();
        for name in ["a/b/new", "old", "late"] {
            files.prepare(&place(name), "new", OWN, true).unwrap();
        }
        // Somebody else was quicker.
        fs::write(place("late"), "another's").unwrap();
        let error = files.lay_down().unwrap_err().to_string();
        assert!(error.contains("late cannot be written"), "{error}");
        drop(files);
        assert_eq!(names(folder.path()), ["late", "old"]);
        assert_eq!(fs::read_to_string(place("late")).unwrap(), "another's");
        let old = fs::metadata(place("old")).unwrap();
        assert_eq!((old.ino(), mode(&place("old"))), (inode, 0o600));
    }

    #[test]
    fn what_is_there_or_is_no_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("old"), "old").unwrap();
        std::os::unix::fs::symlink(place("old"), place("link")).unwrap();
        let mut files = NewFiles::default();
        for (name, may_replace, expect) in [
            ("old", false, "is there already"),
            ("link", true, "not a plain file"),
            (".", true, "not a plain file"),
            ("nowhere/new", true, "cannot be written"),
        ] {
            let error = files.prepare(&place(name), "x", OWN, may_replace);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        drop(files);
        assert_eq!(names(folder.path()), ["link", "old"]);
    }
}
