//! The state folder: whether it can be used, whether an agent runs on it, and how much room there is;
//! and the files that the agent must be able to read.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use reqwest::Url;

use super::rights::{Rights, place_for};
use super::row::{Row, Rows};
use crate::config::{
    Authentication, Config, Credentials, OutputKind, ProxyConfig, Secret, SecretSource,
    ServerTlsConfig, StateConfig, TlsConfig,
};
use crate::control::{CallError, Client, Reply, Request};
use crate::disk::Disk;
use crate::observe::status::Status;

/// What is known of an agent on the state folder.
#[derive(Debug)]
pub(super) enum RunningAgent {
    None,
    Status(Box<Status>),
    Unknown(CallError),
    /// It has a socket and does not answer.
    Silent,
}

impl RunningAgent {
    pub(super) async fn find(state: &Path, timeout: Duration) -> Self {
        let asking = tokio::time::timeout(timeout, Self::ask(state)).await;
        match asking {
            Ok(asked) => asked.unwrap_or_else(Self::Unknown),
            Err(_) => Self::Silent,
        }
    }

    async fn ask(state: &Path) -> Result<Self, CallError> {
        let Some(client) = Client::connect(state).await? else {
            return Ok(Self::None);
        };
        let mut call = client.call(&Request::Status).await?;
        while let Some(reply) = call.next().await? {
            if let Reply::Status(status) = reply {
                return Ok(Self::Status(status));
            }
        }
        Ok(Self::None)
    }

    /// Whether its inbox listens there; nothing if it does not say.
    pub(super) fn has_inbox_at(&self, address: SocketAddr) -> Option<bool> {
        self.listens_at(address, |status| {
            status.inbox.as_ref()?.activity.url.as_deref()
        })
    }

    /// Whether its status page listens there; nothing if it does not say.
    pub(super) fn has_page_at(&self, address: SocketAddr) -> Option<bool> {
        self.listens_at(address, |status| status.page.as_deref())
    }

    fn listens_at(
        &self,
        address: SocketAddr,
        url: impl Fn(&Status) -> Option<&str>,
    ) -> Option<bool> {
        match self {
            Self::Status(status) => Some(url(status).is_some_and(|url| is_at(url, address))),
            Self::None => Some(false),
            Self::Unknown(_) | Self::Silent => None,
        }
    }
}

/// Whether a URL of the agent's own is at this address.
fn is_at(url: &str, address: SocketAddr) -> bool {
    Url::parse(url).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        url.port_or_known_default() == Some(address.port()) && host.parse() == Ok(address.ip())
    })
}

pub(super) fn check(config: &Config, rights: &Rights, agent: &RunningAgent) -> Vec<Row> {
    let mut rows = Rows::new("state");
    if rights.is_guess() {
        rows.skipped(
            "user",
            "there is no state folder that would tell the agent's user: rights are those of root; name \
             the agent's user with --user",
        );
    }
    let there = check_folder(&mut rows, &config.state.directory, rights);
    match agent {
        RunningAgent::None => rows.ok("agent", "no agent runs on it"),
        RunningAgent::Status(status) => {
            let pid = status
                .pid
                .map_or_else(String::new, |pid| format!(" as process {pid}"));
            rows.ok("agent", format!("an agent runs on it{pid}"));
        }
        RunningAgent::Unknown(error) => rows.skipped("agent", error.to_string()),
        RunningAgent::Silent => rows.failed(
            "agent",
            "an agent runs on it and does not answer in time",
            "see its log; restart it if that does not help",
        ),
    }
    if let Some(there) = there {
        check_space(&mut rows, &config.state, &there, agent);
    }
    check_log(&mut rows, config, rights);
    check_secrets(&mut rows, config, rights);
    rows.into_all()
}

/// Gives the folder, or the nearest one that is there.
fn check_folder(rows: &mut Rows, folder: &Path, rights: &Rights) -> Option<PathBuf> {
    const CHECK: &str = "folder";
    let user = rights.name();
    let place = match place_for(folder) {
        Ok(place) => place,
        Err(error) => {
            let what = format!("{} cannot be looked at: {error}", folder.display());
            rows.skipped(
                CHECK,
                format!("{what}; run this as the agent's user or as root"),
            );
            return None;
        }
    };
    let shown = folder.display();
    let mend = format!(
        "chown it to {user}, or let the unit make it (StateDirectory=), or change state.directory"
    );
    let is_there = place.as_path() == std::path::absolute(folder).unwrap_or_default();
    if !place.is_dir() {
        let what = format!("{} is not a folder", place.display());
        rows.failed(CHECK, what, "move it, or change state.directory");
    } else if !rights.may_write(&place) {
        let what = if is_there {
            format!("{shown} cannot be written by {user}")
        } else {
            format!(
                "{shown} is not there, and {user} may not make it in {}",
                place.display()
            )
        };
        rows.failed(CHECK, what, mend);
    } else if !is_there {
        rows.ok(
            CHECK,
            format!("{shown} is not there yet, the first start of {user} makes it"),
        );
    } else {
        check_owner(rows, folder, rights);
    }
    Some(place)
}

fn check_owner(rows: &mut Rows, folder: &Path, rights: &Rights) {
    const CHECK: &str = "folder";
    let user = rights.name();
    let shown = folder.display();
    let Ok(found) = fs::metadata(folder) else {
        return;
    };
    let mode = found.mode() & 0o777;
    if found.uid() != rights.uid() {
        let what = format!(
            "{shown} belongs to the user with id {}, not to {user}",
            found.uid()
        );
        let mend = format!("chown -R it to {user}, or name the agent's user with --user");
        rows.warning(CHECK, what, mend);
    } else if mode & 0o077 != 0 {
        let what = format!("{shown} can be entered by others (mode {mode:o})");
        let mend =
            "chmod 700 it; under systemd, write StateDirectoryMode=0700 beside StateDirectory=";
        rows.warning(CHECK, what, mend);
    } else {
        rows.ok(CHECK, format!("{shown} is {user}'s alone (mode {mode:o})"));
    }
}

