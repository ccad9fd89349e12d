//! The records of the ledger: what happened, in the words of the disk format.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::picture::Picture;
use crate::delivery::Cursor;
use crate::taxii::Timestamp;
use crate::taxii::exchange::Gap;
use crate::taxii::window::PollWindow;

/// A collection of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CollectionKey {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
}

impl fmt::Display for CollectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.collection)
    }
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A scheduled poll: the only one that moves the checkpoint.
    Poll,
    /// A poll that a person asked for.
    Manual,
    /// Dead letters that a person sends again.
    Retry,
    /// What a damaged file of another batch held, polled again.
    Repair,
    /// A message that was pushed to the inbox.
    Inbox,
    /// A batch that was delivered before, which a person sends again.
    Replay,
    /// An event of ours by which a person tries an output.
    Test,
}

impl Origin {
    /// Whether nobody has fetched such a batch: its events lie elsewhere, or are of no use any more when
    /// they are delivered.
    #[must_use]
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Replay | Self::Test)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// Opens a segment: all that the segments before it tell.
    Snapshot {
        /// The picture at that moment.
        picture: Box<Picture>,
    },
    /// A poll is about to be sent: the gate closes at this record's time.
    PollStarted {
        /// The gate.
        gate: String,
        /// What is polled.
        #[serde(flatten)]
        key: CollectionKey,
        /// What is asked for.
        window: PollWindow,
    },
    /// The head of the answer came, or no byte of the request was sent: the gate counts from this
    /// record's time, or is as it was.
    PollAnswered {
        /// The gate.
        gate: String,
        /// Whether the service can have counted the poll.
        counts: bool,
    },
    /// The content of a window is here.
    Polled {
        /// What was polled.
        #[serde(flatten)]
        key: CollectionKey,
        /// Why.
        origin: Origin,
        /// What was asked for.
        window: PollWindow,
        /// Where the next window begins, in the service's own words; none of a manual poll.
        checkpoint: Option<Timestamp>,
        /// The batch; none if there were no events.
        seq: Option<u64>,
        /// Which outputs owe the batch.
        outputs: Vec<String>,
        /// What it brought.
        counts: PolledCounts,
        /// The service's clock minus ours.
        clock_offset_ms: Option<i64>,
        /// Content before it that is lost at the source: told once, with the window that skips it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gap: Option<Gap>,
        /// What the batch is made of; none if there is no batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<BatchContent>,
    },
    /// The content of a message that was pushed to the inbox is here: with this record its sender
    /// is told so.
    Pushed {
        /// The inbox, and the collection that the message was for.
        #[serde(flatten)]
        key: CollectionKey,
        /// The sender's id of the message.
        message_id: Option<String>,
        /// The subscription that it was pushed for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subscription: Option<String>,
        /// The batch; none if there were no events.
        seq: Option<u64>,
        /// Which outputs owe the batch.
        outputs: Vec<String>,
        /// What it brought.
        counts: PolledCounts,
        /// What the batch is made of; none if there is no batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<BatchContent>,
    },
    /// A batch that no scheduled poll brought is here.
    BatchAdded {
        /// Where its events once came from.
        #[serde(flatten)]
        key: CollectionKey,
        /// Why.
        origin: Origin,
        /// The batch.
        seq: u64,
        /// Which outputs owe it.
        outputs: Vec<String>,
        /// Its events.
        events: u64,
        /// The dead letters whose place it takes: with this record they are gone.
        letters: Vec<RemovedLetter>,
        /// The window of a batch of origin `repair`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<PollWindow>,
        /// What the batch is made of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<BatchContent>,
        /// The lines of a damaged batch whose place it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settles: Option<Settlement>,
        /// What a batch of origin `replay` is a copy of; none as older versions told it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copies: Option<Copied>,
    },
    /// Files of a batch are damaged or gone, and set aside: what they held is polled again.
    Damaged {
        /// What was polled.
        #[serde(flatten)]
        key: CollectionKey,
        /// What brings it again; none if no poll does.
        window: Option<PollWindow>,
        /// The batch.
        seq: u64,
        /// The files.
        files: Vec<DamagedFile>,
    },
    /// Damaged files are back in their place, with the very lines that they had.
    Mended {
        /// The batch.
        seq: u64,
        /// The names of the files.
        files: Vec<String>,
    },
    /// A poll could not bring what damaged files held.
    RepairFailed {
        /// The batch.
        seq: u64,
        /// How many times in a row.
        failures: u32,
        /// Why.
        reason: String,
    },
    /// What damaged files held cannot be had any more, and no other batch takes its place.
    RepairEnded {
        /// What was polled.
        #[serde(flatten)]
        key: CollectionKey,
        /// The window.
        window: Option<PollWindow>,
        /// What became of the lines.
        settles: Settlement,
    },
    /// A person has dealt with dead letters: with this record they are gone.
    LettersRemoved {
        /// In which way.
        why: Removal,
        /// The letters.
        letters: Vec<RemovedLetter>,
    },
    /// The letters that were removed lie on disk no more.
    LettersCleared,
    /// Other dead letters are there than were counted: those that are not were damaged, and what they
    /// held is lost; or they have come back.
    LettersCounted {
        /// Where the number is another.
        events: Vec<LetterCount>,
        /// Content blocks that are there no more.
        #[serde(default)]
        lost_blocks: u64,
    },
    /// A poll failed in a way that may shorten the window.
    PollFailed {
        /// What was polled.
        #[serde(flatten)]
        key: CollectionKey,
        /// How many times in a row.
        failures: u32,
        /// The longest window from now on.
        span: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// A window was given up: its answer lies in `quarantine/`.
    WindowAbandoned {
        /// Of what.
        #[serde(flatten)]
        key: CollectionKey,
        /// The window.
        window: PollWindow,
        /// Where the next window begins.
        checkpoint: Timestamp,
        /// The file in `quarantine/`.
        file: String,
    },
    /// A person has said where the next window of a collection begins.
    CheckpointSet {
        /// Of what.
        #[serde(flatten)]
        key: CollectionKey,
        /// Where; none is where a first one would.
        checkpoint: Option<Timestamp>,
    },
    /// An output has done with a batch.
    OutputFinished {
        /// The output.
        output: String,
        /// The batch.
        seq: u64,
        /// What became of its events.
        #[serde(flatten)]
        finished: Finished,
    },
    /// An output is new: it owes these batches.
    OutputAdded {
        /// The output.
        output: String,
        /// The batches in the spool that it owes.
        owes: Vec<u64>,
        /// Its dead letters from when it was configured before, but those of what it owes.
        #[serde(default)]
        letters: u64,
    },
    /// An output is gone for good: it owes nothing any more.
    OutputForgotten {
        /// The output.
        output: String,
        /// What was given up with it; none as older versions told it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        debt: Option<ForgottenDebt>,
    },
    /// Records before this one are missing.
    Doubted,
    /// What may be missing has been dealt with: these gates closed at this record's time, whenever
    /// the last poll was.
    Recovered {
        /// The number of the next batch, as far as what lies on disk tells it.
        #[serde(default)]
        next_seq: u64,
        /// The gates.
        gates: Vec<String>,
        /// The dead letters that there are of each output, but those of what it owes.
        #[serde(default)]
        letters: BTreeMap<String, u64>,
        /// The dead letters that there are of content blocks.
        #[serde(default)]
        blocks: u64,
    },
}

