//! Subscriptions: what was agreed, and what is still to be pushed because of it.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::Instant;

use super::contract::Contract;
use super::request::{Action, SubscriptionRequest};
use super::status::Status;
use super::version::{PROTOCOL_BINDING, TaxiiVersion};
use crate::simulator::content::Publication;

/// The format of all content.
pub(super) const CONTENT_BINDING: &str = "urn:stix.mitre.org:xml:1.1.1";

/// What is asked for of a feed; what is not stated is not repeated either.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) response_type: Option<ResponseType>,
    pub(super) bindings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    Full,
    CountOnly,
}

/// Push_Parameters
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) protocol: String,
    pub(super) address: String,
    pub(super) message_binding: String,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) id: String,
    customer: String,
    pub(super) feed: String,
    pub(super) state: SubscriptionState,
    pub(super) terms: Terms,
    pub(super) delivery: Option<Delivery>,
    /// Everything up to this label is pushed or owed.
    covered: DateTime<Utc>,
    owed: VecDeque<Owed>,
    /// Not before this moment, and for the how-manieth time then.
    again_at: Option<Instant>,
}

/// Whether a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionState {
    /// It is.
    Active,
    /// It is not pushed to until it is resumed.
    Paused,
    /// It has ended.
    Unsubscribed,
}

/// Content that is to be pushed, with the labels that it lies between.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) exclusive_begin: DateTime<Utc>,
    pub(super) inclusive_end: DateTime<Utc>,
    pub(super) content: Vec<Arc<Publication>>,
}

/// One push that is due.
#[derive(Debug, Clone)]
pub(super) struct DuePush {
    pub(super) subscription_id: String,
    pub(super) feed: String,
    pub(super) address: String,
    pub(super) version: TaxiiVersion,
    pub(super) count_only: bool,
    pub(super) owed: Owed,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    made: u64,
}

impl Terms {
    pub(super) fn is_count_only(&self) -> bool {
        self.response_type == Some(ResponseType::CountOnly)
    }
}

impl Subscriptions {
    /// Does what is asked, in the order of the specification; `covered` is the label up to which the
    /// feed is complete.
    pub(super) fn manage(
        &mut self,
        contract: &Contract,
        request: &SubscriptionRequest,
        spoken: &[TaxiiVersion],
        covered: DateTime<Utc>,
    ) -> Result<Vec<Subscription>, Status> {
        let is_own = |subscription: &Subscription| {
            subscription.customer == contract.customer && subscription.feed == request.feed
        };
        let id = request.id.as_deref();
        let place = self
            .all
            .iter()
            .position(|known| is_own(known) && Some(known.id.as_str()) == id);
        let unknown = || Status::not_found("subscription", id.unwrap_or_default());
        match request.action {
            Action::Unsubscribe => {
                let mut ended = match place {
                    Some(place) => self.all.remove(place),
                    None => Subscription::new(id.unwrap_or_default(), contract, request, covered),
                };
                ended.state = SubscriptionState::Unsubscribed;
                Ok(vec![ended])
            }
            Action::Subscribe => {
                check_supported(request, spoken)?;
                let is_the_same = |known: &&Subscription| {
                    is_own(known)
                        && known.terms == request.terms
                        && known.delivery == request.delivery
                };
                if let Some(known) = self.all.iter().find(is_the_same) {
                    return Ok(vec![known.clone()]);
                }
                let id = format!("{}-{}", contract.customer, number(self.made));
                self.made += 1;
                let new = Subscription::new(&id, contract, request, covered);
                self.all.push(new.clone());
                Ok(vec![new])
            }
            Action::Status if id.is_none() => Ok(self
                .all
                .iter()
                .filter(|known| is_own(known))
                .cloned()
                .collect()),
            Action::Status | Action::Pause | Action::Resume => {
                let known = place.and_then(|place| self.all.get_mut(place));
                let known = known.ok_or_else(unknown)?;
                known.state = match request.action {
                    Action::Pause => SubscriptionState::Paused,
                    Action::Resume => SubscriptionState::Active,
                    _ => known.state,
                };
                Ok(vec![known.clone()])
            }
        }
    }

    /// The subscription of a customer to a feed.
    pub(super) fn of(&self, customer: &str, feed: &str, id: &str) -> Result<&Subscription, Status> {
        let mut all = self.all.iter();
        all.find(|known| known.customer == customer && known.feed == feed && known.id == id)
            .ok_or_else(|| Status::not_found("subscription", id))
    }

    pub(super) fn all(&self) -> &[Subscription] {
        &self.all
    }

    /// New content is owed to whoever wants it pushed.
    pub(super) fn owe(&mut self, feed: &str, content: &[Arc<Publication>]) {
        let Some(last) = content.last() else { return };
        for subscription in self.all.iter_mut().filter(|known| known.feed == feed) {
            if subscription.delivery.is_some() {
                subscription.owed.push_back(Owed {
                    exclusive_begin: subscription.covered,
                    inclusive_end: last.published,
                    content: content.to_vec(),
                });
                subscription.covered = last.published;
            }
        }
    }

