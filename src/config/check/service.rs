//! `[[service]]`

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use toml::Spanned;

use super::Checker;
use crate::config::document::Span;
use crate::config::header::{check_header_name, may_stand_in_header};
use crate::config::raw::{RawLimits, RawSecret, RawService, Section, Setting, VersionChoice};
use crate::config::value::{Count, shown};
use crate::config::{
    Authentication, InitialLookback, Limits, PollLimitScope, Secret, ServiceAddress, ServiceConfig,
};
use crate::taxii::version::Version;
use crate::xml::HIGHEST_DEPTH;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

impl Checker<'_> {
    pub(super) fn services(
        &mut self,
        raw: Vec<Spanned<Section<RawService>>>,
    ) -> Vec<ServiceConfig> {
        let mut names = Vec::new();
        let mut services: Vec<ServiceConfig> = Vec::new();
        for service in raw {
            let table = service.span();
            let service = self.service(service, &mut names);
            self.share_no_gate(&services, &service, &table);
            self.warn_of_hidden_client(&services, &service, &table);
            services.push(service);
        }
        services
    }

    /// The provider counts the polls of a client, whatever we call it.
    fn share_no_gate(&mut self, others: &[ServiceConfig], service: &ServiceConfig, table: &Span) {
        let counts = |service: &ServiceConfig| service.poll_limit_scope == PollLimitScope::Service;
        let same = others.iter().find(|other| {
            !service.address.url().is_empty()
                && other.address == service.address
                && user(other) == user(service)
                && (counts(other) || counts(service))
        });
        if let Some(other) = same {
            let what = format!(
                "has the address and the username of service {:?}, and the provider counts their \
                 polls together; put its collections there, or set poll_limit_scope = \
                 \"collection\" for both if the provider counts each collection",
                other.name
            );
            self.refuse(table, what);
        }
    }

    /// Where a discovery service leads is known only when it is asked: it may be to where another
    /// service polls as the same user.
    fn warn_of_hidden_client(
        &mut self,
        others: &[ServiceConfig],
        service: &ServiceConfig,
        table: &Span,
    ) {
        let host = |service: &ServiceConfig| {
            let url = Url::parse(service.address.url()).ok()?;
            Some((url.host_str()?.to_owned(), url.port_or_known_default()))
        };
        let is_found = |service: &ServiceConfig| {
            matches!(service.address, ServiceAddress::Discovery(_))
                && service.poll_limit_scope == PollLimitScope::Service
        };
        let same = others.iter().find(|other| {
            (is_found(other) || is_found(service))
                && other.address != service.address
                && host(service).is_some()
                && host(other) == host(service)
                && user(other) == user(service)
        });
        if let Some(other) = same {
            let what = format!(
                "discovery may lead to where service {:?} polls too, on the same host as the same user: \
                 if the provider counts their polls together, put all collections into one service, or \
                 double min_poll_interval of both",
                other.name
            );
            self.warn(table, what);
        }
    }

    fn service(
        &mut self,
        raw: Spanned<Section<RawService>>,
        names: &mut Vec<String>,
    ) -> ServiceConfig {
        let table = raw.span();
        let raw = raw.into_inner().0;
        let places = Places {
            max_window: raw.max_window.as_ref().map(Spanned::span),
            initial_lookback: raw.initial_lookback.as_ref().map(Spanned::span),
            retention: raw.retention.as_ref().map(Spanned::span),
            min_poll_interval: raw.min_poll_interval.as_ref().map(Spanned::span),
            settle: raw.settle.as_ref().map(Spanned::span),
        };
        let shows = if raw.username.is_some() {
            Some("the password")
        } else if raw.bearer_token.is_some() {
            Some("the token")
        } else {
            (!raw.headers.is_empty()).then_some("what headers holds")
        };
        let collections = self.polled_collections(raw.collections, &table);
        let data_sets = self.some_of(&collections, raw.data_sets);
        let allow_asynch = raw.allow_asynch.as_ref().map(Spanned::span);
        let service = ServiceConfig {
            name: self.name(raw.name, &table, names),
            address: self.service_address(raw.poll_url, raw.discovery_url, &table, shows),
            version: match raw.taxii_version.map(|version| version.into_inner().0) {
                Some(VersionChoice::Only(version)) => Some(version),
                Some(VersionChoice::Auto) | None => None,
            },
            authentication: self.authentication(
                raw.username,
                raw.password,
                raw.bearer_token,
                &table,
            ),
            headers: self.headers(raw.headers),
            data_sets,
            deduplicate: raw.deduplicate,
            subscriptions: self.subscriptions(&collections, raw.subscriptions),
            content_bindings: self.content_bindings(raw.content_bindings),
            allow_asynch: raw.allow_asynch.is_some_and(Spanned::into_inner),
            collections: collections.into(),
            schedule: self.schedule(raw.schedule),
            min_poll_interval: self.positive_period(raw.min_poll_interval, 10 * MINUTE),
            poll_limit_scope: raw
                .poll_limit_scope
                .map_or(PollLimitScope::Service, |scope| scope.into_inner().0),
            max_window: raw
                .max_window
                .map_or(Some(3 * DAY), |window| window.into_inner().0),
            initial_lookback: raw
                .initial_lookback
                .map_or(InitialLookback::Since(30 * DAY), |lookback| {
                    lookback.into_inner().0
                }),
            retention: self.positive_period(raw.retention, 30 * DAY),
            settle: raw.settle.map_or(MINUTE, |settle| settle.into_inner().0),
            splay: raw
                .splay
                .map_or(Duration::ZERO, |splay| splay.into_inner().0),
            tls: self.tls(raw.tls.0),
            proxy: self.proxy(raw.proxy, raw.proxy_username, raw.proxy_password, &table),
            connect_timeout: self.positive_period(raw.connect_timeout, Duration::from_secs(10)),
            request_timeout: self.positive_period(raw.request_timeout, 10 * MINUTE),
            limits: self.limits(raw.limits.0),
        };
        self.durations_agree(&service, &table, &places);
        if let Some(at) = allow_asynch {
            self.warn_of_idle_asynch(&service, &at);
        }
        service
    }

    /// Only a poll of TAXII 1.1 that names its parameters can say that its answer may come later.
    fn warn_of_idle_asynch(&mut self, service: &ServiceConfig, at: &Span) {
        if !service.allow_asynch {
            return;
        }
        if service.version == Some(Version::V1_0) {
            let what = "does nothing: in TAXII 1.0 no answer comes later; leave it out, or write \
                        taxii_version = \"1.1\" if the service speaks that";
            self.warn(at, what);
            return;
        }
        let subscribed: Vec<&str> = service.subscriptions.keys().map(String::as_str).collect();
        if !subscribed.is_empty() {
            let what = format!(
                "does nothing for {}: what is in subscriptions is polled as the subscription says, which \
                 has no word for it",
                subscribed.join(", ")
            );
            self.warn(at, what);
        }
    }

    /// `shows` is what a listener on the way would see.
    fn service_address(
        &mut self,
        poll_url: Setting<String>,
        discovery_url: Setting<String>,
        table: &Span,
        shows: Option<&str>,
    ) -> ServiceAddress {
        let (url, address): (_, fn(String) -> ServiceAddress) = match (poll_url, discovery_url) {
            (Some(url), None) => (url, ServiceAddress::Poll),
            (None, Some(url)) => (url, ServiceAddress::Discovery),
            (Some(url), Some(discovery)) => {
                let what = "poll_url says already where to poll: write one of the two";
                self.refuse(&discovery.span(), what);
                (url, ServiceAddress::Poll)
            }
            (None, None) => {
                let what = "write the URL of the service's poll service, or discovery_url";
                self.missing(Some(table), "poll_url", what);
                return ServiceAddress::Poll(String::new());
            }
        };
        if let (Some(parsed), Some(shows)) = (self.url(&url, &["https", "http"]), shows) {
            self.warn_of_clear_text(&url.span(), &parsed, shows);
        }
        address(url.into_inner())
    }

    fn authentication(
        &mut self,
        username: Setting<String>,
        password: Setting<RawSecret>,
        bearer_token: Setting<RawSecret>,
        table: &Span,
    ) -> Authentication {
        if let (Some(token), true) = (&bearer_token, username.is_some() || password.is_some()) {
            let what = "username and password say already who asks: write one of the two";
            self.refuse(&token.span(), what);
        }
        let keys = ["username", "password"];
        let basic = self.credentials(keys, username, password, table);
        let token = bearer_token.and_then(|token| self.secret(token, |c| c.is_ascii_graphic()));
        match (basic, token) {
            (Some(credentials), _) => Authentication::Basic(credentials),
            (None, Some(token)) => Authentication::Bearer(token),
            (None, None) => Authentication::None,
        }
    }

    fn headers(&mut self, headers: BTreeMap<String, Spanned<RawSecret>>) -> Vec<(String, Secret)> {
        let mut checked = Vec::new();
        for (name, value) in headers {
            let span = value.span();
            if let Err(what) = check_header_name(&name) {
                self.refuse(&span, what);
            }
            let value = self.secret(value, may_stand_in_header);
            checked.extend(value.map(|value| (name, value)));
        }
        checked
    }

    fn polled_collections(
        &mut self,
        collections: Setting<Vec<Spanned<String>>>,
        table: &Span,
    ) -> Vec<String> {
        let Some(collections) = collections else {
            let what = "name at least one collection to poll";
            self.missing(Some(table), "collections", what);
            return Vec::new();
        };
        self.collections(collections, false)
    }

    /// Collections that are polled.
    fn some_of(
        &mut self,
        collections: &[String],
        named: Setting<Vec<Spanned<String>>>,
    ) -> Vec<String> {
        let named = named.map(Spanned::into_inner).unwrap_or_default();
        for name in &named {
            self.is_polled(collections, name);
        }
        named.into_iter().map(Spanned::into_inner).collect()
    }

    pub(super) fn is_polled(&mut self, collections: &[String], name: &Spanned<String>) {
        if !collections.contains(name.get_ref()) {
            let what = format!("{:?} is not in collections", name.get_ref());
            self.refuse(&name.span(), what);
        }
    }

    pub(super) fn subscriptions(
        &mut self,
        collections: &[String],
        raw: BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> BTreeMap<String, String> {
        let mut subscriptions = BTreeMap::new();
        for (collection, id) in raw {
            self.is_polled(collections, &collection);
            if let Some(id) = self.text(Some(id)) {
                subscriptions.insert(collection.into_inner(), id);
            }
        }
        subscriptions
    }

    fn content_bindings(&mut self, bindings: Setting<Vec<Spanned<String>>>) -> Vec<String> {
        let bindings = bindings.map(Spanned::into_inner).unwrap_or_default();
        let texts = bindings.into_iter().map(|binding| self.text(Some(binding)));
        texts.flatten().collect()
    }

    fn schedule(&mut self, schedule: Setting<String>) -> String {
        let Some(schedule) = schedule else {
            return "0 */10 * * * *".to_owned();
        };
        if let Err(why) = (self.check_cron)(schedule.get_ref()) {
            let what = format!(
                "{:?} is not a schedule: {why}; write six fields (second, minute, hour, day, \
                 month, weekday; UTC), such as \"0 */10 * * * *\"",
                schedule.get_ref()
            );
            self.refuse(&schedule.span(), what);
        }
        schedule.into_inner()
    }

    pub(super) fn limits(&mut self, raw: RawLimits) -> Limits {
        let default = Limits::default();
        Limits {
            max_response_bytes: self
                .positive_size(raw.max_response_bytes, default.max_response_bytes),
            max_parts: self.positive_count(raw.max_parts, default.max_parts),
            max_refused_blocks: self
                .positive_count(raw.max_refused_blocks, default.max_refused_blocks),
            max_xml_depth: self.xml_depth(raw.max_xml_depth, default.max_xml_depth),
            max_text_bytes: self.positive_size(raw.max_text_bytes, default.max_text_bytes),
            max_properties: self.positive_count(raw.max_properties, default.max_properties),
            max_observables: self.positive_count(raw.max_observables, default.max_observables),
            max_definition_bytes: self
                .memory_size(raw.max_definition_bytes, default.max_definition_bytes),
            max_package_bytes: self.positive_size(raw.max_package_bytes, default.max_package_bytes),
            max_set_events: self.positive_count(raw.max_set_events, default.max_set_events),
        }
    }

    /// The reader goes as deep as its documents do, and its stack has an end.
    fn xml_depth(&mut self, depth: Setting<Count>, default: u32) -> u32 {
        let Some(depth) = depth else { return default };
        let span = depth.span();
        let depth = self.positive_count(Some(depth), default);
        if depth > HIGHEST_DEPTH {
            self.refuse(
                &span,
                format!("{depth} is too deep; write at most {HIGHEST_DEPTH}"),
            );
        }
        depth
    }

    fn durations_agree(&mut self, service: &ServiceConfig, table: &Span, places: &Places) {
        let turns = match service.poll_limit_scope {
            PollLimitScope::Service => u32::try_from(service.collections.len()).unwrap_or(u32::MAX),
            PollLimitScope::Collection => 1,
        };
        let round = service.min_poll_interval.saturating_mul(turns.max(1));
        if let Some(window) = service.max_window {
            let at = places
                .max_window
                .as_ref()
                .or(places.min_poll_interval.as_ref());
            if window <= round {
                let what = format!(
                    "polls could never keep up: a window of at most {} for each collection, and \
                     {turns} to poll, one every {} (min_poll_interval)",
                    shown(window),
                    shown(service.min_poll_interval),
                );
                self.refuse(at.unwrap_or(table), what);
            } else if window <= service.settle {
                let what = format!(
                    "the longest window is {}, it must be longer than settle, which is {}",
                    shown(window),
                    shown(service.settle),
                );
                self.refuse(at.or(places.settle.as_ref()).unwrap_or(table), what);
            }
        }
        if service.retention <= service.settle {
            let what = format!(
                "content is kept for {}, that must be longer than settle, which is {}",
                shown(service.retention),
                shown(service.settle),
            );
            let at = places.retention.as_ref().or(places.settle.as_ref());
            self.refuse(at.unwrap_or(table), what);
        }
        if let InitialLookback::Since(lookback) = service.initial_lookback
            && lookback > service.retention
        {
            let what = format!(
                "looks back {}, yet the service keeps its content for {} only (retention)",
                shown(lookback),
                shown(service.retention),
            );
            let at = places
                .initial_lookback
                .as_ref()
                .or(places.retention.as_ref());
            self.warn(at.unwrap_or(table), what);
        }
    }
}

/// Whom the provider takes the agent for.
fn user(service: &ServiceConfig) -> Option<String> {
    match &service.authentication {
        Authentication::None => None,
        Authentication::Basic(credentials) => Some(credentials.username.clone()),
        Authentication::Bearer(token) => Some(token.expose().to_owned()),
    }
}

/// Where the durations that must agree are written, as far as they are.
struct Places {
    max_window: Option<Span>,
    initial_lookback: Option<Span>,
    retention: Option<Span>,
    min_poll_interval: Option<Span>,
    settle: Option<Span>,
}
