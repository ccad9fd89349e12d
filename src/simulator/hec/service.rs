//! Makes the reply to a request: the fault that is armed first, then the rules.

use std::time::Instant;

use serde_json::{Value, json};

use super::envelope::{self, Complaint, HecEvent, Taken};
use super::fault::HecFault;
use super::reply::{Reply, http_status, said, set};
use super::request::{Received, Refusal};
use super::rules::{HecRules, PartlyTaken, TooLarge};
use super::{HecRequest, HecRequestKind, Shared, code};
use crate::simulator::body::Pace;
use crate::simulator::server::NoAnswer;

/// What becomes of a request.
pub(super) struct Outcome {
    pub(super) entry: HecRequest,
    /// The events that are in an index from now on.
    pub(super) indexed: Vec<HecEvent>,
    pub(super) reply: Reply,
}

/// Makes the reply to a request.
pub(super) fn serve(shared: &Shared, request: &Received<'_>, fault: Option<&HecFault>) -> Outcome {
    let rules = shared.rules().clone();
    let route = shared.indexers().route(&rules, &request.cookies());
    let service = Service {
        shared,
        request,
        rules: &rules,
        indexer: route.indexer,
        now: Instant::now(),
    };
    let forgotten = service.forget_idle_channels();
    let Made {
        taken,
        indexed,
        reply,
    } = service.make(fault);
    let (status, answer) = match &reply {
        Reply::Answer(answer) => (Some(answer.status), answer.body.clone()),
        Reply::None(how) => (None, how.to_string()),
        Reply::Silence => (None, String::new()),
    };
    let entry = HecRequest {
        kind: request.kind,
        version: request.version(),
        path: request.path(),
        headers: request.headers(),
        channel: request.channel().map(str::to_owned),
        indexer: route.indexer,
        body_bytes: request.body_bytes(),
        taken,
        status,
        answer,
    };
    Outcome {
        entry,
        indexed: [forgotten, indexed].concat(),
        reply: reply.with_cookie(route.set_cookie),
    }
}

/// A reply, with what it means for the events.
struct Made {
    taken: usize,
    indexed: Vec<HecEvent>,
    reply: Reply,
}

impl Made {
    fn without_events(reply: Reply) -> Self {
        Self {
            taken: 0,
            indexed: Vec::new(),
            reply,
        }
    }
}

struct Service<'a> {
    shared: &'a Shared,
    request: &'a Received<'a>,
    rules: &'a HecRules,
    indexer: usize,
    now: Instant,
}

