//! What happens in a sequence.

use std::time::Duration;

use crate::disk::model::code;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// The service publishes a package.
    Publish,
    /// Time passes, with every poll and every delivery that is due.
    Pass(Duration),
    /// A person polls the last hour, for an output or to see the events.
    PollByHand { output: Option<usize> },
    /// A batch is staged and given up.
    StageAndDrop { is_finished: bool },
    /// A content block that cannot be read comes with the next poll.
    SpoilABlock,
    /// An event that was published is refused by an output, from now on.
    RefuseAnEvent { output: usize },
    /// Everything is taken again.
    TakeAll,
    /// A person sends all dead letters again.
    RetryLetters,
    /// A person gives up the dead letters of an output.
    DropLetters { output: usize },
    /// Our clock is set, by so many seconds.
    SetClock(i64),
    /// The machine writes out some of what is not synced.
    WriteBack,
    /// The machine, or the process alone, stops at this step.
    StopAt { steps: u64 },
    /// An orderly restart.
    Restart,
    /// The disk is full.
    FillDisk { left: u64 },
    /// It has room again.
    EmptyDisk,
    /// A step of the disk is refused.
    Refuse { steps: u64, code: i32 },
    /// A person sets the checkpoint.
    SetCheckpoint(Move),
    /// The disk damages something that is needed.
    Damage(Target),
    /// The service publishes a package that it dates back by so many seconds.
    PublishLate(i64),
    /// A service pushes a message, the one before if that was not answered.
    Push,
}

/// Where a person sets the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Move {
    /// So many seconds before where it is.
    Back(i64),
    /// So many seconds before the service's present.
    Ago(u64),
    /// Where a first window would begin.
    Clear,
}

/// What the disk damages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// A file of events of a batch in the spool.
    Events,
    /// The head of a batch in the spool.
    Head,
    /// A line of the ledger.
    Ledger,
}

impl Target {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u8(..6) {
            0 => Self::Ledger,
            1 => Self::Head,
            _ => Self::Events,
        }
    }
}

impl Action {
    pub(super) fn draw(random: &mut fastrand::Rng, outputs: usize) -> Self {
        match random.u32(..120) {
            0..18 => Self::Publish,
            18..48 => Self::Pass(Duration::from_secs(random.u64(1..1500))),
            48..53 => Self::PollByHand {
                output: random.bool().then(|| random.usize(..outputs)),
            },
            53..55 => Self::StageAndDrop {
                is_finished: random.bool(),
            },
            55..57 => Self::SpoilABlock,
            57..63 => Self::RefuseAnEvent {
                output: random.usize(..outputs),
            },
            63..65 => Self::TakeAll,
            65..69 => Self::RetryLetters,
            69..72 => Self::DropLetters {
                output: random.usize(..outputs),
            },
            72..74 => Self::SetClock(random.i64(-4000..4000)),
            74..78 => Self::WriteBack,
            78..90 => Self::StopAt {
                // Most of what happens takes few steps.
                steps: match random.u8(..4) {
                    0 => random.u64(..4),
                    1 => random.u64(..100),
                    _ => random.u64(..25),
                },
            },
            90..93 => Self::Restart,
            93..95 => Self::FillDisk {
                left: random.u64(..8000),
            },
            95..96 => Self::EmptyDisk,
            96..100 => Self::Refuse {
                steps: random.u64(..20),
                code: [code::IO, code::NOSPC][random.usize(..2)],
            },
            100..104 => Self::SetCheckpoint(match random.u8(..5) {
                0 => Move::Clear,
                1 | 2 => Move::Ago(random.u64(..3000)),
                _ => Move::Back(random.i64(1..4000)),
            }),
            104..110 => Self::Damage(Target::draw(random)),
            110..112 => Self::PublishLate(random.i64(60..4000)),
            _ => Self::Push,
        }
    }
}
