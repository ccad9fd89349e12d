//! What is pushed to the inbox: taken when it is durable, refused with the right word, never lost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

#[path = "../world/mod.rs"]
mod world;

mod doors;
mod messages;
mod refusals;
mod room;
mod sender;