/// A batch, as the record that brings it tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought<'a> {
    /// Its number.
    pub seq: u64,
    /// Which outputs owe it.
    pub outputs: &'a [String],
    /// Its events.
    pub events: u64,
}

impl Record {
    /// The batch that it brings.
    #[must_use]
    pub fn brings(&self) -> Option<Brought<'_>> {
        let (seq, outputs, events) = match self {
            Self::Polled {
                seq,
                outputs,
                counts,
                ..
            }
            | Self::Pushed {
                seq,
                outputs,
                counts,
                ..
            } => ((*seq)?, outputs, counts.events),
            Self::BatchAdded {
                seq,
                outputs,
                events,
                ..
            } => (*seq, outputs, *events),
            _ => return None,
        };
        Some(Brought {
            seq,
            outputs,
            events,
        })
    }
}

/// What a person did about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// It was given up.
    Dropped,
    /// It goes out again, as an event of another batch.
    Retried,
}

/// The dead letters of an output, as they were counted and as they were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterCount {
    /// The output.
    pub output: String,
    /// The batch that it owes; none of all that it has done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// So many there should be.
    pub counted: u64,
    /// So many there are.
    pub found: u64,
}

impl LetterCount {
    /// So many are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.counted.saturating_sub(self.found)
    }

    /// So many have come back, of those that were missing before.
    #[must_use]
    pub fn back(&self) -> u64 {
        self.found.saturating_sub(self.counted)
    }
}

/// A dead letter that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedLetter {
    /// Its name.
    pub id: String,
    /// The event that it was; none of a content block, nor of a second letter for the same event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventPlace>,
    /// Whether it was a content block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_block: bool,
}

