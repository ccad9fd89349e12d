//! Damage to the spool: whatever is flipped, cut or gone, every event reaches every output as it was
//! published, and where the service answers as it did, exactly once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod binary;
mod damage;
mod mending;
mod other_answers;
#[path = "../rig/mod.rs"]
mod rig;
mod scene;
mod sweep;
mod turns;
mod without_poll;
#[path = "../world/mod.rs"]
mod world;
