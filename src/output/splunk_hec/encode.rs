//! Events as the collector wants them: one envelope after the other, with nothing between.
//!
//! An unknown key in an envelope answers 200 and silently loses that event and all behind it, so
//! there is only `time`, `host`, `source`, `sourcetype`, `index`, `fields` and `event`.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};
use serde_json::Value;

use super::super::{BatchOrigin, Outgoing};
use crate::config::{CollectionOverride, SplunkHecConfig};
use crate::event::RecordType;

const BEFORE_TIME: &str = r#"{"time":"#;
const BEFORE_EVENT: &str = r#","event":"#;
const AFTER_EVENT: &str = "}";
/// `-9223372036854775.808`
const MAX_TIME_BYTES: usize = 21;
/// Their names differ from the event's own: a field that is indexed and also read from the JSON
/// under the same name has two values at search time.
const BEFORE_COLLECTION: &str = r#","fields":{"cta_collection":"#;
const BEFORE_ID: &str = r#","cta_event_id":""#;
const AFTER_ID: &str = r#""}"#;
const ID_BYTES: usize = 32;

/// What the configuration says about envelopes.
#[derive(Debug)]
pub(super) struct Encoder {
    host: String,
    index: Option<String>,
    source: Option<String>,
    sourcetype_flow: String,
    sourcetype_incident: String,
    sourcetype_indicator: String,
    sourcetype_observable: String,
    overrides: Vec<CollectionOverride>,
    indexed_fields: bool,
}

impl Encoder {
    pub(super) fn new(config: &SplunkHecConfig, host: &str) -> Self {
        Self {
            host: host.to_owned(),
            index: config.index.clone(),
            source: config.source.clone(),
            sourcetype_flow: config.sourcetype_flow.clone(),
            sourcetype_incident: config.sourcetype_incident.clone(),
            sourcetype_indicator: config.sourcetype_indicator.clone(),
            sourcetype_observable: config.sourcetype_observable.clone(),
            overrides: config.overrides.clone(),
            indexed_fields: config.indexed_fields,
        }
    }

    /// The index of a collection's events; none is the token's default.
    pub(super) fn index(&self, origin: &BatchOrigin) -> Option<&str> {
        self.overridden(origin, |own| own.index.as_deref())
            .or(self.index.as_deref())
    }

    /// All envelopes; their size is known before, so nothing is copied twice.
    pub(super) fn encode(&self, events: &[Outgoing]) -> Vec<u8> {
        let mut labels = Labels::default();
        let mut bytes = 0;
        for out in events {
            bytes += self.fixed_bytes() + labels.of(self, out).len() + out.event.json.len();
        }
        let mut body = Vec::with_capacity(bytes);
        for out in events {
            body.extend_from_slice(BEFORE_TIME.as_bytes());
            push_time(out.event.time_ms, &mut body);
            body.extend_from_slice(labels.of(self, out).as_bytes());
            if self.indexed_fields {
                body.extend_from_slice(&out.event.id.to_hex());
                body.extend_from_slice(AFTER_ID.as_bytes());
            }
            body.extend_from_slice(BEFORE_EVENT.as_bytes());
            body.extend_from_slice(out.event.json.as_bytes());
            body.extend_from_slice(AFTER_EVENT.as_bytes());
        }
        body
    }

    /// The most that an envelope of this origin takes beyond the event.
    pub(super) fn framing_bytes(&self, origin: &BatchOrigin) -> usize {
        let labels = RecordType::ALL.map(|record_type| self.labels(origin, record_type).len());
        self.fixed_bytes() + labels.into_iter().max().unwrap_or_default()
    }

    /// The most that an envelope takes beyond its labels and its event.
    fn fixed_bytes(&self) -> usize {
        let id = if self.indexed_fields {
            ID_BYTES + AFTER_ID.len()
        } else {
            0
        };
        BEFORE_TIME.len() + MAX_TIME_BYTES + id + BEFORE_EVENT.len() + AFTER_EVENT.len()
    }

    /// `,"host":…,"source":…,"sourcetype":…`, the index if there is one, and the indexed fields as
    /// far as the event's id.
    fn labels(&self, origin: &BatchOrigin, record_type: RecordType) -> String {
        let source = self
            .overridden(origin, |own| own.source.as_deref())
            .or(self.source.as_deref())
            .map_or_else(
                || format!("taxii:{}/{}", origin.service, origin.collection),
                str::to_owned,
            );
        let sourcetype = self
            .overridden(origin, |own| own.sourcetype.as_deref())
            .unwrap_or(match record_type {
                RecordType::Flow => &self.sourcetype_flow,
                RecordType::Incident => &self.sourcetype_incident,
                RecordType::Indicator => &self.sourcetype_indicator,
                RecordType::Observable => &self.sourcetype_observable,
            });
        let mut labels = format!(
            r#","host":{},"source":{},"sourcetype":{}"#,
            quoted(&self.host),
            quoted(&source),
            quoted(sourcetype)
        );
        if let Some(index) = self.index(origin) {
            labels.push_str(r#","index":"#);
            labels.push_str(&quoted(index));
        }
        if self.indexed_fields {
            labels.push_str(BEFORE_COLLECTION);
            labels.push_str(&quoted(&origin.collection));
            labels.push_str(BEFORE_ID);
        }
        labels
    }

    fn overridden<'a>(
        &'a self,
        origin: &BatchOrigin,
        field: impl Fn(&'a CollectionOverride) -> Option<&'a str>,
    ) -> Option<&'a str> {
        self.overrides
            .iter()
            .filter(|own| own.collection == origin.collection)
            .find_map(field)
    }
}

