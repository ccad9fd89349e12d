//! A package's events, put together as they leave.
//!
//! The contents are read in document order. Where a piece only names what stands elsewhere, the
//! reader goes there, takes that as if it stood here, and comes back.

use std::io;

use serde::de::DeserializeOwned;

use super::identity::{Identity, Ordinals};
use super::known_properties::KnownProperties;
use super::links::{self, Holder, OpenLinks};
use super::records::{IncidentRecord, IndicatorRecord};
use super::waiting::{ObjectPiece, Piece};
use super::{EventSink, FlatEvent, FlattenLimits, Package, fields, keep};
use crate::event::{EventId, RecordType};
use crate::stix::{DefinitionKind, ObjectKind, ReadPackageError, ReferenceKind, Relations};
use crate::tape::RandomAccess;

/// References inside what other references name. One that leads back to itself never ends.
const MAX_REFERENCE_DEPTH: usize = 20;
/// References of one package: what names a thing ten times that names another ten times …
const MAX_FOLLOWED: u64 = 1_000_000;

/// Takes a package's pieces in document order and makes its events.
pub(super) struct Leaving<'w> {
    contents: RandomAccess<'w>,
    known: RandomAccess<'w>,
    package: &'w mut Package,
    limits: FlattenLimits,
    desk: &'w mut Desk,
    sink: &'w mut dyn EventSink,
    /// Where the reader is, and where it comes back to.
    readers: Vec<Reader>,
    open: Vec<Scope>,
    /// The ids of the observables that are open.
    observables: Vec<String>,
    /// The links of what has no scope, and their fields.
    package_links: OpenLinks,
    package_link_fields: Vec<u8>,
    /// Of observables without a scope.
    ordinals: Ordinals,
    followed: u64,
    followed_bytes: u64,
    left: Left,
}

/// What is used for one package after the other.
#[derive(Debug, Default)]
pub(super) struct Desk {
    known_properties: KnownProperties,
    identity: Identity,
    /// The event that is being put together.
    line: Vec<u8>,
    /// What is known of an incident or indicator.
    record: Vec<u8>,
    /// The piece of the contents that is looked at.
    piece: Vec<u8>,
    /// Of an indicator that has left, for the next.
    ordinals: Ordinals,
}

impl Desk {
    /// Keeps no more memory than it needs for packages as most are.
    pub(super) fn tidy(&mut self) {
        const MAX_KEPT_BYTES: usize = 64 << 10;
        for buffer in [&mut self.line, &mut self.record, &mut self.piece] {
            buffer.clear();
            buffer.shrink_to(MAX_KEPT_BYTES);
        }
        self.identity.shrink_to(MAX_KEPT_BYTES);
    }
}

/// What came of a package.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Left {
    pub(super) events: u64,
    pub(super) undefined_references: u64,
    pub(super) undefined_markings: u64,
}

/// A place among the contents.
#[derive(Debug, Default)]
struct Reader {
    place: u64,
    /// How many of the things that it came across are open.
    depth: u32,
    /// The operator of the composition that names what is read here.
    operator: String,
    /// How deep it is in what leaves elsewhere.
    passing_over: u32,
    /// Whether it goes to the end of the contents.
    is_first: bool,
}

/// An incident or indicator that is open, with the fields that its events have, as JSON text.
struct Scope {
    kind: ScopeKind,
    id: String,
    /// The id of its event, should it have no observables.
    event_id: EventId,
    fields: Vec<u8>,
    links: OpenLinks,
    link_fields: Vec<u8>,
    has_events: bool,
    ordinals: Ordinals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScopeKind {
    Incident,
    Indicator,
}

type Result<T> = std::result::Result<T, ReadPackageError>;

impl<'w> Leaving<'w> {
    pub(super) fn new(
        contents: RandomAccess<'w>,
        known: RandomAccess<'w>,
        package: &'w mut Package,
        limits: FlattenLimits,
        desk: &'w mut Desk,
        sink: &'w mut dyn EventSink,
    ) -> Self {
        let marking = std::mem::take(&mut package.marking);
        let package_links = OpenLinks::of_package(marking, &package.markings);
        let package_link_fields = package_links.fields(&package.definitions, &package.markings);
        let left = Left {
            undefined_markings: package_links.undefined_markings(),
            ..Left::default()
        };
        Self {
            contents,
            known,
            package,
            limits,
            desk,
            sink,
            readers: Vec::new(),
            open: Vec::new(),
            observables: Vec::new(),
            package_links,
            package_link_fields,
            ordinals: Ordinals::default(),
            followed: 0,
            followed_bytes: 0,
            left,
        }
    }

