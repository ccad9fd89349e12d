//! What the agent tells of itself.

pub mod board;
pub mod figures;
pub mod logging;
pub mod seldom;
pub mod status;
