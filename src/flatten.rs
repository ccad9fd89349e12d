//! Flattens packages into events: one for each observable of an incident, one for an incident
//! without any.
//!
//! An event needs what stands before and after its observable (the incident's title, a tool's name
//! in the header, a TTP that an idref names), so observables wait on tapes until their package
//! ends. Events leave in document order.

mod definitions;
mod fields;
mod identity;
mod leaving;
mod waiting;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use crate::event::{EventId, RecordType};
use crate::stix::{
    Definition, Header, Incident, IncidentStart, Indicator, Named, Observable, PackageStart,
    PassedOver, ReadPackageError, Visitor,
};
use crate::tape::{Scratch, TapeFull};
use definitions::Definitions;
use identity::{Identity, Ordinals};
use waiting::{IncidentRecord, IndicatorRecord, StartPlace, Waiting};

/// Takes the events.
pub trait EventSink {
    /// The next event, in document order.
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()>;
}

impl<T: EventSink + ?Sized> EventSink for &mut T {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        (**self).event(event)
    }
}

/// An event as it leaves.
#[derive(Debug, Clone, Copy)]
pub struct FlatEvent<'a> {
    /// Its identity.
    pub id: EventId,
    /// What it tells of.
    pub record_type: RecordType,
    /// One JSON object without a line break.
    pub json: &'a [u8],
}

/// Bounds on one package.
#[derive(Debug, Clone, Copy)]
pub struct FlattenLimits {
    /// Observables of one indicator, those of indicators inside it included, or of an incident
    /// outside its indicators.
    pub max_observables: u32,
    /// Bytes of the definitions (tools, TTPs, campaigns) of one package.
    pub max_definition_bytes: usize,
    /// Bytes that a package may take on disk while it waits for its end.
    pub max_package_bytes: u64,
}

/// What was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packages.
    pub packages: u64,
    /// Incidents.
    pub incidents: u64,
    /// Events.
    pub events: u64,
    /// What is read and not forwarded.
    pub passed_over: BTreeMap<PassedOver, u64>,
}

impl Counts {
    /// Adds what was met elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.packages += other.packages;
        self.incidents += other.incidents;
        self.events += other.events;
        for (what, count) in &other.passed_over {
            *self.passed_over.entry(*what).or_default() += count;
        }
    }
}

/// Where the content comes from, as its events say.
#[derive(Debug, Default, Clone, Copy)]
pub struct Origin<'a> {
    /// The configured name of the service; empty where there is none.
    pub service: &'a str,
    /// The collection that the service names in its answer; empty where there is none.
    pub collection: &'a str,
}

/// Turns what it hears of packages into events.
pub struct Flattener<S> {
    sink: S,
    limits: FlattenLimits,
    counts: Counts,
    /// The fields of the origin, as JSON text.
    origin: Vec<u8>,
    package: Package,
    waiting: Waiting,
    open: Vec<Scope>,
    identity: Identity,
    record: Vec<u8>,
}

/// The package that is being read.
#[derive(Default)]
struct Package {
    /// The fields of its origin, its start tag and in the end its header, as JSON text.
    fields: Vec<u8>,
    definitions: Definitions,
}

/// An incident or indicator that is open while the package is read.
struct Scope {
    kind: ScopeKind,
    start: StartPlace,
    id: Option<String>,
    ordinals: Ordinals,
}

enum ScopeKind {
    Incident { url: Option<String> },
    Indicator,
}

impl<S: EventSink> Flattener<S> {
    /// A flattener that gives its events to `sink`.
    pub fn new(
        origin: Origin<'_>,
        limits: FlattenLimits,
        scratch: &Arc<dyn Scratch>,
        sink: S,
    ) -> Self {
        let mut origin_fields = Vec::new();
        fields::push_present(&mut origin_fields, "service", origin.service);
        fields::push_present(&mut origin_fields, "collection", origin.collection);
        Self {
            sink,
            limits,
            counts: Counts::default(),
            origin: origin_fields,
            package: Package::default(),
            waiting: Waiting::new(scratch, limits.max_package_bytes),
            open: Vec::new(),
            identity: Identity::default(),
            record: Vec::new(),
        }
    }

    /// What was met so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Goes back to what had been met before, without the events that left since.
    pub fn restore(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Where the events go.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }
}

impl<S: EventSink> Visitor for Flattener<S> {
    fn package_started(&mut self, package: PackageStart<'_>) -> Result<(), ReadPackageError> {
        // A package before this one may have been given up in the middle.
        self.open.clear();
        self.waiting.clear();
        self.package = Package::default();
        let out = &mut self.package.fields;
        out.extend_from_slice(&self.origin);
        fields::push_present(out, "packageId", package.id.unwrap_or_default());
        fields::push_present(
            out,
            "packageTimestamp",
            package.timestamp.unwrap_or_default(),
        );
        Ok(())
    }

    fn definition(&mut self, definition: Definition) -> Result<(), ReadPackageError> {
        let limit = self.limits.max_definition_bytes;
        self.package.definitions.add(definition, limit)
    }

    fn incident_started(&mut self, incident: IncidentStart<'_>) -> Result<(), ReadPackageError> {
        self.counts.incidents += 1;
        let start = self.waiting.start_incident().map_err(keep)?;
        self.open.push(Scope {
            kind: ScopeKind::Incident {
                url: incident.url.map(str::to_owned),
            },
            start,
            id: incident.id.map(str::to_owned),
            ordinals: Ordinals::default(),
        });
        Ok(())
    }

