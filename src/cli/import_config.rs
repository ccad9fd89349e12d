//! `import-config`: the vendor's adapter, taken over.

mod home;
mod new_files;
mod takeover;

use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::terminal::printable;
use super::{CommandError, Exit, complain, load_without_secrets, packaged, print_line};
use crate::config::Config;
use crate::import::{
    Adapter, Around, Imported, SecretFile, SecretForm, Secrets, Surroundings, read_status, write,
};
use crate::schedule;
use home::{Home, read};
use new_files::{LayError, NewFiles, Rights};
use takeover::{Shell, Takeover};

/// Write a configuration from that of the vendor's taxii-log-adapter
///
/// Reads its application.yml and what that names (logback.xml, a file of feeds, taxii-status.xml), and
/// writes a configuration for this agent to standard output or to a file. Each key that has no
/// counterpart, or means something else here, is told in a comment; what is left to do begins with
/// TODO and is told on standard error too. No password stands in it: with --secrets they are written
/// to files. All files are written, or none.
///
/// How far each feed was becomes a checkpoint: the commands that set them are told, or
/// --take-checkpoints sets them, beside an agent or without one. A feed that was in the midst of an
/// answer is left out, since what it had not fetched yet would be skipped; with --take-checkpoints
/// nothing is written then.
///
/// A file that is written over keeps its owner, its group and its mode. What root writes anew, the
/// agent's user may read.
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
    /// Write passwords to files in this folder, readable by their owner, or by root and the agent's
    /// user, alone
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Write secrets as { credential = "…" }, for a unit that hands them over. Those in
    /// /etc/cta-forwarder/secrets always are
    #[arg(long)]
    credentials: bool,
    /// A profile of Spring that is active where the adapter runs, besides its own, `schedule`; may be given
    /// several times
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// The adapter's taxii-status.xml; without it, the one that application.yml names
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
    /// The state folder of this agent
    #[arg(long, value_name = "DIR", default_value = packaged::STATE)]
    state: PathBuf,
    /// The agent's user, who may read what root writes; without it, the owner of the state folder, or
    /// the user of the packages
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Set the checkpoints in the state folder of the configuration that is written
    #[arg(long, requires = "output")]
    take_checkpoints: bool,
}

/// The options, made whole.
struct Places {
    output: Option<PathBuf>,
    secrets: PathBuf,
    form: SecretForm,
    state: PathBuf,
    /// The agent's user, where root writes for another.
    user: Option<User>,
}

impl ImportConfig {
    pub(super) async fn run(self) -> Result<Exit, CommandError> {
        let places = self.places()?;
        let adapter = self.adapter()?;
        let home = Home::of(&self.application);
        let feeds = home.feeds(&adapter)?;
        let takeover = self.takeover(&adapter, &feeds, &home)?;
        let around = Surroundings {
            source: self.application.display().to_string(),
            remarks: self.remarks(&home),
            state: places.state.clone(),
            secrets: Secrets {
                folder: places.secrets.clone(),
                form: places.form,
                are_written: self.secrets.is_some(),
            },
            check_cron: schedule::check,
        };
        let imported = write(&adapter, &feeds, &home.appenders(&adapter), &around);
        let shell = Shell {
            config: places.output.as_deref(),
            state: &places.state,
            user: places.user.as_ref(),
        };

        let mut files = self.prepare(&imported, &places)?;
        let config = places.output.as_ref().filter(|_| self.take_checkpoints);
        let planned = match config {
            Some(place) => {
                let config = prepared_config(&files, place)?;
                let planned = takeover.plan(&config, &shell).await;
                let planned = planned.map_err(|error| {
                    CommandError::Failed(format!("{error}\nnothing was written"))
                })?;
                Some((config, planned))
            }
            None => None,
        };
        files.lay_down()?;
        let taken = match planned {
            Some((config, planned)) => {
                takeover::set(&config, planned)
                    .await
                    .map_err(|error| nothing_stays(&error))?;
                true
            }
            None => false,
        };
        for place in files.keep() {
            complain(format_args!("written: {}", place.display()));
        }
        if places.output.is_none() {
            print_line(imported.toml.trim_end())?;
        }
        for todo in &imported.todo {
            complain(format_args!("TODO: {}", printable(todo)));
        }
        if taken || takeover.tell(&shell) {
            Ok(Exit::Success)
        } else {
            Ok(Exit::Failure)
        }
    }

