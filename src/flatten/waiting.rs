//! What of a package waits for its end, on tapes.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EventSink;
use super::definitions::Definitions;
use super::leaving::Leaving;
use crate::event::EventId;
use crate::stix::Named;
use crate::tape::{Scratch, Tape};

/// Memory for the observables that wait; what is more goes to a scratch file.
const CONTENTS_MEMORY: usize = 8 << 20;
/// Memory for what is known of incidents and indicators.
const SCOPES_MEMORY: usize = 2 << 20;

/// The contents of a package in document order, and what is known of its incidents and indicators
/// in the order of their ends: only when the package has ended can the two be put together.
pub(super) struct Waiting {
    contents: Tape,
    scopes: Tape,
    record: Vec<u8>,
}

/// A piece of a package's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// An incident starts; what is known of it is the [`IncidentRecord`] at this place.
    IncidentStart { known_at: u64 },
    /// An indicator starts; what is known of it is the [`IndicatorRecord`] at this place.
    IndicatorStart { known_at: u64 },
    /// The innermost incident ends.
    IncidentEnd,
    /// The innermost indicator ends.
    IndicatorEnd,
    /// An observable, with its fields as JSON text.
    Flow { id: EventId, fields: &'a [u8] },
}

/// Where the start of an incident or indicator lies among the contents.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartPlace(u64);

/// What is known of an incident at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IncidentRecord {
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
    /// As of an incident.
    pub(super) fields: String,
    pub(super) ttps: Vec<Named>,
    pub(super) campaigns: Vec<Named>,
}

impl Waiting {
    pub(super) fn new(scratch: &Arc<dyn Scratch>, max_bytes: u64) -> Self {
        let tape = |memory| Tape::new(Arc::clone(scratch), memory, max_bytes);
        Self {
            contents: tape(CONTENTS_MEMORY),
            scopes: tape(SCOPES_MEMORY),
            record: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.contents.clear();
        self.scopes.clear();
    }

    pub(super) fn start_incident(&mut self) -> io::Result<StartPlace> {
        self.put(Piece::IncidentStart { known_at: 0 })
            .map(StartPlace)
    }

    pub(super) fn start_indicator(&mut self) -> io::Result<StartPlace> {
        self.put(Piece::IndicatorStart { known_at: 0 })
            .map(StartPlace)
    }

    /// An observable with its fields as JSON text.
    pub(super) fn flow(&mut self, id: EventId, fields: &[u8]) -> io::Result<()> {
        self.put(Piece::Flow { id, fields }).map(drop)
    }

    pub(super) fn end_incident(
        &mut self,
        start: StartPlace,
        record: &IncidentRecord,
    ) -> io::Result<()> {
        self.put(Piece::IncidentEnd)?;
        self.know(start, record)
    }

    pub(super) fn end_indicator(
        &mut self,
        start: StartPlace,
        record: &IndicatorRecord,
    ) -> io::Result<()> {
        self.put(Piece::IndicatorEnd)?;
        self.know(start, record)
    }

    /// All of the package's events leave, in document order; gives their number.
    pub(super) fn leave(
        &mut self,
        package_fields: &[u8],
        definitions: &Definitions,
        sink: &mut dyn EventSink,
    ) -> io::Result<u64> {
        let known = self.scopes.random_access();
        let mut leaving = Leaving::new(known, package_fields, definitions, sink);
        let mut contents = self.contents.rewind()?;
        while contents.read_record(&mut self.record)? {
            let piece = Piece::decode(&self.record)
                .ok_or_else(|| io::Error::other("an unknown record on the tape"))?;
            leaving.piece(piece)?;
        }
        Ok(leaving.events())
    }

    fn put(&mut self, piece: Piece<'_>) -> io::Result<u64> {
        self.record.clear();
        piece.encode(&mut self.record);
        self.contents.append_record(&self.record)
    }

    fn know(&mut self, start: StartPlace, record: &impl Serialize) -> io::Result<()> {
        let known_at = self.scopes.append_record(&serde_json::to_vec(record)?)?;
        let StartPlace(place) = start;
        self.contents
            .overwrite(place, Piece::KIND_BYTES, &known_at.to_le_bytes())
    }
}

impl<'a> Piece<'a> {
    const KIND_BYTES: usize = 1;

    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::IncidentStart { known_at } => {
                out.push(b'I');
                out.extend_from_slice(&known_at.to_le_bytes());
            }
            Self::IndicatorStart { known_at } => {
                out.push(b'N');
                out.extend_from_slice(&known_at.to_le_bytes());
            }
            Self::IncidentEnd => out.push(b'i'),
            Self::IndicatorEnd => out.push(b'n'),
            Self::Flow { id, fields } => {
                out.push(b'F');
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(fields);
            }
        }
    }

    fn decode(record: &'a [u8]) -> Option<Self> {
        let (kind, rest) = record.split_first()?;
        let known_at = || Some(u64::from_le_bytes(*rest.first_chunk()?));
        match kind {
            b'I' => Some(Self::IncidentStart {
                known_at: known_at()?,
            }),
            b'N' => Some(Self::IndicatorStart {
                known_at: known_at()?,
            }),
            b'i' => Some(Self::IncidentEnd),
            b'n' => Some(Self::IndicatorEnd),
            b'F' => {
                let (id, fields) = rest.split_first_chunk()?;
                let id = EventId::from_bytes(*id);
                Some(Self::Flow { id, fields })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back() {
        let id = EventId::from_bytes([7; 16]);
        for piece in [
            Piece::IncidentStart { known_at: u64::MAX },
            Piece::IndicatorStart { known_at: 1 },
            Piece::IncidentEnd,
            Piece::IndicatorEnd,
            Piece::Flow {
                id,
                fields: b"\"a\":1,",
            },
        ] {
            let mut record = Vec::new();
            piece.encode(&mut record);
            assert_eq!(Piece::decode(&record), Some(piece));
            assert_eq!(
                Piece::decode(&record[..record.len().min(8)]).is_some(),
                record.len() == 1
            );
        }
        assert_eq!(Piece::decode(b""), None);
        assert_eq!(Piece::decode(b"?"), None);
    }
}