    fn indicator_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError> {
        let start = self.waiting.start_indicator().map_err(keep)?;
        self.open.push(Scope {
            kind: ScopeKind::Indicator,
            start,
            id: id.map(str::to_owned),
            ordinals: Ordinals::default(),
        });
        Ok(())
    }

    fn observable(&mut self, observable: Observable<'_>) -> Result<(), ReadPackageError> {
        let open: u64 = self
            .open
            .iter()
            .map(|s| u64::from(s.ordinals.count()))
            .sum();
        let limit = u64::from(self.limits.max_observables);
        if open >= limit {
            return Err(ReadPackageError::Limit {
                what: "observables in one indicator",
                limit,
            });
        }
        let Some((innermost, around)) = self.open.split_last_mut() else {
            return Ok(());
        };
        let is_incident = |scope: &&Scope| matches!(scope.kind, ScopeKind::Incident { .. });
        let (incident_id, indicator_id) = match innermost.kind {
            ScopeKind::Incident { .. } => (innermost.id.as_deref(), None),
            ScopeKind::Indicator => {
                let incident = around.iter().rev().find(is_incident);
                let incident_id = incident.and_then(|scope| scope.id.as_deref());
                (incident_id, innermost.id.as_deref())
            }
        };
        let flow_type = observable.custom_name.unwrap_or_default();
        let id = self.identity.of_flow(
            incident_id.unwrap_or_default(),
            indicator_id.unwrap_or_default(),
            flow_type,
            observable.properties,
            &mut innermost.ordinals,
        );
        let record = &mut self.record;
        record.clear();
        let operator = observable.operator.unwrap_or_default();
        fields::push_present(record, "flowType", flow_type);
        fields::push_present(record, "compositionOperator", operator);
        fields::push_properties(record, observable.properties);
        self.waiting.flow(id, record).map_err(keep)
    }

    fn indicator_ended(&mut self, indicator: Indicator) -> Result<(), ReadPackageError> {
        let Some(scope) = self.open.pop() else {
            return Ok(());
        };
        let mut fields = Vec::new();
        fields::push_present(&mut fields, "indicatorId", &scope.id.unwrap_or_default());
        let record = IndicatorRecord {
            fields: text(fields),
            ttps: distinct(indicator.ttps),
            campaigns: distinct(indicator.campaigns),
        };
        self.waiting
            .end_indicator(scope.start, &record)
            .map_err(keep)
    }

    fn incident_ended(&mut self, incident: Incident) -> Result<(), ReadPackageError> {
        let Some(scope) = self.open.pop() else {
            return Ok(());
        };
        let id = scope.id.unwrap_or_default();
        let url = match scope.kind {
            ScopeKind::Incident { url } => url.filter(|url| !url.is_empty()),
            ScopeKind::Indicator => None,
        };
        let tools = distinct(incident.tools);
        let campaigns = distinct(incident.campaigns);
        let identity = self.identity.of_incident(&id);
        let mut fields = Vec::new();
        fields::push_present(&mut fields, "incidentId", &id);
        for (name, values) in [
            ("incidentTitle", incident.titles),
            ("incidentUrl", url.into_iter().collect()),
            ("victim", incident.victims),
            ("discoveryMethod", incident.discovery_methods),
            ("confidence", incident.confidences),
            ("risk", incident.risks),
            ("riskCategory", incident.risk_categories),
            ("tool", ids(&tools)),
        ] {
            if let Some(value) = fields::join(&values) {
                identity.push(name);
                identity.push(&value);
                fields::push(&mut fields, name, &value);
            }
        }
        // Its field comes when the event leaves, with those of the indicators.
        if let Some(campaign) = fields::join(&ids(&campaigns)) {
            identity.push("campaign");
            identity.push(&campaign);
        }
        let record = IncidentRecord {
            id: identity.id(),
            fields: text(fields),
            tools,
            campaigns,
        };
        self.waiting
            .end_incident(scope.start, &record)
            .map_err(keep)
    }

    fn passed_over(&mut self, what: PassedOver) {
        *self.counts.passed_over.entry(what).or_default() += 1;
    }

    fn package_ended(&mut self, header: Header) -> Result<(), ReadPackageError> {
        let out = &mut self.package.fields;
        fields::push_joined(out, "packageIntent", &header.intents);
        fields::push_joined(out, "customer", &header.identities);
        let events = self
            .waiting
            .leave(
                &self.package.fields,
                &self.package.definitions,
                &mut self.sink,
            )
            .map_err(ReadPackageError::Keep)?;
        self.counts.packages += 1;
        self.counts.events += events;
        self.waiting.clear();
        Ok(())
    }
}

/// What is named twice counts once.
fn distinct(mut names: Vec<Named>) -> Vec<Named> {
    let mut seen = HashSet::new();
    names.retain(|named| seen.insert(named.clone()));
    names
}

fn ids(names: &[Named]) -> Vec<String> {
    let id = |named: &Named| match named {
        Named::Id(id) => Some(id.clone()),
        Named::Inline { .. } => None,
    };
    names.iter().filter_map(id).collect()
}

/// Fields are made of texts, so they are text.
fn text(fields: Vec<u8>) -> String {
    String::from_utf8(fields).unwrap_or_default()
}

fn keep(error: io::Error) -> ReadPackageError {
    match error.get_ref().and_then(|e| e.downcast_ref::<TapeFull>()) {
        Some(full) => ReadPackageError::Limit {
            what: "bytes of one package that wait for its end",
            limit: full.limit,
        },
        None => ReadPackageError::Keep(error),
    }
}

#[cfg(test)]
mod tests;
