//! Where the adapter's logback.xml sends what the logger `output` gets.

use crate::tree::Element;

/// An appender of the logger `output`.
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
    /// Something else: its class.
    Other(String),
}

/// The appenders of the logger `output`, in its order.
pub fn read(text: &str) -> Result<Vec<Appender>, String> {
    let root = Element::read(text).map_err(|error| error.to_string())?;
    let appenders = root.descendants("appender");
    let loggers = root.elements().filter(|element| element.name == "logger");
    let outputs = loggers.filter(|logger| logger.attribute("name") == Some("output"));
    let references = outputs.flat_map(|logger| logger.descendants("appender-ref"));
    let names = references.filter_map(|reference| reference.attribute("ref"));
    let found = names.map(|name| {
        let mut known = appenders.iter();
        let known = known.find(|appender| appender.attribute("name") == Some(name));
        Appender {
            name: name.to_owned(),
            kind: known.map_or_else(
                || AppenderKind::Other("an appender that is not defined".to_owned()),
                |appender| kind(appender),
            ),
        }
    });
    Ok(found.collect())
}

fn kind(appender: &Element) -> AppenderKind {
    let class = appender.attribute("class").unwrap_or_default();
    let value = |name: &str| {
        let found = appender.descendants(name);
        let text = found.first().map(|element| element.text());
        let text = text.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    let address = |host: &str, port: &str| {
        let host = value(host)?;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        Some(format!(
            "{host}:{}",
            value("port").unwrap_or_else(|| port.to_owned())
        ))
    };
    let found = match class.rsplit('.').next().unwrap_or_default() {
        "NetworkAppender" => address("host", "514").map(|address| AppenderKind::Network {
            address,
            is_udp: value("protocol").is_some_and(|name| name.eq_ignore_ascii_case("udp")),
        }),
        "SyslogAppender" => address("syslogHost", "514").map(|address| AppenderKind::Syslog {
            address,
            facility: value("facility")
                .unwrap_or_else(|| "local0".to_owned())
                .to_ascii_lowercase(),
        }),
        "FileAppender" | "RollingFileAppender" | "SiftingAppender" => {
            value("file").map(|path| AppenderKind::File { path })
        }
        "ConsoleAppender" => Some(AppenderKind::Console),
        _ => None,
    };
    found.unwrap_or_else(|| AppenderKind::Other(class.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(appender: &str) -> AppenderKind {
        let text = format!(
            "<configuration>{appender}<appender name=\"LOG\" class=\"x.FileAppender\">\
             <file>log</file></appender>\
             <logger name=\"output\" level=\"info\"><appender-ref ref=\"A\"/></logger>\
             <root level=\"warn\"><appender-ref ref=\"LOG\"/></root></configuration>"
        );
        let mut found = read(&text).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0).kind
    }

    #[test]
    fn each_kind_of_appender_is_told_apart() {
        assert_eq!(
            output(
                "<appender name=\"A\" class=\"com.cisco.cta.taxii.adapter.NetworkAppender\">\
                 <host>splunk</host><port>9999</port><protocol>UDP</protocol></appender>"
            ),
            AppenderKind::Network {
                address: "splunk:9999".to_owned(),
                is_udp: true,
            }
        );
        assert_eq!(
            output(
                "<appender name=\"A\" class=\"ch.qos.logback.classic.net.SyslogAppender\">\
                 <syslogHost>2001:db8::1</syslogHost><facility>LOCAL3</facility></appender>"
            ),
            AppenderKind::Syslog {
                address: "[2001:db8::1]:514".to_owned(),
                facility: "local3".to_owned(),
            }
        );
        assert_eq!(
            output(
                "<appender name=\"A\" class=\"x.SiftingAppender\"><sift><appender \
                 name=\"B_${m}\" class=\"x.FileAppender\"><file>/d/stix-${m}.xml</file></appender>\
                 </sift></appender>"
            ),
            AppenderKind::File {
                path: "/d/stix-${m}.xml".to_owned(),
            }
        );
        assert_eq!(
            output("<appender name=\"A\" class=\"x.KafkaAppender\"/>"),
            AppenderKind::Other("x.KafkaAppender".to_owned())
        );
        assert!(matches!(output(""), AppenderKind::Other(_)));
    }
}