/// The labels that were needed last: neighbours mostly share them.
#[derive(Default)]
struct Labels<'a> {
    last: Option<(&'a BatchOrigin, RecordType)>,
    text: String,
}

impl<'a> Labels<'a> {
    fn of(&mut self, encoder: &Encoder, out: &'a Outgoing) -> &str {
        let wanted = (&*out.origin, out.event.record_type);
        let same = self.last.is_some_and(|(origin, record_type)| {
            std::ptr::eq(origin, wanted.0) && record_type == wanted.1
        });
        if !same {
            self.text = encoder.labels(wanted.0, wanted.1);
            self.last = Some(wanted);
        }
        &self.text
    }
}

/// What a compressor takes in before it has to move what it remembers of it: twice its window of 32 KiB,
/// but for the longest match.
const GZIP_PIECE_BYTES: usize = 62 << 10;
/// Deflate, no flags, no time, the fastest way, from an unknown system: RFC 1952, 2.3.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Compresses a body; the fastest level, since events compress well at any.
///
/// One stream of pieces that know nothing of each other: to move what is remembered takes longer than to
/// compress, and what is forgotten adds a tenth to what is sent.
pub(super) fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() / 4);
    out.extend_from_slice(&GZIP_HEADER);
    let mut deflate = Compress::new(Compression::fast(), false);
    let mut rest = body;
    loop {
        let piece = rest.split_at_checked(GZIP_PIECE_BYTES);
        let (piece, behind) = piece.unwrap_or((rest, &[]));
        rest = behind;
        if rest.is_empty() {
            deflate_piece(&mut deflate, piece, FlushCompress::Finish, &mut out)?;
            break;
        }
        deflate_piece(&mut deflate, piece, FlushCompress::Sync, &mut out)?;
        deflate.reset();
    }
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    // The length, of which the format has the lowest 32 bits.
    let [a, b, c, d, ..] = (body.len() as u64).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d]);
    Ok(out)
}

/// Compresses a piece, up to a whole byte or to the end of the stream.
fn deflate_piece(
    deflate: &mut Compress,
    piece: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    const SPARE_BYTES: usize = 1 << 10;
    let mut rest = piece;
    loop {
        out.reserve(rest.len() / 2 + SPARE_BYTES);
        let before = deflate.total_in();
        let status = deflate.compress_vec(rest, out, flush)?;
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Where there is no room left, something may not have been written yet.
            _ => rest.is_empty() && out.len() < out.capacity(),
        };
        if is_done {
            return Ok(());
        }
    }
}