    /// Everything leaves.
    pub(super) fn all(mut self) -> Result<Left> {
        self.readers.push(Reader {
            is_first: true,
            ..Reader::default()
        });
        self.read()?;
        // What only names itself in a circle is reached from nowhere else.
        for place in self.package.references.never_left() {
            self.go_to(place, "")?;
            self.read()?;
        }
        Ok(self.left)
    }

    /// Reads until no reader is left.
    fn read(&mut self) -> Result<()> {
        let mut record = std::mem::take(&mut self.desk.piece);
        let read = self.read_by(&mut record);
        self.desk.piece = record;
        read
    }

    fn read_by(&mut self, record: &mut Vec<u8>) -> Result<()> {
        while let Some(reader) = self.readers.last_mut() {
            if reader.place >= self.contents.len() {
                self.readers.pop();
                continue;
            }
            let start = reader.place;
            reader.place = self.contents.read_record(start, record).map_err(keep)?;
            let bytes = reader.place - start;
            let piece = Piece::decode(record).map_err(keep)?;
            if piece.is_start() {
                reader.depth += 1;
            } else if piece.is_end() {
                reader.depth = reader.depth.saturating_sub(1);
            }
            let is_first = reader.is_first;
            // Its last piece ends something, or is an object: none leads elsewhere.
            let is_done = reader.depth == 0 && !is_first;
            if !is_first {
                self.count_followed(bytes)?;
            }
            if !is_first || !self.is_passed_over(&piece) {
                self.piece(piece)?;
            }
            if is_done {
                self.readers.pop();
            }
        }
        Ok(())
    }

    /// What leaves with what names it does not leave where it stands alone.
    fn is_passed_over(&mut self, piece: &Piece<'_>) -> bool {
        let Some(reader) = self.readers.last_mut() else {
            return false;
        };
        if reader.passing_over > 0 {
            if piece.is_start() {
                reader.passing_over += 1;
            } else if piece.is_end() {
                reader.passing_over -= 1;
            }
            return true;
        }
        let (kind, id) = match *piece {
            Piece::IndicatorStart { id, .. } => (ReferenceKind::Indicator, id),
            Piece::ObservableStart { id } => (ReferenceKind::Observable, id),
            Piece::Object(object) => (ReferenceKind::Object, object.id),
            _ => return false,
        };
        let is_alone =
            self.open.is_empty() && (self.observables.is_empty() || kind == ReferenceKind::Object);
        if !is_alone || !self.package.references.is_part(kind, id) {
            return false;
        }
        reader.passing_over = u32::from(piece.is_start());
        true
    }

    fn count_followed(&mut self, bytes: u64) -> Result<()> {
        self.followed_bytes += bytes;
        let limit = self.limits.max_package_bytes;
        if self.followed_bytes > limit {
            let what = "bytes that the references of one package bring once more";
            return Err(ReadPackageError::Limit { what, limit });
        }
        Ok(())
    }

