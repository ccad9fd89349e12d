//! The real binary against services and receivers that mean harm: each ends in a clear error, within
//! the configured limits, and in bounded memory.
//!
//! `docs/reliability.md` has the table: what is sent, which limit stops it, what is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod agent;
mod receivers;
mod senders;
mod server;
mod service;
