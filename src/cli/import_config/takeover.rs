//! How far the adapter was becomes checkpoints: told as commands, or set.

use std::path::Path;

use chrono::SecondsFormat;
use nix::unistd::User;

use crate::checkpoints::{CheckpointChange, CheckpointStatus, To};
use crate::cli::ask::ask;
use crate::cli::terminal::printable;
use crate::cli::{CommandError, complain, packaged};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::import::{Feed, FeedState};
use crate::taxii::Timestamp;

/// What the adapter's status tells of the feeds that it polled.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// Each collection whose checkpoint is known.
    known: Vec<(String, Timestamp)>,
    /// What must be told of the others.
    remarks: Vec<String>,
    /// Why a feed cannot be taken over as it is.
    obstacles: Vec<String>,
}

impl Takeover {
    /// Judges each feed of those that are polled.
    pub(super) fn of(feeds: &[String], known: &[Feed], status: &Path) -> Self {
        let mut takeover = Self::default();
        for name in feeds {
            match known.iter().find(|feed| feed.name == *name) {
                Some(feed) => takeover.add(feed),
                None => takeover.remarks.push(format!(
                    "{}: not in {}, it begins with initial_lookback",
                    printable(name),
                    status.display()
                )),
            }
        }
        takeover
    }

    /// There is no status.
    pub(super) fn none(remark: String) -> Self {
        Self {
            remarks: vec![remark],
            ..Self::default()
        }
    }

    fn add(&mut self, feed: &Feed) {
        let name = printable(&feed.name);
        match &feed.state {
            FeedState::Fetched(stamp) => self.known.push((feed.name.clone(), stamp.clone())),
            FeedState::Between(stamp) => self.obstacles.push(format!(
                "{name}: the adapter was in the midst of an answer up to {}, of which parts are missing: \
                 let it finish (`adapter.sh now`) and do this again, or set the checkpoint to before \
                 that answer, so that some events come twice",
                printable(stamp.text())
            )),
            FeedState::Unknown(why) => {
                self.remarks.push(format!("{name}: {}", printable(why)));
            }
        }
    }

    /// Says what sets the checkpoints; tells whether all could be taken over.
    pub(super) fn tell(&self, shell: &Shell<'_>) -> bool {
        for line in self.remarks.iter().chain(&self.obstacles) {
            complain(line);
        }
        if let Some(first) = shell.first().filter(|_| !self.known.is_empty()) {
            complain(first);
        }
        for (collection, stamp) in &self.known {
            complain(shell.set(collection, stamp));
        }
        self.obstacles.is_empty()
    }

    /// What would be set, where nothing stands against it. Changes nothing.
    pub(super) async fn plan(
        &self,
        config: &Config,
        shell: &Shell<'_>,
    ) -> Result<Vec<(String, Timestamp)>, CommandError> {
        for line in &self.remarks {
            complain(line);
        }
        let mut obstacles = self.obstacles.clone();
        let mut missing = Vec::new();
        let there = checkpoints(config).await?;
        for (collection, stamp) in &self.known {
            let has = there.iter().find(|one| one.collection == *collection);
            match has.and_then(|one| one.checkpoint.as_ref()) {
                Some(has) if has == stamp => complain(format_args!(
                    "{}: it has that checkpoint already ({has})",
                    printable(collection)
                )),
                Some(has) => obstacles.push(format!(
                    "{}: it has another checkpoint already, which stays ({has}): `{}` changes it",
                    printable(collection),
                    shell.set(collection, stamp)
                )),
                None => missing.push((collection.clone(), stamp.clone())),
            }
        }
        if obstacles.is_empty() {
            return Ok(missing);
        }
        Err(CommandError::Failed(obstacles.join("\n")))
    }
}

