//! What lands is taken in: what is delivered, what goes again, what is set aside.

use std::time::Duration;

use serde_json::value::RawValue;

use super::Forwarder;
use super::flight::Flight;
use super::keeping::KeepError;
use super::queue::{Item, Place, lines};
use crate::clock::Now;
use crate::crash::{self, Point};
use crate::delivery::{Lines, Reaction, Settled, TooMuch};
use crate::observe::figures::Taken;
use crate::output::{Channel, Landing, Problem, Promise, Receipt, Verdict};
use crate::spool::EventLetter;
use crate::state::StoredReceipt;

/// How long each request to a peer has a channel of its own once an id came twice: a load balancer
/// that is not sticky stays so, an indexer that has restarted does not do it again at once.
const CAREFUL_FOR: Duration = Duration::from_secs(3600);

/// Why an event can never be delivered.
struct Refusal {
    /// Its place in the request, from 0.
    number: usize,
    code: String,
    reason: String,
    /// The peer was not asked.
    is_our_limit: bool,
}

impl Forwarder {
    /// Takes in one landing; an error says that our own disk refused something.
    pub(super) fn take_in(&mut self, landing: Landing, now: Now) -> Result<(), KeepError> {
        match landing {
            Landing::Sent {
                flight,
                peer,
                verdict,
                promise,
            } => {
                crash::point(Point::Landed);
                let was_full = self.peers.landed(peer);
                let Some(flight) = self.flights.remove(&flight) else {
                    return Ok(());
                };
                let channel = flight.channel;
                let is_lost = promise == Promise::Lost;
                let done = self.sent(flight, peer, was_full, verdict, promise, now);
                if let (Some(acks), Some(channel)) = (&mut self.acks, channel) {
                    acks.landed(channel, is_lost);
                }
                done
            }
            Landing::Probed { peer, result } => {
                self.probes -= 1;
                match result {
                    Ok(()) => self.peers.probed(peer),
                    Err(problem) => self.has_problem(peer, now, &problem),
                }
                Ok(())
            }
            Landing::Acknowledged {
                peer,
                channel,
                answer,
            } => {
                crash::point(Point::Acknowledged);
                self.questions -= 1;
                self.acknowledged(peer, &channel, answer, now);
                Ok(())
            }
        }
    }

    fn sent(
        &mut self,
        flight: Flight,
        peer: usize,
        was_full: bool,
        verdict: Verdict,
        promise: Promise,
        now: Now,
    ) -> Result<(), KeepError> {
        let (count, bytes) = (flight.len(), flight.bytes);
        let took = now.monotonic.saturating_sub(flight.launched);
        let (scattered, verdict) = match verdict {
            Verdict::Scattered { delivered, then } => (delivered, *then),
            verdict => (Vec::new(), verdict),
        };
        let first = match &verdict {
            Verdict::Delivered { .. } => count,
            Verdict::Retry { delivered, .. } | Verdict::Hold { delivered, .. } => *delivered,
            Verdict::Refused { index, .. } => *index,
            Verdict::TooLarge { .. } | Verdict::Scattered { .. } => 0,
        };
        let mut items: Vec<Option<(Place, Item)>> =
            flight.into_items().into_iter().map(Some).collect();
        let mut events = 0;
        // Accepted without a promise, where there should be one, is not accepted.
        if self.acks.is_none() || matches!(promise, Promise::Given(_)) {
            let taken = std::iter::once(0..first).chain(scattered).flatten();
            let taken = taken.filter_map(|index| Some(items.get_mut(index)?.take()?.0));
            let taken: Vec<Place> = taken.collect();
            events = taken.len();
            if !taken.is_empty() {
                let may_grow =
                    was_full && !matches!(verdict, Verdict::Delivered { slow_down: true });
                self.taken(peer, &taken, promise, took, may_grow, now);
            }
        }
        let mut refused = None;
        if let Verdict::Refused { index, .. } = &verdict {
            refused = items.get_mut(*index).and_then(Option::take);
        }
        let mut rest: Vec<(Place, Item)> = items.into_iter().flatten().collect();
        if matches!(verdict, Verdict::TooLarge { .. }) && rest.len() == 1 {
            refused = rest.pop();
        }
        let goes_again = !rest.is_empty();
        self.put_back(rest);
        let of = count;
        self.house.board.count(&self.config.name, |figures| {
            figures.landed(took, Taken { events, of, bytes });
            figures.retries += u64::from(goes_again);
        });
        self.react(peer, verdict, count, refused, now)
    }