/// An event at one output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventPlace {
    /// The output.
    pub output: String,
    /// The batch.
    pub seq: u64,
    /// The event's line in it, from 0.
    pub line: u64,
}

/// A file of events: JSON lines, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFile {
    /// Its name in the folder of the batch.
    pub name: String,
    /// Events in it.
    pub events: u64,
    /// Bytes on disk, when it was written.
    pub bytes: u64,
    /// CRC-32 of the lines before compression, as eight hexadecimal digits.
    pub crc32: String,
}

impl EventFile {
    /// Bytes of these on disk.
    #[must_use]
    pub fn bytes_of(files: &[Self]) -> u64 {
        let bytes = files.iter().map(|file| file.bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

/// What a batch is made of: with it the batch's head can be written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchContent {
    /// When it was staged.
    #[serde(deserialize_with = "moment")]
    pub staged_at: DateTime<Utc>,
    /// The end of the window: the time of an event that states none.
    #[serde(deserialize_with = "moment")]
    pub window_end: DateTime<Utc>,
    /// The same in the service's own words; none of a batch that no poll brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// The events, in order.
    #[serde(deserialize_with = "exactly")]
    pub files: Vec<EventFile>,
}

/// A moment: quickly, if it is written as nearly all are.
pub(super) fn moment<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<DateTime<Utc>, D::Error> {
    struct Moment;

    impl Visitor<'_> for Moment {
        type Value = DateTime<Utc>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a moment")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DateTime<Utc>, E> {
            // Of years with more digits, or before the first, chrono's own form has a sign.
            let quickly = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
            quickly.or_else(|_| text.parse()).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Moment)
}

/// A list without room for more: each of thousands of batches has one.
pub(crate) fn exactly<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::deserialize(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

/// A file of events that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// Its name in the folder of the batch.
    pub name: String,
    /// Its first line in the batch, from 0.
    pub first: u64,
    /// Its lines.
    pub events: u64,
    /// Its name in `quarantine/`; none if it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

impl DamagedFile {
    /// Its lines in the batch.
    #[must_use]
    pub fn lines(&self) -> Range<u64> {
        self.first..self.first + self.events
    }
}

/// What became of the lines of damaged files: they need no more work in their batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The damaged batch.
    pub seq: u64,
    /// The names of the files.
    pub files: Vec<String>,
    /// What became of those lines that an output had not done with.
    pub outputs: BTreeMap<String, SettledCounts>,
}

/// What became of the lines of damaged files that an output had not done with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledCounts {
    /// They go out with another batch.
    pub repaired: u64,
    /// They cannot be had any more.
    pub lost: u64,
}

/// What a replay sends again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The batch.
    pub seq: u64,
    /// The batches that this replay sends though its output got copies of them before: from this
    /// record on it has none of them, but for this one.
    #[serde(default, skip_serializing_if = "Cursor::is_untouched")]
    pub anew: Cursor,
}

/// What is given up with an output that is forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenDebt {
    /// Batches that it owed.
    pub batches: u64,
    /// Events of them that it had not done with.
    pub events: u64,
    /// What became of all events of those batches, those that are given up among the discarded.
    pub finished: Finished,
}

/// What a poll, or a message that was pushed, brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolledCounts {
    /// Events.
    pub events: u64,
    /// Incidents.
    pub incidents: u64,
    /// Packages.
    pub packages: u64,
    /// Content blocks, those set aside included.
    pub blocks: u64,
    /// Content blocks set aside as dead letters.
    pub refused_blocks: u64,
    /// Parts of the answer.
    pub parts: u32,
    /// Bytes of the answer.
    pub bytes: u64,
}

/// What became of a batch's events at one output: the sum is the batch's count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The receiver has them.
    pub delivered: u64,
    /// Set aside, since no retry can deliver them.
    pub dead_letters: u64,
    /// Given up by a person.
    pub discarded: u64,
    /// Given up since the spool was full.
    pub abandoned: u64,
    /// They went out with another batch, since their file was damaged.
    #[serde(default)]
    pub repaired: u64,
    /// Their file was damaged, and the service no longer had them; or they were dead letters, and
    /// those were damaged.
    #[serde(default)]
    pub lost: u64,
}

impl Finished {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.delivered
            + self.dead_letters
            + self.discarded
            + self.abandoned
            + self.repaired
            + self.lost
    }

    /// Adds what became of other events.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.dead_letters += other.dead_letters;
        self.discarded += other.discarded;
        self.abandoned += other.abandoned;
        self.repaired += other.repaired;
        self.lost += other.lost;
    }
}
