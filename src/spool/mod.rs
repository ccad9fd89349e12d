//! Batches on disk, the queue between polling and delivery: stage, commit, next, done.
//!
//! Plain files and one rename, so that anyone can look inside with `zstdcat … | jq`.

mod archive;
mod batch;
mod damage;
mod dead_letters;
mod error;
mod event_file;
mod in_place;
mod inspection;
mod letter;
mod quarantine;
mod reader;
mod room;
mod salvage;
mod sets;
mod staging;
mod whereabouts;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::config::StateConfig;
use crate::crash::{self, Point};
use crate::disk::Disk;
use crate::tape::Scratch;
use archive::Archive;
pub use batch::BatchHead;
pub use damage::{FileDamage, Rewritten};
pub use dead_letters::{
    DamagedLine, DamagedSegment, DeadLetters, KeepLetterError, MEND_LETTERS, SetAside,
};
pub use error::SpoolError;
use error::io_error;
use in_place::Places;
pub use inspection::{InspectedBatch, InspectedFile};
pub use letter::{About, BlockLetter, EventLetter, LetterHead, with_event};
pub use quarantine::Quarantined;
pub use reader::BatchReader;
pub use room::NoRoom;
use room::Room;
pub use salvage::Salvage;
pub use sets::{LeftOut, SetTooLarge};
use staging::StagingScratch;
pub use staging::{Mark, Staging};
pub use whereabouts::Place;

pub use crate::state::EventFile;
use crate::state::{BatchOutline, BatchPicture, CollectionKey};

/// A folder of a batch is called by its number, of so many digits.
const NUMBER_DIGITS: usize = 12;

/// What waits for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How many batches.
    pub batches: usize,
    /// Bytes of their events.
    pub bytes: u64,
    /// When the oldest of them was staged.
    pub oldest_at: Option<DateTime<Utc>>,
}

/// The spool of a state folder.
#[derive(Debug)]
pub struct Spool {
    disk: Disk,
    state: PathBuf,
    staging: PathBuf,
    ready: PathBuf,
    quarantine: PathBuf,
    /// What the latest polls brought, by collection.
    sets: PathBuf,
    /// Batches in whose folders such a set may still lie, with the collection that it is of.
    unadopted_sets: Mutex<BTreeMap<u64, Arc<CollectionKey>>>,
    max_bytes: u64,
    min_free_disk: u64,
    max_quarantine_bytes: u64,
    quarantined: Mutex<Quarantined>,
    dead_letters: DeadLetters,
    archive: Archive,
    batches: Mutex<Places>,
    /// What a start has found where batches lie, and is none.
    headless: Mutex<Vec<String>>,
    keep_raw: bool,
    staged: AtomicU64,
    /// Bytes of events that the polls under way have staged.
    staged_bytes: Arc<AtomicU64>,
    next_seq: AtomicU64,
    /// Bytes that polls could not have, by who polls: outputs that may release what they owe make
    /// room.
    wanted: Mutex<BTreeMap<String, u64>>,
    committing: Mutex<()>,
    mending: Mutex<()>,
    changes: watch::Sender<u64>,
    news: watch::Sender<u64>,
}

