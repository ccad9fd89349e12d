//! What of a package waits for its end, on tapes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::definitions::Definitions;
use super::{EventSink, FlatEvent, fields};
use crate::event::{EventId, RecordType};
use crate::stix::{DefinitionKind, Named};
use crate::tape::{Scratch, Tape, TapeReader};

/// Memory for the observables that wait; what is more goes to a scratch file.
const CONTENTS_MEMORY: usize = 8 << 20;
/// Memory for the incidents that wait, and as much for the indicators.
const SCOPES_MEMORY: usize = 1 << 20;

const INCIDENT_START: u8 = b'I';
const INCIDENT_END: u8 = b'i';
const INDICATOR_START: u8 = b'N';
const INDICATOR_END: u8 = b'n';
const FLOW: u8 = b'F';

/// The contents of a package in document order, and what is known of its scopes in the order of
/// their ends: only when the package has ended can the two be put together.
pub(super) struct Waiting {
    contents: Tape,
    incidents: Tape,
    indicators: Tape,
    incident_count: u32,
    indicator_count: u32,
    record: Vec<u8>,
}

/// What is known of an incident at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IncidentRecord {
    /// Its place among the starts of incidents.
    pub(super) number: u32,
    /// The id of its event, should it have no observables.
    pub(super) id: EventId,
    /// Its own fields as JSON text; those that need definitions come when it leaves.
    pub(super) fields: String,
    pub(super) tools: Vec<Named>,
    pub(super) campaigns: Vec<Named>,
}

/// What is known of an indicator at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IndicatorRecord {
    /// Its place among the starts of indicators.
    pub(super) number: u32,
    /// As of an incident.
    pub(super) fields: String,
    pub(super) ttps: Vec<Named>,
}

impl Waiting {
    pub(super) fn new(scratch: &Arc<dyn Scratch>, max_bytes: u64) -> Self {
        let tape = |memory| Tape::new(Arc::clone(scratch), memory, max_bytes);
        Self {
            contents: tape(CONTENTS_MEMORY),
            incidents: tape(SCOPES_MEMORY),
            indicators: tape(SCOPES_MEMORY),
            incident_count: 0,
            indicator_count: 0,
            record: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.contents.clear();
        self.incidents.clear();
        self.indicators.clear();
        self.incident_count = 0;
        self.indicator_count = 0;
    }

    /// An incident starts; gives its number.
    pub(super) fn start_incident(&mut self) -> io::Result<u32> {
        self.contents.append_record(&[INCIDENT_START])?;
        self.incident_count += 1;
        Ok(self.incident_count - 1)
    }

    /// An indicator starts; gives its number.
    pub(super) fn start_indicator(&mut self) -> io::Result<u32> {
        self.contents.append_record(&[INDICATOR_START])?;
        self.indicator_count += 1;
        Ok(self.indicator_count - 1)
    }

    /// An observable with its fields as JSON text.
    pub(super) fn flow(&mut self, id: EventId, fields: &[u8]) -> io::Result<()> {
        self.record.clear();
        self.record.push(FLOW);
        self.record.extend_from_slice(id.as_bytes());
        self.record.extend_from_slice(fields);
        self.contents.append_record(&self.record)
    }

    pub(super) fn end_incident(&mut self, record: &IncidentRecord) -> io::Result<()> {
        self.contents.append_record(&[INCIDENT_END])?;
        self.incidents.append_record(&serde_json::to_vec(record)?)
    }

    pub(super) fn end_indicator(&mut self, record: &IndicatorRecord) -> io::Result<()> {
        self.contents.append_record(&[INDICATOR_END])?;
        self.indicators.append_record(&serde_json::to_vec(record)?)
    }

    /// All of the package's events leave, in document order; gives their number.
    pub(super) fn leave(
        &mut self,
        package_fields: &[u8],
        definitions: &Definitions,
        sink: &mut dyn EventSink,
    ) -> io::Result<u64> {
        let mut contents = self.contents.rewind()?;
        let mut leaving = Leaving {
            incidents: Records::new(self.incidents.rewind()?),
            indicators: Records::new(self.indicators.rewind()?),
            package_fields,
            definitions,
            sink,
            scopes: Vec::new(),
            line: Vec::new(),
            events: 0,
        };
        while contents.read_record(&mut self.record)? {
            leaving.step(&self.record)?;
        }
        Ok(leaving.events)
    }
}

/// A package whose events leave.
struct Leaving<'w> {
    incidents: Records<'w, IncidentRecord>,
    indicators: Records<'w, IndicatorRecord>,
    package_fields: &'w [u8],
    definitions: &'w Definitions,
    sink: &'w mut dyn EventSink,
    scopes: Vec<Scope>,
    line: Vec<u8>,
    events: u64,
}

/// An incident or indicator that is open while the events leave.
struct Scope {
    /// The fields that every event in it has, as JSON text.
    fields: Vec<u8>,
    /// How many of those bytes are the incident's and the package's.
    incident_fields: usize,
    incident: Option<IncidentScope>,
}

