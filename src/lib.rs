//! `cta-forwarder` polls TAXII collections, flattens each STIX incident's observables into JSON
//! events, keeps them safe on disk and delivers them to Splunk HEC or syslog.
//!
//! `docs/architecture.md` draws the rooms and the invariants between them.

pub mod admin;
pub mod agent;
pub mod audit;
#[cfg(any(test, fuzzing))]
pub mod bad_input;
pub mod batches;
pub mod checkpoints;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod crash;
pub mod delivery;
pub mod disk;
pub mod house;
pub mod import;
pub mod inbox;
pub mod letters;
pub mod listener;
pub mod observe;
pub mod output;
pub mod poller;
pub mod repair;
pub mod replay;
pub mod roster;
pub mod schedule;
pub mod simulator;
pub mod spool;
pub mod state;
pub mod storage;
pub mod taxii;
pub mod tls;
mod tree;
pub mod trial;
pub mod wake;

pub use stix_events::{event, flatten, stix, tape, xml};

// The simulated world of `tests/` also serves the tests here, and names the crate as they do.
#[cfg(test)]
extern crate self as cta_forwarder;
#[cfg(test)]
#[path = "../tests/world/mod.rs"]
mod world;
