//! Events that are too large.

use proptest::prelude::*;

use super::*;

const BODIES: [SyslogBody; 4] = [
    SyslogBody::Json,
    SyslogBody::Cef,
    SyslogBody::Leef,
    SyslogBody::KeyValue,
];

fn shortening(body: SyslogBody, limit: usize) -> SyslogConfig {
    SyslogConfig {
        body,
        max_message_bytes: limit,
        when_too_large: WhenTooLarge::Shorten,
        ..config()
    }
}

fn try_message(config: &SyslogConfig, json: &str) -> Result<String, TooLarge> {
    Formatter::new(config, "agent", 42).message(&flow(json), 7)
}

/// The names of what was shortened, and all other values in order.
fn read(body: SyslogBody, message: &str) -> (Vec<String>, Vec<String>) {
    let msg = readers::rfc5424(message).msg;
    let pairs: readers::Pairs = match body {
        SyslogBody::Json => json_pairs(&msg),
        SyslogBody::KeyValue => readers::key_value(&msg),
        SyslogBody::Leef => {
            let attributes = readers::leef(&msg).attributes;
            attributes.into_iter().skip(3).collect()
        }
        SyslogBody::Cef => {
            let extension = readers::cef(&msg).extension;
            let is_label = |key: &str| key.ends_with("Label");
            let pairs = extension.into_iter().skip(1);
            pairs.filter(|(key, _)| !is_label(key)).collect()
        }
    };
    let is_mark = |key: &str| key.starts_with("shortened") || key.starts_with("ctaShortened");
    let (marks, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| is_mark(key));
    let values = |pairs: readers::Pairs| pairs.into_iter().map(|(_, value)| value).collect();
    (values(marks), values(others))
}

/// An object whose arrays are read as the same key several times.
fn json_pairs(json: &str) -> readers::Pairs {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let mut pairs = readers::Pairs::new();
    let fields: InOrder = serde_json::from_str(json).unwrap();
    for (key, value) in fields.0 {
        match &value {
            Value::Array(values) => {
                pairs.extend(values.iter().map(|value| (key.clone(), text(value))));
            }
            one => pairs.push((key, text(one))),
        }
    }
    pairs
}

