//! What the service holds, whom it lets ask how often, and what lies in a window.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

use super::message::PollResponse;
use super::request::{Asked, Parameters, TaxiiRequest, Timestamp};
use super::rules::{CtaRules, EndPolicy, GateScope};
use super::status::Status;
use crate::clock::Now;
use crate::event::EventId;
use crate::simulator::content::Publication;

/// The collections with the state that clients have at the service.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// Sorted by their stamps.
    collections: HashMap<String, Vec<Arc<Publication>>>,
    /// When a client's last poll was accepted.
    gates: HashMap<Gate, Duration>,
    results: HashMap<String, ResultSet>,
    results_made: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Gate {
    client: String,
    collection: Option<String>,
}

/// An answer in several parts.
#[derive(Debug)]
struct ResultSet {
    client: String,
    collection: String,
    made: Duration,
    /// When it can be fetched.
    ready: Duration,
    parts: Vec<PollResponse>,
}

/// A request with all that the answer depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inquiry<'a> {
    pub(super) request: &'a TaxiiRequest,
    pub(super) client: &'a str,
    pub(super) rules: &'a CtaRules,
    pub(super) now: Now,
    /// By how much the service begins later than it was asked to.
    pub(super) later_begin: TimeDelta,
}

impl Inquiry<'_> {
    fn service_time(&self) -> DateTime<Utc> {
        self.rules.service_time(self.now.utc)
    }
}

impl Catalogue {
    /// Adds a publication by its stamp.
    pub(super) fn publish(&mut self, collection: &str, mut publication: Publication) {
        publication.published = publication.published.trunc_subsecs(6);
        let published = self.collections.entry(collection.to_owned()).or_default();
        let place = published.partition_point(|other| other.published <= publication.published);
        published.insert(place, Arc::new(publication));
    }

    /// The ids of everything that was published to the collections that `wanted` names, by stamp.
    pub(super) fn published_ids(&self, wanted: impl Fn(&str) -> bool) -> Vec<EventId> {
        let collections = self.collections.iter().filter(|(name, _)| wanted(name));
        let mut publications: Vec<_> = collections.flat_map(|(_, published)| published).collect();
        publications.sort_by_key(|publication| publication.published);
        let ids = publications
            .iter()
            .flat_map(|publication| &publication.events);
        ids.copied().collect()
    }

    /// Forgets what could be fetched in parts.
    pub(super) fn forget_results(&mut self) {
        self.results.clear();
    }

    /// The answer to a request of a client that may ask it.
    pub(super) fn answer(&mut self, inquiry: Inquiry<'_>) -> Result<PollResponse, Status> {
        let TaxiiRequest {
            collection, asked, ..
        } = inquiry.request;
        if !inquiry.rules.collection_exists(collection) {
            let status = Status::new("NOT_FOUND", format!("there is no collection {collection}"));
            return Err(status.detail("ITEM", collection));
        }
        match asked {
            Asked::Poll {
                begin,
                end,
                parameters,
            } => {
                let Parameters {
                    count_only,
                    allow_asynch,
                } = *parameters;
                let later = inquiry.rules.ready_after.filter(|_| allow_asynch);
                if allow_asynch && later.is_none() {
                    return Err(Status::bad_message("allow_asynch must be stated as false"));
                }
                self.pass_gate(inquiry)?;
                let window = Window::new(begin.as_ref(), end.as_ref(), inquiry);
                self.serve(&window, count_only, later, inquiry)
            }
            Asked::Fulfillment { result_id, part } => self.part(result_id, *part, inquiry),
        }
    }

    fn pass_gate(&mut self, inquiry: Inquiry<'_>) -> Result<(), Status> {
        let Inquiry {
            request,
            client,
            rules,
            now,
            ..
        } = inquiry;
        let gate = Gate {
            client: client.to_owned(),
            collection: match rules.gate_scope {
                GateScope::Client => None,
                GateScope::Collection => Some(request.collection.clone()),
            },
        };
        let last = self.gates.get(&gate);
        if last.is_some_and(|last| now.monotonic.saturating_sub(*last) < rules.min_poll_interval) {
            let message = format!(
                "Only one poll request from a client is allowed within {} seconds.",
                rules.min_poll_interval.as_secs_f64()
            );
            return Err(Status::new("FAILURE", message));
        }
        self.gates.insert(gate, now.monotonic);
        Ok(())
    }

    /// With `later` the answer is kept until it is asked for.
    fn serve(
        &mut self,
        window: &Window,
        count_only: bool,
        later: Option<Duration>,
        inquiry: Inquiry<'_>,
    ) -> Result<PollResponse, Status> {
        let Inquiry { request, rules, .. } = inquiry;
        let published = self.collections.get(&request.collection);
        let found = published.into_iter().flatten();
        let found: Vec<Arc<Publication>> = found
            .filter(|publication| window.contains(publication.published))
            .cloned()
            .collect();
        let whole = PollResponse {
            collection: request.collection.clone(),
            begin: window.begin.map(timestamp),
            end: window.stated_end.clone(),
            result: None,
            part: "1".to_owned(),
            count: count_only.then_some(found.len()),
            publications: Vec::new(),
            bad_block: None,
        };
        let per_part = rules.publications_per_part.max(1);
        if count_only || (found.len() <= per_part && later.is_none()) {
            let publications = if count_only { Vec::new() } else { found };
            return Ok(PollResponse {
                publications,
                ..whole
            });
        }
        self.results_made += 1;
        let result_id = format!("cta-result-{}", self.results_made);
        let parts = in_parts(&whole, &found, &result_id, rules);
        let first = parts.first().cloned().unwrap_or(whole);
        let now = inquiry.now.monotonic;
        let result = ResultSet {
            client: inquiry.client.to_owned(),
            collection: request.collection.clone(),
            made: now,
            ready: now.saturating_add(later.unwrap_or_default()),
            parts,
        };
        let pending = later.map(|wait| pending(&result_id, wait));
        self.results.insert(result_id, result);
        pending.map_or(Ok(first), Err)
    }

