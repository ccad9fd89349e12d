//! What travels over the control socket: JSON lines.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::batches::{BatchSummary, Checked, ExportChoice, ShownBatch};
use crate::checkpoints::{CheckpointChange, CheckpointStatus, Plan};
use crate::event::EventId;
use crate::letters::Choice;
use crate::observe::status::Status;
use crate::replay;
use crate::spool::{LetterHead, Place};
use crate::taxii::Timestamp;
use crate::trial::{Trial, Tried};

/// One line from a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// What is so and what is going on.
    Status,
    /// Polls a window by hand.
    Poll {
        /// The service, if several have the collection.
        service: Option<String>,
        /// The collection.
        collection: String,
        /// After this moment; none with all of a Data Set.
        begin: Option<Timestamp>,
        /// Up to this one; none with all of a Data Set.
        end: Option<Timestamp>,
        /// The output that gets the events; none gives them back.
        to: Option<String>,
    },
    /// Reads the configuration again.
    Reload {
        /// The file that the person means.
        config: PathBuf,
    },
    /// Gives up what an output that is no longer configured owes.
    ForgetOutput {
        /// The output.
        name: String,
    },
    /// What dead letters there are.
    ListLetters {
        /// Which of them.
        choice: Choice,
    },
    /// Dead letters with all that they hold.
    ExportLetters {
        /// Which of them.
        choice: Choice,
    },
    /// Sends dead letters again.
    RetryLetters {
        /// Which of them.
        choice: Choice,
        /// The output that gets them; none is the one that they are of.
        to: Option<String>,
    },
    /// Gives dead letters up.
    DropLetters {
        /// Which of them.
        choice: Choice,
    },
    /// Whether everything is where it should be.
    Audit,
    /// Which batches there are.
    ListBatches {
        /// Where.
        place: Place,
    },
    /// Everything about one batch.
    ShowBatch {
        /// Its number.
        seq: u64,
    },
    /// The events of a batch.
    ExportBatch {
        /// Its number.
        seq: u64,
        /// Which of them.
        choice: ExportChoice,
    },
    /// Whether what lies on disk is whole.
    CheckSpool {
        /// The archive too.
        archive: bool,
        /// Sets aside what is damaged, and has its windows polled again.
        repair: bool,
    },
    /// Gives up what damaged files of a batch held.
    AbandonDamage {
        /// The batch.
        seq: u64,
    },
    /// Which batches a replay would send.
    PlanReplay {
        /// Which batches, and where to.
        choice: replay::Choice,
    },
    /// Sends batches again.
    Replay {
        /// Which batches, and where to.
        choice: replay::Choice,
    },
    /// Tries outputs with an event of ours.
    SendTest {
        /// Which of them.
        trial: Trial,
        /// How long is waited for them.
        timeout: Duration,
    },
    /// Where every collection is.
    ShowCheckpoints,
    /// What setting a checkpoint would do.
    PlanCheckpoint {
        /// What a person wants.
        change: CheckpointChange,
    },
    /// Sets a checkpoint.
    SetCheckpoint {
        /// What a person wants.
        change: CheckpointChange,
    },
}

impl Request {
    /// Whether it is answered from memory, at once. All others may take their time.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        matches!(
            self,
            Self::Status | Self::ShowCheckpoints | Self::PlanCheckpoint { .. }
        )
    }

    /// Whether it changes nothing: where no agent runs it is answered from what lies on the disk.
    #[must_use]
    pub fn is_look(&self) -> bool {
        match self {
            Self::Status
            | Self::ListLetters { .. }
            | Self::ExportLetters { .. }
            | Self::Audit
            | Self::ListBatches { .. }
            | Self::ShowBatch { .. }
            | Self::ExportBatch { .. }
            | Self::PlanReplay { .. }
            | Self::ShowCheckpoints
            | Self::PlanCheckpoint { .. } => true,
            Self::CheckSpool { repair, .. } => !repair,
            Self::Poll { .. }
            | Self::Reload { .. }
            | Self::ForgetOutput { .. }
            | Self::RetryLetters { .. }
            | Self::DropLetters { .. }
            | Self::AbandonDamage { .. }
            | Self::Replay { .. }
            | Self::SendTest { .. }
            | Self::SetCheckpoint { .. } => false,
        }
    }
}

/// One line to a command; the last is `done`, `misconfigured` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The request was understood, and is being answered: the first line to every command.
    Heard,
    /// The status.
    Status(Box<Status>),
    /// What is going on meanwhile.
    Progress {
        /// For a person.
        message: String,
    },
    /// An event of a manual poll, or of a batch.
    Event {
        /// One JSON object.
        json: String,
    },
    /// A dead letter.
    Letter(Box<LetterHead>),
    /// A dead letter with all that it holds.
    WholeLetter {
        /// One JSON object.
        json: String,
    },
    /// What the audit found.
    Audit(Box<Audit>),
    /// A batch.
    Batch(Box<BatchSummary>),
    /// Everything about a batch.
    ShownBatch(Box<ShownBatch>),
    /// Something that was checked.
    Checked(Box<Checked>),
    /// Which batches a replay would send.
    ReplayPlan(Box<replay::Plan>),
    /// The event of a trial is on its way.
    TrialSent {
        /// The event.
        event_id: EventId,
        /// Its batch.
        seq: Option<u64>,
    },
    /// What has become of it at one output.
    Tried(Box<Tried>),
    /// Where a collection is.
    Checkpoint(Box<CheckpointStatus>),
    /// What setting a checkpoint would do.
    CheckpointPlan(Box<Plan>),
    /// All went well.
    Done {
        /// For a person; may be empty.
        message: String,
    },
    /// It did not, since the configuration is wrong.
    Misconfigured {
        /// What is wrong.
        message: String,
    },
    /// It did not.
    Failed {
        /// What happened and what to do.
        message: String,
    },
}
