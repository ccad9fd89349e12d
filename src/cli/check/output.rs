//! An output: the way to each of its peers, and whether that takes what the agent shows. No event is
//! sent.

use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use chrono::Utc;
use futures_util::future::join_all;

use super::certificate;
use super::rights::{Rights, place_for};
use super::row::{Row, Rows};
use super::way::{Host, NO_WAY, Tls, Way};
use crate::config::{FileConfig, OutputConfig, OutputKind, SyslogConfig, SyslogTransport};
use crate::disk::Disk;
use crate::output::{Output, Step};

/// What the last step of an output is called, where it is not reached.
const HEC: &str = "token";

pub(super) async fn check(output: &OutputConfig, timeout: Duration, rights: &Rights) -> Vec<Row> {
    let name = format!("output {}", output.name);
    let mut config = output.clone();
    let mut rows = Rows::new(&name);
    match &mut config.kind {
        OutputKind::SplunkHec(hec) => {
            hec.connect_timeout = hec.connect_timeout.min(timeout);
            hec.request_timeout = hec.request_timeout.min(timeout);
            certificate::of_client(&mut rows, &hec.tls, Utc::now());
        }
        OutputKind::Syslog(syslog) => {
            syslog.connect_timeout = syslog.connect_timeout.min(timeout);
            syslog.write_timeout = syslog.write_timeout.min(timeout);
            certificate::of_client(&mut rows, &syslog.tls, Utc::now());
        }
        OutputKind::File(file) => {
            check_file(&mut rows, file, rights);
            return rows.into_all();
        }
        OutputKind::Stdout => {
            rows.skipped(
                "stdout",
                "standard output is whatever the agent is started with",
            );
            return rows.into_all();
        }
    }
    let peers = config.peers();
    let checks = peers.iter().enumerate().map(|(peer, address)| {
        let mut rows = match peers.as_slice() {
            [_] => Rows::new(&name),
            _ => Rows::new(format!("{name}, {address}")),
        };
        let config = &config;
        async move {
            check_peer(&mut rows, config, peer, address, timeout).await;
            rows.into_all()
        }
    });
    let mut all = rows.into_all();
    all.extend(join_all(checks).await.into_iter().flatten());
    all
}

async fn check_peer(
    rows: &mut Rows,
    config: &OutputConfig,
    peer: usize,
    address: &str,
    timeout: Duration,
) {
    let (way, last) = match &config.kind {
        OutputKind::SplunkHec(hec) => (
            Way::to_url(address, &hec.tls, hec.proxy.as_ref(), timeout),
            HEC,
        ),
        OutputKind::Syslog(syslog) => {
            let way = way_to_receiver(syslog, address, timeout);
            if syslog.transport == SyslogTransport::Udp {
                return check_datagrams(rows, way).await;
            }
            (way, word(syslog.transport))
        }
        OutputKind::File(_) | OutputKind::Stdout => return,
    };
    if let Some(way) = way
        && !way.go(rows).await
    {
        return rows.skipped(last, NO_WAY);
    }
    let mut output = match Output::new(config) {
        Ok(output) => output,
        Err(error) => return rows.failed(last, error.to_string(), "mend the configuration"),
    };
    for step in output.examine(peer).await {
        tell(rows, &step, config);
    }
}

fn way_to_receiver<'a>(
    syslog: &'a SyslogConfig,
    address: &str,
    timeout: Duration,
) -> Option<Way<'a>> {
    let (host, port) = address.rsplit_once(':')?;
    let name = host.trim_matches(['[', ']']).to_owned();
    let is_tls = matches!(
        syslog.transport,
        SyslogTransport::Tls | SyslogTransport::RelpTls
    );
    let tls = is_tls.then(|| Tls {
        config: &syslog.tls,
        name: syslog.server_name.clone().unwrap_or_else(|| name.clone()),
    });
    Some(Way {
        to: Host {
            name,
            port: port.parse().ok()?,
        },
        proxy: None,
        tls,
        timeout,
    })
}

async fn check_datagrams(rows: &mut Rows, way: Option<Way<'_>>) {
    let Some(way) = way else {
        return;
    };
    if way.resolve(rows, "dns", &way.to).await.is_some() {
        rows.skipped(
            "udp",
            "over UDP nobody can know whether a receiver is there",
        );
    }
}