/// Sets them all, or none.
pub(super) async fn set(
    config: &Config,
    planned: Vec<(String, Timestamp)>,
) -> Result<(), CommandError> {
    let mut done: Vec<String> = Vec::new();
    for (collection, moment) in planned {
        match change(config, &collection, To::Moment { moment }).await {
            Ok(message) => complain(printable(&message)),
            Err(error) => {
                for collection in done {
                    if let Err(error) = change(config, &collection, To::First).await {
                        complain(format_args!(
                            "the checkpoint of {} was set, and cannot be taken back: {error}",
                            printable(&collection)
                        ));
                    }
                }
                return Err(error);
            }
        }
        done.push(collection);
    }
    Ok(())
}

async fn change(config: &Config, collection: &str, to: To) -> Result<String, CommandError> {
    let change = CheckpointChange {
        service: None,
        collection: collection.to_owned(),
        to,
    };
    ask(
        config.clone(),
        Request::SetCheckpoint { change },
        |_| Ok(()),
    )
    .await
}

/// Those of the collections that are polled. Where there is no state yet there are none.
async fn checkpoints(config: &Config) -> Result<Vec<CheckpointStatus>, CommandError> {
    let mut found = Vec::new();
    if config.state.directory.exists() {
        ask(config.clone(), Request::ShowCheckpoints, |reply| {
            if let Reply::Checkpoint(one) = reply
                && one.is_configured
            {
                found.push(*one);
            }
            Ok(())
        })
        .await?;
    }
    Ok(found)
}

/// Commands as they are typed on this machine.
#[derive(Debug)]
pub(super) struct Shell<'a> {
    /// The configuration that is written, if it is written to a file.
    pub(super) config: Option<&'a Path>,
    pub(super) state: &'a Path,
    /// The agent's user, where that is another one than who types.
    pub(super) user: Option<&'a User>,
}

impl Shell<'_> {
    /// What must be there before the agent's user can set a checkpoint.
    fn first(&self) -> Option<String> {
        let user = self.user.filter(|_| !self.state.exists())?;
        Some(packaged::make_state(user, self.state))
    }

    fn set(&self, collection: &str, stamp: &Timestamp) -> String {
        let as_user = self
            .user
            .map(|user| format!("runuser -u {} -- ", quoted(&user.name)));
        let moment = stamp.time().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let config = self
            .config
            .filter(|config| *config != Path::new(packaged::CONFIG))
            .map(|config| format!(" --config {}", quoted(&config.display().to_string())));
        format!(
            "{}cta-forwarder checkpoint set {} {}{}",
            as_user.unwrap_or_default(),
            quoted(collection),
            quoted(&moment),
            config.unwrap_or_default()
        )
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+/".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", printable(text).replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_what_is_meant() {
        let stamp = Timestamp::parse("2026-03-01T10:00:00.123+01:00").unwrap();
        let command = |config: Option<&str>, collection: &str| {
            let shell = Shell {
                config: config.map(Path::new),
                state: Path::new("/nowhere"),
                user: None,
            };
            shell.set(collection, &stamp)
        };
        let plain = "cta-forwarder checkpoint set webflows_1 2026-03-01T09:00:00.123Z";
        assert_eq!(command(None, "webflows_1"), plain);
        assert_eq!(command(Some(packaged::CONFIG), "webflows_1"), plain);
        assert_eq!(
            command(Some("/my files/x.toml"), "webflows_1"),
            format!("{plain} --config '/my files/x.toml'")
        );
        assert!(command(None, "it's; rm").contains(r"'it'\''s; rm' "));
    }

    #[test]
    fn root_types_for_the_agents_user() {
        let Ok(Some(user)) = User::from_uid(nix::unistd::Uid::from_raw(0)) else {
            panic!("every machine has root");
        };
        let stamp = Timestamp::parse("2026-03-01T10:00:00Z").unwrap();
        let shell = Shell {
            config: None,
            state: Path::new("/nowhere"),
            user: Some(&user),
        };
        assert_eq!(
            shell.set("flows", &stamp),
            "runuser -u root -- cta-forwarder checkpoint set flows 2026-03-01T10:00:00Z"
        );
        let first = shell.first().unwrap();
        assert_eq!(first, "install -d -m 0700 -o root -g root /nowhere");
    }
}
