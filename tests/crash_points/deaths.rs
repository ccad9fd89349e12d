//! Where and when the agent dies, what of that shows at the next start, and what may come twice.

pub(crate) mod damage;
pub(crate) mod pushed;

use cta_forwarder::crash::Point;

use super::life::Story;
use super::rig::IN_REQUEST;

/// A death.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) point: Point,
    /// Which time that it is reached, from 1.
    pub(crate) time: u32,
    /// Events that may come twice.
    pub(crate) twice: usize,
    /// Points of the next start that are reached because of it, in their order.
    pub(crate) then: &'static [Point],
    /// Whether Splunk acknowledges.
    pub(crate) acknowledges: bool,
    /// What happens before.
    pub(crate) story: Story,
}

/// How a point is reached.
pub(crate) enum Reached {
    /// While it works or starts for the first time.
    AtWork(Vec<Death>),
    /// Only by a start after another death.
    InRecovery,
    /// Only by a start that finds damage.
    AfterDamage,
    /// Only in a life with damage, or one in which a person sets a checkpoint.
    InStory,
}

/// Points that every start reaches.
pub(crate) const IN_EVERY_RECOVERY: [Point; 8] = [
    Point::LockTaken,
    Point::StoreOpened,
    Point::StateOpened,
    Point::LettersOpened,
    Point::StagingRemoved,
    Point::SpoolOpened,
    Point::LettersRecovered,
    Point::Built,
];

/// Points that a start reaches, in the order in which it does.
pub(crate) const OF_A_START: [Point; 23] = [
    Point::LockTaken,
    Point::StoreOpened,
    Point::SegmentMade,
    Point::SnapshotWritten,
    Point::StateOpened,
    Point::LettersOpened,
    Point::StagingRemoved,
    Point::SpoolOpened,
    Point::BatchRecorded,
    Point::BatchArchived,
    Point::HeadStaged,
    Point::HeadRestored,
    Point::FileReclaimed,
    Point::MendRecorded,
    Point::RepairEnded,
    Point::TombstonesWritten,
    Point::DeadBlockRemoved,
    Point::LetterSegmentRemoved,
    Point::ClearedRecorded,
    Point::CursorCaughtUp,
    Point::LettersRecovered,
    Point::RecoveredRecorded,
    Point::Built,
];

/// Of them, those that are reached behind it, at once, by an agent that is up.
pub(crate) const BEHIND_A_START: [Point; 2] = [Point::HeadStaged, Point::HeadRestored];

/// Nothing is under way beside it.
const NONE: usize = 0;
/// The one request that is under way.
const REQUEST: usize = IN_REQUEST;
/// What one message of a pusher brings.
const MESSAGE: usize = IN_REQUEST;
/// What two requests brought that Splunk was asked for: it says `true` once.
const ASKED: usize = 2 * IN_REQUEST;