fn word(transport: SyslogTransport) -> &'static str {
    match transport {
        SyslogTransport::Relp | SyslogTransport::RelpTls => "relp",
        SyslogTransport::Udp | SyslogTransport::Tcp | SyslogTransport::Tls => "session",
    }
}

fn tell(rows: &mut Rows, step: &Step, config: &OutputConfig) {
    match &step.result {
        Ok(()) => rows.ok(step.name, meaning(step.name, config)),
        Err(problem) => {
            let mend = problem.mend.as_deref();
            let mend = mend.unwrap_or(
                "the agent tries again by itself; if it goes on, see what the receiver's log says",
            );
            return rows.failed(step.name, &problem.reason, mend);
        }
    }
    rows.took(step.took);
}

/// What it means that a step went well.
fn meaning(step: &str, config: &OutputConfig) -> String {
    match step {
        "health" => "the collector is well".to_owned(),
        HEC => {
            let index = match &config.kind {
                OutputKind::SplunkHec(hec) => hec.index.as_deref(),
                _ => None,
            };
            let index = index.map_or_else(
                || "its default index".to_owned(),
                |index| format!("the index {index:?}"),
            );
            format!(
                "the token is accepted; whether it may use {index} shows with an event \
                 (`cta-forwarder send-test`)"
            )
        }
        "acknowledgement" => "questions for acknowledgements are answered".to_owned(),
        "relp" => "the receiver has opened a RELP session, which was closed again".to_owned(),
        _ => "the receiver takes connections".to_owned(),
    }
}

/// The file is neither made nor opened: that is the agent's.
fn check_file(rows: &mut Rows, file: &FileConfig, rights: &Rights) {
    const CHECK: &str = "file";
    let path = &file.path;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let place = place_for(path);
    let user = rights.name();
    let is_there = path.exists();
    let mend = format!(
        "let {user} write there (under systemd, ReadWritePaths= must name the folder), or change path"
    );
    match place {
        Err(error) => rows.skipped(
            CHECK,
            format!("{} cannot be looked at: {error}", path.display()),
        ),
        Ok(place) if path.is_dir() => {
            rows.failed(
                CHECK,
                format!("{} is a folder", place.display()),
                "change path",
            );
        }
        Ok(place) if place.is_file() && place != *path => {
            rows.failed(
                CHECK,
                format!("{} is a file, and not a folder", place.display()),
                "move it, or change path",
            );
        }
        Ok(place) if !rights.may_write(&place) => {
            rows.failed(
                CHECK,
                format!("{user} may not write to {}", place.display()),
                mend,
            );
        }
        Ok(_) if is_there => {
            rows.ok(CHECK, format!("{user} may write to {}", path.display()));
        }
        Ok(_) => {
            let what = format!("{} can be made by {user}", path.display());
            rows.ok(CHECK, what);
        }
    }
    // Renamed files are made in the folder.
    if is_there && rights.may_write(path) && !rights.may_write(folder) {
        let what = format!(
            "{user} may not rename files in {}: the file grows beyond rotate_bytes",
            folder.display()
        );
        rows.failed(CHECK, what, mend_of_folder(user));
    }
    check_room(rows, file, folder);
}

fn mend_of_folder(user: &str) -> String {
    format!("let {user} write to the folder")
}

fn check_room(rows: &mut Rows, file: &FileConfig, folder: &Path) {
    const CHECK: &str = "space";
    let mut there = Some(folder);
    while let Some(folder) = there.filter(|folder| !folder.exists()) {
        there = folder.parent();
    }
    let Ok(free) = Disk::machine().free_bytes(there.unwrap_or(Path::new("/"))) else {
        return rows.skipped(CHECK, "the free space cannot be measured");
    };
    let needed = file
        .rotate_bytes
        .saturating_mul(u64::from(file.rotate_keep) + 1);
    let what = format!(
        "{} are free, its files may take {}",
        ByteSize(free),
        ByteSize(needed)
    );
    if free == 0 {
        rows.failed(CHECK, what, "free space there");
    } else if free < needed {
        rows.warning(
            CHECK,
            what,
            "free space there, or lower rotate_bytes or rotate_keep",
        );
    } else {
        rows.ok(CHECK, what);
    }
    rows.figure("free_bytes", free);
}
