//! What holds for whatever a collector answers, and whatever is sent to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what does not hold has failed the test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use serde_json::value::RawValue;

use super::encode::Encoder;
use super::lane;
use super::reply::{self, Answer, Asked};
use crate::bad_input::{Pieces, assert_fit_for_a_log};
use crate::config::{Secret, SecretSource, SplunkHecConfig, TlsConfig};
use crate::output::bad_input::{assert_possible, event_of};
use crate::output::{Problem, Verdict};
use crate::simulator::hec::take_envelopes;

/// Any answer to a request: what is delivered was said to be, and what is said fits a log.
pub fn hec_answer(input: &[u8]) {
    let mut pieces = Pieces(input);
    let status = 100 + u16::from(pieces.byte()) * 2;
    let flags = pieces.byte();
    let (retry_after, date) = (pieces.text(), pieces.text());
    let cookies = lane::cookies([pieces.text()].iter().map(String::as_str));
    if let Some(header) = lane::cookie_header(&cookies) {
        assert!(
            header.bytes().all(|byte| (b' '..0x7f).contains(&byte)),
            "{header:?}"
        );
    }
    let answer = Answer {
        status,
        retry_after: Some(&retry_after)
            .filter(|_| flags & 1 > 0)
            .map(String::as_str),
        date: Some(&date).filter(|_| flags & 2 > 0).map(String::as_str),
        body: pieces.0,
    };
    let asked = Asked {
        events: 1 + usize::from(flags >> 4),
        index: Some("security").filter(|_| flags & 4 > 0),
        acknowledge: flags & 8 > 0,
        token_stays: false,
    };
    let now = DateTime::UNIX_EPOCH;
    let judgement = reply::judge(&answer, asked, now);
    assert_possible(&judgement.verdict, asked.events);
    if let Verdict::Delivered { .. } = judgement.verdict {
        // What is wrong in a text that nobody reads is no matter.
        let body = String::from_utf8_lossy(pieces.0);
        let said: BTreeMap<String, &RawValue> =
            serde_json::from_str(&body).expect("a success is a JSON object");
        let said = |key: &str| said.get(key).map_or("", |value| value.get());
        assert_eq!(status, 200);
        assert!(
            ["0", "24", "25"].contains(&said("code")),
            "{:?}",
            said("code")
        );
        assert!(!asked.acknowledge || said("ackId").parse::<u64>().is_ok());
    }
    for asked in [
        reply::healthy(&answer, now),
        reply::probed(&answer, &asked, now),
        reply::acknowledged(&answer, now).map(|acks| {
            assert_eq!(status, 200);
            assert!(acks.len() * 8 <= pieces.0.len(), "more than was said");
        }),
    ] {
        if let Err(Problem { reason, mend, .. }) = asked {
            assert_fit_for_a_log(&reason);
            if let Some(mend) = mend {
                assert_fit_for_a_log(&mend);
            }
        }
    }
}

/// Any event in its envelope: a collector reads as many as were sent, with what they hold.
pub fn hec_envelope(input: &[u8]) {
    let mut pieces = Pieces(input);
    let flags = pieces.byte();
    let (host, source, index) = (pieces.text(), pieces.text(), pieces.text());
    let config = SplunkHecConfig {
        endpoints: Vec::new(),
        token: Secret::new(SecretSource::Plain, "t0ken".to_owned()),
        index: Some(index).filter(|_| flags & 1 > 0),
        source: Some(source).filter(|_| flags & 2 > 0),
        sourcetype_flow: "cisco:cta:flow".into(),
        sourcetype_incident: "cisco:cta:incident".into(),
        sourcetype_indicator: "cisco:cta:indicator".into(),
        sourcetype_observable: "cisco:cta:observable".into(),
        overrides: Vec::new(),
        gzip: false,
        indexed_fields: flags & 4 > 0,
        acknowledgement: None,
        max_in_flight: 4,
        tls: TlsConfig::default(),
        proxy: None,
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
    };
    let encoder = Encoder::new(&config, &host);
    let sent = event_of(pieces);
    let body = encoder.encode(&[sent.clone(), sent.clone()]);
    let room = encoder.framing_bytes(&sent.origin) + sent.event.json.len();
    assert!(body.len() <= 2 * room, "{} bytes, not {room}", body.len());
    // An empty name is nothing that a collector takes, and nothing that can be configured.
    if [&config.index, &config.source]
        .iter()
        .any(|text| text.as_deref() == Some(""))
        || host.is_empty()
    {
        return;
    }
    let taken = take_envelopes(&body);
    let event: Value = serde_json::from_str(&sent.event.json).unwrap();
    let shown = String::from_utf8_lossy(&body);
    assert_eq!(taken.len(), 2, "{shown}");
    for taken in taken {
        assert_eq!(taken.event, event, "{shown}");
        assert_eq!(taken.host.as_deref(), Some(host.as_str()));
        assert_eq!(taken.index, config.index);
        if let Some(source) = &config.source {
            assert_eq!(taken.source.as_ref(), Some(source));
        }
        assert_eq!(taken.fields.is_some(), config.indexed_fields);
    }
}
