//! A package's events, put together as they leave.

use std::io;

use serde::de::DeserializeOwned;

use super::definitions::Definitions;
use super::waiting::{IncidentRecord, IndicatorRecord, Piece};
use super::{EventSink, FlatEvent, fields};
use crate::event::{EventId, RecordType};
use crate::stix::{DefinitionKind, Named};
use crate::tape::RandomAccess;

/// Takes a package's pieces in document order and makes its events.
pub(super) struct Leaving<'w> {
    known: RandomAccess<'w>,
    package_fields: &'w [u8],
    definitions: &'w Definitions,
    sink: &'w mut dyn EventSink,
    open: Vec<Scope>,
    line: Vec<u8>,
    record: Vec<u8>,
    events: u64,
}

/// An incident or indicator that is open, with the fields that its events have, as JSON text.
enum Scope {
    Incident {
        id: EventId,
        has_flows: bool,
        fields: Vec<u8>,
        campaigns: Vec<Named>,
        campaign_fields: Vec<u8>,
    },
    Indicator {
        fields: Vec<u8>,
        campaigns: Vec<Named>,
    },
}

impl<'w> Leaving<'w> {
    pub(super) fn new(
        known: RandomAccess<'w>,
        package_fields: &'w [u8],
        definitions: &'w Definitions,
        sink: &'w mut dyn EventSink,
    ) -> Self {
        Self {
            known,
            package_fields,
            definitions,
            sink,
            open: Vec::new(),
            line: Vec::new(),
            record: Vec::new(),
            events: 0,
        }
    }

    /// How many events have left.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn piece(&mut self, piece: Piece<'_>) -> io::Result<()> {
        match piece {
            Piece::IncidentStart { known_at } => {
                let incident = self.known(known_at)?;
                self.start_incident(incident);
            }
            Piece::IndicatorStart { known_at } => {
                let indicator = self.known(known_at)?;
                self.start_indicator(indicator);
            }
            Piece::Flow { id, fields } => {
                if let Some(has_flows) = self.open.iter_mut().rev().find_map(Scope::has_flows) {
                    *has_flows = true;
                }
                self.event(RecordType::Flow, id, fields)?;
            }
            Piece::IncidentEnd => {
                if let Some(&Scope::Incident {
                    id,
                    has_flows: false,
                    ..
                }) = self.open.last()
                {
                    self.event(RecordType::Incident, id, &[])?;
                }
                self.open.pop();
            }
            Piece::IndicatorEnd => {
                self.open.pop();
            }
        }
        Ok(())
    }

    fn known<T: DeserializeOwned>(&mut self, place: u64) -> io::Result<T> {
        self.known.read_record(place, &mut self.record)?;
        Ok(serde_json::from_slice(&self.record)?)
    }

    fn start_incident(&mut self, incident: IncidentRecord) {
        let tools = &incident.tools;
        let mut fields = incident.fields.into_bytes();
        let tool_names = self.definitions.names(DefinitionKind::Tool, tools);
        fields::push_joined(&mut fields, "toolName", &tool_names);
        fields::push_joined(&mut fields, "toolVendor", &self.definitions.vendors(tools));
        let mut campaign_fields = Vec::new();
        self.push_campaigns(&mut campaign_fields, incident.campaigns.clone());
        self.open.push(Scope::Incident {
            id: incident.id,
            has_flows: false,
            fields,
            campaigns: incident.campaigns,
            campaign_fields,
        });
    }

    fn start_indicator(&mut self, indicator: IndicatorRecord) {
        let mut fields = indicator.fields.into_bytes();
        let activities = self.definitions.names(DefinitionKind::Ttp, &indicator.ttps);
        fields::push_joined(&mut fields, "activity", &activities);
        self.open.push(Scope::Indicator {
            fields,
            campaigns: indicator.campaigns,
        });
    }

    fn push_campaigns(&self, out: &mut Vec<u8>, campaigns: Vec<Named>) {
        let campaigns = super::distinct(campaigns);
        fields::push_joined(out, "campaign", &super::ids(&campaigns));
        let titles = self.definitions.names(DefinitionKind::Campaign, &campaigns);
        fields::push_joined(out, "campaignName", &titles);
    }

    /// Those of the incident and of the indicators inside it that are open.
    fn push_open_campaigns(&self, out: &mut Vec<u8>) {
        let incident = self.open.iter().rposition(Scope::is_incident);
        let open = self
            .open
            .get(incident.unwrap_or_default()..)
            .unwrap_or_default();
        match open {
            [
                Scope::Incident {
                    campaign_fields, ..
                },
                inside @ ..,
            ] if inside.iter().all(|scope| scope.campaigns().is_empty()) => {
                out.extend_from_slice(campaign_fields);
            }
            _ => self.push_campaigns(
                out,
                open.iter().flat_map(Scope::campaigns).cloned().collect(),
            ),
        }
    }

    fn event(&mut self, record_type: RecordType, id: EventId, fields: &[u8]) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.extend_from_slice(b"{\"eventId\":\"");
        line.extend_from_slice(&id.to_hex());
        line.extend_from_slice(b"\",\"recordType\":\"");
        line.extend_from_slice(record_type.as_str().as_bytes());
        line.extend_from_slice(b"\",");
        line.extend_from_slice(self.package_fields);
        if let Some(incident) = self.open.iter().rev().find_map(Scope::incident_fields) {
            line.extend_from_slice(incident);
        }
        self.push_open_campaigns(&mut line);
        if let Some(Scope::Indicator { fields, .. }) = self.open.last() {
            line.extend_from_slice(fields);
        }
        line.extend_from_slice(fields);
        // Every field ends with a comma, the last one gives way to the brace.
        line.pop();
        line.push(b'}');
        self.events += 1;
        self.line = line;
        self.sink.event(FlatEvent {
            id,
            record_type,
            json: &self.line,
        })
    }
}

impl Scope {
    fn has_flows(&mut self) -> Option<&mut bool> {
        match self {
            Self::Incident { has_flows, .. } => Some(has_flows),
            Self::Indicator { .. } => None,
        }
    }

    fn is_incident(&self) -> bool {
        matches!(self, Self::Incident { .. })
    }

    fn campaigns(&self) -> &[Named] {
        match self {
            Self::Incident { campaigns, .. } | Self::Indicator { campaigns, .. } => campaigns,
        }
    }

    fn incident_fields(&self) -> Option<&[u8]> {
        match self {
            Self::Incident { fields, .. } => Some(fields),
            Self::Indicator { .. } => None,
        }
    }
}
