//! Where the agent can be watched: the real binary over HTTP, well and in trouble.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

#[path = "../rig/mod.rs"]
mod rig;

mod doors;
mod figures;
mod openmetrics;
mod trouble;
mod watched;