impl Spool {
    /// Opens the spool below the state folder: what was being staged is removed, what is ready is
    /// found. Of what somebody is `owed` the head is not read: the ledger knows what is in it. Sets of what
    /// polls brought are looked for in batches of collections that are `compared`.
    pub fn open(
        disk: &Disk,
        config: &StateConfig,
        owed: impl Fn(u64) -> Option<Arc<BatchPicture>>,
        compared: &[CollectionKey],
    ) -> Result<Self, SpoolError> {
        let state = config.directory.clone();
        let spool = state.join("spool");
        let staging = spool.join("staging");
        let ready = spool.join("ready");
        let quarantine = state.join("quarantine");
        let sets = spool.join(sets::FOLDER);
        for folder in [&staging, &ready, &quarantine, &sets] {
            disk.create_folders(folder)
                .map_err(io_error("making", folder))?;
        }
        let letters = spool.join("dead-letters");
        let dead_letters = DeadLetters::open(
            disk,
            letters.clone(),
            &quarantine,
            config.max_dead_letter_bytes,
        )
        .map_err(io_error("reading", &letters))?;
        crash::point(Point::LettersOpened);
        let archived = state.join("archive");
        let archive = Archive::open(
            disk,
            archived.clone(),
            ready.clone(),
            staging.clone(),
            &config.archive,
        )
        .map_err(io_error("reading", &archived))?;
        let spool = Self {
            disk: disk.clone(),
            state,
            staging,
            ready,
            quarantine,
            sets,
            unadopted_sets: Mutex::default(),
            max_bytes: config.max_spool_bytes,
            min_free_disk: config.min_free_disk,
            max_quarantine_bytes: config.max_quarantine_bytes,
            quarantined: Mutex::default(),
            dead_letters,
            archive,
            batches: Mutex::default(),
            headless: Mutex::default(),
            keep_raw: config.archive.keep_raw,
            staged: AtomicU64::new(0),
            staged_bytes: Arc::default(),
            next_seq: AtomicU64::new(1),
            wanted: Mutex::default(),
            committing: Mutex::new(()),
            mending: Mutex::new(()),
            changes: watch::Sender::new(0),
            news: watch::Sender::new(0),
        };
        // What a process put in place that was killed may not be durable yet, and is acted on now.
        for folder in [&spool.ready, &spool.staging] {
            spool
                .disk
                .sync_folder(folder)
                .map_err(io_error("syncing", folder))?;
        }
        spool
            .remove_staging()
            .map_err(io_error("clearing", &spool.staging))?;
        crash::point(Point::StagingRemoved);
        spool
            .find_ready(owed, compared)
            .map_err(io_error("reading", &spool.ready))?;
        crash::point(Point::SpoolOpened);
        Ok(spool)
    }

    /// Begins a batch, if there is room for one; for who [wants](Self::want) room, if there is as
    /// much.
    pub fn stage(&self, who: &str) -> Result<Staging, SpoolError> {
        let room = self.room()?;
        let needed = self.wants().get(who).copied().unwrap_or(0);
        if needed > room {
            return Err(SpoolError::TooLarge { needed, room });
        }
        self.stage_in(room)
    }

    fn stage_in(&self, room: u64) -> Result<Staging, SpoolError> {
        let id = self.staged.fetch_add(1, Ordering::Relaxed);
        let folder = self.staging.join(format!("{}-{id}", std::process::id()));
        let room = Room::new(
            self.disk.clone(),
            self.state.clone(),
            self.min_free_disk,
            room,
            Arc::clone(&self.staged_bytes),
        );
        Staging::create(&self.disk, folder.clone(), room, self.keep_raw)
            .map_err(io_error("staging in", &folder))
    }

    /// Ends the writing of a batch: its events and the blocks that were refused are durable then,
    /// but not yet in place.
    pub fn finish(
        &self,
        staging: &mut Staging,
        at: DateTime<Utc>,
        service: &str,
        collection: &str,
    ) -> Result<Vec<EventFile>, SpoolError> {
        let finished = staging.finish();
        finished.map_err(|error| SpoolError::staging(error, staging.folder()))?;
        let (folder, letters) = (staging.folder(), staging.letters());
        self.dead_letters
            .keep_blocks(at, service, collection, folder, letters)?;
        crash::point(Point::StagedDurably);
        Ok(staging.files().to_vec())
    }

    /// One commit at a time, its ledger record included: so a batch whose number the ledger has not
    /// reached is one without a record, and no other is.
    pub fn commit_turn(&self) -> MutexGuard<'_, ()> {
        self.committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time sets damaged files aside or mends them, the ledger's record included.
    pub fn mending_turn(&self) -> MutexGuard<'_, ()> {
        self.mending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a finished batch in place. When this returns it is durable, and a restart finds it; its
    /// ledger record is the caller's to append.
    pub fn commit(&self, mut staging: Staging, head: &BatchHead) -> Result<(), SpoolError> {
        let newer = head.seq.saturating_add(1);
        let set = staging.write_set(newer);
        let set = set.map_err(|error| SpoolError::staging(error, staging.folder()))?;
        let from = staging.folder();
        let to = self.folder(head.seq);
        let put_in_place = || -> io::Result<()> {
            for letter in staging.letters() {
                self.disk.remove_file(&from.join(&letter.file))?;
            }
            self.disk
                .write_file(&from.join(batch::FILE_NAME), &head.text()?)?;
            crash::point(Point::HeadWritten);
            self.disk.sync_folder(from)?;
            crash::point(Point::FolderSynced);
            self.disk.rename(from, &to)
        };
        if let Err(error) = put_in_place() {
            let is_out = self.out_of_place(&to, from).is_ok();
            if !is_out {
                // A crash may bring it to its place: whole then, not as removing it would leave it.
                staging.keep();
            }
            return Err(io_error("committing to", &to)(error));
        }
        staging.keep();
        crash::point(Point::Committed);
        if set.is_some() {
            let key = Arc::new(head.key());
            self.unadopted_sets().insert(head.seq, key);
        }
        self.lock().insert(head.seq, head.outline());
        Ok(())
    }

