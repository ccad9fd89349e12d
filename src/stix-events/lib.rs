//! Reads STIX 1.x packages as a stream, and flattens them into JSON events.
//!
//! Pure, and worked through byte by byte: it is compiled for speed, and what is built on it for size.

pub mod event;
pub mod flatten;
mod known;
mod lanes;
mod names;
pub mod stix;
pub mod tape;
pub mod xml;
