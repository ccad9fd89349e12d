//! `docs/migrate-from-taxii-log-adapter.md`: every command and every sample in it is run.

use std::fs;
use std::path::Path;

use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules, SyslogTransport};

use crate::program::{Ended, Running, command};
use crate::simulator::Simulator;

const PAGE: &str = include_str!("../../docs/migrate-from-taxii-log-adapter.md");
const EVENTS: &str = include_str!("../../docs/events.md");
const FORMATS: &str = include_str!("../../docs/formats.md");

/// The code blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let blocks = PAGE.split(begin.as_str()).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// The cells of the rows of the table with this title.
fn table(title: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(title).unwrap();
    let rows = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What stands between back quotes.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_does_what_the_page_says() {
    let simulator = Simulator::with(&["--min-poll-interval", "1h"]);
    let folder = tempfile::tempdir().unwrap();
    let siem = SyslogReceiver::start(SyslogRules::over(SyslogTransport::Udp)).unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let cta = |key: &str| simulator.about["cta"][key].as_str().unwrap().to_owned();
    // The page's places and addresses are those of this test.
    let here = |text: &str| {
        text.replace("/data/taxii-log-adapter", &place("adapter"))
            .replace("/etc/cta-forwarder", &place("etc"))
            .replace("/var/lib/cta-forwarder", &place("state"))
            .replace(
                "https://taxii.example.com/skym-taxii-ws/PollService/",
                &cta("poll_url"),
            )
            .replace("password: pass", &format!("password: {}", cta("password")))
            .replace("55056", &siem.address().port().to_string())
    };
    assert_eq!(cta("username"), "user");
    assert_eq!(cta("collection"), "webflows_1234567890_v0");
    let config = folder.path().join("adapter/config");
    fs::create_dir_all(&config).unwrap();
    fs::create_dir(place("etc")).unwrap();
    let (yaml, xml) = (blocks("yaml"), blocks("xml"));
    fs::write(config.join("application.yml"), here(yaml[0])).unwrap();
    fs::write(config.join("logback.xml"), here(xml[0])).unwrap();
    fs::write(folder.path().join("adapter/taxii-status.xml"), xml[1]).unwrap();

    let mut lines = blocks("sh").concat();
    // The first command has no option that names a folder: what it writes has the packages'.
    let first = lines.lines().next().unwrap().to_owned();
    lines = lines.replacen(&first, "", 1);
    let printed = run_line(&here(&first), &place("etc"));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let shown = here(blocks("toml")[0])
        .replace(&place("etc"), "/etc/cta-forwarder")
        .replace(&place("state"), "/var/lib/cta-forwarder");
    assert_eq!(printed.stdout, shown);
    let told = here("cta-forwarder checkpoint set webflows_1234567890_v0 2026-03-01T09:00:00.123Z");
    assert!(
        // On a machine with the packages' user it is for that one.
        printed.stderr.lines().any(|line| line.ends_with(&told)),
        "{printed:?}"
    );

    let mut ran = 0;
    let mut agent = None;
    for line in lines.lines().filter(|line| !line.is_empty()) {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["install", "-d", .., folder] => fs::create_dir(here(folder)).unwrap(),
            ["systemctl", "enable", "--now", "cta-forwarder"] => {
                assert_eq!(simulator.polls(), 0);
                agent = Some(started(&place("etc")));
            }
            _ => {
                let ended = run_line(&here(line), &place("etc"));
                assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
                ran += 1;
                if line.contains("checkpoint show") {
                    assert!(
                        ended.stdout.contains("2026-03-01T09:00:00.123Z"),
                        "{ended:?}"
                    );
                }
            }
        }
    }
    assert_eq!(ran, 5);
    assert_eq!(agent.unwrap().stop().code, Some(0));
}

/// Runs a line of the page as it stands there. There need be no user of the agent here: whoever runs the
/// test is in its place; and this machine's unit and configuration are those of the test.
fn run_line(line: &str, etc: &str) -> Ended {
    let mut words = line
        .strip_prefix("runuser -u cta-forwarder -- ")
        .unwrap_or(line)
        .split_whitespace()
        .peekable();
    let folder = words
        .peek()
        .and_then(|word| word.strip_prefix("CREDENTIALS_DIRECTORY="));
    if folder.is_some() {
        words.next();
    }
    assert_eq!(words.next(), Some("cta-forwarder"), "nobody runs {line}");
    let mut arguments: Vec<&str> = words.collect();
    let config = format!("{etc}/cta-forwarder.toml");
    let (secrets, state) = (format!("{etc}/secrets"), etc.replace("/etc", "/state"));
    if arguments.contains(&secrets.as_str()) {
        arguments.extend(["--credentials", "--state", &state]);
    } else if !arguments.contains(&"import-config") {
        arguments.extend(["--config", &config]);
    }
    let mut command = command(&arguments);
    if let Some(folder) = folder {
        assert_eq!(folder, secrets);
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    Running::of(command).wait()
}

/// As the unit starts it.
fn started(etc: &str) -> Running {
    let mut command = command(&["run", "--config", &format!("{etc}/cta-forwarder.toml")]);
    command.env("CREDENTIALS_DIRECTORY", format!("{etc}/secrets"));
    let mut agent = Running::of(command);
    agent.wait_for("started");
    agent
}

#[test]
fn every_key_of_ours_is_one_and_every_field_is_in_the_contract() {
    let reference =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/cta-forwarder.toml"))
            .unwrap();
    let keys = table("| application.yml | cta-forwarder.toml | what is different |\n");
    assert!(keys.len() > 10);
    for key in keys.iter().flat_map(|row| names(row[1])) {
        assert!(reference.contains(key), "{key}");
    }
    let fields = table("| adapter's JSON | ours | |\n");
    assert!(fields.len() > 5);
    for row in &fields {
        for name in names(row[0]).into_iter().chain(names(row[1])) {
            assert!(EVENTS.contains(&format!("`{name}`")), "{name}");
        }
    }
    let cef = table("| what | adapter's CEF | ours |\n");
    assert!(cef.len() > 15);
    for name in cef.iter().flat_map(|row| names(row[2])) {
        assert!(FORMATS.contains(name), "{name}");
    }
}

#[test]
fn the_page_names_every_key_that_is_taken_over() {
    let source = include_str!("../../src/import/application.rs");
    let (source, _) = source.split_once("#[cfg(test)]").unwrap();
    let taken = source.lines().filter_map(|line| {
        let (key, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
        Some(key)
    });
    let keys = table("| application.yml | cta-forwarder.toml | what is different |\n");
    let known: Vec<String> = keys
        .iter()
        .flat_map(|row| names(row[0]))
        .map(|name| name.replace('-', "").to_ascii_lowercase())
        .collect();
    let taken: Vec<&str> = taken.collect();
    assert!(taken.len() > 10, "{taken:?}");
    for key in taken {
        assert!(known.iter().any(|name| name == key), "{key}");
    }
}
