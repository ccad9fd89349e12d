//! A TAXII service like CTA's, a vendor with paid feeds that pushes, a Splunk HTTP Event Collector
//! and a syslog receiver, on loopback.
//!
//! They behave as the real ones do, faults included, and remember what they were asked. The demo,
//! the command `simulate`, the tests over HTTP and the benchmarks stand on them. They share no
//! code with the readers and writers that they test: they parse requests, write content and
//! compute event ids in their own way.

mod body;
mod connection;
mod control;
mod fault;
mod journal;
mod listener;
mod publisher;
#[cfg(test)]
mod raw_client;
mod server;
mod tls;

pub mod content;
pub mod cta;
pub mod hec;
pub mod syslog;
pub mod vendor;

pub use self::control::SimulatorControl;
pub use self::fault::ArmedFault;
pub use self::publisher::{Publisher, publish_backlog};
pub use self::tls::ServerTls;
