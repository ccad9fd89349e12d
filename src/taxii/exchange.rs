//! One poll, in as many parts as its answer has: a state machine without I/O.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::fault::Fault;
use super::message::{Ask, NotInVersion, PollAsk, PollTerms, Request};
use super::response::PollPart;
use super::status::{StatusMessage, StatusType};
use super::version::Version;
use super::window::{GAP_TOLERANCE, PollWindow};
use crate::flatten::Counts;

/// A `Date` header tells the time to the second.
const CLOCK_PRECISION: TimeDelta = TimeDelta::seconds(1);

/// A poll that is under way.
#[derive(Debug)]
pub struct Exchange {
    version: Version,
    ask: PollAsk,
    is_data_set: bool,
    /// Whether there was a checkpoint: only then a gap can be told.
    has_checkpoint: bool,
    settle: TimeDelta,
    max_parts: u32,
    /// The part that is asked for next, from 1.
    part: u32,
    result_id: Option<String>,
    latest_end: Option<Timestamp>,
    /// How many records there are, as the first part that says so.
    stated_records: Option<u64>,
    so_far: Totals,
    gap: Option<Gap>,
    warnings: Vec<Warning>,
}

/// The service will have the answer later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// When to ask for it.
    pub wait: Duration,
}

/// A service that does not say when its answer will be there is asked so often.
const PENDING_WAIT: Duration = Duration::from_secs(60);
/// It is not asked more often than this, nor less often than the other, whatever it says.
const PENDING_WAITS: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(60 * 60);

/// What an exchange has brought, over its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Parts of the answer.
    pub parts: u32,
    /// Bytes, after decompression.
    pub bytes: u64,
    /// Content_Blocks.
    pub blocks: u64,
    /// Content_Blocks that were set aside.
    pub refused_blocks: u64,
    /// What the blocks held.
    pub counts: Counts,
    /// Events beside those, which the poll before brought too, or this one already.
    pub known_events: u64,
    /// The service's message ids.
    pub message_ids: Vec<String>,
}

/// Content that the service no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Up to here it was fetched.
    pub after: Timestamp,
    /// From here on it is fetched.
    pub until: Timestamp,
}

/// What was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about: each is told once for a collection.
    pub kind: WarningKind,
    /// What was seen.
    pub text: String,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningKind {
    /// The answer belongs to another request.
    InResponseTo,
    /// The answer states no end, or one that cannot be.
    End,
    /// The parts are not numbered as they should be.
    PartNumber,
    /// More or less came than the answer says that there is.
    RecordCount,
    /// Something else in the head of the answer.
    Head,
}

/// What follows a part.
#[derive(Debug)]
pub enum Progress {
    /// There are more parts.
    More,
    /// The answer is whole.
    Complete(Box<Completed>),
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// What was asked for.
    pub window: PollWindow,
    /// Where the next window begins.
    pub checkpoint: Timestamp,
    /// What is missing before this answer.
    pub gap: Option<Gap>,
    /// What it brought.
    pub totals: Totals,
    /// What was not as it should be.
    pub warnings: Vec<Warning>,
}

impl Completed {
    /// The same, of which so many events and refused content blocks are not new and left out.
    #[must_use]
    pub fn without(mut self, events: u64, blocks: u64) -> Self {
        let totals = &mut self.totals;
        totals.known_events = events;
        totals.counts.events = totals.counts.events.saturating_sub(events);
        totals.refused_blocks = totals.refused_blocks.saturating_sub(blocks);
        self
    }
}

impl Exchange {
    /// A poll of a window that begins at `checkpoint` unless the service no longer has that.
    #[must_use]
    pub fn new(
        version: Version,
        ask: PollAsk,
        checkpoint: Option<&Timestamp>,
        settle: TimeDelta,
        max_parts: u32,
    ) -> Self {
        let gap = match (checkpoint, &ask.window.exclusive_begin) {
            (Some(checkpoint), Some(begin)) if begin.time() - checkpoint.time() > GAP_TOLERANCE => {
                Some(Gap {
                    after: checkpoint.clone(),
                    until: begin.clone(),
                })
            }
            _ => None,
        };
        Self {
            version,
            ask,
            is_data_set: false,
            has_checkpoint: checkpoint.is_some(),
            settle,
            max_parts,
            part: 1,
            result_id: None,
            latest_end: None,
            stated_records: None,
            so_far: Totals::default(),
            gap,
            warnings: Vec::new(),
        }
    }

