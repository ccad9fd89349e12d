//! What the latest poll of a collection brought, by event id, so that only what is new goes on: for
//! Data Sets, and for services that ignore the times that they are asked for.
//!
//! A set that came with events is a file of their batch, which makes both durable by one rename, and
//! takes the place of the set before when the ledger knows the batch. As long as it has not, it
//! lies there: the next poll makes up for it, or who puts the batch away. A start does not look for it:
//! it would have to in the folders of all that waits.
//!
//! Sets do not count for `state.max_spool_bytes`: they never go, so that a poll which waited for their
//! room would wait for ever. Each has at most `limits.max_set_events` ids, and a start removes those
//! that are compared with nothing any more.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::{Spool, SpoolError, Staging, io_error};
use crate::event::EventId;
use crate::state::CollectionKey;
use crate::tape::Tape;

/// The name of a set in the folder of its batch.
pub(super) const FILE_NAME: &str = "set.ids";
/// The name of the ids that the set before did not hold: those of the batch's own events, and of the
/// content blocks that were set aside with it.
pub(super) const NEW_FILE_NAME: &str = "new.ids";
/// The folder of sets in the spool.
pub(super) const FOLDER: &str = "sets";

const ID_BYTES: usize = 16;
/// Behind the ids: the number from which on batches are newer, and a CRC-32 of all before it.
const TRAILER_BYTES: usize = 8 + 4;

/// A collection's set is larger than what may be kept of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} events in a set of {ID_BYTES} bytes each")]
pub struct SetTooLarge {
    /// How many may be in it.
    pub limit: usize,
}

/// The ids of a set, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Set {
    ids: Vec<EventId>,
    /// Batches from this number on are newer.
    as_of: u64,
}

impl Set {
    fn new(mut ids: Vec<EventId>, as_of: u64) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self { ids, as_of }
    }

    fn contains(&self, id: EventId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.ids.len() * ID_BYTES + TRAILER_BYTES);
        for id in &self.ids {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes.extend_from_slice(&self.as_of.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (rest, crc) = bytes.split_last_chunk()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (ids, as_of) = rest.split_last_chunk()?;
        let (ids, []) = ids.as_chunks::<ID_BYTES>() else {
            return None;
        };
        Some(Self {
            ids: ids.iter().map(|id| EventId::from_bytes(*id)).collect(),
            as_of: u64::from_le_bytes(*as_of),
        })
    }
}

/// Lets pass what a set does not hold, and remembers what comes; or lets pass only what it holds.
/// Either way what comes twice passes once.
pub(super) struct SetFilter {
    known: Set,
    /// Whether only what is known passes: then no set is made of it.
    only_known: bool,
    limit: usize,
    /// In the order in which they came, each once.
    seen: Vec<EventId>,
    /// The same, to find one.
    seen_ids: HashSet<EventId>,
    left_out: u64,
    /// Content blocks that were set aside before already.
    left_out_blocks: u64,
    /// Where the content block began that is being read.
    block: SetMark,
}

/// What came again, in the same answer or since the one before, and was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Events.
    pub events: u64,
    /// Content blocks that cannot be read.
    pub blocks: u64,
}

/// A set that is written.
pub(super) struct SetFiles {
    pub(super) all: Vec<u8>,
    pub(super) new: Vec<u8>,
}

/// How much has come: what comes later can be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SetMark {
    seen: usize,
    left_out: u64,
    left_out_blocks: u64,
}

impl SetFilter {
    fn new(known: Set, limit: usize) -> Self {
        Self {
            known,
            only_known: false,
            limit,
            seen: Vec::new(),
            seen_ids: HashSet::new(),
            left_out: 0,
            left_out_blocks: 0,
            block: SetMark::default(),
        }
    }

    /// Whether an event goes on.
    pub(super) fn passes(&mut self, id: EventId) -> io::Result<bool> {
        if self.only_known {
            return Ok(self.known.contains(id) && self.comes_first(id)?);
        }
        let is_new = self.is_new(id)?;
        self.left_out += u64::from(!is_new);
        Ok(is_new)
    }

