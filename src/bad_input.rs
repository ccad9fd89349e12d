//! What holds for every input, however bad: the bodies of the fuzz targets.
//!
//! Only tests and fuzzers see this room. `cargo fuzz` runs each body on what it makes up, and
//! `cargo test` on the seeds in `fuzz/seeds` and on changes of them. Those that need what an output
//! keeps to itself stand beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a body that panics has found something; their names say what they are"
)]

pub mod configuration;
pub mod inbox;
pub mod ledger;
mod pieces;
pub mod reader;
#[cfg(test)]
mod replay;
pub mod spool;

pub use crate::output::bad_input::{hec_answer, hec_envelope, relp_peer, syslog_message};
pub(crate) use pieces::Pieces;

/// Characters that any message for a person may have, whatever the input.
pub(crate) const MAX_MESSAGE_CHARACTERS: usize = 2400;

/// What is said to a person says something, and fits the line of a log.
#[track_caller]
pub(crate) fn assert_fit_for_a_log(message: &str) {
    assert!(!message.trim().is_empty(), "an empty message");
    let length = message.chars().count();
    assert!(
        length <= MAX_MESSAGE_CHARACTERS,
        "a message of {length} characters: {:?}",
        message.chars().take(300).collect::<String>()
    );
}
