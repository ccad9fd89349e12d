//! Where the adapter's logback.xml sends what the logger `output` gets.

use crate::tree::Element;

/// What stands for a value or a part of the file and is not looked up here.
const NOT_READ: [&str; 4] = ["include", "if", "springProfile", "springProperty"];
/// Of a pattern, what an event is, and what ends its line.
const PLAIN_PATTERNS: [&str; 7] = [
    "%message",
    "%msg",
    "%m",
    "%nopex",
    "%nopexception",
    "%n",
    "%ex",
];
/// At these levels a logger says nothing of what the adapter writes, which is `info`.
const QUIET_LEVELS: [&str; 3] = ["warn", "error", "off"];
/// A variable may stand for another.
const MAX_VARIABLES: usize = 8;

/// The appenders that get what the adapter logs to `output`: its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appenders {
    /// In the order of the file.
    pub all: Vec<Appender>,
    /// What of the file is not taken over.
    pub remarks: Vec<String>,
}

/// An appender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appender {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: AppenderKind,
}

/// What an appender is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppenderKind {
    /// The adapter's NetworkAppender: a line for each event, without a header.
    Network {
        /// Host and port.
        address: String,
        /// Over UDP instead of TCP.
        is_udp: bool,
    },
    /// Logback's SyslogAppender: RFC 3164 over UDP.
    Syslog {
        /// Host and port.
        address: String,
        /// Its facility, in small letters.
        facility: String,
    },
    /// A file, or one for each message.
    File {
        /// As it is written there.
        path: String,
    },
    /// Standard output.
    Console,
    /// Something else: what.
    Other(String),
}

/// Reads logback.xml: who gets the events.
pub fn read(text: &str) -> Result<Appenders, String> {
    let root = Element::read(text).map_err(|error| error.to_string())?;
    let mut reading = Reading::of(&root);
    let loggers = root.descendants("logger");
    let is_output = |logger: &&&Element| logger.attribute("name") == Some("output");
    let outputs: Vec<&Element> = loggers.iter().filter(is_output).copied().collect();
    let own = references(&outputs);
    let says_no = |logger: &&Element| {
        let additivity = logger.attribute("additivity").unwrap_or("true");
        additivity.eq_ignore_ascii_case("false")
    };
    // Unless it says no, a logger hands on to the root logger what it has.
    let of_root = if outputs.iter().any(says_no) {
        Vec::new()
    } else {
        references(&root.descendants("root"))
    };
    for level in outputs
        .iter()
        .filter_map(|logger| logger.attribute("level"))
    {
        if QUIET_LEVELS
            .iter()
            .any(|quiet| level.eq_ignore_ascii_case(quiet))
        {
            reading.found.remarks.push(format!(
                "the level of the logger \"output\" is {level}, so that the adapter sent no events: \
                 here they are sent"
            ));
        }
    }
    for name in &own {
        reading.add(name);
    }
    for name in of_root.iter().filter(|name| !own.contains(name)) {
        if own.is_empty() {
            reading.add(name);
        } else {
            reading.add_of_root(name);
        }
    }
    Ok(reading.found)
}

fn references(elements: &[&Element]) -> Vec<String> {
    let references = elements
        .iter()
        .flat_map(|element| element.descendants("appender-ref"));
    let names = references.filter_map(|reference| reference.attribute("ref"));
    names.map(str::to_owned).collect()
}

struct Reading<'a> {
    appenders: Vec<&'a Element>,
    variables: Vec<(&'a str, &'a str)>,
    found: Appenders,
    /// Those that were followed: one may name itself.
    followed: Vec<String>,
}

impl<'a> Reading<'a> {
    fn of(root: &'a Element) -> Self {
        let mut found = Appenders::default();
        for name in NOT_READ {
            if !root.descendants(name).is_empty() {
                found.remarks.push(format!(
                    "what <{name}> stands for in logback.xml is not looked up: compare the outputs"
                ));
            }
        }
        let mut variables = Vec::new();
        for kind in ["property", "variable"] {
            for element in root.descendants(kind) {
                match (element.attribute("name"), element.attribute("value")) {
                    (Some(name), Some(value)) => variables.push((name, value)),
                    _ => found.remarks.push(format!(
                        "a <{kind}> of logback.xml takes its values from elsewhere, which is not read: \
                         compare the outputs"
                    )),
                }
            }
        }
        Self {
            appenders: root.descendants("appender"),
            variables,
            found,
            followed: Vec::new(),
        }
    }

