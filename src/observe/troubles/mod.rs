//! What is not well, and what a person can do about it: the one place that judges a [`Status`]. The
//! terminal, the status page, readiness, the metrics and systemd's status line tell what it finds.
//! Pure.

mod find;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::status::Status;
pub use find::{find, peer_name};

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// How bad it is.
    pub severity: Severity,
    /// Whose it is.
    pub kind: Kind,
    /// The name of that.
    pub name: String,
    /// What is wrong with it.
    pub what: What,
    /// What happened.
    pub reason: String,
    /// What to do about it; none where waiting may help.
    pub mend: Option<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Whether the agent is not ready because of it.
    pub is_in_the_way: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It waits for a person.
    Held,
    /// It fails, and is tried again by itself.
    Failing,
    /// Nothing fails, but somebody should look.
    Remark,
}

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The agent itself.
    Agent,
    /// A collection, by `service/collection`.
    Collection,
    /// An output.
    Output,
    /// One peer of an output: see [`peer_name`].
    Peer,
    /// The inbox.
    Inbox,
    /// The spool, and what else is kept.
    Spool,
    /// A file of certificates.
    Certificate,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A part of the agent does nothing.
    Standstill,
    /// The configuration is not the one in the file.
    RefusedReload,
    /// It waits for a person, and is probed.
    Hold,
    /// It fails, and is tried again.
    Failure,
    /// Content that the service no longer had, or that was lost with damaged files.
    Gaps,
    /// The configuration has it no more, and what it owes is kept.
    Unconfigured,
    /// Batches that are owed are not in the spool.
    MissingBatches,
    /// Windows are polled again, since files were damaged.
    Repair,
    /// Damage has cost events.
    Loss,
    /// There is no room for another batch.
    Full,
    /// Soon there will be none.
    NearlyFull,
    /// Events that no receiver takes.
    DeadLetters,
    /// Damaged and unreadable things.
    Quarantine,
    /// Nobody believes a certificate any more.
    Expired,
    /// Soon nobody will.
    Expires,
}

impl Trouble {
    /// What is not well, in few words, for a line that names several.
    #[must_use]
    pub fn headline(&self) -> String {
        let name = &self.name;
        let subject = match self.kind {
            Kind::Agent | Kind::Spool => format!("the {}", self.kind.name()),
            Kind::Collection | Kind::Peer => name.clone(),
            Kind::Output | Kind::Inbox | Kind::Certificate => {
                format!("{} {name}", self.kind.name())
            }
        };
        match self.what {
            What::Standstill => format!("{subject} stands still"),
            What::RefusedReload => {
                "a reload was refused, the configuration is the old one".to_owned()
            }
            What::Hold => format!("{subject} is held"),
            What::Failure => format!("{subject} fails"),
            What::Gaps => format!("gaps of {name}"),
            What::Unconfigured => format!("{subject} is no longer configured"),
            What::MissingBatches => format!("batches of {name} are missing"),
            What::Repair => format!("damage is repaired for {name}"),
            What::Loss => format!("events are lost for {name}"),
            What::Full => format!("{subject} is full"),
            What::NearlyFull => format!("{subject} is nearly full"),
            What::DeadLetters => "dead letters".to_owned(),
            What::Quarantine => "quarantine".to_owned(),
            What::Expired => format!("{subject} has expired"),
            What::Expires => format!("{subject} expires soon"),
        }
    }
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Collection => "collection",
            Self::Output => "output",
            Self::Peer => "peer",
            Self::Inbox => "inbox",
            Self::Spool => "spool",
            Self::Certificate => "certificate",
        }
    }
}

impl What {
    fn severity(self) -> Severity {
        match self {
            Self::Standstill | Self::Hold | Self::MissingBatches | Self::Full | Self::Expired => {
                Severity::Held
            }
            Self::Failure => Severity::Failing,
            Self::RefusedReload
            | Self::Gaps
            | Self::Unconfigured
            | Self::Repair
            | Self::Loss
            | Self::NearlyFull
            | Self::DeadLetters
            | Self::Quarantine
            | Self::Expires => Severity::Remark,
        }
    }
}
