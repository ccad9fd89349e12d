//! What is wrong in the configuration file, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, or at least doubtful, in the configuration file.
///
/// Shown as `file:line: key: what is wrong; what is allowed`. It never holds a secret's value nor
/// a line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// The line in it, from 1, if the problem stands on one.
    pub line: Option<usize>,
    /// The key's full path such as `service[0].max_window`; empty where none is known.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.what)
    }
}
