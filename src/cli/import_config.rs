//! `import-config`: the vendor's adapter, taken over.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::ask::ask;
use super::terminal::printable;
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::checkpoints::{CheckpointChange, CheckpointStatus, To};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::import::{
    Adapter, Appender, Feed, FeedState, Imported, SecretFile, Surroundings, read_logback,
    read_status, write,
};
use crate::schedule;
use crate::taxii::Timestamp;

/// Larger files are not the adapter's.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Where the adapter keeps its status, beside where it is started.
const STATUS_FILE: &str = "taxii-status.xml";
/// Where the packages have secrets.
const SECRETS: &str = "/etc/cta-forwarder";

/// Write a configuration from that of the vendor's taxii-log-adapter
///
/// Reads its application.yml and what that names (logback.xml, a file of feeds, taxii-status.xml), and
/// writes a configuration for this agent to standard output or to a file. Each key that has no
/// counterpart, or means something else here, is told in a comment; what is left to do begins with
/// TODO and is told on standard error too. No password stands in it: with --secrets they are written
/// to files.
///
/// How far each feed was becomes a checkpoint: the commands that set them are told, or
/// --take-checkpoints sets them, beside an agent or without one. A feed that was in the midst of an
/// answer is left out, since what it had not fetched yet would be skipped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder import-config /data/taxii-log-adapter/config/application.yml
  cta-forwarder import-config application.yml --output cta-forwarder.toml --secrets secrets
  cta-forwarder import-config application.yml --output cta-forwarder.toml --force --take-checkpoints")]
pub(super) struct ImportConfig {
    /// The adapter's application.yml
    #[arg(value_name = "APPLICATION.YML")]
    application: PathBuf,
    /// Write the configuration to this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
    /// Write passwords to files in this folder, readable by their owner alone
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// The adapter's taxii-status.xml; without it, the one that application.yml names
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
    /// The state folder of this agent
    #[arg(long, value_name = "DIR", default_value = "/var/lib/cta-forwarder")]
    state: PathBuf,
    /// Set the checkpoints in the state folder of the configuration that is written
    #[arg(long, requires = "output")]
    take_checkpoints: bool,
}

impl ImportConfig {
    pub(super) async fn run(self) -> Result<Exit, CommandError> {
        let adapter = Adapter::read(&read(&self.application)?).map_err(|error| {
            CommandError::Failed(format!("{}: {error}", self.application.display()))
        })?;
        let home = Home::of(&self.application);
        let feeds = home.feeds(&adapter)?;
        let imported = self.write_configuration(&adapter, &feeds, &home)?;
        for todo in &imported.todo {
            complain(format_args!("TODO: {}", printable(todo)));
        }
        self.take_over_status(&adapter, &feeds, &home).await
    }

    fn write_configuration(
        &self,
        adapter: &Adapter,
        feeds: &[String],
        home: &Home,
    ) -> Result<Imported, CommandError> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(CommandError::failed("no such folder"));
        let secrets = self.secrets.as_deref();
        let around = Surroundings {
            source: self.application.display().to_string(),
            state: absolute(&self.state)?,
            secrets: absolute(secrets.unwrap_or(Path::new(SECRETS)))?,
            are_secrets_written: secrets.is_some(),
            check_cron: schedule::check,
        };
        let imported = write(adapter, feeds, &home.appenders(adapter), &around);
        // All of it or nothing, as far as that can be known before.
        let files = imported.secrets.iter().map(|secret| &secret.path);
        for path in files.chain(&self.output) {
            if !self.force && path.exists() {
                return Err(CommandError::Failed(format!(
                    "{} is there already: name another file, or write over it with --force",
                    path.display()
                )));
            }
        }
        if let Some(folder) = secrets {
            let mut builder = fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(folder);
            made.map_err(|error| cannot_write(folder, &error))?;
        }
        for SecretFile { path, secret } in &imported.secrets {
            self.write_file(path, &format!("{}\n", secret.expose()), 0o600)?;
        }
        match &self.output {
            Some(path) => self.write_file(path, &imported.toml, 0o640)?,
            None => print_line(imported.toml.trim_end())?,
        }
        Ok(imported)
    }

    fn write_file(&self, path: &Path, text: &str, mode: u32) -> Result<(), CommandError> {
        let write = || -> io::Result<()> {
            if self.force && path.exists() {
                // What is new must not have the rights of what was there.
                fs::remove_file(path)?;
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| cannot_write(path, &error))?;
        complain(format_args!("written: {}", path.display()));
        Ok(())
    }

    /// Tells or sets the checkpoints.
    async fn take_over_status(
        &self,
        adapter: &Adapter,
        feeds: &[String],
        home: &Home,
    ) -> Result<Exit, CommandError> {
        let path = match (&self.status, &adapter.status_file) {
            (Some(path), _) => path.clone(),
            (None, Some(named)) => home.place(named),
            (None, None) => home.place(STATUS_FILE),
        };
        if self.status.is_none() && !path.exists() {
            complain(format_args!(
                "there is no {}: each collection begins with initial_lookback; --status names another \
                 file",
                path.display()
            ));
            return Ok(Exit::Success);
        }
        let known = read_status(&read(&path)?)
            .map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
        let mut exit = Exit::Success;
        for name in feeds {
            if known.iter().all(|feed| feed.name != *name) {
                complain(format_args!(
                    "{}: not in {}, it begins with initial_lookback",
                    printable(name),
                    path.display()
                ));
            }
        }
        for feed in known.iter().filter(|feed| feeds.contains(&feed.name)) {
            if !self.take_over(feed).await? {
                exit = Exit::Failure;
            }
        }
        Ok(exit)
    }

    /// Whether the checkpoint of a feed could be taken over.
    async fn take_over(&self, feed: &Feed) -> Result<bool, CommandError> {
        let name = printable(&feed.name);
        let stamp = match &feed.state {
            FeedState::Fetched(stamp) => stamp,
            FeedState::Between(stamp) => {
                complain(format_args!(
                    "{name}: the adapter was in the midst of an answer up to {}, of which parts are \
                     missing: let it finish (`adapter.sh now`) and do this again, or set the \
                     checkpoint to before that answer, so that some events come twice",
                    printable(stamp.text())
                ));
                return Ok(false);
            }
            FeedState::Unknown(why) => {
                complain(format_args!("{name}: {}", printable(why)));
                return Ok(true);
            }
        };
        match self.output.as_ref().filter(|_| self.take_checkpoints) {
            Some(config) => set(load_without_secrets(config)?, &feed.name, stamp).await,
            None => {
                complain(command(&feed.name, stamp));
                Ok(true)
            }
        }
    }
}

