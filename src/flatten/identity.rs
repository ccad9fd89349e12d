//! The event id: the same content has the same id for ever.
//!
//! SHA-256 over a sequence of texts, each written as its length in bytes (32 bits, big-endian) and
//! then its UTF-8. The first 16 bytes are the id. `docs/events.md` holds golden values; a change
//! here needs a new [`VERSION`].

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use sha2::{Digest, Sha256};

use crate::event::{EventId, RecordType};
use crate::stix::Properties;

/// The first text of the sequence.
const VERSION: &str = "1";

/// The texts that an id is made of.
#[derive(Debug, Default)]
pub(super) struct Identity {
    texts: Vec<u8>,
}

impl Identity {
    /// The id of an observable, but for its ordinal.
    pub(super) fn of_flow(
        &mut self,
        incident_id: &str,
        indicator_id: &str,
        flow_type: &str,
        properties: &Properties,
    ) -> &mut Self {
        self.start(RecordType::Flow, incident_id);
        self.push(indicator_id);
        self.push(flow_type);
        for (name, value) in properties.iter() {
            self.push(name);
            self.push(value);
        }
        self
    }

    /// Starts the id of an incident without observables; its fields follow.
    pub(super) fn of_incident(&mut self, incident_id: &str) -> &mut Self {
        self.start(RecordType::Incident, incident_id);
        self
    }

    pub(super) fn push(&mut self, text: &str) {
        // No text is longer than the limit of the reader.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.texts.extend_from_slice(&length.to_be_bytes());
        self.texts.extend_from_slice(text.as_bytes());
    }

    pub(super) fn id(&self) -> EventId {
        let digest: [u8; 32] = Sha256::digest(&self.texts).into();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        EventId::from_bytes(id)
    }

    fn start(&mut self, record_type: RecordType, incident_id: &str) {
        self.texts.clear();
        self.push(VERSION);
        self.push(record_type.as_str());
        self.push(incident_id);
    }
}

/// Counts identical observables of one indicator, so that each has an id of its own.
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    seen: HashMap<u64, u32>,
    count: u32,
}

impl Ordinals {
    /// How many observables were counted.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many identical ones there were before.
    ///
    /// Two that differ and meet in 64 bits get the ordinals 0 and 1 where both could have 0: their
    /// ids stay different, and the same for the same content.
    pub(super) fn next(&mut self, identity: &Identity) -> u32 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&identity.texts);
        self.count += 1;
        let seen = self.seen.entry(hasher.finish()).or_default();
        let ordinal = *seen;
        *seen += 1;
        ordinal
    }
}
