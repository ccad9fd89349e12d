//! Deaths in the midst of damage and its repair.

use cta_forwarder::crash::Point;

use super::{Death, NONE, REQUEST};
use crate::life::Story;

/// The deaths at a point that only such lives have, and more of those that all have.
#[expect(
    clippy::match_same_arms,
    reason = "in the order of the work, each moment with what it leads to"
)]
pub(crate) fn deaths(point: Point) -> Vec<Death> {
    use Point::*;
    use Story::*;
    let at = |story: Story, times: &[u32], twice: usize, then: &'static [Point]| {
        let death = |time: &u32| Death {
            point,
            time: *time,
            twice,
            then,
            acknowledges: false,
            story,
        };
        times.iter().map(death).collect::<Vec<_>>()
    };
    let deaths = match point {
        DamageNoticed => vec![at(SameAnswer, &[1, 2], NONE, &[])],
        DamageSetAside => vec![
            at(SameAnswer, &[1, 2], NONE, &[]),
            at(DamagedRetry, &[1], NONE, &[]),
        ],
        DamageRecorded => vec![
            at(SameAnswer, &[1, 2], NONE, &[]),
            at(DamagedRetry, &[1], NONE, &[RepairEnded]),
        ],
        HeadSetAside | HeadStaged => vec![at(SameAnswer, &[1], NONE, &[HeadStaged, HeadRestored])],
        HeadRestored => vec![at(SameAnswer, &[1], NONE, &[])],
        HeadlessSetAside => vec![at(StrangeFolder, &[1], NONE, &[])],
        AnswerStaged => vec![
            at(SameAnswer, &[1], NONE, &[]),
            at(OtherAnswer, &[1], NONE, &[]),
        ],
        FileRewritten => vec![at(SameAnswer, &[1, 2], NONE, &[])],
        FileBack => vec![at(SameAnswer, &[1, 2], NONE, &[MendRecorded])],
        FileReclaimed => vec![
            at(PutRight, &[1], NONE, &[FileReclaimed, MendRecorded]),
            at(PutRight, &[2], NONE, &[MendRecorded]),
        ],
        MendRecorded => vec![
            at(SameAnswer, &[1], NONE, &[]),
            at(PutRight, &[1], NONE, &[]),
        ],
        RepairStaged | RepairRecorded => vec![at(OtherAnswer, &[1], NONE, &[])],
        RepairCommitted => vec![at(OtherAnswer, &[1], NONE, &[BatchRecorded])],
        RepairFailureRecorded => vec![at(Refused, &[1, 5], NONE, &[])],
        RepairEnded => vec![
            at(GivenUp, &[1], NONE, &[]),
            at(Refused, &[1], NONE, &[]),
            at(DamagedRetry, &[1], NONE, &[]),
        ],
        // Splunk has had a request of the batch that is open.
        StoreSetAside | StoreMadeAnew => vec![at(BrokenStore, &[1], REQUEST, &[])],
        StoreOpened => vec![at(NoStore, &[1], REQUEST, &[])],
        SegmentSetAside => vec![at(LostLedger, &[1, 2], NONE, &[RecoveredRecorded])],
        ArchivedFinished => vec![at(UnknownArchive, &[1], NONE, &[RecoveredRecorded])],
        LedgerRetold => vec![at(CheckedLedger, &[1], NONE, &[])],
        CheckpointRecorded => vec![at(SetBack, &[1], NONE, &[])],
        // Of head and files on their way to quarantine and back, and of a batch to its place.
        Renamed | NewNameSynced => vec![
            at(SameAnswer, &[1, 2, 3, 4, 5, 6], NONE, &[]),
            at(OtherAnswer, &[2], NONE, &[BatchRecorded]),
        ],
        // The first is a snapshot, and damage and repair have the next ones.
        RecordTorn | RecordSynced => vec![
            at(SameAnswer, &[1, 2, 3, 4], NONE, &[]),
            at(SameAnswer, &[5, 6], REQUEST, &[]),
        ],
        RecordWritten | RecordStored => vec![at(SameAnswer, &[2, 4], NONE, &[])],
        EventsMade | EventsWritten | EventsSynced => vec![
            at(SameAnswer, &[1, 2], NONE, &[]),
            at(OtherAnswer, &[1, 2], NONE, &[]),
        ],
        HeadWritten | FolderSynced => vec![at(OtherAnswer, &[1], NONE, &[])],
        _ => Vec::new(),
    };
    deaths.concat()
}
