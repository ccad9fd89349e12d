//! A person sets a checkpoint.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Surroundings};
use super::{CheckpointError, append, server_now};
use crate::config::{ServiceConfig, find_collection, is_configured};
use crate::house::House;
use crate::poller;
use crate::state::CollectionKey;
use crate::taxii::Timestamp;
use crate::taxii::gate::Gate;
use crate::taxii::window::WindowRules;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointChange {
    /// The service, if several have the collection.
    pub service: Option<String>,
    /// The collection.
    pub collection: String,
    /// Where its next window is to begin.
    pub to: To,
}

/// Where a collection's next window is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum To {
    /// After this moment.
    Moment {
        /// The moment.
        moment: Timestamp,
    },
    /// So long before the service's present.
    Ago {
        /// How long.
        ago: Duration,
    },
    /// Where a first one would.
    First,
    /// Where that of another collection would, which has none after that.
    Of {
        /// The other one.
        #[serde(flatten)]
        key: CollectionKey,
    },
}

/// What will happen.
pub fn plan(
    house: &House,
    services: &[ServiceConfig],
    change: &CheckpointChange,
) -> Result<Plan, CheckpointError> {
    let service = find_collection(services, change.service.as_deref(), &change.collection)?;
    let key = CollectionKey {
        service: service.name.clone(),
        collection: change.collection.clone(),
    };
    let server_now = server_now(house, &service.name);
    let to = match &change.to {
        To::Moment { moment } => Some(moment.clone()),
        To::Ago { ago } => Some(back(server_now, *ago)?),
        To::First => None,
        To::Of { key } => Some(checkpoint_to_move(house, services, key)?),
    };
    let around = Surroundings {
        server_now,
        rules: WindowRules::of(service),
        interval: Gate::restore(service.min_poll_interval, None, house.clock.now()).interval(),
        sharing: sharing(service, &key.collection),
    };
    let from = checkpoint(house, &key);
    Plan::new(&key, from, to, &around)
}

/// Sets the checkpoint; gives what was done. Blocks while the disk works.
pub fn set(
    house: &House,
    services: &[ServiceConfig],
    change: &CheckpointChange,
) -> Result<Plan, CheckpointError> {
    let plan = plan(house, services, change)?;
    append(house, &plan.key(), plan.to.clone())?;
    // Whatever stops it between the two: what is left is not polled.
    if let To::Of { key } = &change.to {
        append(house, key, None)?;
    }
    // It may be far behind now.
    house.spool.announce_news();
    Ok(plan)
}

fn back(from: chrono::DateTime<chrono::Utc>, ago: Duration) -> Result<Timestamp, CheckpointError> {
    let ago_delta = TimeDelta::from_std(ago).ok();
    let moment = ago_delta.and_then(|ago| from.checked_sub_signed(ago));
    moment.map(Timestamp::from).ok_or_else(|| {
        let to = format!("{} ago", humantime::format_duration(ago));
        CheckpointError::TooOld { to }
    })
}

fn checkpoint(house: &House, key: &CollectionKey) -> Option<Timestamp> {
    house.state.look(|picture| {
        let known = picture.collection(key);
        known.and_then(|known| known.checkpoint.clone())
    })
}

/// The checkpoint of a collection that nobody polls any more.
fn checkpoint_to_move(
    house: &House,
    services: &[ServiceConfig],
    key: &CollectionKey,
) -> Result<Timestamp, CheckpointError> {
    if is_configured(services, &key.service, &key.collection) {
        let key = key.to_string();
        return Err(CheckpointError::StillConfigured { key });
    }
    checkpoint(house, key).ok_or_else(|| {
        let known = house.state.look(|picture| {
            let known = picture.collections.iter();
            let with = known.filter(|(_, known)| known.checkpoint.is_some());
            with.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        });
        CheckpointError::NoCheckpoint {
            key: key.to_string(),
            known: known.join(", "),
        }
    })
}

/// How many collections wait at the gate of this one.
fn sharing(service: &ServiceConfig, collection: &str) -> usize {
    let gates = poller::gates(service);
    let mut gates = gates.iter();
    let gate = gates.find(|(_, behind)| behind.iter().any(|name| name == collection));
    gate.map_or(1, |(_, behind)| behind.len())
}
