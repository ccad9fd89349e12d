//! What was accepted and waits for its acknowledgement.
//!
//! Only an answer of `true` delivers. What is answered `false` for too long is sent again; what is
//! not answered at all is only asked for again, as long as there is nobody else to send it to.
//!
//! An indexer that restarts forgets its channels and counts anew. So a channel is asked only when
//! nothing is under way on it and nothing will be: then no later request can have been given the id
//! of an earlier one, and a `true` is about what we think it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use crate::output::{Channel, Receipt};

/// Ids of one question: its answer must not be longer than what is read of one.
const MAX_ASKED: usize = 1000;
/// Questions under way to one peer.
const MAX_QUESTIONS: usize = 4;
/// How long a peer that does not answer is not asked, at most.
const MAX_QUIET: Duration = Duration::from_secs(60);

/// Lines of batches, by the batch's number.
pub type Lines = Vec<(u64, Range<u64>)>;

/// Tells a receipt from all others: its channel and its number there.
pub type ReceiptKey = (Uuid, u64);

/// All receipts of one output.
#[derive(Debug)]
pub struct Acks {
    timeout: Duration,
    interval: Duration,
    channels: BTreeMap<Uuid, ChannelUse>,
    outstanding: BTreeMap<ReceiptKey, Outstanding>,
    peers: BTreeMap<usize, PeerUse>,
}

/// What is known of a channel that has flights or receipts.
#[derive(Debug)]
struct ChannelUse {
    peer: usize,
    channel: Channel,
    /// Flights without an answer.
    in_flight: usize,
    /// Flights that will never have one: each may have been given one of the first ids, if the
    /// indexer had restarted before it came.
    lost: u64,
    /// A flight has been answered: whatever cookie leads to the indexer is known.
    is_known: bool,
    /// No flight goes there any more.
    is_left: bool,
    /// When to ask next, on the monotonic clock.
    ask_at: Duration,
    /// The question under way.
    asked: Option<BTreeSet<u64>>,
    /// Where the next question begins, if there are too many ids for one.
    ask_from: u64,
}

/// Accepted, and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outstanding {
    lines: Lines,
    /// When it is sent again, on the monotonic clock.
    expires_at: Duration,
}

#[derive(Debug, Default)]
struct PeerUse {
    outstanding: usize,
    questions: usize,
    /// Questions in a row without an answer, and until when there are no others.
    failures: u32,
    quiet_until: Duration,
}

/// A question for a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The peer.
    pub peer: usize,
    /// The channel.
    pub channel: Channel,
    /// The ids, in order.
    pub ack_ids: Vec<u64>,
}

/// What an answer comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The receipts that are gone.
    pub keys: Vec<ReceiptKey>,
    /// The lines that are delivered.
    pub delivered: Lines,
    /// The lines that must be sent again.
    pub again: Lines,
}

