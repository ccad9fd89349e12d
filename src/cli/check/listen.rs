//! What the agent listens on: whether the address is free, and how long the certificate is valid.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use chrono::Utc;

use super::certificate;
use super::row::{Row, Rows};
use super::state::RunningAgent;
use crate::config::{AdminConfig, InboxConfig};

pub(super) fn check_inbox(inbox: &InboxConfig, agent: &RunningAgent) -> Vec<Row> {
    let mut rows = Rows::new(format!("inbox {}", inbox.name));
    if let Some(tls) = &inbox.tls {
        certificate::of_server(&mut rows, tls, Utc::now());
    }
    check_address(&mut rows, inbox.listen, agent.inbox_listens());
    rows.into_all()
}

pub(super) fn check_page(admin: &AdminConfig, agent: &RunningAgent) -> Vec<Row> {
    let mut rows = Rows::new("admin".to_owned());
    if let Some(tls) = &admin.tls {
        certificate::of_server(&mut rows, tls, Utc::now());
    }
    check_address(&mut rows, admin.listen, agent.page_listens());
    rows.into_all()
}

/// Takes the address for a moment, where nobody has it.
fn check_address(rows: &mut Rows, address: SocketAddr, is_ours: bool) {
    const CHECK: &str = "listen";
    let Err(error) = TcpListener::bind(address) else {
        return rows.ok(CHECK, format!("{address} is free"));
    };
    match error.kind() {
        ErrorKind::AddrInUse if is_ours => {
            rows.ok(CHECK, format!("the running agent listens on {address}"));
        }
        ErrorKind::AddrInUse => rows.failed(
            CHECK,
            format!("{address} is taken by something else than this agent"),
            format!(
                "end what listens there (`ss -ltnp 'sport = :{}'`), or change listen",
                address.port()
            ),
        ),
        ErrorKind::AddrNotAvailable => rows.failed(
            CHECK,
            format!("this machine has no address {}", address.ip()),
            "change listen to an address of this machine",
        ),
        ErrorKind::PermissionDenied => rows.failed(
            CHECK,
            format!("this user may not listen on {address}"),
            "use a port above 1023, or give the agent CAP_NET_BIND_SERVICE",
        ),
        _ => rows.failed(CHECK, format!("{address}: {error}"), "change listen"),
    }
}