struct IncidentScope {
    id: EventId,
    has_flows: bool,
}

impl Leaving<'_> {
    fn step(&mut self, record: &[u8]) -> io::Result<()> {
        match record.split_first() {
            Some((&FLOW, flow)) => self.flow(flow),
            Some((&INCIDENT_START, _)) => self.start_incident(),
            Some((&INDICATOR_START, _)) => self.start_indicator(),
            Some((&INCIDENT_END, _)) => self.end_incident(),
            Some((&INDICATOR_END, _)) => {
                self.scopes.pop();
                Ok(())
            }
            _ => Err(io::Error::other("an unknown record on the tape")),
        }
    }

    fn start_incident(&mut self) -> io::Result<()> {
        let incident = self.incidents.next()?;
        let mut fields = self.package_fields.to_vec();
        fields.extend_from_slice(incident.fields.as_bytes());
        let (tools, campaigns) = (&incident.tools, &incident.campaigns);
        let tool_names = self.definitions.names(DefinitionKind::Tool, tools);
        fields::push_joined(&mut fields, "toolName", &tool_names);
        fields::push_joined(&mut fields, "toolVendor", &self.definitions.vendors(tools));
        let campaign_names = self.definitions.names(DefinitionKind::Campaign, campaigns);
        fields::push_joined(&mut fields, "campaignName", &campaign_names);
        self.scopes.push(Scope {
            incident_fields: fields.len(),
            fields,
            incident: Some(IncidentScope {
                id: incident.id,
                has_flows: false,
            }),
        });
        Ok(())
    }

    fn start_indicator(&mut self) -> io::Result<()> {
        let indicator = self.indicators.next()?;
        let around = self.scopes.last();
        let mut fields = around
            .and_then(|scope| scope.fields.get(..scope.incident_fields))
            .unwrap_or(self.package_fields)
            .to_vec();
        let incident_fields = fields.len();
        fields.extend_from_slice(indicator.fields.as_bytes());
        let activities = self.definitions.names(DefinitionKind::Ttp, &indicator.ttps);
        fields::push_joined(&mut fields, "activity", &activities);
        self.scopes.push(Scope {
            fields,
            incident_fields,
            incident: None,
        });
        Ok(())
    }

    fn flow(&mut self, flow: &[u8]) -> io::Result<()> {
        let Some((id, fields)) = flow.split_first_chunk::<16>() else {
            return Err(io::Error::other("an observable without an id on the tape"));
        };
        let mut incidents = self
            .scopes
            .iter_mut()
            .rev()
            .filter_map(|s| s.incident.as_mut());
        if let Some(incident) = incidents.next() {
            incident.has_flows = true;
        }
        self.event(RecordType::Flow, EventId::from_bytes(*id), fields)
    }

    fn end_incident(&mut self) -> io::Result<()> {
        let incident = self.scopes.last().and_then(|scope| scope.incident.as_ref());
        if let Some(IncidentScope {
            id,
            has_flows: false,
        }) = incident
        {
            let id = *id;
            self.event(RecordType::Incident, id, &[])?;
        }
        self.scopes.pop();
        Ok(())
    }

    fn event(&mut self, record_type: RecordType, id: EventId, fields: &[u8]) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(b"{\"eventId\":\"");
        line.extend_from_slice(&id.to_hex());
        line.extend_from_slice(b"\",\"recordType\":\"");
        line.extend_from_slice(record_type.as_str().as_bytes());
        line.extend_from_slice(b"\",");
        if let Some(scope) = self.scopes.last() {
            line.extend_from_slice(&scope.fields);
        }
        line.extend_from_slice(fields);
        // Every field ends with a comma, the last one gives way to the brace.
        line.pop();
        line.push(b'}');
        self.events += 1;
        self.sink.event(FlatEvent {
            id,
            record_type,
            json: line,
        })
    }
}

/// Records of scopes, asked for in the order of their starts and written in that of their ends.
struct Records<'w, T> {
    tape: TapeReader<'w>,
    next: u32,
    /// Those of scopes inside the one that was asked for.
    inner: HashMap<u32, T>,
    buffer: Vec<u8>,
}

/// What has a place among the starts.
trait Numbered {
    fn number(&self) -> u32;
}

impl Numbered for IncidentRecord {
    fn number(&self) -> u32 {
        self.number
    }
}

impl Numbered for IndicatorRecord {
    fn number(&self) -> u32 {
        self.number
    }
}

impl<'w, T: DeserializeOwned + Numbered> Records<'w, T> {
    fn new(tape: TapeReader<'w>) -> Self {
        Self {
            tape,
            next: 0,
            inner: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<T> {
        let wanted = self.next;
        self.next += 1;
        loop {
            if let Some(record) = self.inner.remove(&wanted) {
                return Ok(record);
            }
            if !self.tape.read_record(&mut self.buffer)? {
                return Err(io::Error::other("a scope without its record on the tape"));
            }
            let record: T = serde_json::from_slice(&self.buffer)?;
            self.inner.insert(record.number(), record);
        }
    }
}
