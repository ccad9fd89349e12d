//! `type = "splunk_hec"`

use std::time::Duration;

use toml::Spanned;

use crate::config::check::Checker;
use crate::config::document::Span;
use crate::config::raw::{RawOutput, RawOverride, RawSecret, Section, Setting};
use crate::config::value::{Count, Period, shown};
use crate::config::{
    AcknowledgementConfig, CollectionOverride, Secret, SecretSource, SplunkHecConfig,
};

/// The requests that may be under way at one endpoint, each with its body in memory.
const MAX_IN_FLIGHT: u32 = 64;

/// The requests whose acknowledgements may be outstanding at one endpoint: each is kept in the
/// state.
const MAX_OUTSTANDING: u32 = 100_000;

/// The last and small batch of a while is acknowledged only after about this long.
const LATE_ACKNOWLEDGEMENT: Duration = Duration::from_secs(120);

impl Checker<'_> {
    pub(super) fn splunk_hec(
        &mut self,
        raw: RawOutput,
        table: &Span,
        known: &[String],
    ) -> SplunkHecConfig {
        SplunkHecConfig {
            endpoints: self.endpoints(raw.endpoints, table),
            token: self.token(raw.token, table),
            index: self.text(raw.index),
            source: self.text(raw.source),
            sourcetype_flow: self
                .text(raw.sourcetype_flow)
                .unwrap_or_else(|| "cisco:cta:flow".to_owned()),
            sourcetype_incident: self
                .text(raw.sourcetype_incident)
                .unwrap_or_else(|| "cisco:cta:incident".to_owned()),
            sourcetype_indicator: self
                .text(raw.sourcetype_indicator)
                .unwrap_or_else(|| "cisco:cta:indicator".to_owned()),
            sourcetype_observable: self
                .text(raw.sourcetype_observable)
                .unwrap_or_else(|| "cisco:cta:observable".to_owned()),
            overrides: self.overrides(raw.r#override, known),
            gzip: raw.gzip.unwrap_or(true),
            indexed_fields: raw.indexed_fields.unwrap_or(false),
            acknowledgement: self.acknowledgement(
                raw.acknowledge,
                raw.ack_timeout,
                raw.ack_interval,
                raw.max_outstanding_acks,
                table,
            ),
            max_in_flight: self.limited_count(raw.max_in_flight, 4, MAX_IN_FLIGHT),
            tls: self.tls(raw.tls.0),
            proxy: self.proxy(raw.proxy, raw.proxy_username, raw.proxy_password, table),
            connect_timeout: self.positive_period(raw.connect_timeout, Duration::from_secs(10)),
            request_timeout: self.positive_period(raw.request_timeout, Duration::from_secs(60)),
        }
    }

    fn endpoints(&mut self, setting: Setting<Vec<Spanned<String>>>, table: &Span) -> Vec<String> {
        let example = "such as [\"https://splunk.example.com:8088\"]";
        let Some(setting) = setting else {
            let what = format!("write the URLs of Splunk's HTTP Event Collector, {example}");
            self.missing(Some(table), "endpoints", &what);
            return Vec::new();
        };
        if setting.get_ref().is_empty() {
            self.refuse(
                &setting.span(),
                format!("empty; write at least one URL, {example}"),
            );
        }
        let mut endpoints = Vec::new();
        for endpoint in setting.into_inner() {
            let span = endpoint.span();
            if let Some(url) = self.url(&endpoint, &["https", "http"]) {
                if url.path().contains("/services/collector") || url.query().is_some() {
                    let what = format!("write the base URL alone, {example}; the path is added");
                    self.refuse(&span, what);
                }
                self.warn_of_clear_text(&span, &url, "the token");
            }
            let endpoint = endpoint.get_ref().trim_end_matches('/').to_owned();
            if endpoints.contains(&endpoint) {
                self.refuse(&span, "this endpoint stands here twice");
            }
            endpoints.push(endpoint);
        }
        endpoints
    }

    fn token(&mut self, setting: Setting<RawSecret>, table: &Span) -> Secret {
        if setting.is_none() {
            let what = "write where the HEC token is: { file = \"/path\" }, { env = \"NAME\" } \
                        or { credential = \"name\" }";
            self.missing(Some(table), "token", what);
        }
        setting
            .and_then(|setting| self.secret(setting, |c| c.is_ascii_graphic()))
            .unwrap_or_else(|| Secret::new(SecretSource::Plain, String::new()))
    }

    fn acknowledgement(
        &mut self,
        acknowledge: Option<bool>,
        timeout: Setting<Period>,
        interval: Setting<Period>,
        max_outstanding: Setting<Count>,
        table: &Span,
    ) -> Option<AcknowledgementConfig> {
        let acknowledge = self.choice(table, "acknowledge", acknowledge, false);
        let timeout_span = timeout.as_ref().map(Spanned::span);
        let interval_span = interval.as_ref().map(Spanned::span);
        if acknowledge == Some(false) {
            let outstanding_span = max_outstanding.as_ref().map(Spanned::span);
            let spans = [&timeout_span, &interval_span, &outstanding_span];
            for span in spans.into_iter().flatten() {
                self.refuse(span, "needs acknowledge = true beside it");
            }
        }
        let config = AcknowledgementConfig {
            timeout: self.positive_period(timeout, Duration::from_secs(300)),
            interval: self.positive_period(interval, Duration::from_secs(2)),
            max_outstanding: self.limited_count(max_outstanding, 1000, MAX_OUTSTANDING) as usize,
        };
        if let Some(span) = &timeout_span
            && config.timeout < LATE_ACKNOWLEDGEMENT
        {
            let what = format!(
                "Splunk may take {} to acknowledge a small batch, which would be sent twice",
                shown(LATE_ACKNOWLEDGEMENT)
            );
            self.warn(span, what);
        }
        if let Some(span) = interval_span.or(timeout_span)
            && config.interval >= config.timeout
        {
            let what = format!(
                "acknowledgements are asked for every {}, that must be shorter than ack_timeout, \
                 which is {}",
                shown(config.interval),
                shown(config.timeout),
            );
            self.refuse(&span, what);
        }
        acknowledge.unwrap_or(false).then_some(config)
    }

    fn overrides(
        &mut self,
        raw: Vec<Spanned<Section<RawOverride>>>,
        known: &[String],
    ) -> Vec<CollectionOverride> {
        let mut overrides: Vec<CollectionOverride> = Vec::new();
        for entry in raw {
            let table = entry.span();
            let entry = entry.into_inner().0;
            if let Some(name) = &entry.collection {
                self.warn_of_unknown_collection(name, known);
                if overrides
                    .iter()
                    .any(|other| other.collection == *name.get_ref())
                {
                    let what = format!("{:?} has an override already", name.get_ref());
                    self.refuse(&name.span(), what);
                }
            }
            let what = "write the collection that this is for";
            let entry = CollectionOverride {
                collection: self.required_text(entry.collection, &table, "collection", what),
                index: self.text(entry.index),
                source: self.text(entry.source),
                sourcetype: self.text(entry.sourcetype),
            };
            if entry.index.is_none() && entry.source.is_none() && entry.sourcetype.is_none() {
                let what = "changes nothing; write index, source or sourcetype";
                self.refuse(&table, what);
            }
            overrides.push(entry);
        }
        overrides
    }
}
