//! What the records since the start have brought and given up, counted. Pure.

use std::collections::BTreeMap;

use super::record::{EventFile, PolledCounts, Record, Removal};

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// What polls and pushed messages brought.
    pub fetched: Amount,
    /// What was written to the spool, whatever brought it; its bytes are compressed.
    pub spooled: Amount,
    /// By output, what will not be delivered.
    pub given_up: BTreeMap<String, GivenUp>,
}

/// Events and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Events that one output will not deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Given up by a person: as dead letters, or with the output.
    pub discarded: u64,
    /// Given up since the spool was full.
    pub abandoned: u64,
    /// Lost with damaged files: no poll brought them again.
    pub lost: u64,
    /// The batches that it still owed when a person forgot it.
    pub forgotten_batches: u64,
}

impl Tally {
    /// Takes in a record.
    pub fn take_in(&mut self, record: &Record) {
        if let Some(brought) = record.brings() {
            self.spooled.events += brought.events;
        }
        match record {
            Record::Polled {
                counts, content, ..
            }
            | Record::Pushed {
                counts, content, ..
            } => {
                self.fetch(counts);
                self.write(content.as_ref().map(|content| content.files.as_slice()));
            }
            Record::BatchAdded { content, .. } => {
                self.write(content.as_ref().map(|content| content.files.as_slice()));
            }
            Record::OutputFinished {
                output, finished, ..
            } => {
                let given_up = self.of(output);
                given_up.abandoned += finished.abandoned;
                given_up.lost += finished.lost;
            }
            Record::LettersRemoved {
                why: Removal::Dropped,
                letters,
            } => {
                for place in letters.iter().filter_map(|letter| letter.event.as_ref()) {
                    self.of(&place.output).discarded += 1;
                }
            }
            Record::OutputForgotten {
                output,
                debt: Some(debt),
            } => {
                let given_up = self.of(output);
                given_up.discarded += debt.events;
                given_up.forgotten_batches += debt.batches;
            }
            _ => {}
        }
    }

    fn fetch(&mut self, counts: &PolledCounts) {
        self.fetched.events += counts.events;
        self.fetched.bytes += counts.bytes;
    }

    fn write(&mut self, files: Option<&[EventFile]>) {
        let files = files.unwrap_or_default();
        self.spooled.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
    }

    fn of(&mut self, output: &str) -> &mut GivenUp {
        self.given_up.entry(output.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::diary::specimens;

    #[test]
    fn what_is_brought_and_given_up() {
        let mut tally = Tally::default();
        for record in [
            specimens::polled(Some(7), 100),
            specimens::polled(None, 0),
            specimens::finished("splunk", 90, 4),
            specimens::dropped("splunk", 3),
            specimens::forgotten("splunk", 2, 20),
        ] {
            tally.take_in(&record);
        }
        let events = 100;
        let fetched = Amount {
            events,
            bytes: 2000,
        };
        assert_eq!(tally.fetched, fetched);
        assert_eq!(tally.spooled, Amount { events, bytes: 50 });
        let given_up = GivenUp {
            discarded: 23,
            abandoned: 4,
            lost: 0,
            forgotten_batches: 2,
        };
        assert_eq!(tally.given_up["splunk"], given_up);
    }
}
