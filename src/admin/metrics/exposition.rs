//! Families of metrics as text: OpenMetrics 1.0, or the older format of Prometheus. Pure.

use std::fmt::{Display, Write as _};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own text format 0.0.4.
    Prometheus,
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// Its name, without what its kind adds.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What the name ends with, if it is a unit.
    pub(super) unit: Option<&'static str>,
    /// The names of its labels.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// The text of families, one after the other.
#[derive(Debug)]
pub(super) struct Exposition {
    format: Format,
    text: String,
}

/// Names and values of a sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Format {
    /// The one that is asked for by an Accept header.
    pub(in crate::admin) fn wanted(accept: &str) -> Self {
        let weigh = |media: &str| {
            let ranges = accept.split(',');
            let weights = ranges.filter_map(|range| weight_of(range, media));
            weights.fold(0.0, f64::max)
        };
        let openmetrics = weigh("application/openmetrics-text");
        if openmetrics > 0.0 && openmetrics >= weigh("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The content type of such a text.
    pub(in crate::admin) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// How much a media range wants a media type; none if it is about another. A version that is not
/// written here is not wanted.
fn weight_of(range: &str, media: &str) -> Option<f64> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media) {
        return None;
    }
    let mut weight = 1.0;
    for part in parts {
        let (name, value) = part.split_once('=')?;
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = value.trim().parse().ok()?,
            "version" if !["1.0.0", "0.0.4"].contains(&value.trim_matches('"')) => return None,
            _ => {}
        }
    }
    Some(weight)
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What is added to the name of its samples.
    fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

impl Family {
    /// The name of its samples.
    pub(super) fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        let text = String::new();
        Self { format, text }
    }

    /// Begins a family: its samples follow.
    pub(super) fn family<'a>(&'a mut self, family: &'a Family) -> Samples<'a> {
        let (name, kind) = match self.format {
            Format::OpenMetrics => (family.name.to_owned(), family.kind),
            // It knows no info, and calls a counter by the name of its samples.
            Format::Prometheus => {
                let kind = match family.kind {
                    Kind::Info => Kind::Gauge,
                    kind => kind,
                };
                (family.sample_name(), kind)
            }
        };
        let help = escaped(family.help);
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, family.unit) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        Samples { to: self, family }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, what: impl Display) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{what}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let labels = labels.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
        }
    }
}

/// The samples of a family.
pub(super) struct Samples<'a> {
    to: &'a mut Exposition,
    family: &'a Family,
}

impl Samples<'_> {
    /// Writes one.
    pub(super) fn put(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.check(labels);
        let name = self.family.sample_name();
        self.to.sample(&name, labels, value);
        self
    }

    /// Writes one if there is a value.
    pub(super) fn put_some(&mut self, labels: Labels<'_>, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(labels, value);
        }
    }

    /// Writes those of a histogram: how many there were up to each bound, and in all, with their sum.
    pub(super) fn histogram(
        &mut self,
        labels: Labels<'_>,
        bounds: &[f64],
        cumulated: &[u64],
        sum: f64,
    ) {
        self.check(labels);
        let name = self.family.name;
        let bounds = bounds.iter().map(|bound| format!("{bound:?}"));
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, count) in bounds.zip(cumulated) {
            let with_bound = [labels, &[("le", bound.as_str())]].concat();
            self.to
                .sample(&format!("{name}_bucket"), &with_bound, count);
        }
        let all = cumulated.last().copied().unwrap_or(0);
        self.to.sample(&format!("{name}_count"), labels, all);
        self.to.sample(&format!("{name}_sum"), labels, sum);
    }
}

impl Samples<'_> {
    /// What is documented of a family is all that it has.
    fn check(&self, labels: Labels<'_>) {
        let known = |(name, _): &(&str, &str)| self.family.labels.contains(name);
        debug_assert!(
            labels.iter().all(known),
            "{} has other labels",
            self.family.name
        );
    }
}

/// A text as a label's value, or as help, which allow the same.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            // Some readers take it for a line break.
            '\r' => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Family = Family {
        name: "a_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["x"],
        help: "What it is.",
    };
    const INFO: Family = Family {
        name: "build",
        kind: Kind::Info,
        unit: None,
        labels: &["version"],
        help: "Which.",
    };
    const HISTOGRAM: Family = Family {
        name: "took_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &["o"],
        help: "How long.",
    };

    fn text(format: Format) -> String {
        let mut to = Exposition::new(format);
        to.family(&COUNTER).put(&[("x", "a\\b\"c\nd\re")], 3);
        to.family(&INFO).put(&[("version", "1")], 1);
        to.family(&HISTOGRAM)
            .histogram(&[("o", "s")], &[0.5, 1.0], &[1, 1, 4], 7.5);
        to.finish()
    }

    #[test]
    fn both_formats() {
        let samples = r#"a_bytes_total{x="a\\b\"c\nd e"} 3"#;
        assert_eq!(
            text(Format::OpenMetrics),
            format!(
                r#"# HELP a_bytes What it is.
# TYPE a_bytes counter
# UNIT a_bytes bytes
{samples}
# HELP build Which.
# TYPE build info
build_info{{version="1"}} 1
# HELP took_seconds How long.
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{{o="s",le="0.5"}} 1
took_seconds_bucket{{o="s",le="1.0"}} 1
took_seconds_bucket{{o="s",le="+Inf"}} 4
took_seconds_count{{o="s"}} 4
took_seconds_sum{{o="s"}} 7.5
# EOF
"#
            )
        );
        let older = text(Format::Prometheus);
        assert!(older.starts_with(&format!(
            "# HELP a_bytes_total What it is.\n# TYPE a_bytes_total counter\n{samples}\n"
        )));
        assert!(
            older.contains("# TYPE build_info gauge\nbuild_info{"),
            "{older}"
        );
        assert!(!older.contains("# EOF") && !older.contains("# UNIT"));
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expect) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            (
                "text/html,application/xhtml+xml,*/*;q=0.8",
                Format::Prometheus,
            ),
            ("text/plain;version=0.0.4", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "Application/OpenMetrics-Text; version=\"1.0.0\"",
                Format::OpenMetrics,
            ),
            (of_prometheus, Format::OpenMetrics),
            (
                "application/openmetrics-text;version=2.0.0",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.7",
                Format::Prometheus,
            ),
        ] {
            assert_eq!(Format::wanted(accept), expect, "{accept}");
        }
    }
}
