//! `[[output]]`

mod splunk_hec;
mod syslog;

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::Checker;
use crate::config::document::Span;
use crate::config::raw::{OutputType, RawBatch, RawOutput, RawRetry, Section, Setting};
use crate::config::value::shown;
use crate::config::word::{Vocabulary, Word, one_of, word_of};
use crate::config::{
    BatchConfig, FileConfig, OutputConfig, OutputKind, RetryConfig, StartAt, WhenSpoolFull,
};

/// Splunk Cloud refuses bodies somewhat above this.
const LARGE_HEC_BODY_BYTES: usize = 5_000_000;

impl Checker<'_> {
    pub(super) fn outputs(
        &mut self,
        raw: Vec<Spanned<Section<RawOutput>>>,
        known: &[String],
    ) -> Vec<OutputConfig> {
        if raw.is_empty() {
            let what = "at least one [[output]] is needed, or events go nowhere";
            self.missing(None, "output", what);
        }
        let mut names = Vec::new();
        let mut paths = Vec::new();
        let mut outputs = Vec::new();
        for output in raw {
            let path = output
                .get_ref()
                .0
                .path
                .as_ref()
                .map(|path| (path.span(), path.get_ref().clone()));
            if let Some((span, path)) = path {
                self.unshared(&span, path, &mut paths);
            }
            let table = output.span();
            let output = self.output(output, known, &mut names);
            let is_stdout = |output: &OutputConfig| matches!(output.kind, OutputKind::Stdout);
            if output.as_ref().is_some_and(is_stdout) && outputs.iter().any(is_stdout) {
                let what = "another output writes to standard output already";
                self.refuse(&table, what);
            }
            outputs.extend(output);
        }
        outputs
    }

    /// Two writers in one file would tear each other's lines.
    fn unshared(&mut self, span: &Span, path: PathBuf, taken: &mut Vec<PathBuf>) {
        if taken.contains(&path) {
            let what = format!("another output writes to {} already", path.display());
            self.refuse(span, what);
        }
        taken.push(path);
    }

    fn output(
        &mut self,
        raw: Spanned<Section<RawOutput>>,
        known: &[String],
        names: &mut Vec<String>,
    ) -> Option<OutputConfig> {
        let table = raw.span();
        let mut raw = raw.into_inner().0;
        let name = self.name(raw.name.take(), &table, names);
        let Some(Word(kind)) = raw.r#type.take().map(Spanned::into_inner) else {
            let what = format!("write type = {}", one_of::<OutputType>());
            self.missing(Some(&table), "type", &what);
            return None;
        };
        self.refuse_foreign_keys(&table, kind);
        let host = raw.host.take();
        Some(OutputConfig {
            name,
            collections: self.wanted_collections(raw.collections.take(), known),
            when_spool_full: raw
                .when_spool_full
                .take()
                .map_or(WhenSpoolFull::Hold, |word| word.into_inner().0),
            start_at: raw
                .start_at
                .take()
                .map_or(StartAt::Now, |word| word.into_inner().0),
            batch: self.batch(std::mem::take(&mut raw.batch.0), kind),
            retry: self.retry(std::mem::take(&mut raw.retry.0)),
            host: self.host(host, kind),
            kind: match kind {
                OutputType::SplunkHec => {
                    OutputKind::SplunkHec(Box::new(self.splunk_hec(raw, &table, known)))
                }
                OutputType::Syslog => OutputKind::Syslog(self.syslog(raw, &table)),
                OutputType::File => OutputKind::File(self.file_output(raw, &table)),
                OutputType::Stdout => OutputKind::Stdout,
            },
        })
    }

    fn refuse_foreign_keys(&mut self, table: &Span, kind: OutputType) {
        let document = self.document;
        for (key, span) in document.keys_of(table) {
            let owners: Vec<String> = OutputType::WORDS
                .iter()
                .filter(|(_, owner)| owner.own_keys().contains(&key))
                .map(|(word, _)| format!("{word:?}"))
                .collect();
            if !owners.is_empty() && !kind.own_keys().contains(&key) {
                let own = match kind.own_keys() {
                    [] => "nothing beyond the keys of every output".to_owned(),
                    keys => keys.join(", "),
                };
                let what = format!(
                    "belongs to type {}; type {:?} allows {own}",
                    owners.join(" and "),
                    word_of(kind),
                );
                self.refuse(&span, what);
            }
        }
    }

    /// What is chosen; none if what is written was refused, and nothing can be said of what goes
    /// with it.
    fn choice<T>(&self, table: &Span, key: &str, setting: Option<T>, default: T) -> Option<T> {
        let is_written = || {
            let mut keys = self.document.keys_of(table).into_iter();
            keys.any(|(written, _)| written == key)
        };
        setting.or_else(|| (!is_written()).then_some(default))
    }

    /// Refuses the keys that go with other words of `choice` alone.
    fn refuse_keys_of_others<T: Vocabulary + PartialEq>(
        &mut self,
        table: &Span,
        choice: &str,
        chosen: Option<T>,
        owners: &[(&str, &[T])],
    ) {
        let Some(chosen) = chosen else { return };
        let document = self.document;
        for (key, span) in document.keys_of(table) {
            let owners = owners.iter().find(|(owned, _)| *owned == key);
            if let Some((_, owners)) = owners
                && !owners.contains(&chosen)
            {
                let owners: Vec<String> = owners
                    .iter()
                    .map(|&owner| format!("{:?}", word_of(owner)))
                    .collect();
                let what = format!(
                    "belongs to {choice} {}; {choice} {:?} has no use for it",
                    owners.join(" and "),
                    word_of(chosen),
                );
                self.refuse(&span, what);
            }
        }
    }

    fn wanted_collections(
        &mut self,
        collections: Setting<Vec<Spanned<String>>>,
        known: &[String],
    ) -> Vec<String> {
        let Some(collections) = collections else {
            return vec!["*".to_owned()];
        };
        for name in collections.get_ref() {
            self.warn_of_unknown_collection(name, known);
        }
        self.collections(collections, true)
    }

    fn warn_of_unknown_collection(&mut self, name: &Spanned<String>, known: &[String]) {
        if name.get_ref() != "*" && !known.contains(name.get_ref()) {
            let what = format!(
                "no service polls the collection {:?}, and no inbox takes it",
                name.get_ref()
            );
            self.warn(&name.span(), what);
        }
    }

    fn batch(&mut self, raw: RawBatch, kind: OutputType) -> BatchConfig {
        let (max_bytes, max_events) = match kind {
            OutputType::SplunkHec => (1_000_000, 10_000),
            OutputType::Syslog | OutputType::File | OutputType::Stdout => (1_000_000, 1_000),
        };
        let bytes_span = raw.max_bytes.as_ref().map(Spanned::span);
        let batch = BatchConfig {
            max_bytes: self.memory_size(raw.max_bytes, max_bytes),
            max_events: self.positive_count(raw.max_events, max_events) as usize,
            max_wait: self.positive_period(raw.max_wait, Duration::from_secs(1)),
        };
        if let Some(span) = bytes_span
            && kind == OutputType::SplunkHec
            && batch.max_bytes > LARGE_HEC_BODY_BYTES
        {
            self.warn(&span, "Splunk Cloud refuses bodies of more than about 5 MB");
        }
        batch
    }

    fn retry(&mut self, raw: RawRetry) -> RetryConfig {
        let span = raw.max.as_ref().or(raw.initial.as_ref()).map(Spanned::span);
        let retry = RetryConfig {
            initial: self.positive_period(raw.initial, Duration::from_secs(1)),
            max: self.positive_period(raw.max, Duration::from_secs(300)),
        };
        if let Some(span) = span
            && retry.max < retry.initial
        {
            let what = format!(
                "the longest wait, {}, is shorter than the first, {}",
                shown(retry.max),
                shown(retry.initial),
            );
            self.refuse(&span, what);
        }
        retry
    }

    fn host(&mut self, setting: Setting<String>, kind: OutputType) -> String {
        let fits = |host: &str| host.len() <= 255 && host.bytes().all(|b| b.is_ascii_graphic());
        if let Some(host) = &setting
            && kind == OutputType::Syslog
            && !fits(host.get_ref())
        {
            let what = "syslog allows 1 to 255 printable ASCII characters without a space";
            self.refuse(&host.span(), what);
        }
        self.text(setting)
            .unwrap_or_else(|| self.environment.host_name().to_owned())
    }

    fn file_output(&mut self, raw: RawOutput, table: &Span) -> FileConfig {
        FileConfig {
            path: self.required_path(raw.path, table, "path"),
            rotate_bytes: self.positive_size(raw.rotate_bytes, 100 << 20),
            rotate_keep: self.positive_count(raw.rotate_keep, 5),
        }
    }
}
