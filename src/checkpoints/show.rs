//! Where every collection is, and how it came there.

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::server_now;
use crate::config::ServiceConfig;
use crate::house::House;
use crate::poller;
use crate::state::ledger::HistoryLine;
use crate::state::{Origin, Record};
use crate::taxii::Timestamp;
use crate::taxii::gate::Gate;

/// The checkpoint of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Whether it is polled.
    pub is_configured: bool,
    /// Up to where it is here, in the service's own words.
    pub checkpoint: Option<Timestamp>,
    /// How far that is behind the service's present, in seconds.
    pub lag_s: Option<i64>,
    /// The gate before it; none if it is not polled.
    pub gate: Option<GateStatus>,
    /// How it was last moved; none if it never was, or if the ledger no longer tells.
    pub moved: Option<Moved>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// Its name in the ledger.
    pub name: String,
    /// When a poll last passed it.
    pub passed_at: Option<DateTime<Utc>>,
    /// When it opens; none if it is open.
    pub opens_at: Option<DateTime<Utc>>,
}

/// How a checkpoint was last moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// By what.
    pub by: MovedBy,
    /// When.
    pub at: DateTime<Utc>,
    /// The ledger's record.
    pub record: u64,
}

/// What moves a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovedBy {
    /// A poll.
    Poll,
    /// A window that was given up after many useless answers.
    WindowGivenUp,
    /// A person who set it.
    Set,
    /// A person who took it away.
    Cleared,
}

/// All collections, those that are polled first. Blocks while the disk works.
pub fn show(house: &House, services: &[ServiceConfig]) -> io::Result<Vec<CheckpointStatus>> {
    let mut moved = BTreeMap::new();
    house.state.history(|line| {
        if let HistoryLine::Record { number, at, record } = line
            && let Some((key, by)) = moves(&record)
        {
            let record = number;
            moved.insert(key, Moved { by, at, record });
        }
    })?;
    let mut known = house.state.look(|picture| picture.collections.clone());
    let mut all = Vec::new();
    for service in services {
        for collection in service.collections.iter() {
            let key = format!("{}/{collection}", service.name);
            let known = known.remove(&key).unwrap_or_default();
            let lag = known.checkpoint.as_ref();
            let lag = lag.map(|stamp| server_now(house, &service.name) - stamp.time());
            all.push(CheckpointStatus {
                service: service.name.clone(),
                collection: collection.clone(),
                is_configured: true,
                checkpoint: known.checkpoint,
                lag_s: lag.map(|lag| lag.num_seconds()),
                gate: gate(house, service, collection),
                moved: moved.remove(&key),
            });
        }
    }
    for (key, known) in known {
        // A service's name has no slash.
        let Some((service, collection)) = key.split_once('/') else {
            continue;
        };
        all.push(CheckpointStatus {
            service: service.to_owned(),
            collection: collection.to_owned(),
            is_configured: false,
            checkpoint: known.checkpoint,
            lag_s: None,
            gate: None,
            moved: moved.remove(&key),
        });
    }
    Ok(all)
}

/// Whose checkpoint a record moves, and how.
fn moves(record: &Record) -> Option<(String, MovedBy)> {
    let (key, by) = match record {
        Record::Polled {
            key,
            origin: Origin::Poll,
            checkpoint: Some(_),
            ..
        } => (key, MovedBy::Poll),
        Record::WindowAbandoned { key, .. } => (key, MovedBy::WindowGivenUp),
        Record::CheckpointSet {
            key,
            checkpoint: Some(_),
        } => (key, MovedBy::Set),
        Record::CheckpointSet {
            key,
            checkpoint: None,
        } => (key, MovedBy::Cleared),
        _ => return None,
    };
    Some((key.to_string(), by))
}

fn gate(house: &House, service: &ServiceConfig, collection: &String) -> Option<GateStatus> {
    let mut gates = poller::gates(service).into_iter();
    let (name, _) = gates.find(|(_, behind)| behind.contains(collection))?;
    let now = house.clock.now();
    let passed_at = house.state.look(|picture| {
        let connecting = service.connect_timeout;
        poller::last_poll(picture, &name, &service.name, connecting, now.utc)
    });
    let closed = Gate::restore(service.min_poll_interval, passed_at, now).closed_for(now);
    let opens_at = TimeDelta::from_std(closed).map(|closed| now.utc + closed);
    Some(GateStatus {
        name,
        passed_at,
        opens_at: opens_at.ok().filter(|_| !closed.is_zero()),
    })
}