    /// Whether a content block that cannot be read is to be set aside, by what it is: the same one
    /// comes with every poll.
    pub(super) fn passes_block(&mut self, raw: &mut Tape) -> io::Result<bool> {
        if self.only_known {
            return Ok(true);
        }
        let mut digest = Sha256::new();
        let mut rest = raw.rewind()?;
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = rest.read(&mut piece)?;
            match piece.get(..read) {
                Some(bytes) if !bytes.is_empty() => digest.update(bytes),
                _ => break,
            }
        }
        drop(rest);
        let id = digest.finalize().first_chunk().copied();
        let is_new = self.is_new(EventId::from_bytes(id.unwrap_or_default()))?;
        self.left_out_blocks += u64::from(!is_new);
        self.block = self.mark();
        Ok(is_new)
    }

    fn is_new(&mut self, id: EventId) -> io::Result<bool> {
        Ok(self.comes_first(id)? && !self.known.contains(id))
    }

    /// Whether the answer did not have it before.
    fn comes_first(&mut self, id: EventId) -> io::Result<bool> {
        if self.seen_ids.contains(&id) {
            return Ok(false);
        }
        if self.seen.len() >= self.limit {
            let limit = self.limit;
            return Err(io::Error::other(SetTooLarge { limit }));
        }
        self.seen.push(id);
        self.seen_ids.insert(id);
        Ok(true)
    }

    pub(super) fn left_out(&self) -> LeftOut {
        LeftOut {
            events: self.left_out,
            blocks: self.left_out_blocks,
        }
    }

    /// The content block is whole.
    pub(super) fn block_read(&mut self) {
        self.block = self.mark();
    }

    /// The content block counts for nothing.
    pub(super) fn block_refused(&mut self) {
        self.take_back(self.block);
    }

    pub(super) fn mark(&self) -> SetMark {
        SetMark {
            seen: self.seen.len(),
            left_out: self.left_out,
            left_out_blocks: self.left_out_blocks,
        }
    }

    pub(super) fn take_back(&mut self, mark: SetMark) {
        for id in self.seen.drain(mark.seen.min(self.seen.len())..) {
            self.seen_ids.remove(&id);
        }
        self.left_out = mark.left_out;
        self.left_out_blocks = mark.left_out_blocks;
        self.block = mark;
    }

    /// What came, and what of it is new, as files; none if it is what was known.
    pub(super) fn files(&mut self, as_of: u64) -> Option<SetFiles> {
        if self.only_known {
            return None;
        }
        self.seen_ids = HashSet::new();
        let all = Set::new(std::mem::take(&mut self.seen), as_of);
        if all.ids == self.known.ids {
            return None;
        }
        let new = all.ids.iter().filter(|id| !self.known.contains(**id));
        let new = Set::new(new.copied().collect(), as_of);
        Some(SetFiles {
            all: all.encode(),
            new: new.encode(),
        })
    }
}

impl Spool {
    /// From here on only those events are staged that the set before did not hold.
    pub fn stage_only_new(
        &self,
        staging: &mut Staging,
        key: &CollectionKey,
        limit: usize,
    ) -> Result<(), SpoolError> {
        self.adopt_sets(key)?;
        staging.filter(SetFilter::new(self.known_set(key, limit)?, limit));
        Ok(())
    }

    /// From here on, if a batch holds only what was new of an answer, only that is staged: the same
    /// answer, asked for again to repair it, brings all of it.
    pub fn stage_only_of(&self, staging: &mut Staging, seq: u64) -> Result<(), SpoolError> {
        let path = self.folder(seq).join(NEW_FILE_NAME);
        let set = self.read_set(&path);
        if let Some(known) = set.map_err(io_error("reading the set", &path))? {
            // All of it may come, and nothing else is remembered.
            let limit = known.ids.len();
            staging.filter(SetFilter {
                only_known: true,
                ..SetFilter::new(known, limit)
            });
        }
        Ok(())
    }

    /// The set of a batch is not kept: all that comes next is compared with what was there before.
    pub fn drop_set(&self, seq: u64) -> Result<(), SpoolError> {
        if self.unadopted_sets().remove(&seq).is_none() {
            return Ok(());
        }
        let folder = self.folder(seq);
        self.disk
            .remove_file_if_there(&folder.join(FILE_NAME))
            .and_then(|()| self.disk.sync_folder(&folder))
            .map_err(io_error("dropping the set in", &folder))
    }

