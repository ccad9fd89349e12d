//! Fetches one window: sends the poll, reads its parts into the staging area.

use std::io::{self, Read};
use std::time::Duration;

use chrono::TimeDelta;

use super::endpoint::Endpoint;
use super::gates::SLOW_RECORD;
use super::{KeepError, PollError, Poller};
use crate::config::Limits;
use crate::crash::{self, Point};
use crate::flatten::Origin;
use crate::spool::{SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, Record};
use crate::taxii::Timestamp;
use crate::taxii::beside;
use crate::taxii::client::{Reply, new_message_id};
use crate::taxii::directory::MAX_REQUESTS;
use crate::taxii::exchange::{Completed, Exchange, Progress};
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::message::{ContentBinding, PollAsk, PollTerms, ResponseType};
use crate::taxii::response::{Answer, ReadResponseError, read_answer};
use crate::taxii::window::PollWindow;

/// How a window is fetched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Whether the answer may come later, if the configuration lets it.
    pub(super) may_wait: bool,
    /// Whether the answer is kept as it comes, for a person.
    pub(super) keep_raw: bool,
}

/// How often a part is asked for; any part may be asked for again.
const PART_ATTEMPTS: u32 = 3;
/// How often the ledger is told of a poll on a disk that takes longer than [`SLOW_RECORD`] each time.
const GATE_RECORDS: u32 = 5;
/// Of an answer that is no success only this much is read, for the message in it.
const MAX_REFUSAL_BYTES: u64 = 1 << 20;