    /// A batch whose commit failed is not in place, as far as anybody knows: a later start must not
    /// think so either.
    fn out_of_place(&self, place: &Path, staging: &Path) -> io::Result<()> {
        match self.disk.rename(place, staging) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Takes a batch out of its place again, since the ledger could not be told of it.
    pub fn take_back(&self, seq: u64) -> Result<(), SpoolError> {
        let (folder, trash) = (self.folder(seq), self.trash(seq));
        self.lock().remove(seq);
        self.disk
            .rename(&folder, &trash)
            .and_then(|()| self.disk.remove_folder(&trash))
            .map_err(io_error("taking back", &folder))
    }

    /// Reads what was staged and will not be committed.
    pub fn read_staged(
        &self,
        mut staging: Staging,
        at: DateTime<Utc>,
        service: &str,
        collection: &str,
    ) -> Result<BatchReader, SpoolError> {
        let files = self.finish(&mut staging, at, service, collection)?;
        Ok(BatchReader::of_staged(staging, &files))
    }

    /// A number for a batch; it is never given again.
    pub fn next_seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers below this one were used before the start, and so were those that lie in the spool
    /// and in the archive, and those that dead letters name: a letter settles an event of its batch,
    /// never of another.
    pub fn begin_at(&self, seq: u64) {
        let ready = self.lock().last();
        let used = ready
            .unwrap_or(0)
            .max(self.last_gone())
            .max(self.last_named());
        self.next_seq
            .fetch_max(seq.max(used.saturating_add(1)), Ordering::Relaxed);
    }

    /// The highest number of a batch that is not in place, and of which something lies in the spool or in
    /// quarantine, though nobody may have heard of it: it was in place, the ledger could not be told, and
    /// its head is damaged.
    fn last_named(&self) -> u64 {
        let headless = self.headless().clone().into_iter();
        let quarantined = self.disk.names(&self.quarantine).into_iter().flatten();
        let named = headless.chain(quarantined);
        let named = named.filter_map(|name| batch_named(&name));
        named.max().unwrap_or(0)
    }

    /// The highest number of a batch that was owed once, as archive and dead letters tell it.
    #[must_use]
    pub fn last_gone(&self) -> u64 {
        let archived = self.archive.last().unwrap_or(0);
        archived.max(self.dead_letters.last_batch())
    }

    /// No batch has this number yet, nor one above it.
    #[must_use]
    pub fn unused_seq(&self) -> u64 {
        self.next_seq.load(Ordering::Relaxed)
    }

    /// Wakes whoever waits for a batch to come or go.
    pub fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes whenever a batch comes or goes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes pollers that have nothing to do: damage was set aside, or a person has set a checkpoint.
    pub fn announce_news(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Changes whenever there is news for pollers.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The numbers of the batches in place, in order.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.lock().numbers().collect()
    }

    /// What waits for delivery.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let in_place = self.lock();
        Waiting {
            batches: in_place.count(),
            bytes: in_place.bytes(),
            oldest_at: in_place.oldest().map(|batch| batch.staged_at),
        }
    }

    /// The newest batch of each collection in the archive among those that `is_wanted`, oldest
    /// first.
    #[must_use]
    pub fn newest_archived(&self, is_wanted: impl Fn(u64) -> bool) -> Vec<BatchHead> {
        let mut newest = BTreeMap::new();
        for head in self.archive.heads(is_wanted) {
            newest.insert((head.service.clone(), head.collection.clone()), head);
        }
        let mut newest: Vec<BatchHead> = newest.into_values().collect();
        newest.sort_unstable_by_key(|head| head.seq);
        newest
    }

    /// What is known of a batch in place; none if there is none of this number.
    #[must_use]
    pub fn in_place(&self, seq: u64) -> Option<BatchOutline> {
        self.lock().get(seq)
    }