    /// The collection has no times: an answer that states none is as it should be.
    #[must_use]
    pub fn of_data_set(self, is_data_set: bool) -> Self {
        Self {
            is_data_set,
            ..self
        }
    }

    /// The part that is asked for next, from 1.
    #[must_use]
    pub fn part(&self) -> u32 {
        self.part
    }

    /// What to send next: the poll itself, or the request for a further part.
    pub fn request(&self, message_id: String) -> Result<Request, NotInVersion> {
        let ask = match &self.result_id {
            None => Ask::Poll(&self.ask),
            Some(result_id) => Ask::Fulfillment {
                collection: &self.ask.collection,
                result_id,
                part_number: self.part,
            },
        };
        Request::new(ask, self.version, message_id)
    }

    /// Whether a Poll_Request comes next, which the provider counts.
    #[must_use]
    pub fn is_poll(&self) -> bool {
        self.result_id.is_none()
    }

    /// A Status_Message came instead of a part: the answer comes later, or not at all.
    pub fn refused(&mut self, http: u16, message: StatusMessage) -> Result<Later, Fault> {
        if let Some(later) = self.later(&message) {
            return Ok(later);
        }
        let message = Box::new(message);
        let is_expired = matches!(
            message.status,
            StatusType::NotFound
                | StatusType::AsynchronousPollError
                | StatusType::InvalidResponsePart
        );
        if !self.is_poll() && is_expired {
            let part = self.part;
            return Err(Fault::ResultExpired { part, message });
        }
        Err(Fault::Status { http, message })
    }

    /// Whether the service may say so, and says how to ask for the answer.
    fn later(&mut self, message: &StatusMessage) -> Option<Later> {
        let allows = matches!(
            self.ask.terms,
            PollTerms::Parameters {
                allow_asynch: true,
                ..
            }
        );
        let has_way = allows && self.version != Version::V1_0 && self.part == 1;
        if message.status != StatusType::Pending || !has_way {
            return None;
        }
        let result_id = message.detail("RESULT_ID").map(str::trim);
        let result_id = result_id.filter(|id| !id.is_empty()).map(str::to_owned);
        self.result_id = result_id.or(self.result_id.take());
        self.result_id.as_ref()?;
        let wait = message.estimated_wait().unwrap_or(PENDING_WAIT);
        Some(Later {
            wait: wait.clamp(*PENDING_WAITS.start(), *PENDING_WAITS.end()),
        })
    }

    /// A part came.
    pub fn received(
        &mut self,
        part: PollPart,
        message_id: &str,
        server_now: DateTime<Utc>,
    ) -> Result<Progress, Fault> {
        self.check_number(part.part_number)?;
        self.check_head(&part, message_id);
        if self.part == 1 {
            self.check_begin(part.begin.as_ref());
        }
        if let Some(end) = part.end {
            let latest = self.latest_end.get_or_insert_with(|| end.clone());
            if end.time() > latest.time() {
                *latest = end;
            }
        }
        if let Some(count) = part.record_count.filter(|count| !count.is_partial) {
            self.stated_records.get_or_insert(count.records);
        }
        let so_far = &mut self.so_far;
        so_far.parts += 1;
        so_far.bytes += part.bytes;
        so_far.blocks += part.blocks;
        so_far.refused_blocks += part.refused_blocks;
        so_far.counts.add(&part.counts);
        so_far.message_ids.extend(part.message_id);
        if !part.more {
            return self.complete(server_now).map(Progress::Complete);
        }
        if self.part >= self.max_parts {
            let limit = self.max_parts;
            return Err(Fault::TooManyParts { limit });
        }
        self.result_id = part.result_id.or(self.result_id.take());
        if self.result_id.is_none() {
            return Err(Fault::Unreadable {
                reason: "it says that there is more, but not under which result_id".to_owned(),
            });
        }
        self.part += 1;
        Ok(Progress::More)
    }

    /// Another part than the one that was asked for would come twice, and that one never.
    fn check_number(&mut self, stated: Option<u32>) -> Result<(), Fault> {
        let Some(number) = stated.filter(|number| *number != self.part) else {
            return Ok(());
        };
        let text = format!(
            "the answer is numbered part {number}, asked was part {}",
            self.part
        );
        if self.part > 1 {
            return Err(Fault::Unreadable { reason: text });
        }
        self.warn(WarningKind::PartNumber, text);
        Ok(())
    }

    fn check_head(&mut self, part: &PollPart, message_id: &str) {
        if let Some(other) = &part.in_response_to
            && other != message_id
        {
            let text = format!("the answer is in response to {other:?}, asked was {message_id:?}");
            self.warn(WarningKind::InResponseTo, text);
        }
        for warning in &part.warnings {
            self.warn(WarningKind::Head, warning.clone());
        }
    }