impl Poller {
    /// Polls a window, all of its parts; the gate closes with the first byte.
    pub(super) async fn fetch(
        &mut self,
        key: &CollectionKey,
        window: &PollWindow,
        checkpoint: Option<&Timestamp>,
        staging: &mut Staging,
        manner: Manner,
    ) -> Result<Completed, PollError> {
        let settle = TimeDelta::from_std(self.service.settle).unwrap_or_default();
        let max_parts = self.service.limits.max_parts;
        let endpoint = match self.endpoint(&key.collection).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let failed = Err(error);
                self.count(key, &failed);
                return failed;
            }
        };
        let allow_asynch = manner.may_wait && self.service.allow_asynch;
        let ask = PollAsk {
            collection: key.collection.clone(),
            window: window.clone(),
            terms: self.terms(&key.collection, allow_asynch),
        };
        let is_data_set = self.service.is_data_set(&key.collection);
        let mut exchange = Exchange::new(endpoint.version, ask, checkpoint, settle, max_parts)
            .of_data_set(is_data_set);
        if manner.keep_raw {
            staging.keep_raw();
        }
        if self.client.is_interrupted() {
            return Err(PollError::Interrupted);
        }
        let started = Record::PollStarted {
            gate: self.gate_name.clone(),
            key: key.clone(),
            window: window.clone(),
        };
        let turn = self.disk_turn(self.house.disk_turns.to_commit()).await;
        self.close_gate(&started).map_err(KeepError::from)?;
        drop(turn);
        crash::point(Point::GateClosed);
        self.gate.polled(self.house.clock.now());
        let fetched = self.parts(key, &endpoint.url, &mut exchange, staging).await;
        self.count(key, &fetched);
        match fetched {
            Err(PollError::Later(later)) => {
                self.unanswered = Some(Box::new((exchange, endpoint)));
                Err(PollError::Later(later))
            }
            Err(error @ PollError::Fault(Fault::Connect { .. })) if exchange.is_poll() => {
                self.open_gate_again();
                Err(error)
            }
            fetched => fetched,
        }
    }

    /// Counts a poll, unless its answer comes later.
    pub(super) fn count(&self, key: &CollectionKey, fetched: &Result<Completed, PollError>) {
        let has_succeeded = match fetched {
            Ok(_) => true,
            Err(PollError::Fault(_) | PollError::Keep(_)) => false,
            Err(PollError::Later(_) | PollError::Interrupted) => return,
        };
        self.house.board.polled(&key.to_string(), has_succeeded);
    }

    /// Asks for parts to the last one.
    pub(super) async fn parts(
        &mut self,
        key: &CollectionKey,
        url: &str,
        exchange: &mut Exchange,
        staging: &mut Staging,
    ) -> Result<Completed, PollError> {
        loop {
            match self.part(key, url, exchange, staging).await? {
                Progress::Complete(completed) => return Ok(*completed),
                Progress::More => crash::point(Point::PartStaged),
            }
        }
    }

    /// What is asked for of a collection.
    fn terms(&self, collection: &str, allow_asynch: bool) -> PollTerms {
        if let Some(id) = self.service.subscriptions.get(collection) {
            return PollTerms::Subscription(id.clone());
        }
        let bindings = self.service.content_bindings.iter();
        PollTerms::Parameters {
            allow_asynch,
            response_type: ResponseType::Full,
            bindings: bindings
                .map(|id| ContentBinding::from(id.as_str()))
                .collect(),
        }
    }

    /// Where to poll. A service that does not tell is asked again when the gate opens, though it has
    /// counted nothing.
    async fn endpoint(&mut self, collection: &str) -> Result<Endpoint, PollError> {
        self.gives_sign_of_life_before(MAX_REQUESTS);
        let found = self.endpoints.of_collection(&self.client, collection).await;
        let fault = match found {
            Ok(endpoint) => return Ok(endpoint),
            Err(fault) => fault,
        };
        if self.client.is_interrupted() {
            return Err(PollError::Interrupted);
        }
        if matches!(fault, Fault::Connect { .. }) {
            return Err(fault.into());
        }
        self.gate.polled(self.house.clock.now());
        // Whatever came of it says nothing of the window, which was not asked for.
        let fault = match fault.reaction() {
            Reaction::Shrink => Fault::NotFound {
                reason: fault.to_string(),
            },
            _ => fault,
        };
        Err(fault.into())
    }

    /// Closes the gate in the ledger. A record has the time at which its writing began, and a restart
    /// counts from that: on a slow disk it is written again.
    fn close_gate(&self, started: &Record) -> Result<(), AppendError> {
        let mut took = Duration::ZERO;
        for _ in 0..GATE_RECORDS {
            let before = self.house.clock.now().monotonic;
            self.append(started)?;
            took = self.house.clock.now().monotonic.saturating_sub(before);
            if took <= SLOW_RECORD {
                return Ok(());
            }
        }
        Err(AppendError::Slow { took })
    }

    /// No byte was sent: the service has not counted the poll.
    fn open_gate_again(&mut self) {
        self.gate.open(self.house.clock.now());
        let record = Record::PollAnswered {
            gate: self.gate_name.clone(),
            counts: false,
        };
        if let Err(error) = self.append(&record) {
            tracing::warn!(%error, "the gate is open, but a restart would find it closed");
        }
    }

    /// Fetches the next part. The first is asked for once, for the gate's sake; a later one again
    /// if it fails in a way that may pass.
    async fn part(
        &mut self,
        key: &CollectionKey,
        url: &str,
        exchange: &mut Exchange,
        staging: &mut Staging,
    ) -> Result<Progress, PollError> {
        let attempts = if exchange.part() == 1 {
            1
        } else {
            PART_ATTEMPTS
        };
        let mut attempt = 1;
        loop {
            let mark = staging.mark();
            let mark = mark.map_err(|error| staging_error(error, staging))?;
            let error = match self.attempt(key, url, exchange, staging).await {
                Ok(progress) => return Ok(progress),
                Err(error) => error,
            };
            if self.client.is_interrupted() && matches!(error, PollError::Fault(_)) {
                return Err(PollError::Interrupted);
            }
            if attempt >= attempts || !may_pass(&error) {
                return Err(in_slot_of_its_poll(error, exchange.part()));
            }
            tracing::warn!(collection = %key, part = exchange.part(), %error, "a part could not be fetched; asking for it again");
            attempt += 1;
            let taken_back = staging.take_back(&mark);
            taken_back.map_err(|error| staging_error(error, staging))?;
        }
    }

    async fn attempt(
        &mut self,
        key: &CollectionKey,
        url: &str,
        exchange: &mut Exchange,
        staging: &mut Staging,
    ) -> Result<Progress, PollError> {
        self.gives_sign_of_life();
        let id = new_message_id();
        let request = exchange.request(id.clone()).map_err(Fault::from)?;
        let sent = self.client.send(url, &request).await;
        let now = self.house.clock.now();
        let is_poll = exchange.is_poll();
        if is_poll {
            // The head of the answer is the latest moment that the service can have counted from.
            self.gate.polled(now);
        }
        let reply = sent?;
        self.connects = 0;
        self.learn(reply.date);
        if is_poll {
            crash::point(Point::HeadCame);
            let gate = self.gate_name.clone();
            let turn = self.house.disk_turns.to_record_answer();
            let _turn = self.disk_turn(turn).await;
            self.append(&Record::PollAnswered { gate, counts: true })
                .map_err(KeepError::from)?;
            crash::point(Point::HeadRecorded);
        }
        let origin = Origin {
            service: &key.service,
            collection: &key.collection,
        };
        let limits = &self.service.limits;
        let (http, asked_as) = (reply.status, reply.asked_as());
        match read_reply(reply, origin, limits, staging)? {
            Answer::Poll(part) => {
                let server_now = self.server_clock.now(self.house.clock.now());
                Ok(exchange.received(*part, &id, server_now)?)
            }
            Answer::Status(message) => {
                let server_now = self.server_clock.now(self.house.clock.now());
                let message = message
                    .reworded(|text| asked_as.hide_in(text))
                    .with_wait(server_now);
                let later = exchange.refused(http, message)?;
                Err(PollError::Later(later))
            }
            other => Err(Fault::Unreadable {
                reason: format!("{} instead of a Poll_Response", other.name()),
            }
            .into()),
        }
    }
}

