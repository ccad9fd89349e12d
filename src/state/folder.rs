//! The state folder is its owner's alone.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What is to be done about the rights of a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// Nobody else may enter it.
    Closed,
    /// It is ours, and others may enter it.
    Open,
    /// Others may enter it, and its owner is somebody else.
    OpenAndForeign,
}

const PRIVATE: u32 = 0o700;

/// Takes from others what they may do with a state folder. systemd's `StateDirectory=` lets them
/// read it, unless `StateDirectoryMode=0700` stands beside it.
///
/// What cannot be mended is told: a folder that others may enter is no reason to lose events.
pub(super) fn close_to_others(directory: &Path) {
    // Of one that is not there says so whoever opens what lies in it.
    let Ok(found) = fs::metadata(directory) else {
        return;
    };
    match judge(found.mode(), found.uid(), own_user()) {
        Finding::Closed => {}
        Finding::Open => match close(directory) {
            Ok(()) => tracing::info!(
                folder = %directory.display(),
                mode = format!("{:o}", found.mode() & 0o777),
                "others could enter the state folder; it is 700 now. Under systemd, write \
                 StateDirectoryMode=0700 beside StateDirectory="
            ),
            Err(error) => tracing::warn!(
                folder = %directory.display(),
                %error,
                "others may enter the state folder, and its rights cannot be changed; chmod 700 it"
            ),
        },
        Finding::OpenAndForeign => tracing::warn!(
            folder = %directory.display(),
            owner = found.uid(),
            "others may enter the state folder, and it belongs to another user; chown it to the \
             agent's user and chmod 700 it"
        ),
    }
}

fn judge(mode: u32, owner: u32, own_user: u32) -> Finding {
    match (mode & 0o077, owner == own_user) {
        (0, _) => Finding::Closed,
        (_, true) => Finding::Open,
        (_, false) => Finding::OpenAndForeign,
    }
}

fn close(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(PRIVATE))
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_enter_is_closed_by_its_owner_alone() {
        for (mode, owner, expect) in [
            (0o40_700, 990, Finding::Closed),
            (0o40_500, 990, Finding::Closed),
            (0o40_755, 990, Finding::Open),
            (0o40_710, 990, Finding::Open),
            (0o40_701, 990, Finding::Open),
            (0o40_700, 0, Finding::Closed),
            (0o40_755, 0, Finding::OpenAndForeign),
            (0o40_770, 1000, Finding::OpenAndForeign),
        ] {
            assert_eq!(judge(mode, owner, 990), expect, "{mode:o} of {owner}");
        }
    }

    #[test]
    fn one_of_ours_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o777, 0o701, 0o750] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            close_to_others(folder.path());
            let found = fs::metadata(folder.path()).unwrap();
            assert_eq!(found.mode() & 0o777, PRIVATE, "was {mode:o}");
        }
    }
}