    /// The set of a batch that the ledger knows takes the place of the one before, if there is one.
    pub fn adopt_set(&self, seq: u64) -> Result<(), SpoolError> {
        let Some(key) = self.unadopted_sets().get(&seq).cloned() else {
            return Ok(());
        };
        // One that has gone to the archive took its set with it.
        if self.in_place(seq).is_some() {
            let new = self.folder(seq).join(FILE_NAME);
            let adopted = self.adopt(seq, &new, &key);
            adopted.map_err(io_error("keeping the set in", &new))?;
        }
        self.unadopted_sets().remove(&seq);
        Ok(())
    }

    fn adopt(&self, seq: u64, new: &Path, key: &CollectionKey) -> io::Result<()> {
        if !self.disk.exists(new)? {
            return Ok(());
        }
        let kept = &self.set_file(key);
        let is_newer = self.read_set(kept)?.is_none_or(|set| set.as_of <= seq);
        let adopted = if is_newer {
            self.disk.rename(new, kept)
        } else {
            self.disk.remove_file(new)
        };
        match adopted {
            // Another was quicker: a poll, or who puts the batch away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            adopted => adopted,
        }
    }

    /// A set that brought nothing new takes the place of the one before.
    pub fn replace_set(
        &self,
        staging: &mut Staging,
        key: &CollectionKey,
    ) -> Result<(), SpoolError> {
        let kept = self.set_file(key);
        let as_of = self.next_seq.load(Ordering::Relaxed);
        let mut replace = || -> io::Result<()> {
            match staging.write_set(as_of)? {
                Some(new) => self.disk.rename(&new, &kept),
                None => Ok(()),
            }
        };
        replace().map_err(io_error("keeping the set", &kept))
    }

    /// All that comes counts as new again.
    pub fn forget_set(&self, key: &CollectionKey) -> Result<(), SpoolError> {
        self.adopt_sets(key)?;
        let kept = self.set_file(key);
        self.disk
            .remove_file_if_there(&kept)
            .and_then(|()| self.disk.sync_folder(&self.sets))
            .map_err(io_error("forgetting the set", &kept))
    }

    /// Removes the sets of all other collections than these, and tells how many there were. Those that still
    /// lie in batches are not looked for any more, and go where these go.
    pub fn keep_sets_of(&self, keys: &[CollectionKey]) -> Result<usize, SpoolError> {
        let compared: HashSet<&CollectionKey> = keys.iter().collect();
        self.unadopted_sets()
            .retain(|_, key| compared.contains(&**key));
        let kept: Vec<PathBuf> = keys.iter().map(|key| self.set_file(key)).collect();
        let remove = || -> io::Result<usize> {
            let names = self.disk.names(&self.sets)?;
            let mut paths: Vec<PathBuf> = names.iter().map(|name| self.sets.join(name)).collect();
            paths.retain(|path| !kept.contains(path));
            for path in &paths {
                self.disk.remove_file_if_there(path)?;
            }
            if !paths.is_empty() {
                self.disk.sync_folder(&self.sets)?;
            }
            Ok(paths.len())
        };
        remove().map_err(io_error("removing sets that nobody needs in", &self.sets))
    }

    /// The sets that lie in batches of the collection, the oldest first.
    fn adopt_sets(&self, key: &CollectionKey) -> Result<(), SpoolError> {
        let of_it: Vec<u64> = {
            let unadopted = self.unadopted_sets();
            let of_it = unadopted.iter().filter(|(_, of)| ***of == *key);
            of_it.map(|(seq, _)| *seq).collect()
        };
        for seq in of_it {
            self.adopt_set(seq)?;
        }
        Ok(())
    }

    /// What is damaged counts as nothing: everything comes once more.
    fn known_set(&self, key: &CollectionKey, limit: usize) -> Result<Set, SpoolError> {
        let kept = self.set_file(key);
        let set = self.read_set_of(&kept, limit);
        let set = set.map_err(io_error("reading the set", &kept))?;
        Ok(set.unwrap_or_default())
    }

    fn read_set(&self, path: &Path) -> io::Result<Option<Set>> {
        self.read_set_of(path, usize::MAX / ID_BYTES - TRAILER_BYTES)
    }

    fn read_set_of(&self, path: &Path, limit: usize) -> io::Result<Option<Set>> {
        let max_bytes = limit.saturating_mul(ID_BYTES).saturating_add(TRAILER_BYTES);
        let bytes = match self.disk.read_at_most(path, max_bytes as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A limit that was lowered, or another file.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
            Err(error) => return Err(error),
        };
        let set = Set::decode(&bytes);
        if set.is_none() {
            tracing::warn!(
                file = %path.display(),
                "a set of what a poll brought is damaged, or larger than limits.max_set_events: all of \
                 the next one counts as new, and what was delivered comes again with the same eventId"
            );
        }
        Ok(set)
    }