    /// Adds an appender, or those that it hands on to.
    fn add(&mut self, name: &str) {
        if self.followed.iter().any(|known| known == name) {
            return;
        }
        self.followed.push(name.to_owned());
        let mut known = self.appenders.iter();
        let known = known.find(|appender| appender.attribute("name") == Some(name));
        let kind = match known.copied() {
            None => AppenderKind::Other("it is not defined there".to_owned()),
            Some(appender) => {
                let next = references(&[appender]);
                if class(appender) == "AsyncAppender" && !next.is_empty() {
                    self.look_at(name, appender);
                    for name in next {
                        self.add(&name);
                    }
                    return;
                }
                self.look_at(name, appender);
                self.kind(appender).unwrap_or_else(AppenderKind::Other)
            }
        };
        self.found.all.push(Appender {
            name: name.to_owned(),
            kind,
        });
    }

    /// Adds an appender that gets the events besides; where that is the adapter's own log, it is told.
    fn add_of_root(&mut self, name: &str) {
        let before = self.found.all.len();
        self.add(name);
        let added = self.found.all.split_off(before);
        for appender in added {
            if let AppenderKind::File { .. } | AppenderKind::Console = appender.kind {
                self.found.remarks.push(format!(
                    "logback appender {} of the root logger got the events too, since the logger \
                     \"output\" has no additivity=\"false\": write an output for it if somebody reads \
                     them there",
                    appender.name
                ));
            } else {
                self.found.all.push(appender);
            }
        }
    }

    /// Tells what of an appender has no counterpart.
    fn look_at(&mut self, name: &str, appender: &Element) {
        if !appender.descendants("filter").is_empty() {
            self.found.remarks.push(format!(
                "the filter of logback appender {name} is not taken over: all events go out"
            ));
        }
        for pattern in ["pattern", "suffixPattern"] {
            for pattern in appender.descendants(pattern) {
                let pattern = pattern.text();
                let mut left = pattern.trim().to_owned();
                for plain in PLAIN_PATTERNS {
                    left = left.replace(plain, "");
                }
                if !left.trim().is_empty() {
                    self.found.remarks.push(format!(
                        "the pattern of logback appender {name} is not taken over ({}): an event goes \
                         out by itself",
                        pattern.trim()
                    ));
                }
            }
        }
    }

    /// What an appender is, or why it has no counterpart.
    fn kind(&self, appender: &Element) -> Result<AppenderKind, String> {
        match class(appender) {
            "NetworkAppender" => Ok(AppenderKind::Network {
                address: self.address(appender, "host", None)?,
                is_udp: self
                    .value(appender, "protocol")?
                    .is_some_and(|name| name.eq_ignore_ascii_case("udp")),
            }),
            "SyslogAppender" => Ok(AppenderKind::Syslog {
                address: self.address(appender, "syslogHost", Some("514"))?,
                facility: self
                    .value(appender, "facility")?
                    .unwrap_or_else(|| "local0".to_owned())
                    .to_ascii_lowercase(),
            }),
            "FileAppender" | "RollingFileAppender" | "SiftingAppender" => {
                let file = appender.descendants("file");
                let file = file.first().map(|file| file.text().trim().to_owned());
                let path = file.ok_or("it names no file")?;
                Ok(AppenderKind::File { path })
            }
            "ConsoleAppender" => Ok(AppenderKind::Console),
            _ => Err(format!(
                "its class {} has no counterpart",
                appender.attribute("class").unwrap_or_default()
            )),
        }
    }

    fn address(
        &self,
        appender: &Element,
        host: &str,
        default_port: Option<&str>,
    ) -> Result<String, String> {
        let named = self.value(appender, host)?;
        let named = named.ok_or_else(|| format!("it has no {host}"))?;
        let port = self.value(appender, "port")?;
        let port = port
            .or_else(|| default_port.map(str::to_owned))
            .ok_or("it has no port")?;
        if named.contains(':') {
            Ok(format!("[{named}]:{port}"))
        } else {
            Ok(format!("{named}:{port}"))
        }
    }

    /// The text of an element in an appender, with its variables told.
    fn value(&self, appender: &Element, name: &str) -> Result<Option<String>, String> {
        let found = appender.descendants(name);
        let Some(element) = found.first() else {
            return Ok(None);
        };
        let text = self.told(element.text().trim());
        let text =
            text.map_err(|unknown| format!("its {name} is {unknown}, which is not known here"))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A text with what its variables stand for, or one that is not known.
    fn told(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for _ in 0..MAX_VARIABLES {
            let Some((before, rest)) = text.split_once("${") else {
                return Ok(text);
            };
            let Some((inner, after)) = rest.split_once('}') else {
                return Ok(text);
            };
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            let mut variables = self.variables.iter();
            let known = variables.find(|(known, _)| *known == name);
            let value = known.map(|(_, value)| *value).or(default);
            let value = value.ok_or_else(|| format!("${{{inner}}}"))?;
            text = format!("{before}{value}{after}");
        }
        Err(text)
    }
}

/// The last word of its class.
fn class(appender: &Element) -> &str {
    let class = appender.attribute("class").unwrap_or_default();
    class.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
