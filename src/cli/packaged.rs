//! What the packages lay down on a machine, and whose it is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::CommandError;

/// The configuration that the unit runs.
pub(super) const CONFIG: &str = "/etc/cta-forwarder/cta-forwarder.toml";
/// The folder from which the unit takes secrets, to hand them over as credentials. Root alone enters it.
pub(super) const SECRETS: &str = "/etc/cta-forwarder/secrets";
/// The state of the unit's agent.
pub(super) const STATE: &str = "/var/lib/cta-forwarder";
/// Below it are the states of its instances.
const INSTANCES: &str = "/var/lib/cta-forwarder-instances";
/// Who the unit runs as.
const USER: &str = "cta-forwarder";

/// Whoever runs the agent of a state where that is not root, for what root does on that user's behalf:
/// the named one, else the owner of the state, else, where the state is the packages', their user.
/// None where this is not root, or nothing says who it is.
pub(super) fn agent_user(name: Option<&str>, state: &Path) -> Result<Option<User>, CommandError> {
    if let Some(name) = name {
        return user_named(name).map(Some);
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = match fs::metadata(state) {
        Ok(found) => User::from_uid(Uid::from_raw(found.uid())).ok().flatten(),
        Err(_) if state.starts_with(STATE) || state.starts_with(INSTANCES) => {
            User::from_name(USER).ok().flatten()
        }
        Err(_) => None,
    };
    Ok(found.filter(|user| !user.uid.is_root()))
}

/// The user of this name.
pub(super) fn user_named(name: &str) -> Result<User, CommandError> {
    let known = User::from_name(name).ok().flatten();
    known.ok_or_else(|| CommandError::Failed(format!("there is no user {name:?} on this machine")))
}

/// What makes the folder of a state for its user.
pub(super) fn make_state(user: &User, state: &Path) -> String {
    let (name, group) = (&user.name, user.gid);
    let group = nix::unistd::Group::from_gid(group)
        .ok()
        .flatten()
        .map_or_else(|| group.to_string(), |group| group.name);
    format!(
        "install -d -m 0700 -o {name} -g {group} {}",
        state.display()
    )
}
