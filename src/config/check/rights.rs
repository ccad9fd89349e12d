//! Who else may read or change a file that holds a secret.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who owns a file, and what its mode lets others do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    mode: u32,
    user: u32,
    group: u32,
}

const ROOT: u32 = 0;

impl Rights {
    /// Those of a file; nothing is said of one that cannot be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            mode: file.mode(),
            user: file.uid(),
            group: file.gid(),
        })
    }

    /// What is wrong with them, and how to mend it, for an agent that runs as this user.
    pub(super) fn complaint(self, own_user: u32) -> Option<String> {
        if let Some((what, who)) = self.open_to() {
            return Some(format!("can be {what} by {who}; chmod {} it", self.mend()));
        }
        // Root looks at the files of an agent that is not root's.
        let is_trusted = [ROOT, own_user].contains(&self.user) || own_user == ROOT;
        (!is_trusted).then(|| {
            format!(
                "belongs to the user with id {}, who can change it; chown it to the agent's user",
                self.user
            )
        })
    }

    /// What others may do, and who.
    fn open_to(self) -> Option<(&'static str, &'static str)> {
        const EVERYBODY: &str = "every user of this machine";
        const GROUP: &str = "its group";
        let may = |right: u32| self.mode & right != 0;
        match (may(0o004), may(0o002), may(0o040), may(0o020)) {
            (true, true, _, _) => Some(("read and changed", EVERYBODY)),
            (true, false, _, _) => Some(("read", EVERYBODY)),
            (false, true, _, _) => Some(("changed", EVERYBODY)),
            (false, false, true, true) => Some(("read and changed", GROUP)),
            (false, false, false, true) => Some(("changed", GROUP)),
            (false, false, true, false) if !self.is_handed_over() => Some(("read", GROUP)),
            (false, false, _, false) => None,
        }
    }

    /// A file of root's that a group may read: so an administrator gives it to an agent that must
    /// not change it.
    fn is_handed_over(self) -> bool {
        self.user == ROOT && self.group != ROOT
    }

    fn mend(self) -> &'static str {
        if self.is_handed_over() { "640" } else { "600" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: u32 = 990;
    const ANOTHER: u32 = 1000;

    fn complaint(mode: u32, user: u32, group: u32, own_user: u32) -> Option<String> {
        Rights { mode, user, group }.complaint(own_user)
    }

    #[test]
    fn each_right_of_others_is_told_with_its_mend() {
        for (mode, expect) in [
            (0o600, None),
            (0o400, None),
            (0o711, None),
            (0o640, Some("can be read by its group; chmod 600 it")),
            (0o620, Some("can be changed by its group; chmod 600 it")),
            (
                0o660,
                Some("can be read and changed by its group; chmod 600 it"),
            ),
            (
                0o644,
                Some("can be read by every user of this machine; chmod 600 it"),
            ),
            (
                0o604,
                Some("can be read by every user of this machine; chmod 600 it"),
            ),
            (
                0o602,
                Some("can be changed by every user of this machine; chmod 600 it"),
            ),
            (
                0o100_666,
                Some("can be read and changed by every user of this machine; chmod 600 it"),
            ),
        ] {
            for (user, group) in [(AGENT, AGENT), (ROOT, ROOT)] {
                let told = complaint(mode, user, group, user);
                assert_eq!(told.as_deref(), expect, "{mode:o} of {user}");
            }
        }
    }

    #[test]
    fn root_may_hand_a_file_to_the_agents_group() {
        assert_eq!(complaint(0o640, ROOT, AGENT, AGENT), None);
        // Root's own look at it.
        assert_eq!(complaint(0o640, ROOT, AGENT, ROOT), None);
        assert_eq!(
            complaint(0o644, ROOT, AGENT, AGENT).unwrap(),
            "can be read by every user of this machine; chmod 640 it"
        );
        assert_eq!(
            complaint(0o660, ROOT, AGENT, AGENT).unwrap(),
            "can be read and changed by its group; chmod 640 it"
        );
    }

    #[test]
    fn another_users_file_is_another_users_secret() {
        let expect =
            "belongs to the user with id 1000, who can change it; chown it to the agent's user";
        assert_eq!(complaint(0o600, ANOTHER, AGENT, AGENT).unwrap(), expect);
        assert_eq!(complaint(0o600, AGENT, AGENT, AGENT), None);
        assert_eq!(complaint(0o600, AGENT, AGENT, ROOT), None);
    }
}