    /// Reads the head of a batch in place.
    pub fn head(&self, seq: u64) -> Result<BatchHead, SpoolError> {
        let read = self.read_head(Place::Spool, seq);
        read.map_err(io_error("reading the head in", &self.folder(seq)))
    }

    /// Reads the events of a batch from line `from`, without the files of which `is_damaged`.
    #[must_use]
    pub fn read(
        &self,
        head: &BatchHead,
        from: u64,
        is_damaged: impl Fn(&str) -> bool,
    ) -> BatchReader {
        let folder = self.folder(head.seq);
        BatchReader::open(&self.disk, &folder, head, from, is_damaged)
    }

    /// Looks at what of a batch is physically there; none if it has gone meanwhile.
    #[must_use]
    pub fn inspect(&self, head: &BatchHead) -> Option<InspectedBatch> {
        let found = InspectedBatch::read(&self.disk, &self.folder(head.seq), head);
        self.in_place(head.seq).map(|_| found)
    }

    /// What the folders are called that lie where batches do.
    pub fn folders(&self) -> Result<Vec<String>, SpoolError> {
        let names = self.disk.names(&self.ready);
        names.map_err(io_error("reading", &self.ready))
    }

    /// Nobody owes the batch any more: it goes to the archive, or away.
    pub fn done(&self, seq: u64, now: DateTime<Utc>) -> Result<(), SpoolError> {
        let folder = self.folder(seq);
        if let Err(error) = self.adopt_set(seq) {
            tracing::warn!(
                seq,
                %error,
                "the set of what a poll brought goes to the archive with its batch: the next poll is \
                 compared with the one before, and what this one brought comes again"
            );
        }
        let Some(batch) = self.lock().remove(seq) else {
            return Ok(());
        };
        let taken = if batch.is_copy {
            // It would push out of the archive what it is a copy of.
            self.archive.leave_out(&folder, seq)
        } else {
            self.archive.take(&folder, seq, now)
        };
        self.announce();
        taken.map_err(io_error("archiving", &folder))
    }

    /// Bytes that wait for delivery.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Free bytes of disk beyond what must stay free.
    pub fn spare_bytes(&self) -> Result<u64, SpoolError> {
        let free = self.disk.free_bytes(&self.state);
        let free = free.map_err(io_error("measuring", &self.state))?;
        Ok(free.saturating_sub(self.min_free_disk))
    }

    /// Bytes that may wait for delivery.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The poll of `who` needs this much room and has not got it; zero takes that back.
    pub fn want(&self, who: &str, bytes: u64) {
        let mut wanted = self.wants();
        let before = match bytes {
            0 => wanted.remove(who).unwrap_or(0),
            _ => wanted.insert(who.to_owned(), bytes).unwrap_or(0),
        };
        drop(wanted);
        if before != bytes {
            self.announce();
        }
    }

    /// Who is no more wants nothing more.
    pub fn keep_wants(&self, is_there: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self
            .wants()
            .keys()
            .filter(|who| !is_there(who))
            .cloned()
            .collect();
        for who in gone {
            self.want(&who, 0);
        }
    }

    /// How many bytes of what waits for delivery must go for a poll that waits for room.
    #[must_use]
    pub fn bytes_to_release(&self) -> u64 {
        let wanted = self.wanted();
        if wanted == 0 {
            return 0;
        }
        let pending = self.pending_bytes();
        if pending == 0 {
            return 0;
        }
        let room = self.room().unwrap_or(0);
        wanted.saturating_sub(room).min(pending)
    }

    /// The most that a poll waits for.
    fn wanted(&self) -> u64 {
        self.wants().values().copied().max().unwrap_or(0)
    }

