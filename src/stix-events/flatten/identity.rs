//! The event id: the same content has the same id for ever.
//!
//! SHA-256 over a sequence of texts, each written as its length in bytes (32 bits, big-endian) and
//! then its UTF-8. The first 16 bytes are the id. `docs/events.md` holds golden values; a change
//! here needs a new [`VERSION`].

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::event::{EventId, RecordType};
use crate::stix::PropertiesView;

/// The first text of the sequence.
const VERSION: &str = "1";

/// The texts that an id is made of.
#[derive(Debug, Default)]
pub(super) struct Identity {
    texts: Vec<u8>,
    /// The first texts of the last object, and their digest: those of its neighbours are the same.
    last: Option<(Vec<u8>, Sha256)>,
}

impl Identity {
    /// The id of an object; `around` are the ids of what it belongs to, `ordinals` those of its
    /// indicator.
    pub(super) fn of_object(
        &mut self,
        record_type: RecordType,
        around: &[&str],
        kind: &str,
        properties: PropertiesView<'_>,
        ordinals: &mut Ordinals,
    ) -> EventId {
        self.start(record_type);
        for id in around {
            self.push(id);
        }
        self.push(kind);
        let mut digest = self.digest_of_texts();
        digest.update(properties.as_bytes());
        // Nearly every one is the first of its kind.
        let first = self.with_ordinal(digest.clone(), "0");
        match ordinals.next(first_bytes(&first)) {
            0 => EventId::from_bytes(first_bytes(&first)),
            ordinal => {
                let digest = self.with_ordinal(digest, &ordinal.to_string());
                EventId::from_bytes(first_bytes(&digest))
            }
        }
    }

    fn with_ordinal(&mut self, mut digest: Sha256, ordinal: &str) -> [u8; 32] {
        self.texts.clear();
        self.push(ordinal);
        digest.update(&self.texts);
        digest.finalize().into()
    }

    /// Keeps no more memory than this in one place.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.texts.clear();
        self.texts.shrink_to(bytes);
        self.last.take_if(|(texts, _)| texts.len() > bytes);
    }

    fn digest_of_texts(&mut self) -> Sha256 {
        match &self.last {
            Some((texts, digest)) if *texts == self.texts => digest.clone(),
            _ => {
                let digest = Sha256::new_with_prefix(&self.texts);
                self.last = Some((self.texts.clone(), digest.clone()));
                digest
            }
        }
    }

    /// Starts the id of an incident without observables; its fields follow.
    pub(super) fn of_incident(&mut self, incident_id: &str) -> &mut Self {
        self.start(RecordType::Incident);
        self.push(incident_id);
        self
    }

    /// Starts the id of an indicator without observables; its fields follow.
    pub(super) fn of_indicator(&mut self, indicator_id: &str) -> &mut Self {
        self.start(RecordType::Indicator);
        self.push(indicator_id);
        self
    }

    pub(super) fn push(&mut self, text: &str) {
        // No text is longer than the limit of the reader.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.texts.extend_from_slice(&length.to_be_bytes());
        self.texts.extend_from_slice(text.as_bytes());
    }

    pub(super) fn id(&self) -> EventId {
        EventId::from_bytes(first_bytes(&Sha256::digest(&self.texts).into()))
    }

    fn start(&mut self, record_type: RecordType) {
        self.texts.clear();
        self.push(VERSION);
        self.push(record_type.as_str());
    }
}

fn first_bytes<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

/// Counts identical observables of one indicator, so that each has an id of its own.
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    /// By the first bytes of the id that each would have as the first one. Two that differ and meet in
    /// them get the ordinals 0 and 1 where both could have 0: their ids stay different, and the same for
    /// the same content.
    seen: HashMap<u64, u32>,
    count: u32,
}

impl Ordinals {
    /// How many observables were counted.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Forgets all; what memory it has stays, unless it is much.
    pub(super) fn clear(&mut self) {
        const MAX_KEPT: usize = 1024;
        self.count = 0;
        self.seen.clear();
        self.seen.shrink_to(MAX_KEPT);
    }

    /// How many identical ones there were before.
    fn next(&mut self, content: [u8; 8]) -> u32 {
        self.count += 1;
        let seen = self.seen.entry(u64::from_ne_bytes(content)).or_default();
        let ordinal = *seen;
        *seen += 1;
        ordinal
    }
}
