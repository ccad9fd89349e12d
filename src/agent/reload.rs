//! Another configuration for an agent that runs: what differs, and whether it can be had at all.
//!
//! Whatever cannot be set up is found here, before anything of the old configuration is touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::StartError;
use super::running::{Listening, Part, Running};
use crate::admin::Admin;
use crate::config::{
    AdminConfig, Config, InboxConfig, LoadError, Loaded, OutputConfig, OutputKind, ServerTlsConfig,
    ServiceConfig,
};
use crate::control::{Current, Reply};
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::inbox::Inbox;
use crate::observe::{logging, service_manager};
use crate::poller::Poller;

/// So long a reload waits for what is under way before it tells what it has done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of a file of certificates or keys only this much is compared.
const MAX_PEM_BYTES: u64 = 16 << 20;

/// How the process of an agent lets it have another configuration.
pub trait ConfigSource: Send {
    /// Reads the configuration again.
    fn load(&self) -> Result<Loaded, LoadError>;

    /// From now on so much is logged; tells whether that is so, or something else has said how much.
    fn set_level(&self, level: &str) -> bool;

    /// Whether this is the file that it is read from.
    fn is_at(&self, path: &Path) -> bool;
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
    Admin(AdminConfig),
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
    Listening(Listening),
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
        let admin = config.admin.iter().map(|admin| {
            let files = admin.tls.iter().flat_map(ServerTlsConfig::files);
            let material = Material {
                files: files.map(digest).collect(),
                config: PartConfig::Admin(admin.clone()),
            };
            (Part::Admin, material)
        });
        let parts = services.chain(outputs).chain(inbox).chain(admin);
        Self {
            parts: parts.collect(),
        }
    }
}

/// Two files are the same if what is in them is.
fn digest(path: &Path) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut bytes));
    read.ok().map(|_| Sha256::digest(bytes).into())
}

/// A part of the agent broke down meanwhile.
#[derive(Debug)]
pub(super) struct PartDied;

/// Reads the configuration again and has the agent take it. Gives what there is to tell about it.
pub(super) async fn reload(
    running: &mut Running,
    house: &House,
    source: &dyn ConfigSource,
    file: Option<&Path>,
) -> Result<Reply, PartDied> {
    if let Some(file) = file.filter(|file| !source.is_at(file)) {
        let message = format!(
            "the agent that runs on this state has another configuration file than {}: name its own, \
             which stands in its command line, with --config",
            file.display()
        );
        return Ok(Reply::Failed { message });
    }
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
            service_manager::reloaded();
            running.has_news();
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
    service_manager::reloaded();
    running.has_news();
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
    let plan = tokio::task::block_in_place(|| plan(running, house, loaded.config))?;
    let mut changed = plan.told(running.config(), running.made());
    let old_level = running.config().log.level.clone();
    running.change(plan).await?;
    let level = &running.config().log.level;
    let is_set = source.set_level(level);
    if *level != old_level {
        changed.push(if is_set {
            format!("log level {level}")
        } else {
            format!(
                "log level as before, since {} says so",
                logging::LEVEL_VARIABLE
            )
        });
    }
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
        if old.shutdown_timeout != self.config.shutdown_timeout {
            told.push("shutdown_timeout changed".to_owned());
        }
        told
    }
}

/// What has to be done for another configuration; everything new is set up, and begins nothing.
fn plan(running: &Running, house: &House, new: Config) -> Result<Plan, ReloadError> {
    let (old, made) = (running.config(), running.made());
    let inboxes = (&old.inbox, &new.inbox);
    let admins = (&old.admin, &new.admin);
    let for_a_start = [
        (
            "inbox.listen at the same port",
            both(inboxes).is_some_and(|(old, new)| is_in_the_way(old.listen, new.listen)),
        ),
        (
            "admin.listen at the same port",
            both(admins).is_some_and(|(old, new)| is_in_the_way(old.listen, new.listen)),
        ),
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
            let new = set_up(house, &material.config, &running.current())?;
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

/// Both at once cannot have the port, and one after the other would refuse who comes between.
fn is_in_the_way(old: SocketAddr, new: SocketAddr) -> bool {
    old != new && old.port() == new.port()
}

fn both<'a, T>((old, new): (&'a Option<T>, &'a Option<T>)) -> Option<(&'a T, &'a T)> {
    old.as_ref().zip(new.as_ref())
}

fn set_up(
    house: &House,
    config: &PartConfig,
    current: &watch::Receiver<Arc<Current>>,
) -> Result<New, StartError> {
    match config {
        PartConfig::Service(service) => service_of(house, service).map(New::Service),
        PartConfig::Output(output) => {
            output_of(house, output).map(|forwarder| New::Output(Box::new(forwarder)))
        }
        PartConfig::Inbox(inbox) => {
            let inbox = Inbox::new(house, (**inbox).clone())?;
            Ok(New::Listening(Listening::Inbox(Arc::new(inbox))))
        }
        PartConfig::Admin(admin) => {
            let admin = admin_of(house, admin.clone(), current.clone())?;
            Ok(New::Listening(Listening::Admin(admin)))
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

/// The status page.
pub(super) fn admin_of(
    house: &House,
    admin: AdminConfig,
    current: watch::Receiver<Arc<Current>>,
) -> Result<Arc<Admin>, StartError> {
    let admin = Admin::new(house, admin, current).map_err(StartError::Admin)?;
    Ok(Arc::new(admin))
}

#[cfg(test)]
mod tests;