struct InOrder(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for InOrder {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = InOrder;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    assert!(pairs.iter().all(|(known, _)| *known != key), "{key} twice");
                    pairs.push((key, value));
                }
                Ok(InOrder(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn long_text(max: usize) -> impl Strategy<Value = String> {
    (r#"([a-z=&"\\]|é|悪){1,30}"#, 0..max / 10).prop_map(|(text, times)| text.repeat(times))
}

fn event() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let text = |max| long_text(max).prop_map(Value::from);
    (
        (text(50), text(50), text(600), text(2000), text(600)),
        (text(300), text(100), prop::collection::vec(text(200), 1..4)),
    )
        .prop_map(|((id, title, referer, url, agent), (file, md5, hosts))| {
            vec![
                ("eventId", Value::from("07".repeat(16))),
                ("incidentId", id),
                ("incidentTitle", title),
                ("csContentBytes", 622.into()),
                ("csUrl", url),
                ("csReferer", referer),
                ("csUserAgent", agent),
                ("scFileName", file),
                ("scMD5", md5),
                ("pDNSHostname", hosts.into()),
            ]
        })
}

/// Name and text of each value.
fn items(event: &[(&'static str, Value)]) -> Vec<(&'static str, String)> {
    let mut items = Vec::new();
    for (name, value) in event {
        let values = value.as_array().map_or(std::slice::from_ref(value), |v| v);
        for value in values {
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            items.push((*name, text));
        }
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_too_large_is_shortened_and_says_so(
        event in event(),
        body in prop::sample::select(BODIES.to_vec()),
        limit in 300usize..6000,
    ) {
        let json = object(&event);
        let whole = try_message(&shortening(body, usize::MAX), &json).unwrap();
        let result = try_message(&shortening(body, limit), &json);
        if whole.len() <= limit {
            prop_assert_eq!(result, Ok(whole));
            return Ok(());
        }
        let message = match result {
            Ok(message) => message,
            Err(error) => {
                prop_assert!(error.bytes > limit);
                prop_assert_eq!(error.limit, limit);
                // All that may be is cut: the rest is identity, escapes and short texts.
                let short = items(&event).iter().map(|(name, text)| {
                    let kept = if ["incidentId", "scMD5"].contains(name) { text.len() } else { 64 };
                    2 * text.len().min(kept)
                }).sum::<usize>();
                prop_assert!(short + 1000 > limit, "{short} {limit}");
                return Ok(());
            }
        };
        prop_assert!(message.len() <= limit);
        let (marks, values) = read(body, &message);
        let items = items(&event);
        prop_assert_eq!(values.len(), items.len());
        let mut cut = Vec::new();
        for (value, (name, whole)) in values.iter().zip(&items) {
            if value == whole {
                continue;
            }
            prop_assert!(whole.starts_with(value.as_str()));
            prop_assert!(value.len() > 60);
            if !cut.contains(name) {
                cut.push(*name);
            }
        }
        let mut marks: Vec<&str> = marks.iter().map(String::as_str).collect();
        marks.sort_unstable();
        cut.sort_unstable();
        prop_assert_eq!(&marks, &cut);
        prop_assert!(!cut.is_empty());
        prop_assert!(!cut.contains(&"incidentId") && !cut.contains(&"scMD5"));
        // Others follow only when the texts of the request have no more to give.
        if cut.iter().any(|name| !["csUrl", "csReferer", "csUserAgent"].contains(name)) {
            for (value, (name, _)) in values.iter().zip(&items) {
                let is_first = ["csUrl", "csReferer", "csUserAgent"].contains(name);
                prop_assert!(!is_first || value.len() <= 64, "{name} could give more");
            }
        }
    }
}

#[test]
fn the_longest_of_the_request_goes_first_and_no_more_than_is_too_much() {
    let json = object(&[
        ("eventId", "07".into()),
        ("csUrl", "u".repeat(500).into()),
        ("csReferer", "r".repeat(400).into()),
        ("scFileName", "f".repeat(900).into()),
    ]);
    let whole = try_message(&shortening(SyslogBody::Json, usize::MAX), &json).unwrap();
    let limit = whole.len() - 100;
    let message = try_message(&shortening(SyslogBody::Json, limit), &json).unwrap();
    assert_eq!(message.len(), limit);
    let event: Value = serde_json::from_str(&readers::rfc5424(&message).msg).unwrap();
    assert_eq!(event["shortened"], serde_json::json!(["csUrl"]));
    let mark = r#","shortened":["csUrl"]"#.len();
    assert_eq!(
        event["csUrl"].as_str().unwrap(),
        "u".repeat(500 - 100 - mark)
    );
    assert_eq!(event["csReferer"].as_str().unwrap().len(), 400);
}

#[test]
fn a_property_with_the_name_of_the_mark_gets_another() {
    let json = object(&[
        ("eventId", "07".into()),
        ("shortened", "s".into()),
        ("property_shortened", "p".into()),
        ("csUrl", "u".repeat(500).into()),
    ]);
    for body in BODIES {
        assert!(
            try_message(&shortening(body, 10_000), &json)
                .unwrap()
                .contains('s')
        );
    }
    let message = try_message(&shortening(SyslogBody::Json, 400), &json).unwrap();
    let pairs = json_pairs(&readers::rfc5424(&message).msg);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        pairs[..4],
        [
            pair("eventId", "07"),
            pair("shortened", "csUrl"),
            pair("property_property_shortened", "s"),
            pair("property_shortened", "p"),
        ]
    );
}

#[test]
fn no_property_can_forge_the_mark_in_cef() {
    let json = object(&[
        ("eventId", "07".into()),
        ("Shortened", "forged".into()),
        ("csUrl", "u".repeat(500).into()),
    ]);
    let message = try_message(&shortening(SyslogBody::Cef, 400), &json).unwrap();
    let extension = readers::cef(&readers::rfc5424(&message).msg).extension;
    assert!(extension.contains(&("ctaShortened".into(), "csUrl".into())));
    assert!(extension.contains(&("ctaShortened2".into(), "forged".into())));
}

#[test]
fn the_limit_itself_is_not_over_it() {
    let json = object(&[("eventId", "07".into())]);
    let bytes = try_message(&shortening(SyslogBody::Json, usize::MAX), &json)
        .unwrap()
        .len();
    for when_too_large in [WhenTooLarge::DeadLetter, WhenTooLarge::Shorten] {
        let limited = |limit| {
            let config = SyslogConfig {
                when_too_large,
                ..shortening(SyslogBody::Json, limit)
            };
            try_message(&config, &json)
        };
        assert_eq!(limited(bytes).unwrap().len(), bytes);
        assert_eq!(limited(bytes - 1).unwrap_err().bytes, bytes);
    }
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let json = object(&[("eventId", "07".repeat(200).into())]);
    for (when_too_large, advice) in [
        (WhenTooLarge::DeadLetter, "when_too_large = \"shorten\""),
        (WhenTooLarge::Shorten, "with every text shortened"),
    ] {
        let config = SyslogConfig {
            when_too_large,
            ..shortening(SyslogBody::Json, 300)
        };
        let error = try_message(&config, &json).unwrap_err().to_string();
        assert!(error.contains("over max_message_bytes (300)"), "{error}");
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn many_long_properties_are_cut_together() {
    let names: Vec<String> = (0..1000)
        .map(|number| format!("property{number}"))
        .collect();
    let mut event = vec![("eventId", Value::from("07"))];
    event.extend(
        names
            .iter()
            .map(|name| (name.as_str(), "x".repeat(1000).into())),
    );
    let json = object(&event);
    let message = try_message(&shortening(SyslogBody::Json, 500_000), &json).unwrap();
    assert!(message.len() <= 500_000);
    assert!(try_message(&shortening(SyslogBody::Cef, 2048), &json).is_err());
}
