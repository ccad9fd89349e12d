//! Another configuration for an agent that runs: what differs, and whether it can be had at all.
//!
//! Everything that can fail is done here, before anything of the old configuration is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::StartError;
use super::running::{Part, Running};
use crate::config::{
    Config, InboxConfig, LoadError, Loaded, OutputConfig, OutputKind, ServerTlsConfig,
    ServiceConfig,
};
use crate::control::Reply;
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::inbox::Inbox;
use crate::observe::service_manager;
use crate::poller::Poller;

/// So long a reload waits for what is under way before it tells what it has done.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the process of an agent lets it have another configuration.
pub trait ConfigSource: Send {
    /// Reads the configuration again.
    fn load(&self) -> Result<Loaded, LoadError>;

    /// From now on so much is logged.
    fn set_level(&self, level: &str);
}

/// Another configuration cannot be had: the old one goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// It is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Some of it is for a start alone.
    #[error(
        "{} changed, which takes a restart: restart the agent, nothing is lost by that",
        .0.join(" and ")
    )]
    Restart(Vec<&'static str>),
    /// Something cannot be set up.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What the parts of an agent are made of: what makes no difference here makes none there.
#[derive(Debug, Default)]
pub(super) struct Made {
    parts: BTreeMap<Part, Material>,
}

/// What one part is made of.
#[derive(Debug, PartialEq)]
struct Material {
    config: PartConfig,
    /// The certificates and keys that it names, as they were when they were read.
    files: Vec<Option<[u8; 32]>>,
}

#[derive(Debug, PartialEq)]
enum PartConfig {
    Service(Box<ServiceConfig>),
    Output(Box<OutputConfig>),
    Inbox(Box<InboxConfig>),
}

/// What takes the place of what runs.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) made: Made,
    /// The parts that change, and what takes their place.
    pub(super) changes: BTreeMap<Part, Change>,
}

/// How a part changes.
#[derive(Debug)]
pub(super) enum Change {
    /// It comes, or takes the place of one of the same name.
    Begins(New),
    /// It goes.
    Ends,
}

/// A part that is ready to begin.
#[derive(Debug)]
pub(super) enum New {
    Service(Vec<Poller>),
    Output(Box<Forwarder>),
    Inbox(Arc<Inbox>),
}

impl Made {
    /// Reads the certificates and keys that the configuration names.
    pub(super) fn of(config: &Config) -> Self {
        let services = config.services.iter().map(|service| {
            let material = Material {
                files: service.tls.files().map(digest).collect(),
                config: PartConfig::Service(Box::new(service.clone())),
            };
            (Part::Service(service.name.clone()), material)
        });
        let outputs = config.outputs.iter().map(|output| {
            let tls = match &output.kind {
                OutputKind::SplunkHec(hec) => Some(&hec.tls),
                OutputKind::Syslog(syslog) => Some(&syslog.tls),
                OutputKind::File(_) | OutputKind::Stdout => None,
            };
            let material = Material {
                files: tls.iter().flat_map(|tls| tls.files()).map(digest).collect(),
                config: PartConfig::Output(Box::new(output.clone())),
            };
            (Part::Output(output.name.clone()), material)
        });
        let inbox = config.inbox.iter().map(|inbox| {
            let files = inbox.tls.iter().flat_map(ServerTlsConfig::files);
            let material = Material {
                files: files.map(digest).collect(),
                config: PartConfig::Inbox(Box::new(inbox.clone())),
            };
            (Part::Inbox, material)
        });
        Self {
            parts: services.chain(outputs).chain(inbox).collect(),
        }
    }
}

/// Two files are the same if what is in them is.
fn digest(path: &Path) -> Option<[u8; 32]> {
    fs::read(path)
        .ok()
        .map(|bytes| Sha256::digest(bytes).into())
}

/// A part of the agent broke down meanwhile.
#[derive(Debug)]
pub(super) struct PartDied;

