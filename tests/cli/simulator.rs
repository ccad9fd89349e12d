//! The simulated services as a process of their own, with a configuration for the agent.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::Running;

/// A folder with a configuration, and the services that it names.
pub(crate) struct Simulator {
    pub(crate) folder: TempDir,
    pub(crate) about: Value,
    pub(crate) process: Running,
    control: String,
}

impl Simulator {
    /// Two days of content, no more, and a poll every second.
    pub(crate) fn start() -> Self {
        Self::with(&["--min-poll-interval", "1s"])
    }

    /// The same with other options.
    pub(crate) fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("agent.toml");
        let mut arguments = vec![
            "simulate",
            "--json",
            "--backlog",
            "2",
            "--publish-every",
            "1h",
            "--write-config",
            config.to_str().unwrap(),
        ];
        arguments.extend(options);
        let mut process = Running::start(&arguments);
        let about: Value = serde_json::from_str(&process.stdout_line()).unwrap();
        let control = about["control"]["url"].as_str().unwrap();
        let control = control.trim_start_matches("http://").trim_end_matches('/');
        Self {
            folder,
            control: control.to_owned(),
            about,
            process,
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("agent.toml.state")
    }

    /// A command of ours with this configuration.
    pub(crate) fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        all.push("--config".to_owned());
        all.push(self.config().to_str().unwrap().to_owned());
        all
    }

    /// Changes the configuration.
    pub(crate) fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), change(text)).unwrap();
    }

    /// The agent, once it has started.
    pub(crate) fn start_agent(&self) -> Running {
        let mut agent = Running::start(&self.arguments(&["run"]));
        agent.wait_for("started");
        agent
    }

    pub(crate) fn collection(&self) -> &str {
        self.about["cta"]["collection"].as_str().unwrap()
    }

    /// Asks the control port.
    pub(crate) fn get(&self, path: &str) -> Value {
        let body = self.ask("GET", path, "");
        serde_json::from_str(&body).unwrap()
    }

    /// Switches something.
    pub(crate) fn put(&self, path: &str, body: &str) {
        self.ask("PUT", path, body);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.ask("DELETE", path, "");
    }

    /// What the service has published.
    pub(crate) fn published(&self) -> BTreeSet<String> {
        let ids = self.get("/cta/published");
        let ids = ids.as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Whether the service was asked for content so often.
    pub(crate) fn polls(&self) -> usize {
        let requests = self.get("/cta/requests");
        let requests = requests.as_array().unwrap().iter();
        requests.filter(|request| request["kind"] == "poll").count()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.control).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.control,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
        body.to_owned()
    }
}
