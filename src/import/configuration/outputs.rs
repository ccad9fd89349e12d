//! Where events go.

use std::path::Path;

use super::Surroundings;
use super::draft::{Draft, quoted};
use crate::import::{Adapter, Appender, AppenderKind, Appenders};

/// What stands behind the header of a message.
struct Body {
    name: &'static str,
    was: &'static str,
}

/// Writes each `[[output]]`.
pub(super) fn write(
    draft: &mut Draft,
    adapter: &Adapter,
    appenders: &Result<Appenders, String>,
    around: &Surroundings,
) {
    let body = body(adapter.stylesheet.as_deref());
    let stylesheet = adapter.stylesheet.as_deref().unwrap_or("none");
    draft.comment(format_args!(
        "transform.stylesheet was {stylesheet}: {}. Their fields beside ours: \
         docs/migrate-from-taxii-log-adapter.md",
        body.was
    ));
    let mut outputs = Outputs {
        draft,
        names: Vec::new(),
    };
    match appenders {
        Ok(appenders) => {
            for remark in &appenders.remarks {
                outputs.draft.todo(remark);
            }
            for appender in &appenders.all {
                outputs.add(appender, &body);
            }
        }
        Err(why) => outputs.draft.todo(format_args!(
            "where the adapter sent its events is not known ({why}): see its logback.xml"
        )),
    }
    if outputs.names.is_empty() {
        outputs
            .draft
            .todo("choose where events go: until then they are JSON lines in a file");
        outputs.file();
    }
    template(draft, around);
}

struct Outputs<'a> {
    draft: &'a mut Draft,
    /// Of those that are there.
    names: Vec<String>,
}

impl Outputs<'_> {
    fn add(&mut self, appender: &Appender, body: &Body) {
        let label = &appender.name;
        match &appender.kind {
            AppenderKind::Network { address, is_udp } => {
                let transport = if *is_udp { "udp" } else { "tcp" };
                self.begin("siem", "syslog");
                self.draft.comment(format_args!(
                    "logback appender {label}: lines over {transport} without a header; here each has a \
                     syslog header"
                ));
                self.addresses(address);
                self.draft.key("transport", transport);
                if !is_udp {
                    self.draft.key("framing", "lf");
                }
                self.draft.key("body", body.name);
                self.draft.todo(
                    "if that is Splunk, use the output below instead: over TCP what Splunk has not read \
                     when it stops is lost",
                );
                self.draft.line("");
            }
            AppenderKind::Syslog { address, facility } => {
                self.begin("siem", "syslog");
                self.draft
                    .comment(format_args!("logback appender {label}: RFC 3164 over UDP"));
                self.addresses(address);
                self.draft.key("transport", "udp");
                self.draft.key("format", "rfc3164");
                self.draft.key("facility", facility);
                self.draft.key("body", body.name);
                self.draft.todo(
                    "over UDP nobody knows what arrives: use transport = \"relp_tls\", or \"tls\", where \
                     the receiver can",
                );
                self.draft.line("");
            }
            AppenderKind::File { path } => {
                self.draft
                    .comment(format_args!("logback appender {label}: the file {path}"));
                self.file();
            }
            AppenderKind::Console => {
                self.begin("screen", "stdout");
                self.draft.line("");
            }
            AppenderKind::Other(what) => self.draft.todo(format_args!(
                "logback appender {label} is not taken over ({what}): write an output for it"
            )),
        }
    }

    fn addresses(&mut self, address: &str) {
        self.draft
            .line(format_args!("addresses = [{}]", quoted(address)));
    }

    fn file(&mut self) {
        let of_files = |name: &&String| name.starts_with("local");
        let end = match self.names.iter().filter(of_files).count() {
            0 => String::new(),
            more => format!("-{}", more + 1),
        };
        self.begin("local", "file");
        let path = format!("/var/log/cta-forwarder/events{end}.jsonl");
        self.draft.key("path", &path);
        self.draft.line("");
    }

    fn begin(&mut self, name: &str, kind: &str) {
        let alike = |known: &&String| known.starts_with(name);
        let name = match self.names.iter().filter(alike).count() {
            0 => name.to_owned(),
            more => format!("{name}-{}", more + 1),
        };
        self.draft.line("[[output]]");
        self.draft.key("name", &name);
        self.draft.key("type", kind);
        self.names.push(name);
    }
}

fn template(draft: &mut Draft, around: &Surroundings) {
    draft.comment("Splunk's HTTP Event Collector, which confirms what it has:");
    for line in [
        "[[output]]",
        "name = \"splunk\"",
        "type = \"splunk_hec\"",
        "endpoints = [\"https://splunk.example.com:8088\"]",
        &format!("token = {{ {} }}", around.secrets.source("hec-token")),
        "index = \"security\"",
    ] {
        draft.comment(line);
    }
}

/// What the adapter's stylesheet made, and what comes nearest.
fn body(stylesheet: Option<&str>) -> Body {
    let name = stylesheet.map(|path| Path::new(path).file_name().unwrap_or_default());
    let name = name.map(|name| name.to_string_lossy().to_ascii_lowercase());
    let name = name.unwrap_or_default();
    if name.contains("cef") {
        Body {
            name: "cef",
            was: "CEF",
        }
    } else if name.contains("splunk") {
        Body {
            name: "key_value",
            was: "key=\"value\" pairs",
        }
    } else if name.contains("json") {
        Body {
            name: "json",
            was: "JSON",
        }
    } else {
        Body {
            name: "json",
            was: "something else than this agent writes, which is JSON",
        }
    }
}
