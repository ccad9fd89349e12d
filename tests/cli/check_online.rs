//! `check --online`: what answers and what does not, beside an agent and without one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::hec::{HecRules, HecServer};
use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules, SyslogTransport};
use serde_json::Value;

use crate::program::{Ended, Running, command, run, wait_until};
use crate::service::{Service, http, status};
use crate::simulator::Simulator;

fn check(simulator: &Simulator, more: &[&str]) -> Ended {
    let all = [&["check", "--online", "--timeout", "5s"][..], more].concat();
    run(&simulator.arguments(&all))
}

/// The rows, and how it ended.
fn rows(simulator: &Simulator) -> (Vec<Value>, Option<i32>) {
    let ended = check(simulator, &["--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).expect(&ended.stderr);
    (report["checks"].as_array().unwrap().clone(), ended.code)
}

/// The only row of this subject and check.
fn row<'a>(rows: &'a [Value], subject: &str, check: &str) -> &'a Value {
    let mut found = rows
        .iter()
        .filter(|row| row["subject"] == subject && row["check"] == check);
    let row = found.next();
    assert!(found.next().is_none(), "{subject} {check}: {rows:#?}");
    row.unwrap_or_else(|| panic!("no {subject} {check}: {rows:#?}"))
}

fn assert_row(rows: &[Value], subject: &str, check: &str, result: &str, words: &str) {
    let row = row(rows, subject, check);
    assert_eq!(row["result"], result, "{row:#}");
    assert!(row.to_string().contains(words), "{words}: {row:#}");
}

/// One more output.
fn add_output(simulator: &Simulator, keys: &str) {
    simulator.edit(|text| format!("{text}\n[[output]]\n{keys}\n"));
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name).to_str().unwrap().to_owned()
}

fn tls(name: &str) -> ServerTls {
    let read = |end: &str| fs::read_to_string(fixture(&format!("{name}.{end}"))).unwrap();
    ServerTls {
        certificate_pem: read("pem"),
        key_pem: read("key"),
        client_ca_pem: None,
        offers_http2: false,
    }
}

/// A collector over TLS, as one more output that trusts this authority.
fn add_collector(simulator: &Simulator, server: &str, authority: &str) -> HecServer {
    let rules = HecRules {
        tls: Some(tls(server)),
        ..HecRules::default()
    };
    let hec = HecServer::start(rules).unwrap();
    let keys = format!(
        "name = \"second\"\ntype = \"splunk_hec\"\nendpoints = [{:?}]\ntoken = {:?}\ntls = {{ ca_file = {:?} }}",
        hec.url(),
        HecRules::default().token,
        fixture(authority)
    );
    add_output(simulator, &keys);
    hec
}

#[test]
fn all_is_well_beside_an_agent_and_without_one_and_nothing_is_spent() {
    let simulator = Simulator::with(&["--min-poll-interval", "1h"]);
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(0), "{all:#?}");
    assert_row(&all, "state", "folder", "ok", "is not there yet");
    assert_row(&all, "state", "agent", "ok", "no agent runs");
    assert_row(
        &all,
        "service cta",
        "account",
        "ok",
        "the account user is accepted",
    );
    assert_row(&all, "service cta", "clock", "ok", "clock");
    assert_row(
        &all,
        "output splunk",
        "token",
        "ok",
        "the token is accepted",
    );
    assert!(row(&all, "output splunk", "tcp")["figures"]["ms"].is_number());
    assert!(row(&all, "state", "space")["figures"]["free_bytes"].as_i64() > Some(0));
    assert_eq!(simulator.polls(), 0);
    assert!(!simulator.state().exists(), "a look leaves nothing behind");

    let agent = simulator.start_agent();
    wait_until("it has polled", || simulator.polls() == 1);
    let taken = || simulator.get("/hec/events").as_array().unwrap().len();
    let published = simulator.published().len();
    wait_until("everything is delivered", || taken() == published);
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(0), "{all:#?}");
    let pid = format!("as process {}", agent.pid());
    assert_row(&all, "state", "agent", "ok", &pid);
    assert_row(&all, "state", "folder", "ok", "alone (mode 700)");
    assert_eq!((simulator.polls(), taken()), (1, published));

    let table = check(&simulator, &[]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("SUBJECT"), "{table:?}");
    assert!(table.stdout.contains("failed: 0"), "{table:?}");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn acknowledgement_that_the_token_does_not_give_is_told() {
    let simulator = Simulator::start();
    simulator.edit(|text| format!("{text}acknowledge = true\n"));
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(69), "{all:#?}");
    let last = all.last().unwrap();
    assert_eq!(last["result"], "failed", "{last:#}");
    assert!(last.to_string().contains("acknowledge = false"), "{last:#}");
}

