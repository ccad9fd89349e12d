//! Our configuration, written from what the adapter's says: each thing that has no counterpart or means
//! something else here is told in a comment, and what a person must do begins with TODO.

mod draft;
mod outputs;
mod secrets;
mod service;

use std::path::PathBuf;

use super::application::Adapter;
use super::logback::Appenders;
use crate::config::CheckCron;
use draft::Draft;
pub use secrets::{SecretFile, SecretForm, Secrets};

/// The name of the service here.
const SERVICE: &str = "cta";

/// What is written beside the adapter's own words.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The adapter's file, as a person named it.
    pub source: String,
    /// What a person must be told besides.
    pub remarks: Vec<String>,
    /// The folder of the state.
    pub state: PathBuf,
    /// Where secrets are.
    pub secrets: Secrets,
    /// What knows which schedules can be.
    pub check_cron: CheckCron,
}

/// Our configuration.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Its text.
    pub toml: String,
    /// The secrets that it names and that must be written.
    pub secrets: Vec<SecretFile>,
    /// What a person must look at, as it stands in the text too.
    pub todo: Vec<String>,
}

/// Writes our configuration. `feeds` are all of them; `appenders` are those that get the adapter's events,
/// or why they are not known.
#[must_use]
pub fn write(
    adapter: &Adapter,
    feeds: &[String],
    appenders: &Result<Appenders, String>,
    around: &Surroundings,
) -> Imported {
    let mut draft = Draft::default();
    head(&mut draft, adapter, around);
    let secrets = service::write(&mut draft, adapter, feeds, around);
    outputs::write(&mut draft, adapter, appenders, around);
    Imported {
        toml: draft.text,
        secrets,
        todo: draft.todo,
    }
}

fn head(draft: &mut Draft, adapter: &Adapter, around: &Surroundings) {
    let source = &around.source;
    draft.comment(format_args!(
        "Written by `cta-forwarder import-config` from {source}."
    ));
    draft.comment("What is not here has its default: see config/cta-forwarder.toml for every key.");
    for (name, line) in &adapter.unknown {
        draft.comment(format_args!(
            "Not taken over, since it has no counterpart: {name} (line {line})"
        ));
    }
    for remark in around.remarks.iter().chain(&adapter.remarks) {
        draft.todo(remark);
    }
    draft.line("");
    draft.line("[state]");
    draft.key("directory", &around.state.display().to_string());
    draft.line("");
}

#[cfg(test)]
mod tests;
