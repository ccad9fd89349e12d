//! Configuration files that are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what does not hold has failed the test"
)]

use std::path::Path;

use super::document::Document;
use super::load::Environment;
use super::{Config, Problem, check};

/// What `load` makes of a text; no secret and no file is looked at.
pub(crate) fn check_text(text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let document = Document::parse(Path::new("f.toml"), text).map_err(|problem| vec![problem])?;
    let environment = Environment::new("host").without_secrets();
    let loaded = check::check(&document, &environment, |_| Ok(()))?;
    Ok((loaded.config, loaded.warnings))
}