#[test]
fn what_is_refused_is_told_with_its_mend_and_no_secret() {
    let simulator = Simulator::start();
    let secrets = ["wrong-pass-9c41e7", "wrong-token-7b1d9f"];
    fs::write(
        simulator.folder.path().join("agent.toml.taxii-password"),
        secrets[0],
    )
    .unwrap();
    fs::write(
        simulator.folder.path().join("agent.toml.hec-token"),
        secrets[1],
    )
    .unwrap();
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(69), "{all:#?}");
    assert_row(
        &all,
        "service cta",
        "account",
        "failed",
        "check username, password",
    );
    assert_row(
        &all,
        "output splunk",
        "token",
        "failed",
        "Splunk does not know the token",
    );
    let ended = check(&simulator, &[]);
    assert_eq!(ended.code, Some(69));
    assert!(ended.stdout.contains("  to mend it: "), "{ended:?}");
    for secret in secrets {
        let shown = format!("{all:?}{ended:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_told_step_by_step() {
    let simulator = Simulator::start();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let relp = SyslogReceiver::start(SyslogRules::over(SyslogTransport::Relp {
        window: 128,
        tls: None,
    }))
    .unwrap();
    add_output(
        &simulator,
        &format!(
            "name = \"siem\"\ntype = \"syslog\"\ntransport = \"relp\"\n\
             addresses = [\"{closed}\", \"siem.invalid:514\", \"{}\"]",
            relp.address()
        ),
    );
    let folder = simulator.folder.path().join("a-file");
    fs::write(&folder, "").unwrap();
    let path = folder.join("events.jsonl");
    add_output(
        &simulator,
        &format!("name = \"file\"\ntype = \"file\"\npath = {path:?}"),
    );
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(69), "{all:#?}");
    let refused = format!("output siem, {closed}");
    assert_row(&all, &refused, "tcp", "failed", "refused");
    assert_row(&all, &refused, "relp", "skipped", "no way");
    let unknown = "output siem, siem.invalid:514";
    assert_row(
        &all,
        unknown,
        "dns",
        "failed",
        "siem.invalid cannot be resolved",
    );
    let well = format!("output siem, {}", relp.address());
    assert_row(&all, &well, "relp", "ok", "RELP session");
    assert_row(
        &all,
        "output file",
        "file",
        "failed",
        "a-file is a file, and not a folder",
    );
    wait_until("it has taken its leave", || relp.endings().len() >= 2);
    assert_eq!(relp.messages_taken(), 0);
    assert_eq!(relp.violations(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_tells_its_days_and_what_is_wrong_with_it() {
    let simulator = Simulator::start();
    let good = add_collector(&simulator, "server", "ca.pem");
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(0), "{all:#?}");
    assert_row(&all, "output second", "tls", "ok", "TLS 1.3");
    let days = row(&all, "output second", "tls")["figures"]["days_left"].as_i64();
    assert!(days > Some(30_000), "{days:?}");
    assert_row(&all, "output second", "certificate", "ok", "ca_file");
    assert_row(&all, "output second", "token", "ok", "accepted");
    drop(good);

    let simulator = Simulator::start();
    let _expired = add_collector(&simulator, "expired", "expired.pem");
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(69), "{all:#?}");
    assert_row(&all, "output second", "tls", "failed", "2020-01-31");
    assert_row(&all, "output second", "tls", "failed", "renew");
    assert_row(&all, "output second", "certificate", "failed", "expired");
    assert_row(&all, "output second", "token", "skipped", "no way");
    assert_row(&all, "output splunk", "token", "ok", "accepted");

    let simulator = Simulator::start();
    let _stranger = add_collector(&simulator, "stranger", "ca.pem");
    let (all, _) = rows(&simulator);
    assert_row(&all, "output second", "tls", "failed", "set ca_file");
}

#[test]
fn an_answer_that_is_none_is_told_as_what_it_is() {
    let check = |service: &Service, result: &str, words: &str| {
        let simulator = Simulator::start();
        let own = simulator.about["cta"]["poll_url"]
            .as_str()
            .unwrap()
            .to_owned();
        simulator.edit(|text| text.replace(&own, &service.url("poll")));
        let (all, _) = rows(&simulator);
        assert_row(&all, "service cta", "account", result, words);
    };
    let answers =
        |status: &'static str, body: &'static str| Service::start(move |_| http(status, body));
    let page = "<html><body>Please log in</body></html>";
    check(
        &answers("200 OK", page),
        "failed",
        "a login page or a proxy",
    );
    check(
        &answers("403 Forbidden", page),
        "failed",
        "check username, password",
    );
    check(&answers("302 Found", ""), "failed", "poll_url has moved");
    check(
        &answers("503 Service Unavailable", ""),
        "failed",
        "tries again by itself",
    );
    // Any message of TAXII shows that the account was taken.
    let message = |kind| Service::of_taxii(move |_| status(kind, "not here"));
    check(&message("FAILURE"), "ok", "is accepted: FAILURE");
    check(&message("BAD_MESSAGE"), "ok", "is accepted: BAD_MESSAGE");
    check(
        &message("UNAUTHORIZED"),
        "failed",
        "check username, password",
    );
}

/// A proxy that answers each CONNECT so, and carries through what it lets in.
fn proxy(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let _ = stream.write_all(answer.as_bytes());
                let Some(target) = head.strip_prefix("CONNECT ") else {
                    return;
                };
                if answer.contains(" 200 ") {
                    let target = target.split(' ').next().unwrap();
                    let mut server = std::net::TcpStream::connect(target).unwrap();
                    let mut back = (server.try_clone().unwrap(), stream.try_clone().unwrap());
                    thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
                    let _ = std::io::copy(&mut stream, &mut server);
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_a_step_of_the_way() {
    let simulator = Simulator::start();
    let _hec = add_collector(&simulator, "server", "ca.pem");
    let through = |address: SocketAddr| {
        simulator.edit(|text| {
            let text = text.split("\nproxy = ").next().unwrap();
            let keys = "proxy_username = \"mole\"\nproxy_password = \"badger-0d52aa\"";
            format!("{text}\nproxy = \"http://{address}\"\n{keys}\n")
        });
        let (all, _) = rows(&simulator);
        assert!(!format!("{all:?}").contains("badger"), "{all:#?}");
        all
    };
    let all = through(proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    let of_proxy = |all: &[Value]| {
        let mut rows = all.iter().filter(|row| row["check"] == "proxy");
        let last = rows.next_back().unwrap();
        format!("{last}")
    };
    assert!(
        of_proxy(&all).contains("set proxy, proxy_username"),
        "{all:#?}"
    );
    let all = through(proxy("HTTP/1.1 403 Forbidden\r\n\r\n"));
    assert!(
        of_proxy(&all).contains("let the proxy allow CONNECT"),
        "{all:#?}"
    );
    let all = through(proxy("HTTP/1.1 200 Connected\r\n\r\n"));
    assert!(of_proxy(&all).contains("it lets through"), "{all:#?}");
    assert_row(&all, "output second", "tls", "ok", "TLS 1.3");
    assert_row(&all, "output second", "token", "ok", "accepted");
}

#[test]
fn a_listen_address_is_free_or_the_agents_own() {
    for (subject, section, more) in [
        ("inbox inbox", "[inbox]", "collections = [\"gold\"]"),
        ("admin", "[admin]", ""),
    ] {
        let simulator = Simulator::start();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        simulator.edit(|text| format!("{text}\n{section}\nlisten = \"{address}\"\n{more}\n"));
        let (all, code) = rows(&simulator);
        assert_eq!(code, Some(69));
        let taken_by = "is taken by something else";
        assert_row(&all, subject, "listen", "failed", taken_by);
        drop(taken);
        let (all, _) = rows(&simulator);
        assert_row(&all, subject, "listen", "ok", "is free");
        let agent = simulator.start_agent();
        let (all, code) = rows(&simulator);
        assert_eq!(code, Some(0), "{all:#?}");
        let words = format!("the running agent listens on {address}");
        assert_row(&all, subject, "listen", "ok", &words);
        // Where the configuration names another address by now, the agent has nothing to do with it.
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = other.local_addr().unwrap().to_string();
        simulator.edit(|text| text.replace(&address.to_string(), &elsewhere));
        let (all, _) = rows(&simulator);
        assert_row(&all, subject, "listen", "failed", taken_by);
        assert_eq!(agent.stop().code, Some(0));
    }
}

#[test]
fn a_wrong_configuration_is_told_to_scripts_as_well() {
    let simulator = Simulator::start();
    simulator.edit(|text| text.replace("poll_url", "pol_url"));
    let (all, code) = rows(&simulator);
    assert_eq!(code, Some(78), "{all:#?}");
    assert!(all.iter().all(|row| row["subject"] == "configuration"));
    assert!(format!("{all:?}").contains("pol_url"), "{all:#?}");
    let mut mistyped = command(&simulator.arguments(&["check", "--user", "nobody"]));
    mistyped.env("LANG", "C");
    assert_eq!(
        Running::of(mistyped).wait().code,
        Some(2),
        "--user needs --online"
    );
}

#[test]
fn rights_are_judged_for_the_agents_user() {
    let simulator = Simulator::start();
    let ended = check(&simulator, &["--user", "no-such-user-here"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("there is no user"), "{ended:?}");
    let ended = check(&simulator, &["--user", "no-such-user-here", "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect(&ended.stdout);
    assert_eq!(told["result"], "failed", "{told:#}");
    assert!(told.to_string().contains("there is no user"), "{told:#}");
    // Only root sees what another user may.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let ended = check(&simulator, &["--user", "nobody"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended.stdout.contains("nobody may not make it in"),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("hec-token cannot be read by nobody"),
        "{ended:?}"
    );
}