/// What sets a checkpoint, for a shell.
fn command(collection: &str, stamp: &Timestamp) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+".contains(c);
    let quoted = |text: &str| {
        if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
            text.to_owned()
        } else {
            format!("'{}'", printable(text).replace('\'', r"'\''"))
        }
    };
    format!(
        "cta-forwarder checkpoint set {} {}",
        quoted(collection),
        quoted(
            &stamp
                .time()
                .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        )
    )
}

/// Sets it, where there is none.
async fn set(config: Config, collection: &str, stamp: &Timestamp) -> Result<bool, CommandError> {
    let mut known: Option<CheckpointStatus> = None;
    ask(config.clone(), Request::ShowCheckpoints, |reply| {
        if let Reply::Checkpoint(one) = reply
            && one.is_configured
            && one.collection == collection
        {
            known = Some(*one);
        }
        Ok(())
    })
    .await?;
    let has = known.and_then(|known| known.checkpoint);
    if let Some(has) = has {
        let told = if has == *stamp {
            "it has that checkpoint already"
        } else {
            "it has another checkpoint already, which stays: `cta-forwarder checkpoint set` changes it"
        };
        complain(format_args!("{}: {told} ({has})", printable(collection)));
        return Ok(has == *stamp);
    }
    let change = CheckpointChange {
        service: None,
        collection: collection.to_owned(),
        to: To::Moment {
            moment: stamp.clone(),
        },
    };
    let message = ask(config, Request::SetCheckpoint { change }, |_| Ok(())).await?;
    complain(printable(&message));
    Ok(true)
}

/// Where the adapter is started: what its configuration names is beside that.
struct Home(PathBuf);

impl Home {
    /// application.yml lies there, or in `config` below it.
    fn of(application: &Path) -> Self {
        let absolute = std::path::absolute(application).unwrap_or_else(|_| application.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let is_config = folder.file_name().is_some_and(|name| name == "config");
        let home = folder.parent().filter(|_| is_config).unwrap_or(folder);
        Self(home.to_owned())
    }

    fn place(&self, named: &str) -> PathBuf {
        let named = named.strip_prefix("file:").unwrap_or(named);
        self.0.join(named)
    }

    fn feeds(&self, adapter: &Adapter) -> Result<Vec<String>, CommandError> {
        let Some(named) = &adapter.feed_names_file else {
            return Ok(adapter.feeds.clone());
        };
        let text = read(&self.place(named))?;
        let lines = text.lines().map(|line| line.trim().to_owned());
        Ok(lines.filter(|line| !line.is_empty()).collect())
    }

    fn appenders(&self, adapter: &Adapter) -> Result<Vec<Appender>, String> {
        let named = adapter.logging_config.as_ref();
        let named = named.ok_or("application.yml names no logging.config")?;
        let path = self.place(named);
        let text = read(&path).map_err(|error| error.to_string())?;
        let found = read_logback(&text);
        let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
        if found.is_empty() {
            return Err(format!("{} has no logger \"output\"", path.display()));
        }
        Ok(found)
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    let cannot = |error: io::Error| {
        CommandError::Failed(format!("{} cannot be read: {error}", path.display()))
    };
    let found = fs::metadata(path).map_err(cannot)?;
    if found.len() > MAX_FILE_BYTES {
        let too_large = io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        return Err(cannot(too_large));
    }
    fs::read_to_string(path).map_err(cannot)
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    CommandError::Failed(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_what_is_meant() {
        let stamp = Timestamp::parse("2026-03-01T10:00:00.123+01:00").unwrap();
        assert_eq!(
            command("webflows_1", &stamp),
            "cta-forwarder checkpoint set webflows_1 2026-03-01T09:00:00.123Z"
        );
        assert!(command("it's; rm", &stamp).contains(r"'it'\''s; rm' "));
    }

    #[test]
    fn what_is_named_is_beside_where_the_adapter_is_started() {
        let place = |yml: &str, named: &str| Home::of(Path::new(yml)).place(named);
        let home = Path::new("/data/adapter");
        assert_eq!(
            place("/data/adapter/config/application.yml", "config/logback.xml"),
            home.join("config/logback.xml")
        );
        assert_eq!(place("/data/adapter/application.yml", "x"), home.join("x"));
        assert_eq!(
            place("/data/adapter/application.yml", "file:/x"),
            Path::new("/x")
        );
    }
}
