//! `import-config`: from the adapter's files to an agent that goes on where it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Ended, Running, run, wait_until};
use crate::simulator::Simulator;

/// The adapter's folder, with what it was configured to.
struct Adapter {
    folder: tempfile::TempDir,
}

impl Adapter {
    /// One that polls this service.
    fn of(simulator: &Simulator) -> Self {
        let adapter = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let cta = &simulator.about["cta"];
        let text = |key: &str| cta[key].as_str().unwrap().to_owned();
        adapter.write(
            "config/application.yml",
            &format!(
                "taxii-service:\n    pollEndpoint: {}\n    username: {}\n    password: {}\n    \
                 feeds:\n        - {}\n        - other_feed\nschedule:\n    cron: \"0 0 * * * *\"\n\
                 transform:\n    stylesheet: config/stix2splunk.xsl\nlogging:\n    \
                 config: config/logback.xml\nserver:\n    port: 8080\n",
                text("poll_url"),
                text("username"),
                text("password"),
                text("collection"),
            ),
        );
        adapter.write(
            "config/logback.xml",
            "<configuration><appender name=\"TCP\" \
             class=\"com.cisco.cta.taxii.adapter.NetworkAppender\"><host>127.0.0.1</host>\
             <port>9999</port><protocol>TCP</protocol></appender>\
             <logger name=\"output\"><appender-ref ref=\"TCP\"/></logger></configuration>",
        );
        adapter
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn status(&self, feeds: &str) {
        self.write(
            "taxii-status.xml",
            &format!("<?xml version=\"1.0\"?><taxii-status>{feeds}</taxii-status>"),
        );
    }

    fn import(&self, more: &[&str]) -> Ended {
        let application = self.path("config/application.yml");
        let first = ["import-config", application.to_str().unwrap()];
        run(&[&first[..], more].concat())
    }

    /// The configuration with its secrets beside it.
    fn import_to_files(&self, more: &[&str]) -> (Ended, String) {
        let output = self.path("ours.toml").to_str().unwrap().to_owned();
        let (secrets, state) = (self.path("secrets"), self.path("state"));
        let options = [
            "--output",
            &output,
            "--secrets",
            secrets.to_str().unwrap(),
            "--state",
            state.to_str().unwrap(),
        ];
        (self.import(&[&options[..], more].concat()), output)
    }
}

#[test]
fn what_is_written_passes_check_and_holds_no_secret() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let printed = adapter.import(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let password = simulator.about["cta"]["password"].as_str().unwrap();
    let quoted = format!("\"{password}\"");
    assert!(!printed.stdout.contains(&quoted), "{printed:?}");
    for line in [
        "# Not taken over, since it has no counterpart: server.port (line 15)",
        "schedule = \"0 0 * * * *\"",
        "addresses = [\"127.0.0.1:9999\"]",
        "body = \"key_value\"",
    ] {
        assert!(
            printed.stdout.lines().any(|found| found == line),
            "{line}: {printed:?}"
        );
    }
    assert!(
        printed.stderr.contains("TODO: put taxii-service.password"),
        "{printed:?}"
    );
    assert!(printed.stderr.contains("there is no"), "{printed:?}");

    let (ended, output) = adapter.import_to_files(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let secret = adapter.path("secrets/taxii-password");
    assert_eq!(fs::read_to_string(&secret).unwrap().trim_end(), password);
    assert_eq!(
        fs::metadata(&secret).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let folder = fs::metadata(adapter.path("secrets")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let check = run(&["check", "--config", &output]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("other_feed"), "{check:?}");
    assert_eq!(check.stderr, "", "not even a warning");

    let again = adapter.import_to_files(&[]).0;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(adapter.import_to_files(&["--force"]).0.code, Some(0));
}

#[test]
fn checkpoints_are_told_or_set_and_the_agent_goes_on_from_there() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let collection = simulator.collection();
    let reached = chrono::Utc::now() - chrono::TimeDelta::days(1);
    let stamp = reached.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    adapter.status(&format!(
        "<feed name=\"{collection}\" lastUpdate=\"{stamp}\"/>\
         <feed name=\"no_longer_polled\" lastUpdate=\"{stamp}\"/>"
    ));
    let printed = adapter.import(&[]);
    let command = format!("cta-forwarder checkpoint set {collection} {stamp}");
    assert!(
        printed.stderr.lines().any(|line| line == command),
        "{printed:?}"
    );
    assert!(!printed.stderr.contains("no_longer_polled"), "{printed:?}");
    assert!(printed.stderr.contains("other_feed: not in"), "{printed:?}");

    let (ended, output) = adapter.import_to_files(&["--take-checkpoints"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = run(&["checkpoint", "show", "--json", "--config", &output]);
    let lines = shown.stdout.lines();
    let one = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|one| one["collection"] == collection);
    assert_eq!(one.unwrap()["checkpoint"], stamp);
    // Once more is no harm, another one is not taken by itself.
    assert_eq!(
        adapter
            .import_to_files(&["--force", "--take-checkpoints"])
            .0
            .code,
        Some(0)
    );
    adapter.status(&format!(
        "<feed name=\"{collection}\" lastUpdate=\"2026-01-01T00:00:00Z\"/>"
    ));
    let other = adapter
        .import_to_files(&["--force", "--take-checkpoints"])
        .0;
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("which stays"), "{other:?}");

    // The agent asks for what comes after it.
    let text = fs::read_to_string(&output).unwrap();
    let often = "schedule = \"* * * * * *\"\nmin_poll_interval = \"1s\"";
    fs::write(&output, text.replace("schedule = \"0 0 * * * *\"", often)).unwrap();
    let agent = Running::start(&["run", "--config", &output]);
    wait_until("it is polled from there", || {
        let requests = simulator.get("/cta/requests");
        let mut requests = requests.as_array().unwrap().iter();
        requests.any(|request| request["begin"] == stamp && request["collection"] == collection)
    });
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_feed_in_the_midst_of_an_answer_is_not_taken_over() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let collection = simulator.collection();
    adapter.status(&format!(
        "<feed name=\"{collection}\" lastUpdate=\"2026-03-01T00:00:00Z\" more=\"true\" \
         resultId=\"r\" resultPartNumber=\"1\"/>"
    ));
    let (ended, output) = adapter.import_to_files(&["--take-checkpoints"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("in the midst of an answer"),
        "{ended:?}"
    );
    let shown = run(&["checkpoint", "show", "--json", "--config", &output]);
    assert!(!shown.stdout.contains("2026-03-01"), "{shown:?}");
}

#[test]
fn what_is_not_the_adapters_is_refused_with_a_reason() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let check = |file: &str, text: &str, expect: &str| {
        let before = fs::read_to_string(adapter.path(file)).unwrap_or_default();
        adapter.write(file, text);
        let ended = adapter.import(&[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(expect), "{ended:?}");
        adapter.write(file, &before);
    };
    let yml = "config/application.yml";
    check(yml, "a: [", "line 2: it is not YAML");
    check(yml, "server: {port: 1}", "pollEndpoint is missing");
    check("taxii-status.xml", "<html/>", "not a taxii-status");
    adapter.status("");
    let ended = run(&["import-config", "/nowhere/application.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(adapter.import(&["--take-checkpoints"]).code, Some(2));
}
