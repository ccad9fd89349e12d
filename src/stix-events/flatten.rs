//! Flattens packages into events: one for each observable, with all that is known of the incident
//! and the indicator that it belongs to; one for an incident or indicator without any.
//!
//! An event needs what stands before and after its observable (the incident's title, a tool's name
//! in the header, a TTP that an idref names), so observables wait on tapes until their package
//! ends. Events leave in document order.

mod definitions;
mod fields;
mod identity;
mod known_properties;
mod leaving;
mod links;
mod markings;
mod records;
mod references;
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::event::{EventId, RecordType};
use crate::stix::{
    Definition, Header, Incident, IncidentStart, Indicator, Marking, Observable, PackageStart,
    PassedOver, ReadPackageError, Reference, Relations, Visitor,
};
use crate::tape::{Scratch, TapeFull};
use definitions::Definitions;
use identity::Identity;
use leaving::Desk;
use markings::Markings;
use records::{IncidentRecord, IndicatorRecord};
use references::References;
use waiting::{StartPlace, Waiting};

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
    /// Observables of one indicator, those of indicators inside it included, of an incident
    /// outside its indicators, or of a package outside of both.
    pub max_observables: u32,
    /// Bytes of the definitions (tools, TTPs, campaigns …) of one package, and of the ids that
    /// its references name.
    pub max_definition_bytes: usize,
    /// Bytes that a package may take on disk while it waits for its end, and that its references
    /// may bring once more.
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
    fn pass_over(&mut self, what: PassedOver, count: u64) {
        if count > 0 {
            *self.passed_over.entry(what).or_default() += count;
        }
    }

    /// What is not forwarded, in words; nothing if everything is.
    #[must_use]
    pub fn not_forwarded(&self) -> Option<String> {
        let told = |(what, count): (&PassedOver, &u64)| format!("{count} {what}");
        let told: Vec<String> = self.passed_over.iter().map(told).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

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

/// Takes packages that were read to their ends, in their order.
pub trait PackageSink {
    /// The events of the package leave. What is in its place afterwards is used for the next one.
    fn package(&mut self, package: &mut WholePackage) -> Result<(), ReadPackageError>;
}

/// Has the events of each package leave at once.
#[derive(Debug)]
pub struct AtOnce<S> {
    sink: S,
    counts: Counts,
    /// What was met and may yet be void.
    counts_since: Counts,
    desk: Desk,
}

impl<S: EventSink> AtOnce<S> {
    /// Gives all events to `sink`.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            counts: Counts::default(),
            counts_since: Counts::default(),
            desk: Desk::default(),
        }
    }

    /// Where the events go.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// What has left counts.
    pub fn keep(&mut self) {
        self.counts.add(&std::mem::take(&mut self.counts_since));
    }

    /// What has left since the last [`AtOnce::keep`] does not count.
    pub fn forget(&mut self) {
        self.counts_since = Counts::default();
    }

    /// What was met as those events left that count.
    #[must_use]
    pub fn finish(self) -> Counts {
        self.counts
    }
}

impl<S: EventSink> PackageSink for AtOnce<S> {
    fn package(&mut self, package: &mut WholePackage) -> Result<(), ReadPackageError> {
        package.leave(&mut self.counts_since, &mut self.desk, &mut self.sink)
    }
}

/// Turns what it hears of packages into packages of which the events can leave.
pub struct Flattener<P> {
    packages: P,
    counts: Counts,
    /// The fields of the origin, as JSON text.
    origin: Vec<u8>,
    whole: WholePackage,
    open: Vec<Open>,
    identity: Identity,
}

/// A package whose events wait to leave.
pub struct WholePackage {
    package: Package,
    waiting: Waiting,
    limits: FlattenLimits,
}

impl WholePackage {
    /// An empty one. What outgrows its memory goes to a scratch file.
    #[must_use]
    pub fn new(limits: FlattenLimits, scratch: &Arc<dyn Scratch>) -> Self {
        Self {
            package: Package::default(),
            waiting: Waiting::new(scratch, limits.max_package_bytes),
            limits,
        }
    }

    /// About how much waits, whatever it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Package {
            fields,
            markings,
            definitions,
            ..
        } = &self.package;
        let known = fields.len() + markings.bytes() + definitions.bytes();
        self.waiting.bytes() + (known + size_of::<Self>()) as u64
    }

    /// What it keeps of memory for the next one.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.waiting.capacity()
    }

    /// Whether a limit may be met only as the events leave.
    #[must_use]
    pub fn may_be_refused(&self) -> bool {
        !self.package.references.is_empty()
            || self.waiting.objects() > u64::from(self.limits.max_observables)
    }

    /// All events leave in document order, and nothing is left; adds what was met.
    fn leave(
        &mut self,
        counts: &mut Counts,
        desk: &mut Desk,
        sink: &mut dyn EventSink,
    ) -> Result<(), ReadPackageError> {
        let left = self
            .waiting
            .leave(&mut self.package, self.limits, desk, sink)?;
        counts.packages += 1;
        counts.events += left.events;
        counts.pass_over(PassedOver::NoEvent, u64::from(left.events == 0));
        counts.pass_over(PassedOver::Reference, left.undefined_references);
        counts.pass_over(PassedOver::Marking, left.undefined_markings);
        for (kind, count) in self.package.definitions.unnamed() {
            counts.pass_over(PassedOver::Unnamed(kind), count);
        }
        self.waiting.clear();
        self.package = Package::default();
        Ok(())
    }
}

impl fmt::Debug for WholePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WholePackage")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// The package that is being read.
#[derive(Default)]
struct Package {
    /// The fields of its origin, its start tag and in the end its header, as JSON text.
    fields: Vec<u8>,
    marking: Marking,
    markings: Markings,
    definitions: Definitions,
    references: References,
}

