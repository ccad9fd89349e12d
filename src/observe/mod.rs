//! What the agent tells of itself.

pub mod board;
pub mod figures;
pub mod logging;
pub mod seldom;
pub mod service_manager;
pub mod status;
pub mod watchdog;
