//! The name that a request is made for. A page somewhere on the network can have a browser ask any
//! address by a name of its own (DNS rebinding), and then read the answer; by our own names it cannot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The names by which the agent may be asked for.
#[derive(Debug)]
pub(super) struct Hosts {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// It listens on all addresses of the machine. An address, unlike a name, leads where it says.
    any_address: bool,
}

impl Hosts {
    /// Those of this machine, of the address that is listened on, and `allowed`, in lower case.
    pub(super) fn new(listen: SocketAddr, allowed: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned()];
        let mut addresses = vec![
            listen.ip(),
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        for name in allowed {
            match name.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => names.push(name.clone()),
            }
        }
        Self {
            names,
            addresses,
            any_address: listen.ip().is_unspecified(),
        }
    }

    /// Whether a Host header names it, with any port.
    pub(super) fn allows(&self, header: &str) -> bool {
        let Some(host) = without_port(header) else {
            return false;
        };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.any_address || self.addresses.contains(&address),
            Err(_) => self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host)),
        }
    }
}

/// `name`, `name:port`, `[address]` or `[address]:port`; none if it is nothing of that.
fn without_port(header: &str) -> Option<&str> {
    let end = match header.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => header.find(':').unwrap_or(header.len()),
    };
    let (host, port) = header.split_at_checked(end)?;
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (is_whole && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, allowed: &[&str], yes: &[&str], no: &[&str]) {
        let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        let hosts = Hosts::new(listen.parse().unwrap(), &allowed);
        for host in yes {
            assert!(hosts.allows(host), "{host:?} is refused");
        }
        for host in no {
            assert!(!hosts.allows(host), "{host:?} is allowed");
        }
    }

    #[test]
    fn this_machine_and_nobody_else() {
        check(
            "127.0.0.1:9185",
            &[],
            &[
                "localhost",
                "LOCALHOST:1",
                "127.0.0.1:9185",
                "127.0.0.1",
                "[::1]",
                "[::1]:80",
                "localhost:",
            ],
            &[
                "",
                ":9185",
                "evil.example",
                "localhost.evil.example",
                "evil.example:9185",
                "10.0.0.1",
                "[::2]",
                "localhost:x",
                "localhost:1:2",
                "[::1",
                "[::1]x",
                "::1]:1",
                "user@localhost",
                "localhost evil.example",
            ],
        );
    }

    #[test]
    fn the_address_that_it_listens_on() {
        check(
            "192.0.2.7:1",
            &[],
            &["192.0.2.7", "127.0.0.1"],
            &["192.0.2.8"],
        );
        check(
            "[2001:db8::1]:1",
            &[],
            &["[2001:DB8:0::1]:9"],
            &["[2001:db8::2]"],
        );
        // Of all of the machine's addresses every one; of names none.
        check(
            "0.0.0.0:1",
            &[],
            &["192.0.2.7:1", "[::7]"],
            &["evil.example"],
        );
        check("[::]:1", &[], &["192.0.2.7:1", "[::7]"], &["evil.example"]);
    }

    #[test]
    fn names_that_are_written() {
        let allowed = ["forwarder.example.com", "192.0.2.9", "2001:db8::9"];
        check(
            "127.0.0.1:1",
            &allowed,
            &[
                "Forwarder.Example.com:443",
                "192.0.2.9",
                "[2001:db8::9]:1",
                "localhost",
            ],
            &["example.com", "x.forwarder.example.com"],
        );
    }
}
