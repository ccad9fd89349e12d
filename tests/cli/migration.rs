//! `docs/migrate-from-taxii-log-adapter.md`: every command and every sample in it is run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules, SyslogTransport};

use crate::program::{Ended, run};
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
    let printed = run_line(&here(&first)).unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let shown = here(blocks("toml")[0])
        .replace(&place("etc"), "/etc/cta-forwarder")
        .replace(&place("state"), "/var/lib/cta-forwarder");
    assert_eq!(printed.stdout, shown);
    let told = here("cta-forwarder checkpoint set webflows_1234567890_v0 2026-03-01T09:00:00.123Z");
    assert!(
        printed.stderr.lines().any(|line| line == told),
        "{printed:?}"
    );

    let mut ran = 0;
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let Some(ended) = run_line(&here(line)) else {
            continue;
        };
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        ran += 1;
        if line.contains("checkpoint show") {
            assert!(
                ended.stdout.contains("2026-03-01T09:00:00.123Z"),
                "{ended:?}"
            );
        }
    }
    assert_eq!(ran, 6);
    assert_eq!(simulator.polls(), 0);
}

/// Runs a line of the page; gives what became of the program, if it is one of those that run it. There
/// need be no user of the agent here: whoever runs the test is in its place.
fn run_line(line: &str) -> Option<Ended> {
    let as_user = line.strip_prefix("runuser -u cta-forwarder -- ");
    let words: Vec<&str> = as_user.unwrap_or(line).split_whitespace().collect();
    match words.as_slice() {
        ["cta-forwarder", arguments @ ..] => return Some(run(arguments)),
        ["chown", "root:cta-forwarder", files @ ..] => {
            assert!(files.iter().all(|file| Path::new(file).is_file()), "{line}");
        }
        ["chmod", "0640", files @ ..] => {
            for file in files {
                fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
            }
        }
        ["install", "-d", .., folder] => fs::create_dir(folder).unwrap(),
        _ => panic!("nobody runs {line}"),
    }
    None
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
