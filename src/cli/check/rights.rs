//! Whose rights count, and what they let that user do, as the kernel would judge by owner, group and
//! mode. Access lists are left out.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getgrouplist, getgroups};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use crate::cli::CommandError;
use crate::cli::packaged::user_named;

const ROOT: u32 = 0;
const WRITE: u32 = 0o2;
const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

/// The user that the agent runs as, as far as that is known.
#[derive(Debug)]
pub(super) struct Rights {
    uid: u32,
    groups: BTreeSet<u32>,
    name: String,
    /// Whether it is this process's own user: the kernel is asked itself then.
    is_own: bool,
    /// Whether nothing says who the agent's user is.
    is_guess: bool,
}

impl Rights {
    /// Those of the named user; else root looks for the owner of the state; else those of this
    /// process.
    pub(super) fn of(name: Option<&str>, state: &Path) -> Result<Self, CommandError> {
        let own = rustix::process::geteuid().as_raw();
        let owner = fs::metadata(state).ok().map(|found| found.uid());
        let user = match (name, owner) {
            (Some(name), _) => user_named(name)?,
            (None, Some(owner)) if own == ROOT && owner != ROOT => Self::user(owner),
            _ => Self::user(own),
        };
        let is_guess = own == ROOT && name.is_none() && owner.is_none();
        let uid = user.uid.as_raw();
        let is_own = uid == own;
        let groups = if is_own {
            getgroups().unwrap_or_default()
        } else {
            let name = CString::new(user.name.as_str()).unwrap_or_default();
            getgrouplist(&name, user.gid).unwrap_or_default()
        };
        let mut groups: BTreeSet<u32> = groups.into_iter().map(Gid::as_raw).collect();
        groups.insert(user.gid.as_raw());
        Ok(Self {
            uid,
            groups,
            name: user.name,
            is_own,
            is_guess,
        })
    }

    /// A user that may have no name.
    fn user(uid: u32) -> User {
        let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        known.unwrap_or_else(|| User {
            name: format!("the user with id {uid}"),
            passwd: CString::default(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(rustix::process::getegid().as_raw()),
            gecos: CString::default(),
            dir: PathBuf::default(),
            shell: PathBuf::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether root has asked, and nothing says who the agent's user is.
    pub(super) fn is_guess(&self) -> bool {
        self.is_guess
    }

    /// Whether they are those of whoever runs this.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether something that is there can be written; of a folder, whether things can be made in it.
    pub(super) fn may_write(&self, path: &Path) -> bool {
        if self.is_own {
            let wanted = if path.is_dir() {
                Access::WRITE_OK | Access::EXEC_OK
            } else {
                Access::WRITE_OK
            };
            return access(path, wanted).is_ok();
        }
        self.may_reach(path)
            && !is_read_only(path)
            && fs::metadata(path).is_ok_and(|found| {
                let wanted = if found.is_dir() { WRITE | ENTER } else { WRITE };
                self.allows(&found, wanted)
            })
    }

    pub(super) fn may_read(&self, path: &Path) -> bool {
        if self.is_own {
            return access(path, Access::READ_OK).is_ok();
        }
        self.may_reach(path) && fs::metadata(path).is_ok_and(|found| self.allows(&found, READ))
    }

    fn may_reach(&self, path: &Path) -> bool {
        let above = path
            .ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut found = above.map(fs::metadata);
        found.all(|found| found.is_ok_and(|found| self.allows(&found, ENTER)))
    }

    fn allows(&self, found: &Metadata, wanted: u32) -> bool {
        self.judge(found.mode(), found.uid(), found.gid(), wanted)
    }

    fn judge(&self, mode: u32, owner: u32, group: u32, wanted: u32) -> bool {
        if self.uid == ROOT {
            return true;
        }
        let granted = if self.uid == owner {
            mode >> 6
        } else if self.groups.contains(&group) {
            mode >> 3
        } else {
            mode
        };
        granted & wanted == wanted
    }
}

/// Whether it lies on a file system that nobody may write to, whatever the modes say.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// What must be writable so that this can be written: itself, or the nearest folder that is
/// there.
pub(super) fn place_for(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for place in path.ancestors() {
        match fs::metadata(place) {
            Ok(_) => return Ok(place.to_owned()),
            // Below a file nothing can be: the file is what is in the way.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_owner_group_and_others_that_fits_decides() {
        let rights = Rights {
            uid: 990,
            groups: BTreeSet::from([990, 4]),
            name: "agent".to_owned(),
            is_own: false,
            is_guess: false,
        };
        for (mode, owner, group, wanted, expect) in [
            (0o700, 990, 0, WRITE | ENTER, true),
            (0o500, 990, 0, WRITE, false),
            // The owner is not helped by what his group may.
            (0o077, 990, 4, READ, false),
            (0o750, 0, 4, READ | ENTER, true),
            (0o750, 0, 4, WRITE, false),
            (0o707, 0, 4, READ, false),
            (0o701, 0, 0, ENTER, true),
            (0o700, 0, 0, ENTER, false),
        ] {
            assert_eq!(
                rights.judge(mode, owner, group, wanted),
                expect,
                "{mode:o} of {owner}:{group}"
            );
        }
    }
}
