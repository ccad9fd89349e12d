//! What the agent listens on: whether the address is free, and how long the certificate is valid.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use chrono::Utc;

use super::certificate;
use super::rights::Rights;
use super::row::{Row, Rows};
use super::state::RunningAgent;
use crate::config::{AdminConfig, InboxConfig};

pub(super) fn check_inbox(inbox: &InboxConfig, rights: &Rights, agent: &RunningAgent) -> Vec<Row> {
    let mut rows = Rows::new(format!("inbox {}", inbox.name));
    if let Some(tls) = &inbox.tls {
        certificate::of_server(&mut rows, tls, Utc::now());
    }
    check_address(
        &mut rows,
        inbox.listen,
        rights,
        agent.has_inbox_at(inbox.listen),
    );
    rows.into_all()
}

pub(super) fn check_page(admin: &AdminConfig, rights: &Rights, agent: &RunningAgent) -> Vec<Row> {
    let mut rows = Rows::new("admin".to_owned());
    if let Some(tls) = &admin.tls {
        certificate::of_server(&mut rows, tls, Utc::now());
    }
    check_address(
        &mut rows,
        admin.listen,
        rights,
        agent.has_page_at(admin.listen),
    );
    rows.into_all()
}

/// Takes the address for a moment, where nobody has it.
fn check_address(
    rows: &mut Rows,
    address: SocketAddr,
    rights: &Rights,
    is_the_agents: Option<bool>,
) {
    const CHECK: &str = "listen";
    const PRIVILEGED: &str = "use a port above 1023, or give the agent \
                              AmbientCapabilities=CAP_NET_BIND_SERVICE";
    let user = rights.name();
    let Err(error) = TcpListener::bind(address) else {
        let what = format!("{address} is free");
        if rights.is_own() || !is_privileged(address.port()) {
            return rows.ok(CHECK, what);
        }
        let what = format!("{what}; {user} may listen there with a capability alone");
        return rows.warning(CHECK, what, PRIVILEGED);
    };
    match (error.kind(), is_the_agents) {
        (ErrorKind::AddrInUse, Some(true)) => {
            rows.ok(CHECK, format!("the running agent listens on {address}"));
        }
        (ErrorKind::AddrInUse, None) => rows.skipped(
            CHECK,
            format!(
                "{address} is taken; whether by the agent, which does not answer, is not known"
            ),
        ),
        (ErrorKind::AddrInUse, Some(false)) => rows.failed(
            CHECK,
            format!("{address} is taken by something else than this agent"),
            format!(
                "end what listens there (`ss -ltnp 'sport = :{}'`), or change listen",
                address.port()
            ),
        ),
        (ErrorKind::AddrNotAvailable, _) => rows.failed(
            CHECK,
            format!("this machine has no address {}", address.ip()),
            "change listen to an address of this machine",
        ),
        // systemd may give the agent what whoever runs this does not have.
        (ErrorKind::PermissionDenied, _) => rows.warning(
            CHECK,
            format!("{user} may listen on {address} with a capability alone"),
            PRIVILEGED,
        ),
        _ => rows.failed(CHECK, format!("{address}: {error}"), "change listen"),
    }
}

/// Whether a user needs a capability to listen on this port.
fn is_privileged(port: u16) -> bool {
    /// The kernel's own default.
    const FIRST_FREE: u16 = 1024;
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free = told.ok().and_then(|text| text.trim().parse().ok());
    port != 0 && port < first_free.unwrap_or(FIRST_FREE)
}
