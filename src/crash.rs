//! Named moments at which a test lets the agent die, as `kill -9` or a power cut would.
//!
//! Without the feature `crash-points` a [`point`] is nothing. With it the process kills itself when
//! the point that [`VARIABLE`] names is reached: `CTA_FORWARDER_CRASH_AT=disk.renamed`, or for the
//! second time that it is reached `CTA_FORWARDER_CRASH_AT=disk.renamed:2`.

use std::io::{self, Write};

/// Names the point at which the process ends, and which time that it is reached.
pub const VARIABLE: &str = "CTA_FORWARDER_CRASH_AT";

/// Makes the closed list, each with its name.
macro_rules! points {
    ($($(#[doc = $told:literal])+ $point:ident = $name:literal,)+) => {
        /// A moment between two durable effects; each says what lies on the disk then.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($(#[doc = $told])+ $point,)+
        }

        impl Point {
            /// All of them, in the order in which an event meets them.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// The name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// The lock is held, and nothing was looked at.
    LockTaken = "start.lock_taken",
    /// A store that cannot be opened lies in quarantine; there is none.
    StoreSetAside = "store.set_aside",
    /// A store was made anew, with nothing in it.
    StoreMadeAnew = "store.made_anew",
    /// There is a store, as it was found or empty; the ledger was not compared with it.
    StoreOpened = "start.store_opened",
    /// A segment of a ledger that is lost lies in quarantine; others may still be there.
    SegmentSetAside = "ledger.segment_set_aside",
    /// A segment of the ledger has its name and no bytes.
    SegmentMade = "ledger.segment_made",
    /// Half of a record stands at the end of the ledger.
    RecordTorn = "ledger.record_torn",
    /// A record is in the ledger, not synced and not in the store.
    RecordWritten = "ledger.record_written",
    /// A record is durable, and the store does not know it.
    RecordSynced = "ledger.record_synced",
    /// A segment opens with its snapshot; those that are too many are still there.
    SnapshotWritten = "ledger.snapshot_written",
    /// One segment that is too many is gone.
    OldSegmentRemoved = "ledger.old_segment_removed",
    /// Ledger and store have a record, and nobody has gone on from it.
    RecordStored = "ledger.record_stored",
    /// Ledger and store agree; the spool was not looked at.
    StateOpened = "start.state_opened",
    /// The dead letters were counted, and blocks without a letter are gone.
    LettersOpened = "start.letters_opened",
    /// What was being staged is gone.
    StagingRemoved = "start.staging_removed",
    /// The batches in place were found; their records were not compared.
    SpoolOpened = "start.spool_opened",
    /// A batch that was in place without a record has it.
    BatchRecorded = "start.batch_recorded",
    /// A batch that nobody owes any more has gone to the archive at last.
    BatchArchived = "start.batch_archived",
    /// A folder among the batches that is none lies in quarantine.
    HeadlessSetAside = "damage.headless_set_aside",
    /// The ledger says again that an output has done with a batch that lies in the archive.
    ArchivedFinished = "start.archived_finished",
    /// A cursor has caught up with a letter that was durable before it.
    CursorCaughtUp = "start.cursor_caught_up",
    /// The dead letters agree with ledger and cursors.
    LettersRecovered = "start.letters_recovered",
    /// The ledger says that what may be missing has been dealt with.
    RecoveredRecorded = "start.recovered_recorded",
    /// A new output is in the ledger.
    OutputAdded = "start.output_added",
    /// Everything is recovered; nothing runs.
    Built = "start.built",
    /// The socket for commands is there.
    Listening = "control.listening",

    /// A staging folder is there, without a file.
    StagingMade = "spool.staging_made",
    /// The gate is closed in the ledger, and no byte of the request was sent.
    GateClosed = "poll.gate_closed",
    /// The head of the answer has come; the ledger does not know.
    HeadCame = "poll.head_came",
    /// The ledger knows of the head; nothing of the body was read.
    HeadRecorded = "poll.head_recorded",
    /// A file of events has its name and no bytes.
    EventsMade = "spool.events_made",
    /// A file of events is whole and not synced.
    EventsWritten = "spool.events_written",
    /// A file of events is durable in its staging folder.
    EventsSynced = "spool.events_synced",
    /// A content block that cannot be read lies in its staging folder.
    BlockStaged = "spool.block_staged",
    /// A part of the answer is staged, and others are still to come.
    PartStaged = "poll.part_staged",
    /// A window could not be read, and the ledger has counted it.
    FailureRecorded = "poll.failure_recorded",
    /// A window that cannot be read lies in quarantine; the ledger does not say so.
    AnswerQuarantined = "poll.answer_quarantined",
    /// All parts are staged; the last file is open.
    AllStaged = "poll.all_staged",
    /// A content block has a second name among the dead letters, and no letter.
    BlockLinked = "letters.block_linked",
    /// Half of a line stands at the end of the dead letters.
    LineTorn = "letters.line_torn",
    /// A line of the dead letters is written and not synced.
    LineWritten = "letters.line_written",
    /// A line of the dead letters is durable; whoever wrote it does not know.
    LineSynced = "letters.line_synced",
    /// Everything staged is durable, its letters too; there is no head.
    StagedDurably = "spool.staged_durably",
    /// The head of the batch is written, in the staging folder.
    HeadWritten = "spool.head_written",
    /// The staging folder is durable as it is.
    FolderSynced = "spool.folder_synced",
    /// Something is renamed, and neither folder was synced.
    Renamed = "disk.renamed",
    /// Something is renamed; its old folder was not synced.
    NewNameSynced = "disk.new_name_synced",
    /// A batch is in place, durably; the ledger does not know it.
    Committed = "spool.committed",
    /// The ledger knows a polled batch; nobody was told.
    PollRecorded = "poll.recorded",
    /// A polled batch was announced.
    Announced = "poll.announced",

    /// Events were read for a request that was not sent.
    BeforeLaunch = "deliver.before_launch",
    /// A request is under way, as far as the agent knows.
    Launched = "deliver.launched",
    /// The receiver has answered; nothing of that is written down.
    Landed = "deliver.landed",
    /// An indexer has said `true`; the receipt is still kept.
    Acknowledged = "deliver.acknowledged",
    /// Cursors and receipts are in the store.
    WorkKept = "deliver.work_kept",
    /// An event is set aside durably; its cursor does not know.
    LetterKept = "deliver.letter_kept",
    /// The ledger says that an output has done with a batch, which still lies in the spool.
    FinishRecorded = "deliver.finish_recorded",
    /// A batch is in the archive; the folders were not synced, and nothing was evicted.
    Archived = "archive.moved",
    /// A batch that is not kept lies in the trash.
    Trashed = "archive.trashed",
    /// One archived batch is evicted.
    Evicted = "archive.evicted",

    /// All that a pushed message holds is read and staged for each of its collections.
    PushStaged = "inbox.push_staged",
    /// The batch of a pushed message is in place; the ledger does not know it.
    PushCommitted = "inbox.push_committed",
    /// The ledger has it; its sender was not told.
    PushRecorded = "inbox.push_recorded",

    /// A drop is in the ledger; the letters still lie there.
    DropRecorded = "letters.drop_recorded",
    /// A batch of letters that are sent again, or of a replay or a test, is in place; the ledger does
    /// not know it.
    RetryCommitted = "letters.retry_committed",
    /// The ledger has the batch in the place of its letters; they still lie there.
    RetryRecorded = "letters.retry_recorded",
    /// Letters that are gone have their tombstones.
    TombstonesWritten = "letters.tombstones_written",
    /// The block of a letter that is gone is removed.
    DeadBlockRemoved = "letters.dead_block_removed",
    /// A segment without living letters is removed.
    LetterSegmentRemoved = "letters.segment_removed",
    /// The ledger says that nothing is left of letters that are gone.
    ClearedRecorded = "letters.cleared_recorded",

    /// A file of a batch is found damaged, and lies where it was.
    DamageNoticed = "damage.noticed",
    /// A damaged file lies in quarantine; the ledger does not know.
    DamageSetAside = "damage.set_aside",
    /// The ledger knows of a damaged file; nobody was told.
    DamageRecorded = "damage.recorded",
    /// A damaged head lies in quarantine; the batch has none.
    HeadSetAside = "damage.head_set_aside",
    /// A head that was written again is whole under another name; the batch has none.
    HeadStaged = "damage.head_staged",
    /// A head that was written again is in its place.
    HeadRestored = "damage.head_restored",
    /// A window came again, whole and durable in staging; its damaged batch is as it was.
    AnswerStaged = "repair.answer_staged",
    /// A damaged file was written again, durably, and is still in staging.
    FileRewritten = "repair.file_rewritten",
    /// A file that was written again is in its place; the ledger does not know.
    FileBack = "repair.file_back",
    /// A file that is whole after all is back from quarantine; the ledger does not know.
    FileReclaimed = "repair.file_reclaimed",
    /// The ledger knows that damaged files are back; nobody was told.
    MendRecorded = "repair.mend_recorded",
    /// What damaged files held is staged anew, durably; it is no batch yet.
    RepairStaged = "repair.batch_staged",
    /// A batch with what damaged files held is in place; the ledger does not know it.
    RepairCommitted = "repair.batch_committed",
    /// The ledger has a repair's batch in the place of damaged lines; nobody was told.
    RepairRecorded = "repair.batch_recorded",
    /// A damaged window did not come, and the ledger has counted it.
    RepairFailureRecorded = "repair.failure_recorded",
    /// The ledger says that what damaged files held is lost; nobody was told.
    RepairEnded = "repair.ended",
    /// The ledger has told again what could not be read of it; whoever asked does not know.
    LedgerRetold = "check.ledger_retold",
    /// A checkpoint that a person set is in the ledger; the person was not told.
    CheckpointRecorded = "checkpoint.recorded",

    /// Everybody was told to stop.
    Stopping = "stop.told",
    /// Everything in flight was finished.
    Drained = "stop.drained",
    /// The lock is free.
    Unlocked = "stop.unlocked",
}

/// Here a test may let the process die.
#[inline]
pub fn point(point: Point) {
    #[cfg(feature = "crash-points")]
    if armed::is_due(point) {
        armed::die();
    }
    #[cfg(not(feature = "crash-points"))]
    let _ = point;
}

/// Here a test may let the process die in the middle of a write.
#[inline]
pub fn torn(point: Point, file: &mut (impl Write + ?Sized), bytes: &[u8]) -> io::Result<()> {
    #[cfg(feature = "crash-points")]
    if armed::is_due(point) {
        file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        armed::die();
    }
    #[cfg(not(feature = "crash-points"))]
    let _ = (point, file, bytes);
    Ok(())
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::{Point, VARIABLE};

    /// Where to die.
    struct Death {
        name: String,
        /// How many times it is reached before.
        left: AtomicU32,
    }

    pub(super) fn is_due(point: Point) -> bool {
        static DEATH: OnceLock<Option<Death>> = OnceLock::new();
        let death = DEATH.get_or_init(|| {
            let text = std::env::var(VARIABLE).ok()?;
            let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
            Some(Death {
                name: name.to_owned(),
                left: AtomicU32::new(times.parse().ok()?),
            })
        });
        let death = death.as_ref().filter(|death| death.name == point.name());
        death.is_some_and(|death| death.left.fetch_sub(1, Ordering::SeqCst) == 1)
    }

    /// Nothing is closed, flushed or told.
    pub(super) fn die() {
        // It fails only for a process that is not there.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Point;

    #[test]
    fn each_has_a_name_of_its_own_and_a_line_in_the_documentation() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        let page = include_str!("../docs/reliability.md");
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