/// Whether a part is worth another try at once.
fn may_pass(error: &PollError) -> bool {
    let PollError::Fault(fault) = error else {
        return false;
    };
    // These were read, and are what the service has to say.
    let is_final = matches!(
        fault,
        Fault::ResultExpired { .. } | Fault::TooManyParts { .. } | Fault::NoProgress { .. }
    );
    !is_final && !matches!(fault.reaction(), Reaction::Hold { .. } | Reaction::Wait(_))
}

/// The service has counted the poll whose part could not be asked for: that nothing was sent of
/// this request does not open the gate.
fn in_slot_of_its_poll(error: PollError, part: u32) -> PollError {
    match error {
        PollError::Fault(Fault::Connect { reason }) if part > 1 => {
            Fault::Connection { reason }.into()
        }
        error => error,
    }
}

fn read_reply(
    reply: Reply,
    origin: Origin<'_>,
    limits: &Limits,
    staging: &mut Staging,
) -> Result<Answer, PollError> {
    let (http, retry_after) = (reply.status, reply.retry_after);
    let scratch = staging.scratch();
    if (200..300).contains(&http) {
        let read = reply.read(|body| -> Result<_, ReadResponseError> {
            let mut body = staging.record_raw(body).map_err(ReadResponseError::Keep)?;
            let answer =
                beside::read_answer(&mut body, Some(origin), limits, &scratch, &mut *staging);
            // Also what could not be read is kept whole, as far as it came.
            body.finish().map_err(ReadResponseError::Keep)?;
            answer
        });
        return read.map_err(|error| match error {
            ReadResponseError::Keep(error) => staging_error(error, staging),
            error => Fault::Unreadable {
                reason: error.to_string(),
            }
            .into(),
        });
    }
    // A status message may come with any HTTP status, and tells more than it.
    let read = reply.read(|body| {
        let mut body = body.take(MAX_REFUSAL_BYTES);
        read_answer(&mut body, Some(origin), limits, &scratch, &mut *staging)
    });
    match read {
        Ok(Answer::Status(message)) => Ok(Answer::Status(message)),
        _ => Err(Fault::Http {
            status: http,
            retry_after,
        }
        .into()),
    }
}

/// What was read could not be kept.
fn staging_error(source: io::Error, staging: &Staging) -> PollError {
    KeepError::from(SpoolError::staging(source, staging.folder())).into()
}