    /// A later part may state a later begin; only the first one's tells what is missing.
    fn check_begin(&mut self, stated: Option<&Timestamp>) {
        let (Some(stated), Some(asked)) = (stated, &self.ask.window.exclusive_begin) else {
            return;
        };
        if self.has_checkpoint && stated.time() - asked.time() > GAP_TOLERANCE {
            let after = match &self.gap {
                Some(gap) => gap.after.clone(),
                None => asked.clone(),
            };
            self.gap = Some(Gap {
                after,
                until: stated.clone(),
            });
        }
    }

    fn complete(&mut self, server_now: DateTime<Utc>) -> Result<Box<Completed>, Fault> {
        let settled = Timestamp::from(server_now - self.settle);
        let requested = match &self.ask.window.inclusive_end {
            Some(end) if end.time() <= settled.time() => end.clone(),
            _ => settled,
        };
        let checkpoint = match self.latest_end.take() {
            Some(end) if end.time() <= server_now + CLOCK_PRECISION => end,
            Some(end) => {
                let text = format!(
                    "the answer says that it is complete up to {end}, which the service's clock \
                     has not reached; going on from {requested}"
                );
                self.warn(WarningKind::End, text);
                requested
            }
            // A Data Set is all that there is now.
            None if self.is_whole() => requested,
            None => {
                let text = format!(
                    "the answer states no Inclusive_End_Timestamp; going on from {requested}, \
                     the end that was asked for"
                );
                self.warn(WarningKind::End, text);
                requested
            }
        };
        if let Some(begin) = &self.ask.window.exclusive_begin
            && checkpoint.time() <= begin.time()
        {
            return Err(Fault::NoProgress { end: checkpoint });
        }
        let records = self.so_far.blocks;
        if let Some(stated) = self
            .stated_records
            .filter(|stated| *stated > 0 && records == 0)
        {
            let reason = format!(
                "the answer has none of the {stated} content blocks that it counts (Record_Count), as \
                 of a subscription to counts only"
            );
            return Err(Fault::NotOffered { reason });
        }
        if let Some(stated) = self.stated_records.filter(|stated| *stated != records) {
            let text = format!(
                "the answer says that it has {stated} content blocks (Record_Count), {records} came"
            );
            self.warn(WarningKind::RecordCount, text);
        }
        Ok(Box::new(Completed {
            window: self.ask.window.clone(),
            checkpoint,
            gap: self.gap.take(),
            totals: std::mem::take(&mut self.so_far),
            warnings: std::mem::take(&mut self.warnings),
        }))
    }

    /// Whether all of a Data Set was asked for.
    fn is_whole(&self) -> bool {
        self.is_data_set && self.ask.window.inclusive_end.is_none()
    }

