//! What an event says of its risk, in all the ways it can.

use super::*;

#[track_caller]
fn check(fields: &[(&str, Value)], syslog: u8, cef: u8, leef: u8) {
    let json = object(fields);
    for body in [SyslogBody::Json, SyslogBody::KeyValue] {
        let config = SyslogConfig {
            severity: SyslogSeverity::Event,
            facility: 0,
            body,
            ..config()
        };
        let priority = readers::rfc5424(&message(&config, &json)).priority;
        assert_eq!(priority, syslog, "{json}");
    }
    let cef_header = readers::cef(&body_of(SyslogBody::Cef, &json)).header;
    assert_eq!(cef_header[6], cef.to_string(), "{json}");
    let attributes = readers::leef(&body_of(SyslogBody::Leef, &json)).attributes;
    assert_eq!(attributes[0], ("sev".into(), leef.to_string()), "{json}");
}

#[test]
fn numbers_words_and_several_values() {
    let risk = |risk: &str| [("risk", Value::from(risk))];
    check(&risk("9"), 2, 9, 9);
    check(&risk("9.9"), 2, 9, 9);
    check(&risk("95"), 2, 10, 10);
    check(&risk("1000"), 2, 10, 10);
    check(&risk("0"), 6, 0, 1);
    check(&risk("Critical"), 2, 10, 10);
    check(&risk("high"), 3, 8, 8);
    check(&risk("Medium"), 4, 5, 5);
    check(&risk("Low"), 5, 3, 3);
    check(&risk("None"), 6, 0, 1);
    check(&risk("3; 9; 5"), 2, 9, 9);
    check(&[("risk", 7.into())], 3, 7, 7);
    check(&[("risk", Value::from(vec!["1", "5"]))], 4, 5, 5);
    for unknown in ["", "-1", "?", "9a", "1.", ".5", "\u{669}"] {
        check(&risk(unknown), 5, 5, 5);
    }
    check(&[], 5, 5, 5);
}

#[test]
fn a_low_confidence_is_one_level_less() {
    let rated = |risk: &str, confidence: &str| {
        [
            ("confidence", Value::from(confidence)),
            ("risk", Value::from(risk)),
        ]
    };
    check(&rated("9", "Low"), 3, 9, 9);
    check(&rated("9", "none"), 3, 9, 9);
    check(&rated("9", "33"), 3, 9, 9);
    for high in ["34", "100", "Medium", "High", "Low; High", "Unknown", ""] {
        check(&rated("9", high), 2, 9, 9);
    }
    check(&rated("1", "Low"), 6, 1, 1);
    check(&[("confidence", "Low".into())], 6, 5, 5);
}

#[test]
fn a_fixed_severity_is_the_same_for_all() {
    let config = SyslogConfig {
        severity: SyslogSeverity::Fixed(1),
        facility: 23,
        body: SyslogBody::Cef,
        ..config()
    };
    let message = message(&config, r#"{"risk":"10"}"#);
    assert_eq!(readers::rfc5424(&message).priority, 23 * 8 + 1);
}
