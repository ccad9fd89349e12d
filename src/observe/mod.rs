//! What the agent tells of itself.

pub mod board;
pub mod figures;
pub mod logging;
pub mod seldom;
pub mod service_manager;
#[cfg(test)]
pub(crate) mod specimen;
pub mod status;
pub mod troubles;
pub mod watchdog;