/// Seconds with three decimals; a float would not hold every millisecond.
fn push_time(time_ms: i64, body: &mut Vec<u8>) {
    let sign = if time_ms < 0 { "-" } else { "" };
    let (seconds, millis) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
    body.extend_from_slice(format!("{sign}{seconds}.{millis:03}").as_bytes());
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::super::super::loopback::{outgoing, outgoing_of};
    use super::super::tests::config;
    use super::*;

    fn encoder(change: impl FnOnce(&mut SplunkHecConfig)) -> Encoder {
        let mut config = config(&[]);
        change(&mut config);
        Encoder::new(&config, "agent")
    }

    fn text(encoder: &Encoder, events: &[Outgoing]) -> String {
        String::from_utf8(encoder.encode(events)).unwrap()
    }

    #[test]
    fn golden() {
        let events = [
            outgoing(r#"{"n":1}"#),
            outgoing_of("webflows", RecordType::Incident, r#"{"n":"\u0000é"}"#),
        ];
        assert_eq!(
            text(&encoder(|_| {}), &events),
            concat!(
                r#"{"time":1421623882.432,"host":"agent","source":"taxii:cta/webflows","#,
                r#""sourcetype":"cisco:cta:flow","index":"security","event":{"n":1}}"#,
                r#"{"time":1421623882.432,"host":"agent","source":"taxii:cta/webflows","#,
                r#""sourcetype":"cisco:cta:incident","index":"security","event":{"n":"\u0000é"}}"#,
            )
        );
    }

    #[test]
    fn indexed_fields_are_flat_and_have_names_of_their_own() {
        let encoder = encoder(|config| config.indexed_fields = true);
        let events = [outgoing("{}"), outgoing("{}")];
        let one = concat!(
            r#"{"time":1421623882.432,"host":"agent","source":"taxii:cta/webflows","#,
            r#""sourcetype":"cisco:cta:flow","index":"security","fields":{"cta_collection":"#,
            r#""webflows","cta_event_id":"07070707070707070707070707070707"},"event":{}}"#,
        );
        assert_eq!(text(&encoder, &events), [one, one].concat());
        // The time takes all of its bytes only far from today.
        let spare = MAX_TIME_BYTES - "1421623882.432".len();
        // The sourcetype of observables is longer.
        let longer = "cisco:cta:observable".len() - "cisco:cta:flow".len();
        let most = encoder.framing_bytes(&events[0].origin) + "{}".len();
        assert_eq!(one.len() + spare + longer, most);
    }

    #[test]
    fn a_collection_overrides_what_it_names() {
        let encoder = encoder(|config| {
            config.index = None;
            config.source = Some("a \"source\"".into());
            config.overrides = vec![
                CollectionOverride {
                    collection: "special".into(),
                    index: Some("own".into()),
                    source: None,
                    sourcetype: Some("own:type".into()),
                },
                CollectionOverride {
                    collection: "special".into(),
                    index: None,
                    source: Some("own source".into()),
                    sourcetype: None,
                },
            ];
        });
        assert_eq!(
            text(&encoder, &[outgoing("{}")]),
            r#"{"time":1421623882.432,"host":"agent","source":"a \"source\"","sourcetype":"cisco:cta:flow","event":{}}"#
        );
        assert_eq!(
            text(
                &encoder,
                &[outgoing_of("special", RecordType::Incident, "{}")]
            ),
            r#"{"time":1421623882.432,"host":"agent","source":"own source","sourcetype":"own:type","index":"own","event":{}}"#
        );
    }

    #[test]
    fn time_is_exact_to_the_millisecond() {
        for (time_ms, expected) in [
            (1_421_623_882_432, "1421623882.432"),
            (1_421_623_882_000, "1421623882.000"),
            (7, "0.007"),
            (0, "0.000"),
            (-1, "-0.001"),
            (-1_500, "-1.500"),
            (i64::MAX, "9223372036854775.807"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut text = Vec::new();
            push_time(time_ms, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    /// One member, as RFC 1952 has it, with nothing behind it: not everybody reads a second one.
    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(packed);
        decoder.read_to_end(&mut unpacked).unwrap();
        assert_eq!(decoder.into_inner(), b"");
        unpacked
    }

    #[test]
    fn gzip_says_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        let line = br#"{"eventId":"00","sIP":"198.51.100.7"}"#;
        for bytes in [
            0,
            1,
            GZIP_PIECE_BYTES - 1,
            GZIP_PIECE_BYTES,
            GZIP_PIECE_BYTES + 1,
            3 * GZIP_PIECE_BYTES,
            7 * GZIP_PIECE_BYTES / 2,
        ] {
            let text: Vec<u8> = line.iter().copied().cycle().take(bytes).collect();
            let packed = gzip(&text).unwrap();
            assert_eq!(unpacked(&packed), text);
            assert!(
                packed.len() <= 100 + bytes / 20,
                "{} of {bytes}",
                packed.len()
            );
            // What cannot be made smaller.
            let noise: Vec<u8> = (0..bytes).map(|_| random.u8(..)).collect();
            assert_eq!(unpacked(&gzip(&noise).unwrap()), noise);
        }
    }

    proptest! {
        #[test]
        fn envelopes_are_json_with_the_event_as_it_was(
            texts in prop::collection::vec("(?s).{0,30}", 1..8),
            collection in "(?s).{0,10}",
            time_ms: i64,
        ) {
            let encoder = encoder(|_| {});
            let events: Vec<_> = texts
                .iter()
                .map(|text| {
                    let json = serde_json::json!({ "text": text }).to_string();
                    let mut out = outgoing_of(&collection, RecordType::Incident, &json);
                    out.event.time_ms = time_ms;
                    out
                })
                .collect();
            let body = encoder.encode(&events);
            let most: usize = events
                .iter()
                .map(|out| encoder.framing_bytes(&out.origin) + out.event.json.len())
                .sum();
            prop_assert!(body.len() <= most);
            let envelopes: Vec<Value> = serde_json::Deserializer::from_slice(&body)
                .into_iter()
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(envelopes.len(), texts.len());
            for (envelope, text) in envelopes.iter().zip(&texts) {
                let keys: Vec<_> = envelope.as_object().unwrap().keys().collect();
                prop_assert_eq!(
                    keys,
                    ["event", "host", "index", "source", "sourcetype", "time"]
                );
                prop_assert_eq!(&envelope["event"]["text"], text);
                prop_assert_eq!(&envelope["source"], &format!("taxii:cta/{collection}"));
            }
        }
    }
}
