//! The whole way from a file to its configuration or its messages.

mod admin_messages;
mod documentation;
mod inbox_messages;
mod named;
mod output_messages;
mod secrecy;
mod secrets;
mod service_messages;
mod shape;
mod splunk_messages;
mod syslog_messages;
mod value_messages;
mod values;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Config, Environment, LoadError, Loaded};

/// A folder with a configuration, secrets and a certificate.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("secret", "s3cret\n", 0o600);
        folder.write("open-secret", "s3cret\n", 0o644);
        folder.write("empty-secret", "\n", 0o600);
        folder.write("odd-secret", "s3 cret\n", 0o600);
        folder.write("ca.pem", "a certificate", 0o644);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Loads a configuration, in which `DIR` stands for the folder.
    fn load(&self, text: &str) -> Result<Loaded, LoadError> {
        let text = text.replace("DIR", self.path().to_str().unwrap());
        let path = self.write("cta-forwarder.toml", &text, 0o600);
        let environment = Environment::new("forwarder-1")
            .with("TOKEN", "t0ken")
            .with("EMPTY", "")
            .with("CREDENTIALS_DIRECTORY", self.path());
        Config::load(&path, &environment, six_fields)
    }

    /// What a person is told: the errors, or else the warnings.
    fn told(&self, text: &str) -> String {
        let told = match self.load(text) {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter();
                lines(warnings.map(|warning| format!("warning: {warning}")))
            }
            Err(error) => error.to_string(),
        };
        let folder = self.path().to_str().unwrap();
        let file = format!("{folder}/cta-forwarder.toml:");
        told.replace(&file, "FILE:").replace(folder, "DIR")
    }
}

/// The scheduler's own check belongs to another room.
fn six_fields(expression: &str) -> Result<(), String> {
    match expression.split_whitespace().count() {
        6 => Ok(()),
        fields => Err(format!("it has {fields} fields")),
    }
}

const STATE: &str = "[state]\ndirectory = '/state'\n";
const SERVICE: [&str; 3] = [
    "name = 'cta'",
    "poll_url = 'https://taxii.example.com/poll'",
    "collections = ['flows']",
];
const STDOUT: [&str; 2] = ["name = 'out'", "type = 'stdout'"];
const SPLUNK: [&str; 4] = [
    "name = 'splunk'",
    "type = 'splunk_hec'",
    "endpoints = ['https://splunk.example.com:8088']",
    "token = { file = 'DIR/secret' }",
];
const SYSLOG: [&str; 3] = [
    "name = 'siem'",
    "type = 'syslog'",
    "addresses = ['127.0.0.1:514']",
];
const FILE: [&str; 3] = ["name = 'file'", "type = 'file'", "path = '/out.jsonl'"];

/// The lines of a table, without those whose key stands among the lines in question.
fn table(heading: &str, usual: &[&str], lines: &str) -> String {
    let key = |line: &str| line.trim().split(['=', '.', ' ']).next().map(str::to_owned);
    let own: Vec<_> = lines.lines().map(key).collect();
    let usual = usual.iter().filter(|line| !own.contains(&key(line)));
    let usual: Vec<&str> = usual.copied().collect();
    format!("{heading}\n{}\n{lines}\n", usual.join("\n"))
}

/// A configuration whose service, at the end, has these lines.
fn service(lines: &str) -> String {
    format!(
        "{STATE}{}{}",
        table("[[output]]", &STDOUT, ""),
        table("[[service]]", &SERVICE, lines),
    )
}

/// A configuration whose output, at the end, has these lines.
fn output(usual: &[&str], lines: &str) -> String {
    format!(
        "{STATE}{}{}",
        table("[[service]]", &SERVICE, ""),
        table("[[output]]", usual, lines),
    )
}

/// A configuration with these lines at its end.
fn file(lines: &str) -> String {
    format!("{}{lines}\n", output(&STDOUT, ""))
}

/// Compares what is told of a configuration: `expect` is one message a line.
#[track_caller]
fn check(text: &str, expect: &str) {
    let told = Folder::new().told(text);
    let expect = expect.lines().map(|line| line.trim_start().to_owned());
    let expect = lines(expect.filter(|line| !line.is_empty()));
    assert_eq!(told, expect, "\nof\n{text}");
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}