    /// How many pushes are owed to subscriptions that are served.
    pub(super) fn owed(&self) -> usize {
        self.served().map(|(known, _)| known.owed.len()).sum()
    }

    /// The next push of each subscription, where it is due.
    pub(super) fn due(&self, now: Instant) -> Vec<DuePush> {
        let due = self
            .served()
            .filter(|(known, _)| known.again_at.is_none_or(|at| at <= now));
        due.filter_map(|(known, delivery)| {
            Some(DuePush {
                subscription_id: known.id.clone(),
                feed: known.feed.clone(),
                address: delivery.address.clone(),
                version: TaxiiVersion::of_message_binding(&delivery.message_binding)?,
                count_only: known.terms.is_count_only(),
                owed: known.owed.front()?.clone(),
            })
        })
        .collect()
    }

    /// When the next push that must wait is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.served().filter(|(known, _)| !known.owed.is_empty());
        waiting.filter_map(|(known, _)| known.again_at).min()
    }

    /// The inbox has what was pushed first.
    pub(super) fn taken(&mut self, id: &str) {
        if let Some(known) = self.find(id) {
            known.owed.pop_front();
            known.again_at = None;
        }
    }

    /// The inbox has not taken it: it is pushed again.
    pub(super) fn push_again(&mut self, id: &str, at: Instant) {
        if let Some(known) = self.find(id) {
            known.again_at = Some(at);
        }
    }

    /// Whatever must wait is due now.
    pub(super) fn wait_no_longer(&mut self) {
        for known in &mut self.all {
            known.again_at = None;
        }
    }

    fn served(&self) -> impl Iterator<Item = (&Subscription, &Delivery)> {
        let active = self.all.iter();
        active
            .filter(|known| known.state == SubscriptionState::Active)
            .filter_map(|known| Some((known, known.delivery.as_ref()?)))
    }

    fn find(&mut self, id: &str) -> Option<&mut Subscription> {
        self.all.iter_mut().find(|known| known.id == id)
    }
}

impl Subscription {
    fn new(
        id: &str,
        contract: &Contract,
        request: &SubscriptionRequest,
        covered: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            customer: contract.customer.clone(),
            feed: request.feed.clone(),
            state: SubscriptionState::Active,
            terms: request.terms.clone(),
            delivery: request.delivery.clone(),
            covered,
            owed: VecDeque::new(),
            again_at: None,
        }
    }
}

fn check_supported(request: &SubscriptionRequest, spoken: &[TaxiiVersion]) -> Result<(), Status> {
    if let Some(delivery) = &request.delivery {
        if delivery.protocol != PROTOCOL_BINDING {
            let supported = [PROTOCOL_BINDING];
            let (kind, found) = ("UNSUPPORTED_PROTOCOL", &delivery.protocol);
            return Err(Status::unsupported(kind, found, &supported));
        }
        if !delivery.address.starts_with("https://") {
            let message = format!("{} is no address of that protocol", delivery.address);
            return Err(Status::bad_message(message));
        }
        let version = TaxiiVersion::of_message_binding(&delivery.message_binding);
        if version.is_none_or(|version| !spoken.contains(&version)) {
            let bindings: Vec<_> = spoken.iter().map(|known| known.message_binding()).collect();
            let (kind, found) = ("UNSUPPORTED_MESSAGE", &delivery.message_binding);
            return Err(Status::unsupported(kind, found, &bindings));
        }
    }
    check_bindings(&request.terms.bindings)
}

/// There must be content that is wanted.
pub(super) fn check_bindings(wanted: &[String]) -> Result<(), Status> {
    if wanted.is_empty() || wanted.iter().any(|binding| binding == CONTENT_BINDING) {
        return Ok(());
    }
    let (kind, found) = ("UNSUPPORTED_CONTENT", wanted.join(", "));
    Err(Status::unsupported(kind, &found, &[CONTENT_BINDING]))
}

/// Nine characters that nobody guesses; the first are those of the walk-through.
fn number(made: u64) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let first = b"JGK8H84BF".iter().fold(0_u64, |number, digit| {
        let place = DIGITS.iter().position(|other| other == digit);
        number * 36
            + place
                .and_then(|place| u64::try_from(place).ok())
                .unwrap_or_default()
    });
    let mut rest = first.wrapping_add(made.wrapping_mul(7_919_777)) % 36_u64.pow(9);
    let mut text = Vec::new();
    for _ in 0..9 {
        let place = usize::try_from(rest % 36).unwrap_or_default();
        text.extend(DIGITS.get(place).copied().map(char::from));
        rest /= 36;
    }
    text.iter().rev().collect()
}
