//! `import-config`: from the adapter's files to an agent that goes on where it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Ended, Running, command, run, wait_until};
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

    /// Nothing is there but the adapter's own.
    fn has_nothing_of_ours(&self) {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["config", "taxii-status.xml"]);
    }

    fn import(&self, more: &[&str]) -> Ended {
        let application = self.path("config/application.yml");
        let first = ["import-config", application.to_str().unwrap()];
        run(&[&first[..], more].concat())
    }

    /// The configuration with its secrets beside it.
    fn import_to_files(&self, more: &[&str]) -> (Ended, String) {
        self.import_with_state("state", more)
    }

    fn import_with_state(&self, state: &str, more: &[&str]) -> (Ended, String) {
        let output = self.path("ours.toml").to_str().unwrap().to_owned();
        let (secrets, state) = (self.path("secrets"), self.path(state));
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

/// Owner, group and mode.
fn rights(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o777)
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
    assert_eq!(rights(&secret).2, 0o600);
    assert_eq!(rights(&adapter.path("secrets")).2, 0o700);
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
    // The commands name the configuration, which is not where the packages have it.
    let told = adapter.import_to_files(&["--force"]).0;
    let command = format!("{command} --config {output}");
    assert!(told.stderr.lines().any(|line| line == command), "{told:?}");
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
    let mend = format!("{collection} 2026-01-01T00:00:00Z --config {output}` changes it");
    assert!(other.stderr.contains(&mend), "{other:?}");

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
    adapter.has_nothing_of_ours();
    // Without that the rest is taken over, and the feed told.
    let ended = adapter.import_to_files(&[]).0;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("in the midst of an answer"),
        "{ended:?}"
    );
    let check = run(&["check", "--config", &output]);
    assert_eq!(check.code, Some(0), "{check:?}");
}

#[test]
fn what_is_written_over_keeps_its_owner_and_its_mode() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let (config, secret) = (
        adapter.path("ours.toml"),
        adapter.path("secrets/taxii-password"),
    );
    for (path, mode) in [(&config, 0o640), (&secret, 0o440)] {
        adapter.write(path.to_str().unwrap(), "old");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        // Where the test may give files away, it does.
        let _ = chown(path, Some(12), Some(34));
    }
    let before = [rights(&config), rights(&secret)];
    let ended = adapter.import_to_files(&["--force"]).0;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!([rights(&config), rights(&secret)], before);
    assert!(fs::read_to_string(&config).unwrap().contains("[[service]]"));
    assert_ne!(fs::read_to_string(&secret).unwrap(), "old");
}

#[test]
fn the_agents_user_may_read_what_root_writes() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may give files away: there is nothing to see.
        return;
    }
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let user = nix::unistd::User::from_name("daemon").unwrap().unwrap();
    let group = user.gid.as_raw();
    let (ended, _) = adapter.import_to_files(&["--user", "daemon"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rights(&adapter.path("ours.toml")), (0, group, 0o640));
    assert_eq!(rights(&adapter.path("secrets")), (0, group, 0o750));
    let secret = adapter.path("secrets/taxii-password");
    assert_eq!(rights(&secret), (0, group, 0o640));
    // What systemd hands over is root's.
    fs::remove_dir_all(adapter.path("secrets")).unwrap();
    let ended = adapter
        .import_to_files(&["--user", "daemon", "--force", "--credentials"])
        .0;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rights(&secret), (0, 0, 0o600));
    assert_eq!(rights(&adapter.path("secrets")), (0, 0, 0o700));
    let nobody = adapter.import_to_files(&["--user", "no-such-user"]).0;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
}

#[test]
fn what_a_unit_hands_over_is_named_as_a_credential() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let (ended, output) = adapter.import_to_files(&["--credentials"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = fs::read_to_string(&output).unwrap();
    let line = "password = { credential = \"taxii-password\" }";
    assert!(text.lines().any(|found| found == line), "{text}");
    let mut check = command(&["check", "--config", &output]);
    check.env("CREDENTIALS_DIRECTORY", adapter.path("secrets"));
    let check = Running::of(check).wait();
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    // As the packages have it, without being asked.
    let printed = adapter.import(&[]);
    assert!(
        printed.stdout.lines().any(|found| found == line),
        "{printed:?}"
    );
}

#[test]
fn all_is_written_or_nothing() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let collection = simulator.collection();
    adapter.status(&format!(
        "<feed name=\"{collection}\" lastUpdate=\"2026-03-01T00:00:00Z\"/>"
    ));
    // The last step fails: no state can be there.
    let state = "taxii-status.xml/state";
    let (ended, output) = adapter.import_with_state(state, &["--take-checkpoints"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("was taken back"), "{ended:?}");
    adapter.has_nothing_of_ours();
    // What was there before is there again.
    adapter.write("ours.toml", "old");
    let more = ["--force", "--take-checkpoints"];
    let ended = adapter.import_with_state(state, &more).0;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("was taken back"), "{ended:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    assert!(!adapter.path("secrets").exists());
    // The first step does: a folder lies where a file should.
    adapter.write("secrets/taxii-password/x", "");
    let ended = adapter.import_to_files(&["--force"]).0;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not a plain file"), "{ended:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
}

#[test]
fn what_spring_would_look_up_is_taken_or_told() {
    let simulator = Simulator::start();
    let adapter = Adapter::of(&simulator);
    let yml = "config/application.yml";
    let before = fs::read_to_string(adapter.path(yml)).unwrap();
    adapter.write(
        yml,
        &format!(
            "{before}---\nspring.profiles: prod\ntaxii-service.feeds: a, b\n---\n\
             taxii-service.password: ENC(x)\n---\ntaxii-service.username: ${{NOBODY_KNOWS}}\n"
        ),
    );
    adapter.write(
        "config/application.properties",
        "taxii-service.username=x\n",
    );
    let (ended, output) = adapter.import_to_files(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = |more: usize| before.lines().count() + more;
    for told in [
        format!(
            "TODO: taxii-service.password (line {}): it is encrypted (ENC(…), by jasypt), so it was not \
             written",
            line(5)
        ),
        format!(
            "TODO: taxii-service.username (line {}): ${{NOBODY_KNOWS}} is not known here, so it is left \
             out",
            line(7)
        ),
        format!(
            "TODO: not taken over, since it holds for the profile \"prod\" alone (the document at line \
             {};",
            line(1)
        ),
        "config/application.properties too, whose keys may come before these".to_owned(),
    ] {
        assert!(ended.stderr.contains(&told), "{told}: {ended:?}");
    }
    assert!(!adapter.path("secrets/taxii-password").exists());
    // What is left out, nobody can overlook.
    let check = run(&["check", "--config", &output]);
    assert_eq!(check.code, Some(78), "{check:?}");
    assert!(check.stderr.contains("username"), "{check:?}");
    assert!(check.stderr.contains("cannot be read"), "{check:?}");
    // A configuration with gaps takes no checkpoint.
    let ended = adapter
        .import_to_files(&["--force", "--take-checkpoints"])
        .0;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("must be completed"), "{ended:?}");
    assert!(ended.stderr.contains(&format!("{output}:")), "{ended:?}");

    let application = adapter.path(yml);
    let mut named = command(&[
        "import-config",
        application.to_str().unwrap(),
        "--profile",
        "prod",
    ]);
    named.env("NOBODY_KNOWS", "somebody");
    let printed = Running::of(named).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    for line in ["collections = [\"a\", \"b\"]", "username = \"somebody\""] {
        assert!(
            printed.stdout.lines().any(|found| found == line),
            "{printed:?}"
        );
    }
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
