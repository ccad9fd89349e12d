//! The commands as people and scripts see them: the real binary, its output and its exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod audit;
mod check;
mod checkpoint;
mod dead_letters;
mod demo;
mod discovery;
mod flatten;
mod forget;
mod notify;
mod poll;
mod program;
mod reload;
mod run;
mod service;
mod simulate;
mod simulator;
mod spool;
mod status;
mod taxii;
