//! The exit codes: here, and nowhere else.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// What was asked for did not succeed.
    Failure,
    /// The command line is wrong.
    Usage,
    /// Something that the configuration names does not answer as it must: `EX_UNAVAILABLE` of
    /// `sysexits.h`.
    Unavailable,
    /// The configuration is wrong: `EX_CONFIG` of `sysexits.h`, which tells systemd not to start
    /// again.
    Configuration,
}

/// The codes for a person, as `--help` shows them.
pub(super) const HELP: &str = "\
Exit codes:
  0   all went well
  1   what was asked for did not succeed
  2   the command line is wrong
  69  `check --online`: something that the configuration names does not answer as it must
  78  the configuration is wrong";

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code() {
        let named: Vec<u8> = HELP
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        let exits = [
            Exit::Success,
            Exit::Failure,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Configuration,
        ];
        assert_eq!(named, exits.map(Exit::code));
    }
}
