//! A view with something of everything in it, for tests.

use chrono::TimeDelta;

use super::view::{DayView, View};
use crate::observe::board::Figures;
use crate::observe::figures::{OutputFigures, PollFigures, Taken};
use crate::observe::specimen::minute_ago;
pub(super) use crate::observe::specimen::{hold, now, output, peer, well};
use crate::observe::status::Status;
use crate::observe::troubles;
use crate::spool::{About, LetterHead};
use crate::state::day::begin_of_day;
use crate::state::{CollectionKey, DiaryEntry, Record};

/// What has been counted.
pub(super) fn figures() -> Figures {
    let mut figures = Figures::default();
    let polls = PollFigures {
        succeeded: 11,
        failed: 2,
    };
    figures.polls.insert("cta/flows".to_owned(), polls);
    let mut own = OutputFigures {
        retries: 5,
        dead_lettered: 8,
        ..OutputFigures::default()
    };
    let taken = Taken {
        events: 1007,
        of: 1007,
        bytes: 54_321,
    };
    own.landed(std::time::Duration::from_millis(40), taken);
    own.delivered(now(), 1007);
    figures.outputs.insert("splunk".to_owned(), own);
    figures
}

/// The view of a status.
pub(super) fn view(status: Status) -> View {
    let figures = figures();
    let mut fetched = vec![0; 96];
    fetched[40] = 1000;
    fetched[95] = 234;
    let key = CollectionKey {
        service: "cta".to_owned(),
        collection: "flows".to_owned(),
    };
    let record = Record::PollFailed {
        key,
        failures: 1,
        span: None,
        reason: "the answer is cut off".to_owned(),
    };
    View {
        troubles: troubles::find(&status),
        started_at: now() - TimeDelta::hours(30),
        day: DayView {
            begin: begin_of_day(now()),
            fetched,
            delivered: [("splunk".to_owned(), vec![0; 96])].into(),
        },
        records: DiaryEntry::of(17, minute_ago(), &record)
            .into_iter()
            .collect(),
        letters: vec![LetterHead {
            id: "0b9f7a52-2ff3-4d51-8f0e-5a6f6b0e4d3c".to_owned(),
            at: minute_ago(),
            service: "cta".to_owned(),
            collection: "flows".to_owned(),
            bytes: 700,
            about: About::Event {
                output: "splunk".to_owned(),
                seq: 3,
                line: 4,
                code: "hec-6".to_owned(),
                reason: "Invalid data format".to_owned(),
                number: None,
                event_id: None,
            },
        }],
        figures,
        status,
    }
}