    fn part(
        &mut self,
        result_id: &str,
        part: u64,
        inquiry: Inquiry<'_>,
    ) -> Result<PollResponse, Status> {
        let Inquiry {
            request,
            client,
            rules,
            now,
            ..
        } = inquiry;
        self.results
            .retain(|_, result| now.monotonic.saturating_sub(result.made) < rules.result_lifetime);
        let result = self.results.get(result_id);
        let result = result
            .filter(|result| result.client == client && result.collection == request.collection);
        let Some(result) = result else {
            let status = Status::new("NOT_FOUND", format!("there is no result {result_id}"));
            return Err(status.detail("ITEM", result_id));
        };
        let wait = result.ready.saturating_sub(now.monotonic);
        if !wait.is_zero() {
            return Err(pending(result_id, wait));
        }
        let place = usize::try_from(part - 1).unwrap_or(usize::MAX);
        result.parts.get(place).cloned().ok_or_else(|| {
            let status = Status::new("INVALID_RESPONSE_PART", format!("there is no part {part}"));
            status.detail("MAX_PART_NUMBER", &result.parts.len().to_string())
        })
    }
}

/// The answer comes later.
fn pending(result_id: &str, wait: Duration) -> Status {
    let seconds = wait.as_secs_f64().ceil();
    Status::new("PENDING", "the answer is being made")
        .detail("ESTIMATED_WAIT", &seconds.to_string())
        .detail("RESULT_ID", result_id)
        .detail("WILL_PUSH", "false")
}

fn in_parts(
    whole: &PollResponse,
    found: &[Arc<Publication>],
    result_id: &str,
    rules: &CtaRules,
) -> Vec<PollResponse> {
    let per_part = rules.publications_per_part.max(1);
    let count = found.len().div_ceil(per_part).max(1);
    if found.is_empty() {
        let result = Some((result_id.to_owned(), false));
        return vec![PollResponse {
            result,
            ..whole.clone()
        }];
    }
    let mut begin = whole.begin.clone();
    let parts = (1..).zip(found.chunks(per_part));
    parts
        .map(|(number, publications)| {
            let mut part = PollResponse {
                result: Some((result_id.to_owned(), number < count)),
                part: number.to_string(),
                publications: publications.to_vec(),
                ..whole.clone()
            };
            if rules.later_parts_state_later_bounds {
                part.begin.clone_from(&begin);
                let last = publications.last().map(|last| timestamp(last.published));
                if number < count && part.end.is_some() {
                    part.end.clone_from(&last);
                }
                begin = last;
            }
            part
        })
        .collect()
}

/// The window that is served, which may be narrower than the one that was asked for.
struct Window {
    begin: Option<DateTime<Utc>>,
    stated_end: Option<String>,
    end: DateTime<Utc>,
    oldest: DateTime<Utc>,
}

impl Window {
    fn new(begin: Option<&Timestamp>, end: Option<&Timestamp>, inquiry: Inquiry<'_>) -> Self {
        let rules = inquiry.rules;
        let now = inquiry.service_time();
        if rules.data_sets.contains(&inquiry.request.collection) {
            return Self {
                begin: None,
                stated_end: None,
                end: now,
                oldest: DateTime::<Utc>::MIN_UTC,
            };
        }
        let asked_end = end.map_or(now, |end| end.time);
        let reached_end = asked_end.min(now);
        let (served_end, stated_end) = match (rules.end_policy, end) {
            (EndPolicy::Omit, _) => (asked_end, None),
            (EndPolicy::Echo, Some(end)) => (asked_end, Some(end.text.clone())),
            (EndPolicy::OwnTime, Some(end)) if end.time <= now => {
                (asked_end, Some(end.text.clone()))
            }
            (EndPolicy::Echo, None) | (EndPolicy::OwnTime, _) => {
                (reached_end, Some(timestamp(reached_end)))
            }
        };
        let oldest = before(now, rules.retention);
        let begin = begin.map(|begin| {
            let mut begin = begin.time.max(oldest);
            if let Some(longest) = rules.max_window {
                begin = begin.max(before(served_end, longest));
            }
            let later = begin.checked_add_signed(inquiry.later_begin);
            later.unwrap_or(begin).min(served_end)
        });
        Self {
            begin,
            stated_end,
            end: reached_end,
            oldest,
        }
    }

    fn contains(&self, published: DateTime<Utc>) -> bool {
        published
            > self
                .begin
                .unwrap_or(DateTime::<Utc>::MIN_UTC)
                .max(self.oldest)
            && published <= self.end
    }
}

fn before(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_sub_signed(by)
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
