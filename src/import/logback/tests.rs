use super::*;

fn output(appender: &str) -> AppenderKind {
    let text = format!(
        "<configuration>{appender}<appender name=\"LOG\" class=\"x.FileAppender\">\
         <file>log</file></appender>\
         <logger name=\"output\" level=\"info\"><appender-ref ref=\"A\"/></logger>\
         <root level=\"warn\"><appender-ref ref=\"LOG\"/></root></configuration>"
    );
    let mut found = read(&text.replace("level=\"info\"", "additivity=\"false\"")).unwrap();
    assert_eq!(found.all.len(), 1);
    found.all.remove(0).kind
}

/// The kinds and the remarks for a file with these parts besides the appenders A, B and C.
fn all(parts: &str) -> (Vec<String>, String) {
    let text = format!(
        "<configuration>\
         <appender name=\"A\" class=\"x.NetworkAppender\"><host>a</host><port>1</port></appender>\
         <appender name=\"B\" class=\"x.SyslogAppender\"><syslogHost>b</syslogHost></appender>\
         <appender name=\"C\" class=\"x.ConsoleAppender\"/>{parts}</configuration>"
    );
    let found = read(&text).unwrap();
    let names = found.all.iter().map(|appender| match &appender.kind {
        AppenderKind::Other(why) => format!("{}: {why}", appender.name),
        _ => appender.name.clone(),
    });
    (names.collect(), found.remarks.join("\n"))
}

#[test]
fn events_are_followed_to_who_gets_them() {
    let asynchronous = "<appender name=\"Q\" class=\"ch.qos.logback.classic.AsyncAppender\">\
                        <appender-ref ref=\"A\"/><appender-ref ref=\"Q\"/></appender>";
    let logger = |inner: &str| format!("<logger name=\"output\">{inner}</logger>");
    let quiet =
        |inner: &str| format!("<logger name=\"output\" additivity=\"FALSE\">{inner}</logger>");
    let to = |name: &str| format!("<appender-ref ref=\"{name}\"/>");
    let root = |name: &str| format!("<root level=\"warn\">{}</root>", to(name));
    for (parts, expect, remark) in [
        (format!("{asynchronous}{}", quiet(&to("Q"))), &["A"][..], ""),
        (quiet(&[to("A"), to("B")].concat()), &["A", "B"], ""),
        (root("A"), &["A"], ""),
        (root("C"), &["C"], ""),
        (format!("{}{}", logger(""), root("B")), &["B"], ""),
        (format!("{}{}", quiet(""), root("B")), &[], ""),
        (
            format!("{}{}", logger(&to("A")), root("B")),
            &["A", "B"],
            "",
        ),
        (format!("{}{}", logger(&to("A")), root("A")), &["A"], ""),
        (format!("{}{}", quiet(&to("A")), root("B")), &["A"], ""),
        (
            format!("{}{}", logger(&to("A")), root("C")),
            &["A"],
            "appender C of the root logger got the events too",
        ),
        (
            "<logger name=\"output\" level=\"OFF\"><appender-ref ref=\"A\"/></logger>".to_owned(),
            &["A"],
            "the adapter sent no events",
        ),
        (quiet(&to("D")), &["D: it is not defined there"], ""),
        (
            format!("<include file=\"x\"/>{}", quiet(&to("A"))),
            &["A"],
            "<include>",
        ),
        (
            format!("<property file=\"x\"/>{}", quiet(&to("A"))),
            &["A"],
            "from elsewhere",
        ),
    ] {
        let (names, remarks) = all(&parts);
        assert_eq!(names, expect, "{parts}");
        assert!(remarks.contains(remark), "{parts}: {remarks}");
        assert_eq!(remarks.is_empty(), remark.is_empty(), "{parts}: {remarks}");
    }
}

#[test]
fn variables_are_told_or_named() {
    let syslog = |host: &str, more: &str| {
        output(&format!(
            "<property name=\"H\" value=\"${{G}}.example\"/><variable name=\"G\" value=\"siem\"/>\
             <appender name=\"A\" class=\"x.SyslogAppender\"><syslogHost>{host}</syslogHost>{more}\
             </appender>"
        ))
    };
    let to = |address: &str| AppenderKind::Syslog {
        address: address.to_owned(),
        facility: "local0".to_owned(),
    };
    assert_eq!(syslog("${H}", ""), to("siem.example:514"));
    assert_eq!(
        syslog("${I:-other}", "<port>${P:-99}</port>"),
        to("other:99")
    );
    for (host, more, why) in [
        (
            "${I}",
            "",
            "its syslogHost is ${I}, which is not known here",
        ),
        (
            "a",
            "<port>${P}</port>",
            "its port is ${P}, which is not known here",
        ),
        ("", "", "it has no syslogHost"),
    ] {
        assert_eq!(syslog(host, more), AppenderKind::Other(why.to_owned()));
    }
    assert_eq!(
        output("<appender name=\"A\" class=\"x.NetworkAppender\"><host>a</host></appender>"),
        AppenderKind::Other("it has no port".to_owned())
    );
}

#[test]
fn what_an_appender_does_besides_is_told() {
    for (inner, remark) in [
        ("<filter class=\"x\"/>", "the filter of logback appender D"),
        (
            "<encoder><pattern>%d %msg%n</pattern></encoder>",
            "(%d %msg%n)",
        ),
        ("<encoder><pattern>%message%n</pattern></encoder>", ""),
        ("<suffixPattern>%msg</suffixPattern>", ""),
    ] {
        let (names, remarks) = all(&format!(
            "<appender name=\"D\" class=\"x.ConsoleAppender\">{inner}</appender>\
             <root><appender-ref ref=\"D\"/></root>"
        ));
        assert_eq!(names, ["D"]);
        assert!(remarks.contains(remark), "{inner}: {remarks}");
        assert_eq!(remarks.is_empty(), remark.is_empty(), "{remarks}");
    }
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
        AppenderKind::Other("its class x.KafkaAppender has no counterpart".to_owned())
    );
    assert!(matches!(output(""), AppenderKind::Other(_)));
}