    /// A peer has taken these.
    fn taken(
        &mut self,
        peer: usize,
        places: &[Place],
        promise: Promise,
        took: Duration,
        may_grow: bool,
        now: Now,
    ) {
        if let Some(since) = self.peers.delivered(peer, took, may_grow) {
            tracing::info!(
                output = self.config.name,
                peer = self.name_if_several(peer),
                %since,
                "delivery goes on"
            );
        }
        self.breaker.delivered();
        self.doubted.clear();
        for place in places {
            self.refused.remove(place);
        }
        if self.refused.is_empty() {
            self.letters_mended();
        }
        let lines = lines(places.iter().copied());
        match promise {
            Promise::Given(receipt) => self.accepted(peer, &receipt, lines, now),
            Promise::None | Promise::Lost => self.delivered(lines, now),
        }
    }

    /// What a verdict asks for beyond its events; `refused` is the one that it refuses.
    fn react(
        &mut self,
        peer: usize,
        verdict: Verdict,
        count: usize,
        refused: Option<(Place, Item)>,
        now: Now,
    ) -> Result<(), KeepError> {
        match verdict {
            Verdict::Delivered { slow_down } => {
                if !slow_down {
                    self.size.delivered();
                } else if self.peers.slow_down(peer) {
                    self.size.slow_down();
                }
            }
            Verdict::Retry { reason, after, .. } => self.failed(peer, now, &reason, after),
            Verdict::Hold { reason, mend, .. } => self.held(peer, now, &reason, &mend),
            Verdict::Refused {
                index,
                code,
                reason,
                is_our_limit,
            } => {
                let refusal = Refusal {
                    number: index,
                    code,
                    reason,
                    is_our_limit,
                };
                return self.refused(peer, refused, refusal, now);
            }
            Verdict::TooLarge { reason } => match self.size.too_large(count) {
                TooMuch::Halve { limit } => tracing::info!(
                    output = self.config.name,
                    events = count,
                    limit,
                    reason,
                    "too much at once; sending less"
                ),
                TooMuch::Refuse => {
                    let refusal = Refusal {
                        number: 0,
                        code: "too-large".to_owned(),
                        reason,
                        is_our_limit: false,
                    };
                    return self.refused(peer, refused, refusal, now);
                }
            },
            // It was taken apart before.
            Verdict::Scattered { .. } => {}
        }
        Ok(())
    }

    /// These are delivered for certain.
    fn delivered(&mut self, lines: Lines, now: Now) {
        let count = self.mark_delivered(lines);
        if count == 0 {
            return;
        }
        self.house.board.output(&self.config.name, |activity| {
            activity.delivered_at = Some(now.utc);
            activity.delivered += count;
            activity.last_failure = None;
        });
        self.house.board.count(&self.config.name, |figures| {
            figures.delivered(now.utc, count);
        });
    }

    /// These are delivered once the receipt is acknowledged.
    fn accepted(&mut self, peer: usize, receipt: &Receipt, lines: Lines, now: Now) {
        let Some(acks) = &mut self.acks else { return };
        let stored = StoredReceipt {
            peer: self.peers.name(peer).to_owned(),
            channel: receipt.channel.clone(),
            ack_id: receipt.ack_id,
            lines: lines.clone(),
            at: now.utc,
        };
        let settled = acks.accepted(peer, receipt, lines, now.monotonic);
        if settled.again.is_empty() {
            self.changes.accepted.push(stored);
            return;
        }
        self.output.leave_channel(peer, receipt.channel.guid);
        let until = now.monotonic + CAREFUL_FOR;
        if self.careful_until.insert(peer, until).is_none() {
            tracing::warn!(
                output = self.config.name,
                peer = self.name_if_several(peer),
                "an acknowledgement id came twice: the indexer has restarted, or a load balancer \
                 leads to several and is not sticky. What had it is sent again; each request has a \
                 channel of its own for an hour, which costs more questions. Sticky sessions by \
                 cookie, or the indexers themselves in `endpoints`, are better"
            );
        }
        self.settle(settled, now);
    }

