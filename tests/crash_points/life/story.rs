//! What may happen in a life, and what that is allowed to leave.

/// What happens, up to the death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// Polls, deliveries, dead letters, rubbish from the service, a stop.
    Work,
    /// Head and files of a batch are damaged in the midst of its delivery; its window comes again as it
    /// was.
    SameAnswer,
    /// A file is damaged, and the service has added to its window.
    OtherAnswer,
    /// Files are damaged while the service is away, and a person puts them right.
    PutRight,
    /// Files are damaged while the service is away, and a person gives them up.
    GivenUp,
    /// Files are damaged, and the service refuses their window.
    Refused,
    /// The file of a retry of dead letters is damaged, which no poll brings again.
    DamagedRetry,
    /// Something lies among the batches that is none.
    StrangeFolder,
    /// The store cannot be opened.
    BrokenStore,
    /// The store is gone.
    NoStore,
    /// No snapshot of the ledger can be read.
    LostLedger,
    /// The record that a batch is done with cannot be read, and the store is gone.
    UnknownArchive,
    /// A record is damaged beside the running agent, and a person has the spool checked.
    CheckedLedger,
    /// A person sets the checkpoint back.
    SetBack,
    /// A service pushes to the inbox, and again what it is not told SUCCESS of.
    Pushed,
}

impl Story {
    /// How long the archive keeps a batch: what is done goes when the next is done.
    pub(crate) fn archive_keeps(self) -> &'static str {
        match self {
            Self::UnknownArchive => "1d",
            _ => "1ms",
        }
    }

    /// What the configuration has beyond a service and an output.
    pub(crate) fn sections(self) -> &'static str {
        match self {
            Self::Pushed => "[inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"pushed\"]\n",
            _ => "",
        }
    }

    /// Whether Splunk refuses events until a person retries them.
    pub(crate) fn has_refusals(self) -> bool {
        matches!(self, Self::Work | Self::DamagedRetry)
    }

    /// Whether the ledger may lack records at a start, which is said then.
    pub(crate) fn costs_records(self) -> bool {
        matches!(
            self,
            Self::LostLedger | Self::UnknownArchive | Self::CheckedLedger
        )
    }

    /// How the names end of what must be kept for a person.
    pub(crate) fn quarantines(self) -> &'static [&'static str] {
        match self {
            Self::SameAnswer => &[
                "batch.json",
                "events-0001.jsonl.zst",
                "events-0002.jsonl.zst",
            ],
            Self::OtherAnswer | Self::DamagedRetry => &["events-0001.jsonl.zst"],
            Self::GivenUp | Self::Refused => &["events-0001.jsonl.zst", "events-0002.jsonl.zst"],
            Self::StrangeFolder => &["000000000099"],
            Self::BrokenStore => &["state.sled-1"],
            Self::LostLedger => &["ledger-1"],
            Self::Work
            | Self::PutRight
            | Self::NoStore
            | Self::UnknownArchive
            | Self::CheckedLedger
            | Self::SetBack
            | Self::Pushed => &[],
        }
    }
}