/// How a point is reached, and what that may cost.
#[expect(
    clippy::match_same_arms,
    clippy::too_many_lines,
    reason = "in the order of the work, each moment with what it leads to"
)]
pub(crate) fn reached(point: Point) -> Reached {
    use Point::*;
    // Only the first time is it certain that nothing is under way beside it. Later on Splunk does not
    // acknowledge, so that it is one request at most.
    let times = |times: &[u32], twice: usize, then: &'static [Point]| {
        let death = |time: &u32| Death {
            point,
            time: *time,
            twice: if *time == 1 {
                twice
            } else {
                twice.max(REQUEST)
            },
            then,
            acknowledges: *time == 1,
            story: Story::Work,
        };
        times.iter().map(death).collect::<Vec<_>>()
    };
    let both = |twice: usize, then: &'static [Point]| {
        let death = |(time, acknowledges, twice): (u32, bool, usize)| Death {
            point,
            time,
            twice,
            then,
            acknowledges,
            story: Story::Work,
        };
        let all = [
            (1, true, twice),
            (2, true, REQUEST + ASKED),
            (1, false, twice),
            (2, false, twice),
        ];
        all.into_iter().map(death).collect::<Vec<_>>()
    };
    Reached::AtWork(match point {
        LockTaken | StoreOpened | StateOpened | LettersOpened | StagingRemoved | SpoolOpened
        | LettersRecovered | OutputAdded | Built | Listening => times(&[1], NONE, &[]),
        SegmentMade => times(&[1], NONE, &[SnapshotWritten]),
        SnapshotWritten => times(&[1], NONE, &[]),
        // The first is the snapshot of the first segment.
        RecordTorn => [
            times(&[1, 2, 3, 5, 6], NONE, &[SegmentMade, SnapshotWritten]),
            times(&[2, 3, 5], NONE, &[]),
        ]
        .concat(),
        RecordWritten | RecordSynced => times(&[1, 2, 3, 4, 5, 6], NONE, &[]),
        RecordStored => times(&[1, 2, 3, 4, 5], NONE, &[]),
        StagingMade | GateClosed | HeadCame | HeadRecorded | EventsMade | EventsWritten
        | EventsSynced | AllStaged | StagedDurably | PartStaged | BlockStaged => {
            times(&[1, 2], NONE, &[])
        }
        FailureRecorded => times(&[1, 2], NONE, &[]),
        AnswerQuarantined => times(&[1], NONE, &[]),
        BlockLinked | LineWritten => times(&[1], NONE, &[]),
        // The second line is an event's: those before it in its request were taken.
        LineTorn => times(&[1, 2], NONE, &[]),
        LineSynced => times(&[1], NONE, &[]),
        LetterKept => both(REQUEST, &[CursorCaughtUp]),
        HeadWritten | FolderSynced => times(&[1, 2], NONE, &[]),
        Renamed | NewNameSynced | Committed => times(&[1, 2], NONE, &[BatchRecorded]),
        PollRecorded | Announced => times(&[1, 2], NONE, &[]),
        BeforeLaunch | Launched | WorkKept => both(NONE, &[]),
        Landed => both(REQUEST, &[]),
        Acknowledged => [(1, ASKED), (2, REQUEST + ASKED)]
            .map(|(time, twice)| Death {
                point,
                time,
                twice,
                then: &[],
                acknowledges: true,
                story: Story::Work,
            })
            .to_vec(),
        FinishRecorded => both(NONE, &[BatchArchived]),
        Archived | Trashed => times(&[1, 2], NONE, &[]),
        Evicted => times(&[1], NONE, &[]),
        DropRecorded => times(
            &[1, 2],
            NONE,
            &[TombstonesWritten, DeadBlockRemoved, ClearedRecorded],
        ),
        RetryCommitted => times(
            &[1],
            NONE,
            &[BatchRecorded, TombstonesWritten, ClearedRecorded],
        ),
        RetryRecorded => times(&[1], NONE, &[TombstonesWritten, ClearedRecorded]),
        TombstonesWritten => times(&[1, 2], NONE, &[ClearedRecorded]),
        DeadBlockRemoved | LetterSegmentRemoved => times(&[1], NONE, &[ClearedRecorded]),
        ClearedRecorded => times(&[1, 2], NONE, &[]),
        Stopping | Drained | Unlocked => times(&[1], NONE, &[]),
        BatchRecorded | BatchArchived | CursorCaughtUp => return Reached::InRecovery,
        OldSegmentRemoved | RecoveredRecorded => return Reached::AfterDamage,
        StoreSetAside
        | StoreMadeAnew
        | SegmentSetAside
        | HeadlessSetAside
        | ArchivedFinished
        | DamageNoticed
        | DamageSetAside
        | DamageRecorded
        | HeadSetAside
        | HeadStaged
        | HeadRestored
        | AnswerStaged
        | FileRewritten
        | FileBack
        | FileReclaimed
        | MendRecorded
        | RepairStaged
        | RepairCommitted
        | RepairRecorded
        | RepairFailureRecorded
        | RepairEnded
        | LedgerRetold
        | CheckpointRecorded
        | PushStaged
        | PushCommitted
        | PushRecorded => {
            return Reached::InStory;
        }
    })
}