/// What is open while the package is read.
enum Open {
    Incident {
        start: StartPlace,
        id: String,
        url: Option<String>,
    },
    Indicator {
        start: StartPlace,
        id: String,
    },
    Observable {
        has_id: bool,
    },
    /// An object whose relations follow.
    Related {
        place: StartPlace,
    },
}

impl<P: PackageSink> Flattener<P> {
    /// A flattener that gives what it has read to `packages`.
    pub fn new(
        origin: Origin<'_>,
        limits: FlattenLimits,
        scratch: &Arc<dyn Scratch>,
        packages: P,
    ) -> Self {
        let mut origin_fields = Vec::new();
        fields::push_present(&mut origin_fields, "service", origin.service);
        fields::push_present(&mut origin_fields, "collection", origin.collection);
        Self {
            packages,
            counts: Counts::default(),
            origin: origin_fields,
            whole: WholePackage::new(limits, scratch),
            open: Vec::new(),
            identity: Identity::default(),
        }
    }

    /// What was met so far, but for what is met as events leave.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Goes back to what had been met before.
    pub fn restore(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Where the packages go.
    pub fn packages(&mut self) -> &mut P {
        &mut self.packages
    }

    /// What was met, and where the packages went.
    #[must_use]
    pub fn finish(self) -> (Counts, P) {
        (self.counts, self.packages)
    }
}

impl<P: PackageSink> Visitor for Flattener<P> {
    fn package_started(&mut self, package: PackageStart<'_>) -> Result<(), ReadPackageError> {
        // A package before this one may have been given up in the middle.
        self.open.clear();
        self.whole.waiting.clear();
        self.whole.package = Package::default();
        let out = &mut self.whole.package.fields;
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
        let limit = self.whole.limits.max_definition_bytes;
        self.whole.package.definitions.add(definition, limit)
    }

    fn marking(&mut self, id: &str, marking: Marking) -> Result<(), ReadPackageError> {
        let limit = self.whole.limits.max_definition_bytes;
        self.whole.package.markings.add(id, &marking, limit)
    }

    fn incident_started(&mut self, incident: IncidentStart<'_>) -> Result<(), ReadPackageError> {
        self.counts.incidents += 1;
        let id = incident.id.unwrap_or_default();
        let start = self.whole.waiting.start_incident(id).map_err(keep)?;
        let url = incident.url.filter(|url| !url.is_empty());
        self.open.push(Open::Incident {
            start,
            id: id.to_owned(),
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn indicator_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError> {
        let id = id.unwrap_or_default();
        let start = self.whole.waiting.start_indicator(id).map_err(keep)?;
        let id = id.to_owned();
        self.open.push(Open::Indicator { start, id });
        Ok(())
    }

    fn observable_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError> {
        if let Some(id) = id {
            self.whole.waiting.start_observable(id).map_err(keep)?;
        }
        let has_id = id.is_some();
        self.open.push(Open::Observable { has_id });
        Ok(())
    }

    fn observable(&mut self, observable: Observable<'_>) -> Result<(), ReadPackageError> {
        let place = self.whole.waiting.object(observable).map_err(keep)?;
        if observable.is_related {
            self.open.push(Open::Related { place });
        }
        Ok(())
    }

    fn related(&mut self, relations: &Relations) -> Result<(), ReadPackageError> {
        let Some(Open::Related { place }) = self.open.pop() else {
            return Ok(());
        };
        self.whole.waiting.related(place, relations).map_err(keep)
    }

    fn reference(&mut self, reference: Reference<'_>) -> Result<(), ReadPackageError> {
        // What stands in nothing that becomes an event only lists what is elsewhere.
        let is_part = !self.open.is_empty();
        let limit = self.whole.limits.max_definition_bytes;
        let Reference { kind, id, .. } = reference;
        self.whole
            .package
            .references
            .name(kind, id, is_part, limit)?;
        self.whole
            .waiting
            .reference(reference, is_part)
            .map_err(keep)
    }

    fn observable_ended(&mut self) -> Result<(), ReadPackageError> {
        match self.open.pop() {
            Some(Open::Observable { has_id: true }) => {
                self.whole.waiting.end_observable().map_err(keep)
            }
            _ => Ok(()),
        }
    }

    fn indicator_ended(&mut self, indicator: Indicator) -> Result<(), ReadPackageError> {
        let Some(Open::Indicator { start, id }) = self.open.pop() else {
            return Ok(());
        };
        let record = IndicatorRecord::new(&id, indicator, &mut self.identity);
        self.whole
            .waiting
            .end_indicator(start, &record)
            .map_err(keep)
    }

    fn incident_ended(&mut self, incident: Incident) -> Result<(), ReadPackageError> {
        let Some(Open::Incident { start, id, url }) = self.open.pop() else {
            return Ok(());
        };
        let record = IncidentRecord::new(&id, url, incident, &mut self.identity);
        self.whole
            .waiting
            .end_incident(start, &record)
            .map_err(keep)
    }

    fn passed_over(&mut self, what: PassedOver) {
        self.counts.pass_over(what, 1);
    }

    fn package_ended(&mut self, header: Header) -> Result<(), ReadPackageError> {
        let out = &mut self.whole.package.fields;
        fields::push_joined(out, "packageTitle", &header.titles);
        fields::push_joined(out, "packageIntent", &header.intents);
        fields::push_joined(out, "customer", &header.identities);
        fields::push_joined(out, "packageSource", &header.sources);
        self.whole.package.marking = header.marking;
        self.packages.package(&mut self.whole)
    }
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