    fn go_to(&mut self, place: u64, operator: &str) -> Result<()> {
        self.followed += 1;
        for (count, limit, what) in [
            (
                self.readers.len() as u64,
                MAX_REFERENCE_DEPTH as u64,
                "references inside one another",
            ),
            (
                self.followed,
                MAX_FOLLOWED,
                "references to follow in one package",
            ),
        ] {
            if count > limit {
                return Err(ReadPackageError::Limit { what, limit });
            }
        }
        let around = self.readers.last().map(|reader| reader.operator.clone());
        let operator = match operator {
            "" => around.unwrap_or_default(),
            own => own.to_owned(),
        };
        self.readers.push(Reader {
            place,
            operator,
            ..Reader::default()
        });
        Ok(())
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result<()> {
        match piece {
            Piece::IncidentStart { known_at, id } => {
                let record = self.known(known_at).map_err(keep)?;
                self.start_incident(id, record);
            }
            Piece::IndicatorStart { known_at, id } => {
                let record = self.known(known_at).map_err(keep)?;
                self.start_indicator(id, record);
            }
            Piece::ObservableStart { id } => self.observables.push(id.to_owned()),
            Piece::Object(object) => self.object(object)?,
            Piece::Reference {
                kind,
                is_part,
                operator,
                id,
            } => {
                let references = &mut self.package.references;
                let place = if is_part {
                    references.follow(kind, id)
                } else {
                    None
                };
                match place {
                    Some(place) => self.go_to(place, operator)?,
                    None if references.is_defined(kind, id) => {}
                    None => self.left.undefined_references += 1,
                }
            }
            Piece::IncidentEnd | Piece::IndicatorEnd => self.end_scope().map_err(keep)?,
            Piece::ObservableEnd => drop(self.observables.pop()),
        }
        Ok(())
    }

    fn known<T: DeserializeOwned>(&mut self, place: u64) -> io::Result<T> {
        self.known.read_record(place, &mut self.desk.record)?;
        Ok(serde_json::from_slice(&self.desk.record)?)
    }

    fn start_incident(&mut self, id: &str, incident: IncidentRecord) {
        let tools = &incident.tools;
        let definitions = &self.package.definitions;
        let mut fields = incident.fields.into_bytes();
        let tool_names = definitions.names(DefinitionKind::Tool, tools);
        fields::push_joined(&mut fields, "toolName", &tool_names);
        fields::push_joined(&mut fields, "toolVendor", &definitions.vendors(tools));
        let mut links = self.package_links.clone();
        let markings = &self.package.markings;
        links.add(Holder::Incident, incident.links, markings);
        self.left.undefined_markings +=
            links.undefined_markings() - self.package_links.undefined_markings();
        self.open.push(Scope {
            kind: ScopeKind::Incident,
            id: id.to_owned(),
            event_id: incident.id,
            fields,
            link_fields: links.fields(definitions, markings),
            links,
            has_events: false,
            ordinals: Ordinals::default(),
        });
    }

    fn start_indicator(&mut self, id: &str, indicator: IndicatorRecord) {
        let definitions = &self.package.definitions;
        let mut fields = indicator.fields.into_bytes();
        let activities = definitions.names(DefinitionKind::Ttp, &indicator.links.ttps);
        fields::push_joined(&mut fields, "activity", &activities);
        let around = self.open.last().map(|scope| &scope.links);
        let around = around.unwrap_or(&self.package_links);
        let markings = &self.package.markings;
        let mut links = around.clone();
        links.add(Holder::Indicator, indicator.links, markings);
        self.left.undefined_markings += links.undefined_markings() - around.undefined_markings();
        self.open.push(Scope {
            kind: ScopeKind::Indicator,
            id: id.to_owned(),
            event_id: indicator.id,
            fields,
            link_fields: links.fields(definitions, markings),
            links,
            has_events: false,
            ordinals: std::mem::take(&mut self.desk.ordinals),
        });
    }

    fn end_scope(&mut self) -> io::Result<()> {
        let Some(scope) = self.open.last() else {
            return Ok(());
        };
        let id = scope.event_id;
        let record_type = match scope.kind {
            _ if scope.has_events => None,
            ScopeKind::Incident => Some(RecordType::Incident),
            ScopeKind::Indicator if self.open.iter().any(Scope::is_incident) => None,
            ScopeKind::Indicator => Some(RecordType::Indicator),
        };
        if let Some(record_type) = record_type {
            self.start_event(record_type, id);
            self.end_event(record_type, id)?;
            if record_type == RecordType::Indicator {
                self.open
                    .iter_mut()
                    .for_each(|scope| scope.has_events = true);
            }
        }
        let ended = self.open.pop();
        if let Some(mut scope) = ended.filter(|scope| scope.kind == ScopeKind::Indicator) {
            scope.ordinals.clear();
            self.desk.ordinals = scope.ordinals;
        }
        Ok(())
    }

    fn object(&mut self, object: ObjectPiece<'_>) -> Result<()> {
        self.check_observables()?;
        let relations: Option<Relations> = match object.related_at {
            Some(place) => Some(self.known(place).map_err(keep)?),
            None => None,
        };
        let name = match object.kind {
            ObjectKind::Custom(name) | ObjectKind::Standard(name) => name,
        };
        let observable_id = self.observables.last().map_or("", String::as_str);
        let incident = self.open.iter().rposition(Scope::is_incident);
        for scope in self.open.iter_mut().skip(incident.unwrap_or_default()) {
            scope.has_events = true;
        }
        let properties = object.properties;
        let (record_type, id) = match self.open.split_last_mut() {
            None => {
                let record_type = RecordType::Observable;
                let ordinals = &mut self.ordinals;
                let around = [observable_id];
                let identity = &mut self.desk.identity;
                let id = identity.of_object(record_type, &around, name, properties, ordinals);
                (record_type, id)
            }
            Some((innermost, around)) => {
                let incident_id = match incident.and_then(|place| around.get(place)) {
                    Some(scope) => scope.id.as_str(),
                    None => innermost.id.as_str(),
                };
                let indicator_id = match innermost.kind {
                    ScopeKind::Indicator => innermost.id.as_str(),
                    ScopeKind::Incident => "",
                };
                let record_type = match incident {
                    Some(_) => RecordType::Flow,
                    None => RecordType::Indicator,
                };
                let ids = [incident_id, indicator_id];
                let ids = match incident {
                    Some(_) => &ids[..],
                    None => &ids[1..],
                };
                let ordinals = &mut innermost.ordinals;
                let identity = &mut self.desk.identity;
                let id = identity.of_object(record_type, ids, name, properties, ordinals);
                (record_type, id)
            }
        };
        self.start_event(record_type, id);
        let out = &mut self.desk.line;
        let observable_id = self.observables.last().map_or("", String::as_str);
        let kind_field = match object.kind {
            ObjectKind::Custom(_) => "flowType",
            ObjectKind::Standard(_) => "objectType",
        };
        fields::push_present(out, kind_field, name);
        let operator = match object.operator {
            "" => self
                .readers
                .last()
                .map_or("", |reader| reader.operator.as_str()),
            own => own,
        };
        fields::push_present(out, "compositionOperator", operator);
        fields::push_present(out, "observableId", observable_id);
        fields::push_present(out, "objectId", object.id);
        if object.is_negated {
            fields::push(out, "observableNegated", "true");
        }
        if let Some(relations) = &relations {
            links::push_relations(out, relations);
        }
        self.desk
            .known_properties
            .push(out, object.kind, properties);
        self.end_event(record_type, id).map_err(keep)
    }

    fn check_observables(&self) -> Result<()> {
        let count: u64 = match self.open.as_slice() {
            [] => self.ordinals.count().into(),
            open => open.iter().map(|s| u64::from(s.ordinals.count())).sum(),
        };
        let limit = u64::from(self.limits.max_observables);
        if count < limit {
            return Ok(());
        }
        let what = if self.open.is_empty() {
            "observables outside of indicators in one package"
        } else {
            "observables in one indicator"
        };
        Err(ReadPackageError::Limit { what, limit })
    }

    /// The fields of everything around what the event tells.
    fn start_event(&mut self, record_type: RecordType, id: EventId) {
        let line = &mut self.desk.line;
        line.clear();
        line.extend_from_slice(b"{\"eventId\":\"");
        line.extend_from_slice(&id.to_hex());
        line.extend_from_slice(b"\",\"recordType\":\"");
        line.extend_from_slice(record_type.as_str().as_bytes());
        line.extend_from_slice(b"\",");
        line.extend_from_slice(&self.package.fields);
        if let Some(incident) = self.open.iter().rev().find(|scope| scope.is_incident()) {
            line.extend_from_slice(&incident.fields);
        }
        match self.open.last() {
            None => line.extend_from_slice(&self.package_link_fields),
            Some(innermost) => {
                line.extend_from_slice(&innermost.link_fields);
                if innermost.kind == ScopeKind::Indicator {
                    line.extend_from_slice(&innermost.fields);
                }
            }
        }
    }

    fn end_event(&mut self, record_type: RecordType, id: EventId) -> io::Result<()> {
        let line = &mut self.desk.line;
        // Every field ends with a comma, the last one gives way to the brace.
        line.pop();
        line.push(b'}');
        // What waited in a scratch file may have been damaged there.
        let was_in_file = self.contents.is_in_file() || self.known.is_in_file();
        if was_in_file && simdutf8::basic::from_utf8(line).is_err() {
            return Err(io::Error::other("what was on the tape is no text any more"));
        }
        self.left.events += 1;
        self.sink.event(FlatEvent {
            id,
            record_type,
            json: &self.desk.line,
        })
    }
}

impl Scope {
    fn is_incident(&self) -> bool {
        self.kind == ScopeKind::Incident
    }
}
