//! What of a package waits for its end, on tapes.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::leaving::{Desk, Leaving, Left};
use super::records::{IncidentRecord, IndicatorRecord};
use super::{EventSink, FlattenLimits, Package, keep};
use crate::stix::{
    ObjectKind, Observable, PropertiesView, ReadPackageError, Reference, ReferenceKind, Relations,
};
use crate::tape::{Scratch, Tape};

/// Memory for the observables that wait; what is more goes to a scratch file.
const CONTENTS_MEMORY: usize = 8 << 20;
/// Memory for what is known of incidents and indicators.
const SCOPES_MEMORY: usize = 2 << 20;

/// The first byte of an object's record, with bits of what it is.
const OBJECT: u8 = 0x80;
const STANDARD: u8 = 1;
const RELATED: u8 = 2;
const NEGATED: u8 = 4;
const LAST_OBJECT: u8 = OBJECT | STANDARD | RELATED | NEGATED;

/// The contents of a package in document order, and what is known of its incidents and indicators
/// in the order of their ends: only when the package has ended can the two be put together.
pub(super) struct Waiting {
    contents: Tape,
    scopes: Tape,
    record: Vec<u8>,
    objects: u64,
}

/// A piece of a package's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// An incident starts; what is known of it is the [`IncidentRecord`] at this place.
    IncidentStart { known_at: u64, id: &'a str },
    /// An indicator starts; what is known of it is the [`IndicatorRecord`] at this place.
    IndicatorStart { known_at: u64, id: &'a str },
    /// An observable that has an id starts.
    ObservableStart { id: &'a str },
    /// The innermost incident ends.
    IncidentEnd,
    /// The innermost indicator ends.
    IndicatorEnd,
    /// The innermost observable that has an id ends.
    ObservableEnd,
    /// An object of an observable.
    Object(ObjectPiece<'a>),
    /// Something that stands elsewhere; what is no part of anything is only listed.
    Reference {
        kind: ReferenceKind,
        is_part: bool,
        operator: &'a str,
        id: &'a str,
    },
}

/// An object as it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectPiece<'a> {
    pub(super) kind: ObjectKind<'a>,
    pub(super) operator: &'a str,
    /// May be empty.
    pub(super) id: &'a str,
    pub(super) is_negated: bool,
    /// Where its [`Relations`] are, if it has any.
    pub(super) related_at: Option<u64>,
    pub(super) properties: PropertiesView<'a>,
}

/// Where the start of an incident or indicator, or a related object, lies among the contents.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartPlace(u64);

impl Waiting {
    pub(super) fn new(scratch: &Arc<dyn Scratch>, max_bytes: u64) -> Self {
        let tape = |memory| Tape::new(Arc::clone(scratch), memory, max_bytes);
        Self {
            contents: tape(CONTENTS_MEMORY),
            scopes: tape(SCOPES_MEMORY),
            record: Vec::new(),
            objects: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.contents.clear();
        self.scopes.clear();
        self.objects = 0;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.contents.len() + self.scopes.len()
    }

    /// What it keeps of memory, whatever waits.
    pub(super) fn capacity(&self) -> usize {
        self.contents.capacity() + self.scopes.capacity()
    }

    /// How many objects wait.
    pub(super) fn objects(&self) -> u64 {
        self.objects
    }

    pub(super) fn start_incident(&mut self, id: &str) -> io::Result<StartPlace> {
        self.put_start(b'I', id)
    }

    pub(super) fn start_indicator(&mut self, id: &str) -> io::Result<StartPlace> {
        self.put_start(b'N', id)
    }

    pub(super) fn start_observable(&mut self, id: &str) -> io::Result<()> {
        self.begin(b'O');
        self.record.extend_from_slice(id.as_bytes());
        self.put().map(drop)
    }

    pub(super) fn object(&mut self, observable: Observable<'_>) -> io::Result<StartPlace> {
        let (standard, kind) = match observable.kind {
            ObjectKind::Custom(kind) => (0, kind),
            ObjectKind::Standard(kind) => (STANDARD, kind),
        };
        let related = if observable.is_related { RELATED } else { 0 };
        let negated = if observable.is_negated { NEGATED } else { 0 };
        self.begin(OBJECT | standard | related | negated);
        if observable.is_related {
            self.record.extend_from_slice(&0_u64.to_le_bytes());
        }
        self.put_text(kind);
        self.put_text(observable.operator.unwrap_or_default());
        self.put_text(observable.object_id);
        observable.properties.encode(&mut self.record);
        self.objects += 1;
        self.put().map(StartPlace)
    }

    pub(super) fn related(&mut self, object: StartPlace, relations: &Relations) -> io::Result<()> {
        self.know(object, relations)
    }

    pub(super) fn reference(&mut self, reference: Reference<'_>, is_part: bool) -> io::Result<()> {
        self.begin(b'R');
        self.record.push(match reference.kind {
            ReferenceKind::Indicator => b'N',
            ReferenceKind::Observable => b'O',
            ReferenceKind::Object => b'C',
        });
        self.record.push(u8::from(is_part));
        self.put_text(reference.operator.unwrap_or_default());
        self.record.extend_from_slice(reference.id.as_bytes());
        self.put().map(drop)
    }

    pub(super) fn end_observable(&mut self) -> io::Result<()> {
        self.begin(b'o');
        self.put().map(drop)
    }

    pub(super) fn end_incident(
        &mut self,
        start: StartPlace,
        record: &IncidentRecord,
    ) -> io::Result<()> {
        self.begin(b'i');
        self.put()?;
        self.know(start, record)
    }

    pub(super) fn end_indicator(
        &mut self,
        start: StartPlace,
        record: &IndicatorRecord,
    ) -> io::Result<()> {
        self.begin(b'n');
        self.put()?;
        self.know(start, record)
    }

    /// All of the package's events leave, in document order.
    pub(super) fn leave(
        &mut self,
        package: &mut Package,
        limits: FlattenLimits,
        desk: &mut Desk,
        sink: &mut dyn EventSink,
    ) -> Result<Left, ReadPackageError> {
        if !package.references.is_empty() {
            self.find_what_is_named(package).map_err(keep)?;
        }
        let known = self.scopes.random_access();
        let contents = self.contents.random_access();
        let left = Leaving::new(contents, known, package, limits, desk, sink).all();
        desk.tidy();
        left
    }

    /// Only now it is known which of the ids matter.
    fn find_what_is_named(&mut self, package: &mut Package) -> io::Result<()> {
        let mut contents = self.contents.random_access();
        let mut place = 0;
        while place < contents.len() {
            let next = contents.read_record(place, &mut self.record)?;
            let (kind, id) = match Piece::decode(&self.record)? {
                Piece::IndicatorStart { id, .. } => (ReferenceKind::Indicator, id),
                Piece::ObservableStart { id } => (ReferenceKind::Observable, id),
                Piece::Object(object) => (ReferenceKind::Object, object.id),
                _ => (ReferenceKind::Object, ""),
            };
            if !id.is_empty() {
                package.references.define(kind, id, place);
            }
            place = next;
        }
        Ok(())
    }

    fn begin(&mut self, kind: u8) {
        self.record.clear();
        self.record.push(kind);
    }

    fn put_text(&mut self, text: &str) {
        // No text is longer than the limit of the reader.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.record.extend_from_slice(&length.to_le_bytes());
        self.record.extend_from_slice(text.as_bytes());
    }

    fn put_start(&mut self, kind: u8, id: &str) -> io::Result<StartPlace> {
        self.begin(kind);
        self.record.extend_from_slice(&0_u64.to_le_bytes());
        self.record.extend_from_slice(id.as_bytes());
        self.put().map(StartPlace)
    }

    fn put(&mut self) -> io::Result<u64> {
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

    /// Whether something starts that has an end.
    pub(super) fn is_start(&self) -> bool {
        matches!(
            self,
            Self::IncidentStart { .. } | Self::IndicatorStart { .. } | Self::ObservableStart { .. }
        )
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(
            self,
            Self::IncidentEnd | Self::IndicatorEnd | Self::ObservableEnd
        )
    }

    pub(super) fn decode(record: &'a [u8]) -> io::Result<Self> {
        Self::decode_known(record).ok_or_else(|| io::Error::other("an unknown record on the tape"))
    }

    fn decode_known(record: &'a [u8]) -> Option<Self> {
        let (kind, rest) = record.split_first()?;
        Some(match kind {
            b'I' | b'N' => {
                let (known_at, id) = rest.split_first_chunk()?;
                let known_at = u64::from_le_bytes(*known_at);
                let id = str::from_utf8(id).ok()?;
                if *kind == b'I' {
                    Self::IncidentStart { known_at, id }
                } else {
                    Self::IndicatorStart { known_at, id }
                }
            }
            b'O' => Self::ObservableStart {
                id: str::from_utf8(rest).ok()?,
            },
            b'i' => Self::IncidentEnd,
            b'n' => Self::IndicatorEnd,
            b'o' => Self::ObservableEnd,
            OBJECT..=LAST_OBJECT => {
                let (related_at, rest) = if kind & RELATED == 0 {
                    (None, rest)
                } else {
                    let (place, rest) = rest.split_first_chunk()?;
                    (Some(u64::from_le_bytes(*place)), rest)
                };
                let (name, rest) = split_text(rest)?;
                let (operator, rest) = split_text(rest)?;
                let (id, rest) = split_text(rest)?;
                Self::Object(ObjectPiece {
                    kind: if kind & STANDARD == 0 {
                        ObjectKind::Custom(name)
                    } else {
                        ObjectKind::Standard(name)
                    },
                    operator,
                    id,
                    is_negated: kind & NEGATED != 0,
                    related_at,
                    properties: PropertiesView::decode(rest)?,
                })
            }
            b'R' => {
                let ([kind, is_part], rest) = rest.split_first_chunk()?;
                let (operator, id) = split_text(rest)?;
                Self::Reference {
                    kind: match kind {
                        b'N' => ReferenceKind::Indicator,
                        b'O' => ReferenceKind::Observable,
                        _ => ReferenceKind::Object,
                    },
                    is_part: *is_part != 0,
                    operator,
                    id: str::from_utf8(id).ok()?,
                }
            }
            _ => return None,
        })
    }
}

fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_piece() {
        for record in [
            &b""[..],
            b"?",
            b"I1234567",
            b"N12345678\xff",
            b"O\xff",
            b"S\x02\0\0\0a",
            b"\x80\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0",
            b"\x82\0\0\0\0",
            b"\x8312345678\0\0\0\0\x01\0\0\0",
            b"R",
            b"RN\x01\x09\0\0\0a",
        ] {
            assert_eq!(Piece::decode_known(record), None, "{record:?}");
            assert!(Piece::decode(record).is_err());
        }
        let ends = [(b"i", Piece::IncidentEnd), (b"n", Piece::IndicatorEnd)];
        for (record, piece) in ends {
            assert_eq!(Piece::decode_known(record), Some(piece));
        }
    }
}