/// Reads the configuration again and has the agent take it. Gives what there is to tell about it.
pub(super) async fn reload(
    running: &mut Running,
    house: &House,
    source: &dyn ConfigSource,
) -> Result<Reply, PartDied> {
    service_manager::reloading();
    let changed = change(running, house, source).await;
    let changed = match changed {
        Ok(changed) => changed,
        Err(error) => {
            let message = format!("the configuration stays as it was: {error}");
            tracing::error!("{message}");
            house
                .board
                .reload(|reload| reload.refused(house.clock.now().utc, &message));
            service_manager::ready(&service_manager::summary(&house.board));
            return Ok(match error {
                ReloadError::Load(_) => Reply::Misconfigured { message },
                _ => Reply::Failed { message },
            });
        }
    };
    let over = async {
        while !running.leaving().is_empty() {
            if !running.next_over().await {
                return Err(PartDied);
            }
        }
        Ok(())
    };
    // Who takes longer takes the new configuration then.
    if let Ok(died) = tokio::time::timeout(PATIENCE, over).await {
        died?;
    }
    let mut message = changed.join(", ");
    let leaving = running.leaving();
    if !leaving.is_empty() {
        message = format!(
            "{message}; {} finishes what is under way and goes on with it then",
            leaving.join(" and ")
        );
    }
    tracing::info!("the configuration was read again: {message}");
    house
        .board
        .reload(|reload| reload.taken(house.clock.now().utc));
    service_manager::ready(&service_manager::summary(&house.board));
    Ok(Reply::Done { message })
}

/// Takes another configuration; gives what has changed.
async fn change(
    running: &mut Running,
    house: &House,
    source: &dyn ConfigSource,
) -> Result<Vec<String>, ReloadError> {
    let loaded = tokio::task::block_in_place(|| source.load())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let plan = tokio::task::block_in_place(|| {
        plan(house, running.config(), running.made(), loaded.config)
    })?;
    let mut changed = plan.told(running.config(), running.made());
    let level = plan.config.log.level.clone();
    running.change(plan).await?;
    source.set_level(&level);
    super::tell_of_what_nobody_takes(house, running.config());
    if changed.is_empty() {
        changed.push("nothing changed".to_owned());
    }
    Ok(changed)
}

impl Plan {
    fn told(&self, old: &Config, made: &Made) -> Vec<String> {
        let parts = self.changes.iter().map(|(part, change)| {
            let what = match change {
                Change::Ends => "removed",
                Change::Begins(_) if made.parts.contains_key(part) => "changed",
                Change::Begins(_) => "added",
            };
            format!("{part} {what}")
        });
        let mut told: Vec<String> = parts.collect();
        if old.log.level != self.config.log.level {
            told.push(format!("log level {}", self.config.log.level));
        }
        if old.shutdown_timeout != self.config.shutdown_timeout {
            told.push("shutdown_timeout changed".to_owned());
        }
        told
    }
}

/// What has to be done for another configuration; everything new is set up, and begins nothing.
pub(super) fn plan(
    house: &House,
    old: &Config,
    made: &Made,
    new: Config,
) -> Result<Plan, ReloadError> {
    let for_a_start = [
        ("[state]", old.state != new.state),
        ("[log] file", old.log.file != new.log.file),
    ];
    let for_a_start = for_a_start.iter().filter(|(_, differs)| *differs);
    let for_a_start: Vec<_> = for_a_start.map(|(what, _)| *what).collect();
    if !for_a_start.is_empty() {
        return Err(ReloadError::Restart(for_a_start));
    }
    let will_be_made = Made::of(&new);
    let mut changes = BTreeMap::new();
    for (part, material) in &will_be_made.parts {
        if made.parts.get(part) != Some(material) {
            let new = set_up(house, &material.config)?;
            changes.insert(part.clone(), Change::Begins(new));
        }
    }
    for part in made.parts.keys() {
        if !will_be_made.parts.contains_key(part) {
            changes.insert(part.clone(), Change::Ends);
        }
    }
    Ok(Plan {
        config: new,
        made: will_be_made,
        changes,
    })
}

fn set_up(house: &House, config: &PartConfig) -> Result<New, StartError> {
    match config {
        PartConfig::Service(service) => service_of(house, service).map(New::Service),
        PartConfig::Output(output) => {
            output_of(house, output).map(|forwarder| New::Output(Box::new(forwarder)))
        }
        PartConfig::Inbox(inbox) => {
            let inbox = Inbox::new(house, (**inbox).clone())?;
            Ok(New::Inbox(Arc::new(inbox)))
        }
    }
}

/// The pollers of a service.
pub(super) fn service_of(
    house: &House,
    service: &ServiceConfig,
) -> Result<Vec<Poller>, StartError> {
    Poller::of_service(house, service.clone()).map_err(|source| StartError::Service {
        name: service.name.clone(),
        source,
    })
}

/// The forwarder of an output.
pub(super) fn output_of(house: &House, output: &OutputConfig) -> Result<Forwarder, StartError> {
    Forwarder::new(house, output.clone()).map_err(|source| StartError::Output {
        name: output.name.clone(),
        source,
    })
}
