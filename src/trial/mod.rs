//! A trial of outputs: one event that everybody sees to be none goes the way of all events, and what
//! becomes of it at each output is told.
//!
//! Beside a running agent it is a batch of origin `test` in the spool, which the agent delivers.
//! Without one it is sent [directly], and nothing is left to be owed.

mod direct;
mod event;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batches::{AddError, Addition, add};
use crate::config::{OutputConfig, UnknownOutput, find_output};
use crate::event::Event;
use crate::flatten::{EventSink as _, FlatEvent};
use crate::house::House;
use crate::letters::{self, LettersError};
use crate::output::BatchOrigin;
use crate::roster;
use crate::spool::{About, SpoolError};
use crate::state::{CollectionKey, Origin};
use crate::taxii::response::ResponseSink as _;
pub use direct::send_directly;
pub use event::{MARK, NAME};

/// Who asks the spool for room.
const BY_HAND: &str = "test";
/// No test is waited for longer.
pub const LONGEST_TRIAL: Duration = Duration::from_secs(24 * 3600);

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The outputs; none are all.
    pub to: Vec<String>,
    /// The service that the event says to be of.
    pub service: String,
    /// The collection that it says to be of.
    pub collection: String,
}

/// What became of the event at one output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The output.
    pub output: String,
    /// In a word.
    pub result: TrialResult,
    /// In words.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// What became of the event at one output, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialResult {
    /// The receiver has confirmed it.
    Delivered,
    /// The receiver refuses it for good.
    Refused,
    /// Nothing goes to the output until a person mends something.
    Held,
    /// It fails, and is tried again.
    Failing,
    /// Nothing was said in time.
    Waiting,
}

/// The trial cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no such output.
    #[error(transparent)]
    UnknownOutput(#[from] UnknownOutput),
    /// There is no event to try with.
    #[error("the event of the trial cannot be made: {0}")]
    Event(String),
    /// The spool cannot take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It cannot be made a batch.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The dead letters cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
}

/// An event on its way.
#[derive(Debug, Clone)]
pub struct OnItsWay {
    /// Its batch.
    pub seq: u64,
    /// The event.
    pub event: Event,
    /// The outputs that owe it.
    pub outputs: Vec<String>,
}

impl Trial {
    /// The event, another one at each call.
    pub fn event(&self, now: DateTime<Utc>) -> Result<Event, TrialError> {
        let id = Uuid::new_v4().simple().to_string();
        event::make(&self.service, &self.collection, now, &id)
    }

    /// What it says to come from.
    #[must_use]
    pub fn origin(&self, now: DateTime<Utc>) -> BatchOrigin {
        BatchOrigin {
            service: self.service.clone(),
            collection: self.collection.clone(),
            window_end: now,
        }
    }

    /// Those of the configured outputs that are tried.
    pub fn outputs<'a>(
        &self,
        configured: &'a [OutputConfig],
    ) -> Result<Vec<&'a OutputConfig>, TrialError> {
        if self.to.is_empty() {
            return Ok(configured.iter().collect());
        }
        let mut named: Vec<&OutputConfig> = Vec::new();
        for name in &self.to {
            let found = find_output(configured, name)?;
            if named.iter().all(|output| output.name != *name) {
                named.push(found);
            }
        }
        Ok(named)
    }
}

/// Puts the event into the spool, from where the agent delivers it. Blocks while the disk works.
pub fn send(house: &House, trial: &Trial) -> Result<OnItsWay, TrialError> {
    let configured = house.outputs.now();
    let outputs = trial.outputs(&configured)?.into_iter();
    let outputs: Vec<String> = outputs.map(|output| output.name.clone()).collect();
    let now = house.clock.now().utc;
    let event = trial.event(now)?;
    let mut staging = house.spool.stage(BY_HAND)?;
    let flat = FlatEvent {
        id: event.id,
        record_type: event.record_type,
        json: event.json.as_bytes(),
    };
    let staged = staging.event(flat).and_then(|()| staging.block_read());
    staged.map_err(|error| SpoolError::staging(error, staging.folder()))?;
    let addition = Addition {
        key: CollectionKey {
            service: trial.service.clone(),
            collection: trial.collection.clone(),
        },
        origin: Origin::Test,
        outputs: outputs.clone(),
        window_end: now,
        copies: None,
    };
    let seq = add(house, staging, addition)?;
    Ok(OnItsWay {
        seq,
        event,
        outputs,
    })
}

/// What has become of the event at an output by now. Blocks while the disk works.
pub fn look(house: &House, seq: u64, output: &str) -> Result<Tried, TrialError> {
    let tried = |result, what: String, mend| {
        Ok(Tried {
            output: output.to_owned(),
            result,
            what,
            mend,
        })
    };
    let is_owed = house.state.look(|picture| picture.owes(output, seq));
    if !is_owed && !roster::is_known(house, output) {
        let what = "the output was forgotten meanwhile, and the event with it".to_owned();
        return tried(TrialResult::Refused, what, None);
    }
    if !is_owed {
        return match refusal(house, seq, output)? {
            None => tried(
                TrialResult::Delivered,
                "the receiver has confirmed it".to_owned(),
                None,
            ),
            Some(reason) => tried(
                TrialResult::Refused,
                reason,
                Some("see `cta-forwarder dead-letters list`, and drop it there".to_owned()),
            ),
        };
    }
    let mut activities = house.board.outputs();
    let activity = activities.remove(output).unwrap_or_default();
    if let Some(hold) = activity.hold {
        let what = format!("{}; it goes out when that is mended", hold.reason);
        return tried(TrialResult::Held, what, Some(hold.mend));
    }
    if let Some(failure) = activity.last_failure.filter(|_| activity.failures > 0) {
        let what = format!("{failure}; it is tried again by itself");
        return tried(TrialResult::Failing, what, None);
    }
    let what = match (
        activity.awaiting_acknowledgement,
        before(house, seq, output),
    ) {
        (0, 0) => "nothing was said of it yet".to_owned(),
        (0, events) => format!("events that go before it: {events}"),
        (_, _) => {
            "it was accepted, and is not acknowledged yet: Splunk may take two minutes".to_owned()
        }
    };
    tried(TrialResult::Waiting, what, None)
}

/// Why the receiver has refused it, if it did.
fn refusal(house: &House, seq: u64, output: &str) -> Result<Option<String>, LettersError> {
    let mut found = None;
    letters::each(house, |letter, _| {
        if let About::Event {
            output: of,
            seq: batch,
            code,
            ..
        } = &letter.about
            && of == output
            && *batch == seq
        {
            found = Some(format!("{code}: {}", letter.reason()));
        }
    })?;
    Ok(found)
}

/// Events of older batches that the output still owes.
fn before(house: &House, seq: u64, output: &str) -> u64 {
    let older = house.state.look(|picture| {
        let older = picture.batches.range(..seq);
        let owed = older.filter(|(_, batch)| batch.outputs.contains(output));
        owed.map(|(seq, batch)| (*seq, batch.events))
            .collect::<Vec<_>>()
    });
    let pending = |(seq, events): (u64, u64)| {
        let progress = house.state.progress(output, seq);
        progress.finished(events).abandoned
    };
    older.into_iter().map(pending).sum()
}