    fn acknowledged(
        &mut self,
        peer: usize,
        channel: &Channel,
        answer: Result<std::collections::BTreeMap<u64, bool>, Problem>,
        now: Now,
    ) {
        let is_other_well = self.peers.is_another_well(peer);
        let Some(acks) = &mut self.acks else { return };
        let said = answer.as_ref().ok();
        let settled = acks.answered(channel.guid, said, now.monotonic, is_other_well);
        if let Err(problem) = answer {
            self.has_problem(peer, now, &problem);
        }
        if !settled.again.is_empty() {
            let events: u64 = settled
                .again
                .iter()
                .map(|(_, range)| range.end - range.start)
                .sum();
            tracing::warn!(
                output = self.config.name,
                peer = self.name_if_several(peer),
                events,
                "accepted events were not acknowledged in time (ack_timeout): they are sent again"
            );
        }
        self.settle(settled, now);
    }

    pub(super) fn settle(&mut self, settled: Settled, now: Now) {
        self.changes.settled.extend(settled.keys);
        self.delivered(settled.delivered, now);
        if !settled.again.is_empty() {
            self.read_again();
        }
    }

    fn put_back(&mut self, items: Vec<(Place, Item)>) {
        // What was given up meanwhile does not come back.
        let open = &self.open;
        let owed = items
            .into_iter()
            .filter(|(place, _)| open.contains_key(&place.seq));
        self.queue.put_back(owed);
    }

    /// An event can never be delivered.
    fn refused(
        &mut self,
        peer: usize,
        refused: Option<(Place, Item)>,
        refusal: Refusal,
        now: Now,
    ) -> Result<(), KeepError> {
        let owed = refused.filter(|(place, _)| self.open.contains_key(&place.seq));
        let Some((place, item)) = owed else {
            return Ok(());
        };
        // An event that is refused again, since it could not be set aside, counts once.
        let is_new = self.refused.insert(place);
        let counts = is_new && !refusal.is_our_limit;
        if counts && self.breaker.refused(place.seq) == Reaction::Hold {
            self.refused.remove(&place);
            self.doubted.insert(place);
            self.put_back(vec![(place, item)]);
            let mend = "look at the last dead letters and at what the receiver says: it refuses \
                        one event after the other, so the fault is hardly theirs; it goes on by \
                        itself when one is taken";
            let reason = format!("{}: {}", refusal.code, refusal.reason);
            self.held(peer, now, &reason, mend);
            return Ok(());
        }
        let kept = self.set_aside(place, &item, refusal, now);
        if let Err(error) = kept {
            self.put_back(vec![(place, item)]);
            return Err(error);
        }
        crash::point(Point::LetterKept);
        self.refused.remove(&place);
        if let Some(open) = self.open.get_mut(&place.seq) {
            open.progress.set_aside(place.line);
            open.is_changed = true;
        }
        self.letters_mended();
        self.house
            .board
            .count(&self.config.name, |figures| figures.dead_lettered += 1);
        Ok(())
    }

    fn set_aside(
        &self,
        place: Place,
        item: &Item,
        refusal: Refusal,
        now: Now,
    ) -> Result<(), KeepError> {
        let Refusal {
            number,
            code,
            reason,
            is_our_limit: _,
        } = refusal;
        let event = &item.outgoing.event;
        let origin = &item.outgoing.origin;
        let letter = EventLetter {
            output: self.config.name.clone(),
            seq: place.seq,
            line: place.line,
            number: Some(number as u64),
            code: code.clone(),
            reason: reason.clone(),
            event: RawValue::from_string(event.json.clone()).unwrap_or_default(),
        };
        let letters = self.house.spool.dead_letters();
        tokio::task::block_in_place(|| {
            letters.keep_event(now.utc, &origin.service, &origin.collection, letter)
        })?;
        tracing::error!(
            output = self.config.name,
            event = %event.id,
            code,
            reason,
            "an event is refused for good: it is set aside in spool/dead-letters/, the rest goes on"
        );
        Ok(())
    }
}
