//! From a file to a checked [`Config`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use super::check;
use super::document::Document;
use super::problem::Problem;

/// Says of a cron expression why it is none: the scheduler's own room knows.
pub type CheckCron = fn(&str) -> Result<(), String>;

/// A configuration without a mistake.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works and yet deserves a second look.
    pub warnings: Vec<Problem>,
}

/// A configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is missing, unreadable or not UTF-8.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was read and there are mistakes in it.
    #[error("{}", shown_each_on_a_line(problems))]
    Invalid {
        /// All that was found, in the order of the file.
        problems: Vec<Problem>,
    },
}

fn shown_each_on_a_line(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

impl Config {
    /// Reads and checks the file, and the secrets that it names.
    ///
    /// All problems are found at once, except that nothing is looked at behind a syntax error.
    pub fn load(
        path: &Path,
        environment: &Environment,
        check_cron: CheckCron,
    ) -> Result<Loaded, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        let invalid = |problems| LoadError::Invalid { problems };
        let document = Document::parse(path, &text).map_err(|problem| invalid(vec![problem]))?;
        check::check(&document, environment, check_cron).map_err(invalid)
    }
}

/// What the configuration takes from outside its file. Tests bring their own.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    host_name: String,
    leaves_secrets: bool,
}

impl Environment {
    /// The variables of this process, the name of this machine.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            host_name: gethostname::gethostname().to_string_lossy().into_owned(),
            leaves_secrets: false,
        }
    }

    /// Nothing but a machine's name.
    #[must_use]
    pub fn new(host_name: impl Into<String>) -> Self {
        Self {
            variables: BTreeMap::new(),
            host_name: host_name.into(),
            leaves_secrets: false,
        }
    }

    /// Secrets, keys and certificates are not looked for: a command that finds the state with a
    /// configuration needs none of them. Secrets are empty in what is loaded.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.leaves_secrets = true;
        self
    }

    pub(super) fn leaves_secrets(&self) -> bool {
        self.leaves_secrets
    }

    /// With one variable more.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The name of the machine.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.host_name
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
    }

    /// Where systemd lays what `LoadCredential=` names.
    #[must_use]
    pub fn credentials_directory(&self) -> Option<&Path> {
        self.variable("CREDENTIALS_DIRECTORY")
            .filter(|directory| !directory.is_empty())
            .map(Path::new)
    }
}

/// The values may be secrets: names only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("host_name", &self.host_name)
            .field("variables", &self.variables.keys())
            .field("leaves_secrets", &self.leaves_secrets)
            .finish()
    }
}