    fn warn(&mut self, kind: WarningKind, text: String) {
        if self.warnings.iter().all(|known| known.kind != kind) {
            self.warnings.push(Warning { kind, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn stamp(text: &str) -> Timestamp {
        Timestamp::parse(&format!("2015-01-{text}T00:00:00Z")).unwrap()
    }

    fn exchange(checkpoint: Option<&str>, begin: &str, end: &str) -> Exchange {
        let ask = PollAsk {
            collection: "c".into(),
            window: PollWindow {
                exclusive_begin: Some(stamp(begin)),
                inclusive_end: Some(stamp(end)),
            },
            terms: PollTerms::default(),
        };
        let checkpoint = checkpoint.map(stamp);
        let settle = TimeDelta::seconds(60);
        Exchange::new(Version::V1_1, ask, checkpoint.as_ref(), settle, 3)
    }

    fn part(begin: Option<&str>, end: Option<&str>) -> PollPart {
        PollPart {
            begin: begin.map(stamp),
            end: end.map(stamp),
            in_response_to: Some("m".into()),
            ..PollPart::default()
        }
    }

    fn more(part: PollPart) -> PollPart {
        PollPart {
            more: true,
            result_id: Some("r".into()),
            ..part
        }
    }

    /// What comes of these parts, in short.
    #[track_caller]
    fn check(mut exchange: Exchange, parts: Vec<PollPart>, now: &str, expect: &str) {
        let mut got = String::new();
        for part in parts {
            match exchange.received(part, "m", stamp(now).time()) {
                Ok(Progress::More) => got.push_str("more, "),
                Ok(Progress::Complete(done)) => {
                    got.push_str(&done.checkpoint.text()[8..10]);
                    if let Some(gap) = done.gap {
                        let days = (&gap.after.text()[8..10], &gap.until.text()[8..10]);
                        write!(got, ", gap {} to {}", days.0, days.1).unwrap();
                    }
                    for warning in done.warnings {
                        write!(got, ", {:?}", warning.kind).unwrap();
                    }
                }
                Err(fault) => got.push_str(&fault.to_string()),
            }
        }
        assert_eq!(got, expect);
    }

    #[test]
    fn the_checkpoint_is_the_services_word() {
        check(
            exchange(Some("10"), "10", "13"),
            vec![part(Some("10"), Some("12"))],
            "20",
            "12",
        );
        check(
            exchange(Some("10"), "10", "13"),
            vec![part(None, Some("14"))],
            "20",
            "14",
        );
        check(
            exchange(Some("10"), "10", "13"),
            vec![part(None, None)],
            "20",
            "13, End",
        );
    }

    #[test]
    fn an_end_in_the_services_future_is_not_believed() {
        let mut exchange = exchange(Some("10"), "10", "13");
        let now = stamp("12").time();
        let Ok(Progress::Complete(done)) = exchange.received(part(None, Some("13")), "m", now)
        else {
            panic!("not complete");
        };
        assert_eq!(done.checkpoint.text(), "2015-01-11T23:59:00Z");
        check(
            super::tests::exchange(Some("10"), "10", "13"),
            vec![part(None, Some("15"))],
            "14",
            "13, End",
        );
    }

    #[test]
    fn no_progress() {
        check(
            exchange(Some("10"), "10", "13"),
            vec![part(None, Some("10"))],
            "20",
            "the answer makes no progress: it ends at 2015-01-10T00:00:00Z, and that is where it \
             was asked to begin",
        );
    }

    #[test]
    fn gaps() {
        // Of an existing checkpoint alone, and on the first part alone.
        check(
            exchange(None, "10", "13"),
            vec![part(Some("11"), Some("13"))],
            "20",
            "13",
        );
        check(
            exchange(Some("10"), "10", "13"),
            vec![part(Some("11"), Some("13"))],
            "20",
            "13, gap 10 to 11",
        );
        check(
            exchange(Some("05"), "10", "13"),
            vec![part(Some("10"), Some("13"))],
            "20",
            "13, gap 05 to 10",
        );
        check(
            exchange(Some("05"), "10", "13"),
            vec![
                more(part(Some("11"), Some("12"))),
                part(Some("12"), Some("13")),
            ],
            "20",
            "more, 13, gap 05 to 11",
        );
    }

    #[test]
    fn parts() {
        let three = || more(part(None, Some("11")));
        check(
            exchange(Some("10"), "10", "13"),
            vec![
                more(part(None, Some("13"))),
                more(part(None, Some("12"))),
                part(None, None),
            ],
            "20",
            "more, more, 13",
        );
        check(
            exchange(Some("10"), "10", "13"),
            vec![three(), three(), three()],
            "20",
            "more, more, the answer has more than 3 parts (limits.max_parts)",
        );
        let lost = PollPart {
            more: true,
            ..part(None, None)
        };
        check(
            exchange(Some("10"), "10", "13"),
            vec![lost],
            "20",
            "the answer cannot be read: it says that there is more, but not under which result_id",
        );
    }

    #[test]
    fn requests_follow_the_parts() {
        let mut exchange = exchange(Some("10"), "10", "13");
        assert!(
            exchange
                .request("m".into())
                .unwrap()
                .xml
                .contains("Poll_Request")
        );
        exchange
            .received(more(part(None, None)), "m", stamp("20").time())
            .unwrap();
        let request = exchange.request("n".into()).unwrap().xml;
        assert!(
            request.contains(r#"result_id="r" result_part_number="2""#),
            "{request}"
        );
    }

    #[test]
    fn odd_heads_are_told_once() {
        let odd = PollPart {
            in_response_to: Some("x".into()),
            part_number: Some(7),
            ..more(part(None, Some("13")))
        };
        let last = PollPart {
            more: false,
            part_number: None,
            ..odd.clone()
        };
        let other = PollPart {
            more: false,
            ..odd.clone()
        };
        check(
            exchange(Some("10"), "10", "13"),
            vec![odd.clone(), other],
            "20",
            "more, the answer cannot be read: the answer is numbered part 7, asked was part 2",
        );
        check(
            exchange(Some("10"), "10", "13"),
            vec![odd, last],
            "20",
            "more, 13, PartNumber, InResponseTo",
        );
    }
}
