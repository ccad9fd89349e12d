//! What will happen when a checkpoint is set. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CheckpointError, shown};
use crate::state::CollectionKey;
use crate::taxii::Timestamp;
use crate::taxii::window::WindowRules;

/// A change of a checkpoint, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Where it is.
    pub from: Option<Timestamp>,
    /// Where it will be; none begins as at the first start.
    pub to: Option<Timestamp>,
    /// Whether that is anything new.
    pub is_change: bool,
    /// What follows, in sentences.
    pub effects: Vec<String>,
}

/// What the windows of a collection depend on.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The service's present.
    pub(super) server_now: DateTime<Utc>,
    pub(super) rules: WindowRules,
    /// The time between two polls.
    pub(super) interval: Duration,
    /// Collections behind the same gate.
    pub(super) sharing: usize,
}

impl Plan {
    /// Refuses what makes no sense.
    pub(super) fn new(
        key: &CollectionKey,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        around: &Surroundings,
    ) -> Result<Self, CheckpointError> {
        if let Some(to) = &to {
            if to.time() > around.server_now {
                return Err(CheckpointError::Future {
                    to: to.clone(),
                    now: Timestamp::from(around.server_now),
                });
            }
            if to.time() < DateTime::UNIX_EPOCH {
                return Err(CheckpointError::TooOld { to: to.to_string() });
            }
        }
        Ok(Self {
            service: key.service.clone(),
            collection: key.collection.clone(),
            effects: effects(from.as_ref(), to.as_ref(), around),
            is_change: from != to,
            from,
            to,
        })
    }

    /// Of which collection.
    #[must_use]
    pub fn key(&self) -> CollectionKey {
        CollectionKey {
            service: self.service.clone(),
            collection: self.collection.clone(),
        }
    }
}

fn effects(from: Option<&Timestamp>, to: Option<&Timestamp>, around: &Surroundings) -> Vec<String> {
    let begin = |checkpoint| around.rules.begin(checkpoint, around.server_now, None);
    let (before, after) = (begin(from), begin(to));
    let moment = |begin: &Option<Timestamp>| begin.as_ref().map(Timestamp::time);
    let mut effects = Vec::new();
    if to.is_none() {
        effects.push("the next poll begins as the first one did (initial_lookback)".to_owned());
    }
    if let Some(to) = to.filter(|to| moment(&after).is_some_and(|begin| begin > to.time())) {
        effects.push(format!(
            "the service keeps its content for {}: what lies between {to} and {} is not there any \
             more, and the next poll reports it as a gap",
            shown(around.rules.retention),
            text(after.as_ref())
        ));
    }
    if moment(&after) < moment(&before) {
        effects.push(format!(
            "content between {} and {} is fetched again{}; events that were delivered come again, \
             with the same eventId",
            text(after.as_ref()),
            text(before.as_ref()),
            how_long(after.as_ref(), around)
        ));
    } else if moment(&after) > moment(&before) {
        effects.push(format!(
            "content between {} and {} is never fetched, unless by hand with `cta-forwarder poll`",
            text(before.as_ref()),
            text(after.as_ref())
        ));
    } else if effects.is_empty() {
        effects.push("the next window begins where it would have begun".to_owned());
    }
    effects
}

/// How many polls it takes to the present, and how long.
fn how_long(begin: Option<&Timestamp>, around: &Surroundings) -> String {
    let (Some(begin), Some(longest)) = (begin, around.rules.max_window) else {
        return String::new();
    };
    let span = (around.server_now - begin.time()).to_std();
    let span = span.unwrap_or_default().saturating_sub(around.rules.settle);
    let polls = span.as_nanos().div_ceil(longest.as_nanos().max(1)).max(1);
    let polls = u32::try_from(polls).unwrap_or(u32::MAX);
    let sharing = u32::try_from(around.sharing).unwrap_or(u32::MAX);
    let time = around
        .interval
        .saturating_mul(polls - 1)
        .saturating_mul(sharing);
    let behind = match sharing {
        0 | 1 => String::new(),
        more => format!(" for {more} collections"),
    };
    match polls {
        1 => format!(": {}, in 1 poll", shown(span)),
        polls => format!(
            ": {} to the present, in {polls} polls; at one poll in {}{behind} that takes {}",
            shown(span),
            shown(around.interval),
            shown(time)
        ),
    }
}

fn text(begin: Option<&Timestamp>) -> String {
    begin.map_or_else(|| "the beginning".to_owned(), Timestamp::to_string)
}