fn check_space(rows: &mut Rows, state: &StateConfig, there: &Path, agent: &RunningAgent) {
    const CHECK: &str = "space";
    let free = match Disk::machine().free_bytes(there) {
        Ok(free) => free,
        Err(error) => return rows.skipped(CHECK, format!("it cannot be measured: {error}")),
    };
    let pending = match agent {
        RunningAgent::Status(status) => status.spool.bytes,
        RunningAgent::None | RunningAgent::Unknown(_) | RunningAgent::Silent => 0,
    };
    let needed = state.max_spool_bytes.saturating_sub(pending);
    let usable = free.saturating_sub(state.min_free_disk);
    let what = format!(
        "{} are free, of which {} must stay (min_free_disk); the spool may take another {}",
        ByteSize(free),
        ByteSize(state.min_free_disk),
        ByteSize(needed)
    );
    if usable == 0 {
        let mend = "free space, or lower state.min_free_disk: nothing is polled until then";
        rows.failed(CHECK, what, mend);
    } else if usable < needed {
        let mend = "free space, or lower state.max_spool_bytes: a long outage would fill the disk \
                    before the spool is full";
        rows.warning(CHECK, what, mend);
    } else {
        rows.ok(CHECK, what);
    }
    rows.figure("free_bytes", free);
}

fn check_log(rows: &mut Rows, config: &Config, rights: &Rights) {
    const CHECK: &str = "log";
    let Some(file) = &config.log.file else {
        return;
    };
    let (folder, user) = (file.directory.display(), rights.name());
    match place_for(&file.directory) {
        Ok(place) if place.is_dir() && rights.may_write(&place) => {
            rows.ok(CHECK, format!("{user} may write logs to {folder}"));
        }
        Ok(_) => rows.failed(
            CHECK,
            format!("{user} may not write logs to {folder}"),
            format!("let {user} write there (LogsDirectory=), or change log.file"),
        ),
        Err(error) => rows.skipped(CHECK, format!("{folder} cannot be looked at: {error}")),
    }
}

/// Whoever runs this has read them by now; another user may not be able to.
fn check_secrets(rows: &mut Rows, config: &Config, rights: &Rights) {
    const CHECK: &str = "secrets";
    let files = files(config);
    if rights.is_own() || files.is_empty() {
        return;
    }
    let user = rights.name();
    let closed: Vec<&&Path> = files.iter().filter(|file| !rights.may_read(file)).collect();
    if closed.is_empty() {
        let count = files.len();
        return rows.ok(
            CHECK,
            format!("{user} may read all files of secrets and keys: {count}"),
        );
    }
    for file in closed {
        rows.failed(
            CHECK,
            format!("{} cannot be read by {user}", file.display()),
            format!("let {user} alone read it (chown, chmod 600), and enter its folder"),
        );
    }
}

/// The files that the agent reads beside its configuration.
fn files(config: &Config) -> Vec<&Path> {
    let mut files = Files(Vec::new());
    for service in &config.services {
        match &service.authentication {
            Authentication::Basic(known) => files.credentials(Some(known)),
            Authentication::Bearer(token) => files.secret(token),
            Authentication::None => {}
        }
        service
            .headers
            .iter()
            .for_each(|(_, value)| files.secret(value));
        files.proxy(service.proxy.as_ref());
        files.tls(&service.tls);
    }
    if let Some(inbox) = &config.inbox {
        files.credentials(inbox.credentials.as_ref());
        files.server_tls(inbox.tls.as_ref());
    }
    files.server_tls(config.admin.as_ref().and_then(|admin| admin.tls.as_ref()));
    for output in &config.outputs {
        match &output.kind {
            OutputKind::SplunkHec(hec) => {
                files.secret(&hec.token);
                files.proxy(hec.proxy.as_ref());
                files.tls(&hec.tls);
            }
            OutputKind::Syslog(syslog) => files.tls(&syslog.tls),
            OutputKind::File(_) | OutputKind::Stdout => {}
        }
    }
    files.0.sort_unstable();
    files.0.dedup();
    files.0
}

struct Files<'a>(Vec<&'a Path>);

impl<'a> Files<'a> {
    fn secret(&mut self, secret: &'a Secret) {
        // A credential's file is made by systemd for the agent alone.
        if let SecretSource::File(path) = secret.source() {
            self.0.push(path);
        }
    }

    fn credentials(&mut self, known: Option<&'a Credentials>) {
        if let Some(known) = known {
            self.secret(&known.password);
        }
    }

    fn proxy(&mut self, proxy: Option<&'a ProxyConfig>) {
        self.credentials(proxy.and_then(|proxy| proxy.credentials.as_ref()));
    }

    fn server_tls(&mut self, tls: Option<&'a ServerTlsConfig>) {
        if let Some(tls) = tls {
            self.0
                .extend([tls.cert_file.as_path(), tls.key_file.as_path()]);
            self.0.extend(tls.client_ca_file.as_deref());
        }
    }

    fn tls(&mut self, tls: &'a TlsConfig) {
        let files = [&tls.ca_file, &tls.client_cert_file, &tls.client_key_file];
        self.0
            .extend(files.into_iter().filter_map(|file| file.as_deref()));
    }
}