impl Service<'_> {
    fn make(&self, fault: Option<&HecFault>) -> Made {
        Made::without_events(match fault {
            None => return self.own(Pace::Whole),
            Some(fault @ (HecFault::HalfAnswer | HecFault::SlowAnswer { .. })) => {
                return self.own(fault.pace());
            }
            Some(HecFault::AnswerLost) => {
                return Made {
                    reply: Reply::None(NoAnswer::Close),
                    ..self.own(Pace::Whole)
                };
            }
            Some(&HecFault::Code { code, event }) => return self.code_on_purpose(code, event),
            Some(HecFault::HangUp) => Reply::None(NoAnswer::Close),
            Some(HecFault::Reset) => Reply::None(NoAnswer::Reset),
            Some(HecFault::BlackHole) => Reply::Silence,
            Some(HecFault::LoginPage) => Reply::login_page(),
            Some(HecFault::OtherBody { body }) => Reply::other_body(body),
            Some(HecFault::HttpStatus {
                status,
                retry_after,
            }) => Reply::bare(*status, retry_after.clone()),
        })
    }

    /// The server's own reply.
    fn own(&self, pace: Pace) -> Made {
        let outcome = match self.request.kind {
            HecRequestKind::Events => self.take_events(pace),
            HecRequestKind::Acks => self.tell_acks(pace),
            HecRequestKind::Health => self.tell_health(pace),
            HecRequestKind::Other => Err(Refusal::Http(404)),
        };
        outcome.unwrap_or_else(|refusal| {
            Made::without_events(match refusal {
                Refusal::Code(code) => Reply::json(http_status(code), &said(code), pace),
                Refusal::Http(status) => Reply::json(status, &Value::Null, pace),
            })
        })
    }

    /// A code that the test asks for, with what it means for the events.
    fn code_on_purpose(&self, code: u8, event: usize) -> Made {
        let mut answer = said(code);
        let complaint = code::names_an_event(code).then(|| {
            let number = event + usize::from(code == 7);
            Complaint { code, number }
        });
        let mut events = match self.request.kind {
            HecRequestKind::Events => self
                .decoded()
                .map_or_else(|_| Vec::new(), |body| envelope::take(&body, None).events),
            _ => Vec::new(),
        };
        if complaint.is_some() {
            events.truncate(event);
        } else if !code::is_accepted(code) {
            events.clear();
        }
        name_event(complaint, &mut answer);
        let (taken, indexed) = (events.len(), self.acknowledge(events, code, &mut answer));
        Made {
            taken,
            indexed,
            reply: Reply::json(http_status(code), &answer, Pace::Whole),
        }
    }

    fn take_events(&self, pace: Pace) -> Result<Made, Refusal> {
        self.request.check_method("POST")?;
        self.check_token()?;
        if self.rules.acknowledgement.is_some() {
            self.request.checked_channel()?;
        }
        let Taken { events, complaint } = self.taken().inspect_err(|_| self.use_up_ack_id())?;
        let code = complaint.map_or(0, |complaint| complaint.code);
        let mut answer = said(code);
        name_event(complaint, &mut answer);
        let (taken, indexed) = (events.len(), self.acknowledge(events, code, &mut answer));
        Ok(Made {
            taken,
            indexed,
            reply: Reply::json(http_status(code), &answer, pace),
        })
    }

    fn taken(&self) -> Result<Taken, Refusal> {
        let body = self.decoded()?;
        if body.len() <= self.rules.max_content_bytes && self.rules.kept_events == 0 {
            return Ok(envelope::count(&body));
        }
        if body.len() <= self.rules.max_content_bytes {
            let taken = envelope::take(&body, self.rules.indexes.as_deref());
            return Ok(taken.up_to_refused(&self.rules.refused));
        }
        match self.rules.too_large {
            TooLarge::Status413 => Err(Refusal::Http(413)),
            TooLarge::InvalidEvent0 => Ok(Taken {
                events: Vec::new(),
                complaint: Some(Complaint { code: 6, number: 0 }),
            }),
        }
    }

    fn tell_acks(&self, pace: Pace) -> Result<Made, Refusal> {
        self.request.check_method("POST")?;
        self.check_token()?;
        let policy = self.rules.acknowledgement.ok_or(Refusal::Code(14))?;
        let channel = self.request.checked_channel()?;
        let body = self.request.plain_json()?;
        let asked: Value = serde_json::from_slice(body).map_err(|_| Refusal::Code(6))?;
        let ids = asked.get("acks").and_then(Value::as_array);
        let ids = ids.ok_or(Refusal::Code(6))?.iter().map(Value::as_u64);
        let ids: Option<Vec<u64>> = ids.collect();
        let ids = ids.ok_or(Refusal::Code(6))?;
        let mut indexers = self.shared.indexers();
        let acks = indexers.acks(self.indexer);
        let told = acks.ask(channel, &ids, policy, self.now);
        Ok(Made {
            taken: 0,
            indexed: told.indexed,
            reply: Reply::json(200, &json!({"acks": told.acks}), pace),
        })
    }

    fn tell_health(&self, pace: Pace) -> Result<Made, Refusal> {
        self.request.check_method("GET")?;
        Ok(Made::without_events(Reply::json(200, &said(17), pace)))
    }

    fn check_token(&self) -> Result<(), Refusal> {
        let HecRules { token, enabled, .. } = self.rules;
        self.request.check_token(token, *enabled)
    }

    fn decoded(&self) -> Result<bytes::Bytes, Refusal> {
        self.request.decoded(self.rules.max_content_bytes)
    }

    /// States an id where the token acknowledges; gives the events that do not wait for it.
    fn acknowledge(&self, events: Vec<HecEvent>, code: u8, answer: &mut Value) -> Vec<HecEvent> {
        let (Some(policy), Some(channel)) = (self.rules.acknowledgement, self.request.channel())
        else {
            return events;
        };
        let is_stated = match self.request.kind {
            HecRequestKind::Events if code::is_accepted(code) => true,
            HecRequestKind::Events if !events.is_empty() => {
                code == 6 || self.rules.partly_taken == PartlyTaken::AckId
            }
            _ => false,
        };
        if !is_stated {
            self.use_up_ack_id();
            return events;
        }
        let waits = self.rules.loses_unacknowledged && policy != super::AckPolicy::AtOnce;
        let (indexed, waiting) = if waits {
            (Vec::new(), events)
        } else {
            (events, Vec::new())
        };
        let mut indexers = self.shared.indexers();
        let acks = indexers.acks(self.indexer);
        let id = acks.issue(channel, waiting, self.now);
        set(answer, "ackId", json!(id));
        indexed
    }

    /// Of a request that is refused behind its channel.
    fn use_up_ack_id(&self) {
        if let (true, Some(_), Ok(channel)) = (
            self.rules.refusals_use_ack_ids,
            self.rules.acknowledgement,
            self.request.checked_channel(),
        ) {
            let mut indexers = self.shared.indexers();
            indexers.acks(self.indexer).use_up(channel, self.now);
        }
    }

    fn forget_idle_channels(&self) -> Vec<HecEvent> {
        let mut indexers = self.shared.indexers();
        let acks = indexers.acks(self.indexer);
        acks.forget_idle(self.rules.idle_channel, self.now)
    }
}

/// Names the event that is at fault, where it is one event's.
fn name_event(complaint: Option<Complaint>, answer: &mut Value) {
    if let Some(Complaint { code, number }) = complaint
        && code::names_an_event(code)
    {
        set(answer, "invalid-event-number", json!(number));
    }
}
