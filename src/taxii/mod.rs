//! TAXII 1.0 and 1.1 as a client speaks it. Only `client` does I/O; what to ask for, when, and what an
//! answer means are plain values with the time as an argument.

pub mod beside;
pub mod client;
pub mod directory;
pub mod exchange;
pub mod fault;
pub mod gate;
pub mod inquiry;
pub mod mend;
pub mod message;
mod offer;
pub mod response;
pub mod status;
mod timestamp;
pub mod version;
pub mod window;

pub use timestamp::Timestamp;
