//! Words of a fixed vocabulary.

use serde::de::{Deserialize, Deserializer};

use super::raw::{OutputType, VersionChoice};
use super::value::{FromScalar, Scalar, deserialize_scalar};
use super::{
    PollLimitScope, StartAt, SyslogBody, SyslogFormat, SyslogFraming, SyslogTransport,
    WhenSpoolFull, WhenTooLarge,
};
use crate::taxii::version::Version;

/// One word of `T`'s vocabulary.
#[derive(Clone, Copy)]
pub(super) struct Word<T>(pub T);

/// A closed set of words.
pub(super) trait Vocabulary: Copy + 'static {
    /// Every word with its meaning.
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of a vocabulary, for a message.
pub(super) fn one_of<T: Vocabulary>() -> String {
    let words: Vec<String> = T::WORDS
        .iter()
        .map(|(word, _)| format!("{word:?}"))
        .collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// How a meaning is written.
pub(super) fn word_of<T: Vocabulary + PartialEq>(meaning: T) -> &'static str {
    T::WORDS
        .iter()
        .find(|(_, other)| *other == meaning)
        .map_or("", |(word, _)| word)
}

impl<T: Vocabulary> FromScalar for Word<T> {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        let meaning = match written {
            Scalar::Text(text) => T::WORDS.iter().find(|(word, _)| word == text),
            _ => None,
        };
        meaning
            .map(|&(_, meaning)| Self(meaning))
            .ok_or_else(|| format!("{written} is not allowed; write {}", one_of::<T>()))
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_scalar(deserializer)
    }
}

impl Vocabulary for PollLimitScope {
    const WORDS: &'static [(&'static str, Self)] =
        &[("service", Self::Service), ("collection", Self::Collection)];
}

impl Vocabulary for VersionChoice {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("1.0", Self::Only(Version::V1_0)),
        ("1.1", Self::Only(Version::V1_1)),
        ("auto", Self::Auto),
    ];
}

impl Vocabulary for OutputType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("splunk_hec", Self::SplunkHec),
        ("syslog", Self::Syslog),
        ("file", Self::File),
        ("stdout", Self::Stdout),
    ];
}

impl Vocabulary for WhenSpoolFull {
    const WORDS: &'static [(&'static str, Self)] =
        &[("hold", Self::Hold), ("release", Self::Release)];
}

impl Vocabulary for StartAt {
    const WORDS: &'static [(&'static str, Self)] = &[("now", Self::Now), ("oldest", Self::Oldest)];
}

impl Vocabulary for SyslogTransport {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("udp", Self::Udp),
        ("tcp", Self::Tcp),
        ("tls", Self::Tls),
        ("relp", Self::Relp),
        ("relp_tls", Self::RelpTls),
    ];
}

impl Vocabulary for SyslogFraming {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("octet_counting", Self::OctetCounting),
        ("lf", Self::LineFeed),
    ];
}

impl Vocabulary for SyslogFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("rfc5424", Self::Rfc5424), ("rfc3164", Self::Rfc3164)];
}

impl Vocabulary for SyslogBody {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("cef", Self::Cef),
        ("leef", Self::Leef),
        ("key_value", Self::KeyValue),
    ];
}

impl Vocabulary for WhenTooLarge {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("dead_letter", Self::DeadLetter),
        ("shorten", Self::Shorten),
    ];
}