impl Acks {
    /// What is not acknowledged after `timeout` is sent again; it is asked for every `interval`.
    #[must_use]
    pub fn new(timeout: Duration, interval: Duration) -> Self {
        Self {
            timeout,
            interval,
            channels: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// A flight goes to a peer on this channel.
    pub fn launched(&mut self, peer: usize, channel: &Channel, now: Duration) {
        self.channel(peer, channel, now).in_flight += 1;
    }

    /// Whether a flight may go to a peer beside those that are under way. The first one on a channel
    /// goes alone: a load balancer chooses the indexer with its answer.
    #[must_use]
    pub fn may_launch(&self, peer: usize) -> bool {
        let mut of_peer = self.channels.values().filter(|used| used.peer == peer);
        of_peer.all(|used| used.is_known || used.is_left || used.in_flight == 0)
    }

    /// A flight on this channel has come to its end; `is_lost` is whether nothing is known of the id
    /// that it may have been given.
    pub fn landed(&mut self, channel: Uuid, is_lost: bool) {
        if let Some(used) = self.channels.get_mut(&channel) {
            used.in_flight = used.in_flight.saturating_sub(1);
            used.lost += u64::from(is_lost);
            used.is_known |= !is_lost;
        }
        self.forget_idle(channel);
    }

    /// These lines were accepted. Where an earlier receipt has the same number, two indexers have
    /// given it, and nobody can tell whose an answer would be: both go again.
    pub fn accepted(
        &mut self,
        peer: usize,
        receipt: &Receipt,
        lines: Lines,
        now: Duration,
    ) -> Settled {
        let key = (receipt.channel.guid, receipt.ack_id);
        let mut settled = Settled::default();
        if self.outstanding.contains_key(&key) {
            self.settle(key, false, &mut settled);
            settled.again.extend(lines);
            return settled;
        }
        self.keep(peer, receipt, lines, now, self.timeout);
        settled
    }

    /// What was accepted so long before a restart.
    pub fn restore(
        &mut self,
        peer: usize,
        receipt: &Receipt,
        lines: Lines,
        now: Duration,
        age: Duration,
    ) {
        self.keep(peer, receipt, lines, now, self.timeout.saturating_sub(age));
        self.leave(receipt.channel.guid);
    }

    /// No other flight goes to this channel.
    pub fn leave(&mut self, channel: Uuid) {
        if let Some(used) = self.channels.get_mut(&channel) {
            used.is_left = true;
        }
    }

    /// The channels that are to be asked and must be left for that, with their peers.
    pub fn to_leave(&mut self, now: Duration) -> Vec<(usize, Uuid)> {
        let due = self.channels.iter_mut().filter(|(guid, used)| {
            let first = (**guid, 0)..=(**guid, u64::MAX);
            let is_due = !used.is_left && used.ask_at <= now;
            is_due && self.outstanding.range(first).next().is_some()
        });
        due.map(|(guid, used)| {
            used.is_left = true;
            (used.peer, *guid)
        })
        .collect()
    }

    /// The questions that are due; each must be [answered](Self::answered) before its channel is
    /// asked again.
    pub fn due(&mut self, now: Duration) -> Vec<Question> {
        let mut questions = Vec::new();
        for (guid, used) in &mut self.channels {
            let peer = self.peers.entry(used.peer).or_default();
            if !used.may_be_asked()
                || used.ask_at > now
                || peer.questions >= MAX_QUESTIONS
                || peer.quiet_until > now
            {
                continue;
            }
            let from = used.ask_from.max(used.lost);
            let ids = |from| {
                let of_channel = self.outstanding.range((*guid, from)..=(*guid, u64::MAX));
                let ids = of_channel.map(|((_, id), _)| *id).take(MAX_ASKED);
                ids.collect::<BTreeSet<u64>>()
            };
            let mut asked = ids(from);
            if asked.is_empty() {
                asked = ids(used.lost);
            }
            used.ask_from = asked.last().map_or(0, |last| last + 1);
            if asked.is_empty() {
                used.ask_at = now + self.interval;
                continue;
            }
            peer.questions += 1;
            questions.push(Question {
                peer: used.peer,
                channel: used.channel.clone(),
                ack_ids: asked.iter().copied().collect(),
            });
            used.asked = Some(asked);
        }
        questions
    }

    /// What nobody can be asked for, since no answer could be believed, and what has waited for too
    /// long.
    pub fn give_up(&mut self, now: Duration) -> Settled {
        let doubted = self.channels.iter().filter(|(_, used)| used.lost > 0);
        let doubted: Vec<(Uuid, u64)> = doubted.map(|(guid, used)| (*guid, used.lost)).collect();
        let mut settled = Settled::default();
        for (guid, lost) in doubted {
            let ids = self.outstanding.range((guid, 0)..(guid, lost));
            let expired = ids.filter(|(_, one)| one.expires_at <= now);
            let expired: Vec<ReceiptKey> = expired.map(|(key, _)| *key).collect();
            for key in expired {
                self.settle(key, false, &mut settled);
            }
            self.forget_idle(guid);
        }
        settled
    }

    /// What the peer said of the ids of a channel; nothing, if it said nothing that can be relied
    /// on. `is_other_well` is whether the events could go elsewhere.
    pub fn answered(
        &mut self,
        channel: Uuid,
        answer: Option<&BTreeMap<u64, bool>>,
        now: Duration,
        is_other_well: bool,
    ) -> Settled {
        let mut settled = Settled::default();
        let Some(used) = self.channels.get_mut(&channel) else {
            return settled;
        };
        let asked = used.asked.take().unwrap_or_default();
        used.ask_at = now + self.interval;
        let peer = self.peers.entry(used.peer).or_default();
        peer.questions = peer.questions.saturating_sub(1);
        peer.was_answered(answer.is_some(), now, self.interval);
        let of_channel: Vec<ReceiptKey> = self.of_channel(channel).collect();
        for key in of_channel {
            let id = key.1;
            let Some(outstanding) = self.outstanding.get(&key) else {
                continue;
            };
            let is_expired = outstanding.expires_at <= now;
            let said = answer.map(|answer| answer.get(&id));
            match said {
                Some(Some(true)) if asked.contains(&id) => self.settle(key, true, &mut settled),
                // It does not know it, or says so by leaving it out.
                Some(_) if asked.contains(&id) && is_expired => {
                    self.settle(key, false, &mut settled);
                }
                // Nobody says that it is missing.
                None if is_other_well && outstanding.expires_at + self.timeout <= now => {
                    self.settle(key, false, &mut settled);
                }
                _ => {}
            }
        }
        self.forget_idle(channel);
        settled
    }

    /// Nobody owes this batch any more.
    pub fn forget_batch(&mut self, seq: u64) -> Vec<ReceiptKey> {
        let touched: Vec<ReceiptKey> = self
            .outstanding
            .iter()
            .filter(|(_, one)| one.lines.iter().any(|(of, _)| *of == seq))
            .map(|(key, _)| *key)
            .collect();
        let mut gone = Settled::default();
        for key in touched {
            let Some(outstanding) = self.outstanding.get_mut(&key) else {
                continue;
            };
            outstanding.lines.retain(|(of, _)| *of != seq);
            if outstanding.lines.is_empty() {
                self.settle(key, false, &mut gone);
                self.forget_idle(key.0);
            }
        }
        gone.keys
    }

    /// Whether a receipt is waited for.
    #[must_use]
    pub fn is_outstanding(&self, key: &ReceiptKey) -> bool {
        self.outstanding.contains_key(key)
    }

    /// How many receipts of a peer are outstanding.
    #[must_use]
    pub fn count(&self, peer: usize) -> usize {
        self.peers.get(&peer).map_or(0, |used| used.outstanding)
    }

    /// How many lines wait for their acknowledgement.
    #[must_use]
    pub fn lines(&self) -> u64 {
        let all = self.outstanding.values().flat_map(|one| &one.lines);
        all.map(|(_, range)| range.end - range.start).sum()
    }

    /// The lines of a batch that wait for their acknowledgement.
    pub fn lines_of(&self, seq: u64) -> impl Iterator<Item = Range<u64>> {
        let all = self.outstanding.values().flat_map(|one| &one.lines);
        all.filter(move |(of, _)| *of == seq)
            .map(|(_, range)| range.clone())
    }

    /// When the next question may be due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let waiting = self.channels.iter().filter(|(guid, used)| {
            let is_free = used.asked.is_none() && (used.in_flight == 0 || !used.is_left);
            is_free && self.of_channel(**guid).next().is_some()
        });
        let at = waiting.filter_map(|(_, used)| {
            let peer = self.peers.get(&used.peer)?;
            // One that has landed wakes us anyway.
            (peer.questions < MAX_QUESTIONS).then(|| used.ask_at.max(peer.quiet_until))
        });
        at.min()
    }

    fn channel(&mut self, peer: usize, channel: &Channel, now: Duration) -> &mut ChannelUse {
        let interval = self.interval;
        self.channels
            .entry(channel.guid)
            .or_insert_with(|| ChannelUse {
                peer,
                channel: channel.clone(),
                in_flight: 0,
                lost: 0,
                is_known: false,
                is_left: false,
                ask_at: now + interval,
                asked: None,
                ask_from: 0,
            })
    }

    fn keep(
        &mut self,
        peer: usize,
        receipt: &Receipt,
        lines: Lines,
        now: Duration,
        time_left: Duration,
    ) {
        let used = self.channel(peer, &receipt.channel, now);
        // The cookie comes with the first answer.
        used.channel.cookies.extend(receipt.channel.cookies.clone());
        let outstanding = Outstanding {
            lines,
            expires_at: now + time_left,
        };
        self.outstanding
            .insert((receipt.channel.guid, receipt.ack_id), outstanding);
        self.peers.entry(peer).or_default().outstanding += 1;
    }

    fn settle(&mut self, key: ReceiptKey, is_delivered: bool, settled: &mut Settled) {
        let Some(outstanding) = self.outstanding.remove(&key) else {
            return;
        };
        let peer = self.channels.get(&key.0).map(|used| used.peer);
        if let Some(peer) = peer.and_then(|peer| self.peers.get_mut(&peer)) {
            peer.outstanding = peer.outstanding.saturating_sub(1);
        }
        settled.keys.push(key);
        if is_delivered {
            settled.delivered.extend(outstanding.lines);
        } else {
            settled.again.extend(outstanding.lines);
        }
    }

    fn of_channel(&self, channel: Uuid) -> impl Iterator<Item = ReceiptKey> {
        let all = self.outstanding.range((channel, 0)..=(channel, u64::MAX));
        all.map(|(key, _)| *key)
    }

    fn forget_idle(&mut self, channel: Uuid) {
        let is_idle = self
            .channels
            .get(&channel)
            .is_some_and(|used| used.in_flight == 0 && used.asked.is_none());
        if is_idle && self.of_channel(channel).next().is_none() {
            self.channels.remove(&channel);
        }
    }
}

impl ChannelUse {
    /// Whether an answer would be about what we think it is about.
    fn may_be_asked(&self) -> bool {
        self.is_left && self.in_flight == 0 && self.asked.is_none()
    }
}

impl PeerUse {
    fn was_answered(&mut self, is_answer: bool, now: Duration, interval: Duration) {
        if is_answer {
            self.failures = 0;
            self.quiet_until = Duration::ZERO;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let factor = 2_u32.saturating_pow(self.failures.min(16));
        self.quiet_until = now + interval.saturating_mul(factor).min(MAX_QUIET);
    }
}

#[cfg(test)]
mod tests;