    fn set_file(&self, key: &CollectionKey) -> PathBuf {
        let mut digest = Sha256::new();
        digest.update(key.service.as_bytes());
        digest.update([0]);
        digest.update(key.collection.as_bytes());
        let digest = digest.finalize();
        let id = digest.first_chunk().copied().unwrap_or_default();
        self.sets.join(format!("{}.ids", EventId::from_bytes(id)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> EventId {
        EventId::from_bytes([number; ID_BYTES])
    }

    fn filter(known: &[u8], limit: usize) -> SetFilter {
        SetFilter::new(Set::new(known.iter().copied().map(id).collect(), 7), limit)
    }

    fn ids(file: &[u8]) -> Vec<EventId> {
        Set::decode(file).unwrap().ids
    }

    proptest! {
        #[test]
        fn a_set_comes_back_and_no_other(
            ids in prop::collection::vec(any::<[u8; ID_BYTES]>(), 0..50),
            as_of: u64,
            place: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let set = Set::new(ids.into_iter().map(EventId::from_bytes).collect(), as_of);
            let mut bytes = set.encode();
            prop_assert_eq!(Set::decode(&bytes), Some(set));
            let place = place.index(bytes.len());
            prop_assert_eq!(Set::decode(&bytes[..place]), None);
            bytes[place] ^= 1 << bit;
            prop_assert_eq!(Set::decode(&bytes), None);
        }
    }

    #[test]
    fn only_what_was_not_known_is_new() {
        let mut filter = filter(&[2, 1], 9);
        let new: Vec<bool> = [1, 3, 2].map(|n| filter.passes(id(n)).unwrap()).to_vec();
        assert_eq!(new, [false, true, false]);
        assert_eq!(filter.left_out().events, 2);
        let files = filter.files(8).unwrap();
        assert_eq!(ids(&files.all), [id(1), id(2), id(3)]);
        assert_eq!(ids(&files.new), [id(3)]);
    }

    #[test]
    fn what_comes_twice_in_one_answer_passes_once() {
        let passes = |filter: &mut SetFilter, numbers: &[u8]| -> Vec<bool> {
            let pass = |n: &u8| filter.passes(id(*n)).unwrap();
            numbers.iter().map(pass).collect()
        };
        // A limit counts what is different.
        let mut one = filter(&[1], 3);
        assert_eq!(
            passes(&mut one, &[2, 1, 2, 1, 3]),
            [true, false, false, false, true]
        );
        assert_eq!(one.left_out().events, 3);
        // What was taken back comes first again.
        one.block_read();
        one.take_back(SetMark::default());
        assert_eq!(passes(&mut one, &[3, 2, 3]), [true, true, false]);
        assert_eq!(one.left_out().events, 1);
        assert_eq!(ids(&one.files(8).unwrap().new), [id(2), id(3)]);
        // So does what is asked for again to repair a batch.
        let mut repair = SetFilter {
            only_known: true,
            ..filter(&[1, 2], 2)
        };
        assert_eq!(
            passes(&mut repair, &[2, 3, 1, 2, 1]),
            [true, false, true, false, false]
        );
    }

    #[test]
    fn what_counts_for_nothing_is_taken_back() {
        let mut filter = filter(&[1], 9);
        filter.passes(id(1)).unwrap();
        filter.block_read();
        filter.passes(id(1)).unwrap();
        filter.passes(id(2)).unwrap();
        filter.block_refused();
        assert_eq!(filter.left_out().events, 1);
        let mark = filter.mark();
        filter.passes(id(3)).unwrap();
        filter.block_read();
        filter.take_back(mark);
        filter.passes(id(4)).unwrap();
        filter.block_refused();
        // As before: nothing to write.
        assert!(filter.files(8).is_none());
    }

    #[test]
    fn a_set_has_a_limit() {
        let mut filter = filter(&[], 2);
        filter.passes(id(1)).unwrap();
        filter.passes(id(2)).unwrap();
        let error = filter.passes(id(3)).unwrap_err().to_string();
        assert_eq!(error, "more than 2 events in a set of 16 bytes each");
    }
}