    fn wants(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Where what must wait for a while can spill to; a stop leaves nothing of it.
    #[must_use]
    pub fn scratch(&self) -> Arc<dyn Scratch> {
        Arc::new(StagingScratch {
            disk: self.disk.clone(),
            folder: self.staging.clone(),
            room: None,
        })
    }

    /// Removes what the archive keeps too long.
    pub fn evict_archive(&self, now: DateTime<Utc>) {
        self.archive.evict(now);
    }

    /// Bytes that one more batch may take. A single one may be larger than the spool when nothing
    /// else waits: it could never come in otherwise.
    fn room(&self) -> Result<u64, SpoolError> {
        let pending = self.pending_bytes();
        let spare = || -> Result<(u64, u64), SpoolError> {
            let free = self
                .disk
                .free_bytes(&self.state)
                .map_err(io_error("measuring", &self.state))?;
            Ok((free, free.saturating_sub(self.min_free_disk)))
        };
        let (mut free, mut left) = spare()?;
        // What is delivered makes room for what is not.
        if left < self.wanted().max(1) && self.archive.evict_all() {
            (free, left) = spare()?;
        }
        if pending > 0 {
            left = left.min(self.max_bytes.saturating_sub(pending));
        }
        if left == 0 {
            return Err(self.full(pending, free));
        }
        Ok(left)
    }

    fn full(&self, pending: u64, free: u64) -> SpoolError {
        SpoolError::Full {
            pending,
            limit: self.max_bytes,
            free,
            min_free: self.min_free_disk,
            quarantine: self.quarantine_worth_naming(),
        }
    }

    fn folder(&self, seq: u64) -> PathBuf {
        self.ready.join(batch_name(seq))
    }

    /// What lies here is removed at the next start.
    fn trash(&self, seq: u64) -> PathBuf {
        self.staging.join(format!("back-{seq:012}"))
    }

    fn remove_staging(&self) -> io::Result<()> {
        for name in self.disk.names(&self.staging)? {
            let left = self.staging.join(name);
            // A scratch file has a name for a moment on some file systems.
            if self.disk.metadata(&left)?.is_folder {
                self.disk.remove_folder(&left)?;
            } else {
                self.disk.remove_file(&left)?;
            }
        }
        Ok(())
    }

    fn find_ready(
        &self,
        owed: impl Fn(u64) -> Option<Arc<BatchPicture>>,
        compared: &[CollectionKey],
    ) -> io::Result<()> {
        let compared: HashMap<_, _> = compared
            .iter()
            .map(|key| (key, Arc::new(key.clone())))
            .collect();
        let mut unadopted_sets = self.unadopted_sets();
        let mut headless = self.headless();
        let mut numbers = Vec::new();
        for name in self.disk.names(&self.ready)? {
            match number_of(&name) {
                Some(seq) => numbers.push(seq),
                None => headless.push(name),
            }
        }
        // Whoever is asked finds the next beside the one before.
        numbers.sort_unstable();
        // There may be thousands, and mostly nothing is compared.
        let may_have_set = !compared.is_empty();
        let found = numbers.into_iter().filter_map(|seq| {
            let Some((outline, key)) = self.find_batch(seq, owed(seq), may_have_set) else {
                headless.push(batch_name(seq));
                return None;
            };
            if let Some(key) = key.and_then(|key| compared.get(&key).cloned()) {
                unadopted_sets.insert(seq, key);
            }
            Some((seq, outline))
        });
        *self.lock() = found.collect();
        Ok(())
    }

    /// What is known of a batch whose folder is there; none if nothing is. Its collection is told where a
    /// set of it may be there.
    fn find_batch(
        &self,
        seq: u64,
        owed: Option<Arc<BatchPicture>>,
        may_have_set: bool,
    ) -> Option<(BatchOutline, Option<CollectionKey>)> {
        if let Some(batch) = owed
            && let Some(outline) = batch.outline()
        {
            return Some((outline, may_have_set.then(|| batch.key()).flatten()));
        }
        let head = BatchHead::read(&self.disk, &self.folder(seq)).ok()?;
        (head.seq == seq).then(|| (head.outline(), Some(head.key())))
    }

    fn unadopted_sets(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<CollectionKey>>> {
        self.unadopted_sets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn headless(&self) -> MutexGuard<'_, Vec<String>> {
        self.headless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the folder of a batch is called.
fn batch_name(seq: u64) -> String {
    format!("{seq:0NUMBER_DIGITS$}")
}

/// The batch whose folder is called so.
fn number_of(name: &str) -> Option<u64> {
    let is_padded =
        name.len() == NUMBER_DIGITS || name.len() > NUMBER_DIGITS && !name.starts_with('0');
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_padded && is_number)
}

/// The batch of which something with this name is.
fn batch_named(name: &str) -> Option<u64> {
    let number = name.split(['-', '.']).next()?;
    (number.len() == NUMBER_DIGITS).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests;