    fn adapter(&self) -> Result<Adapter, CommandError> {
        let variable = |name: &str| std::env::var(name).ok();
        let around = Around {
            profiles: &self.profiles,
            variable: &variable,
        };
        Adapter::read(&read(&self.application)?, &around).map_err(|error| {
            CommandError::Failed(format!("{}: {error}", self.application.display()))
        })
    }

    fn remarks(&self, home: &Home) -> Vec<String> {
        let others = home.others(&self.application, &self.profiles);
        let told = others.iter().map(|path| {
            format!(
                "the adapter reads {} too, whose keys may come before these, and which is not read here: \
                 compare it",
                path.display()
            )
        });
        told.collect()
    }

    fn places(&self) -> Result<Places, CommandError> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(CommandError::failed("no such folder"));
        let secrets = absolute(
            self.secrets
                .as_deref()
                .unwrap_or(Path::new(packaged::SECRETS)),
        )?;
        let form = if self.credentials || secrets.starts_with(packaged::SECRETS) {
            SecretForm::Credential
        } else {
            SecretForm::File
        };
        let state = absolute(&self.state)?;
        Ok(Places {
            output: self.output.as_deref().map(absolute).transpose()?,
            secrets,
            form,
            user: packaged::agent_user(self.user.as_deref(), &state)?,
            state,
        })
    }

    /// Everything that is written waits beside its place.
    fn prepare(&self, imported: &Imported, places: &Places) -> Result<NewFiles, CommandError> {
        let group = places.user.as_ref().map(|user| user.gid.as_raw());
        let of_group = |mode| match group {
            Some(_) => Rights { mode, group },
            None => Rights {
                mode: mode & 0o700,
                group,
            },
        };
        let of_root = |mode| Rights { mode, group: None };
        let (folder, secret) = match places.form {
            // systemd reads it as root.
            SecretForm::Credential => (of_root(0o700), of_root(0o600)),
            SecretForm::File => (of_group(0o750), of_group(0o640)),
        };
        let mut files = NewFiles::default();
        if self.secrets.is_some() {
            files.make_folder(&places.secrets, folder)?;
        }
        for SecretFile { path, secret: text } in &imported.secrets {
            let text = format!("{}\n", text.expose());
            files.prepare(path, &text, secret, self.force)?;
        }
        if let Some(place) = &places.output {
            let rights = Rights { mode: 0o640, group };
            files.prepare(place, &imported.toml, rights, self.force)?;
        }
        Ok(files)
    }

    fn takeover(
        &self,
        adapter: &Adapter,
        feeds: &[String],
        home: &Home,
    ) -> Result<Takeover, CommandError> {
        let named = self.status.clone();
        let path = named.unwrap_or_else(|| home.status_file(adapter));
        if self.status.is_none() && !path.exists() {
            return Ok(Takeover::none(format!(
                "there is no {}: each collection begins with initial_lookback; --status names another \
                 file",
                path.display()
            )));
        }
        let known = read_status(&read(&path)?)
            .map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
        Ok(Takeover::of(feeds, &known, &path))
    }
}

/// The configuration as it waits.
fn prepared_config(files: &NewFiles, place: &Path) -> Result<Config, CommandError> {
    let waiting = files.waiting(place).unwrap_or(place);
    load_without_secrets(waiting).map_err(|error| {
        let waiting = waiting.display().to_string();
        CommandError::Failed(format!(
            "{}\nthe configuration must be completed before a checkpoint can be set: leave out \
             --take-checkpoints, and do what its TODOs say; nothing was written",
            error
                .to_string()
                .replace(&waiting, &place.display().to_string())
        ))
    })
}

fn nothing_stays(error: &CommandError) -> CommandError {
    CommandError::Failed(format!("{error}\nwhat was written was taken back"))
}

impl From<LayError> for CommandError {
    fn from(error: LayError) -> Self {
        Self::Failed(error.to_string())
    }
}
