//! What was accepted and waits for its acknowledgement.
//!
//! Only an answer of `true` delivers. What is answered `false` for too long is sent again; what is
//! not answered at all is only asked for again, as long as there is nobody else to send it to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use crate::output::{Channel, Receipt};

/// Lines of batches, by the batch's number.
pub type Lines = Vec<(u64, Range<u64>)>;

/// All receipts of one output.
#[derive(Debug)]
pub struct Acks {
    timeout: Duration,
    interval: Duration,
    channels: BTreeMap<Uuid, Asking>,
    outstanding: BTreeMap<ReceiptKey, Outstanding>,
}

/// Tells a receipt from all others: its channel's key and its number there.
pub type ReceiptKey = (Uuid, u64);

/// A channel that is asked.
#[derive(Debug)]
struct Asking {
    peer: usize,
    channel: Channel,
    /// When to ask next, on the monotonic clock.
    at: Duration,
    is_asked: bool,
}

/// Accepted, and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outstanding {
    lines: Lines,
    since: Duration,
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
        }
    }

    /// These lines were accepted by a peer. Where the receipt says that earlier ones are void, their
    /// lines are to be sent again.
    pub fn accepted(
        &mut self,
        peer: usize,
        receipt: &Receipt,
        lines: Lines,
        now: Duration,
    ) -> Settled {
        let mut settled = receipt
            .voids
            .map_or_else(Settled::default, |channel| self.void(channel));
        // Two indexers promised the same id: nobody can tell whose the answer would be.
        if settled.keys.iter().any(|(_, id)| *id == receipt.ack_id) {
            settled.again.extend(lines);
            return settled;
        }
        let channel = &receipt.channel;
        let interval = self.interval;
        let asking = self.channels.entry(channel.key).or_insert_with(|| Asking {
            peer,
            channel: channel.clone(),
            at: now + interval,
            is_asked: false,
        });
        // The cookie may have come with a later answer than the first.
        asking.channel = channel.clone();
        let outstanding = Outstanding { lines, since: now };
        self.outstanding
            .insert((channel.key, receipt.ack_id), outstanding);
        settled
    }

    /// What was outstanding before a restart: its time begins anew.
    pub fn restore(&mut self, peer: usize, receipt: &Receipt, lines: Lines, now: Duration) {
        let before = self.accepted(peer, receipt, lines, now);
        debug_assert_eq!(before, Settled::default());
    }

    /// The questions that are due; each must be [answered](Self::answered) before its channel is
    /// asked again.
    pub fn due(&mut self, now: Duration) -> Vec<Question> {
        let mut questions = Vec::new();
        for (key, asking) in &mut self.channels {
            if asking.is_asked || asking.at > now {
                continue;
            }
            let of_channel = self.outstanding.range((*key, 0)..=(*key, u64::MAX));
            let ack_ids = of_channel.map(|((_, id), _)| *id);
            asking.is_asked = true;
            questions.push(Question {
                peer: asking.peer,
                channel: asking.channel.clone(),
                ack_ids: ack_ids.collect(),
            });
        }
        questions
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
        if let Some(asking) = self.channels.get_mut(&channel) {
            asking.is_asked = false;
            asking.at = now + self.interval;
        }
        let mut settled = Settled::default();
        let of_channel: Vec<ReceiptKey> = self.of_channel(channel).collect();
        for key in of_channel {
            let Some(outstanding) = self.outstanding.get(&key) else {
                continue;
            };
            let age = now.saturating_sub(outstanding.since);
            let is_done = answer.map(|answer| answer.get(&key.1));
            let is_expired = match is_done {
                Some(Some(true)) => false,
                Some(Some(false)) => age >= self.timeout,
                // Nobody can be asked, so nobody says that it is missing either.
                Some(None) | None => is_other_well && age >= self.timeout * 2,
            };
            let is_delivered = is_done == Some(Some(&true));
            if is_delivered || is_expired {
                self.settle(key, is_delivered, &mut settled);
            }
        }
        self.forget_idle(channel);
        settled
    }

    /// Nobody owes these batches any more.
    pub fn forget_batch(&mut self, seq: u64) -> Vec<ReceiptKey> {
        let mut gone = Vec::new();
        self.outstanding.retain(|key, outstanding| {
            outstanding.lines.retain(|(of, _)| *of != seq);
            let is_empty = outstanding.lines.is_empty();
            if is_empty {
                gone.push(*key);
            }
            !is_empty
        });
        for (channel, _) in &gone {
            self.forget_idle(*channel);
        }
        gone
    }

    /// Whether a receipt is waited for.
    #[must_use]
    pub fn is_outstanding(&self, key: &ReceiptKey) -> bool {
        self.outstanding.contains_key(key)
    }

    /// How many receipts of a peer are outstanding.
    #[must_use]
    pub fn count(&self, peer: usize) -> usize {
        let of_peer = self
            .channels
            .iter()
            .filter(|(_, asking)| asking.peer == peer);
        of_peer.map(|(key, _)| self.of_channel(*key).count()).sum()
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

    /// When the next question is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let free = self.channels.values().filter(|asking| !asking.is_asked);
        free.map(|asking| asking.at).min()
    }

    fn void(&mut self, channel: Uuid) -> Settled {
        let mut settled = Settled::default();
        let keys: Vec<ReceiptKey> = self.of_channel(channel).collect();
        for key in keys {
            self.settle(key, false, &mut settled);
        }
        self.forget_idle(channel);
        settled
    }

    fn settle(&mut self, key: ReceiptKey, is_delivered: bool, settled: &mut Settled) {
        let Some(outstanding) = self.outstanding.remove(&key) else {
            return;
        };
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
        if self.of_channel(channel).next().is_none() {
            self.channels.remove(&channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn acks() -> Acks {
        Acks::new(5 * MINUTE, 2 * SECOND)
    }

    fn channel() -> Channel {
        Channel {
            key: Uuid::new_v4(),
            guid: Uuid::new_v4(),
            cookies: BTreeMap::new(),
        }
    }

    fn receipt(channel: &Channel, ack_id: u64) -> Receipt {
        Receipt {
            channel: channel.clone(),
            ack_id,
            voids: None,
        }
    }

    fn accept(acks: &mut Acks, channel: &Channel, ack_id: u64, lines: Range<u64>, now: Duration) {
        let settled = acks.accepted(0, &receipt(channel, ack_id), vec![(1, lines)], now);
        assert_eq!(settled, Settled::default());
    }

    fn answer<const N: usize>(ids: [(u64, bool); N]) -> BTreeMap<u64, bool> {
        ids.into()
    }

    #[test]
    fn only_true_delivers_and_only_what_it_stands_for() {
        let mut acks = acks();
        let channel = channel();
        accept(&mut acks, &channel, 0, 0..10, SECOND);
        accept(&mut acks, &channel, 1, 10..20, SECOND);
        assert_eq!(acks.due(2 * SECOND), []);
        assert_eq!(acks.next_due(), Some(3 * SECOND));
        let asked = acks.due(3 * SECOND);
        assert_eq!(asked[0].ack_ids, [0, 1]);
        assert_eq!(acks.due(60 * SECOND), [], "it is asked already");
        let answer = answer([(0, false), (1, true)]);
        let settled = acks.answered(channel.key, Some(&answer), 4 * SECOND, false);
        assert_eq!(settled.delivered, [(1, 10..20)]);
        assert_eq!(settled.again, []);
        assert_eq!(settled.keys, [(channel.key, 1)]);
        assert!(acks.lines_of(1).eq(std::iter::once(0..10)));
        assert_eq!(acks.due(6 * SECOND)[0].ack_ids, [0]);
    }

    #[test]
    fn what_is_false_for_too_long_is_sent_again() {
        let mut acks = acks();
        let channel = channel();
        accept(&mut acks, &channel, 0, 0..10, SECOND);
        accept(&mut acks, &channel, 1, 10..20, MINUTE);
        let answer = answer([(0, false), (1, false)]);
        let before = acks.answered(channel.key, Some(&answer), 5 * MINUTE, false);
        assert_eq!(before, Settled::default());
        let after = acks.answered(channel.key, Some(&answer), 5 * MINUTE + SECOND, false);
        assert_eq!(after.again, [(1, 0..10)]);
        assert_eq!(acks.count(0), 1);
    }

    #[test]
    fn without_an_answer_nothing_is_sent_again_unless_it_can_go_elsewhere() {
        let mut acks = acks();
        let channel = channel();
        accept(&mut acks, &channel, 0, 0..10, SECOND);
        let hour = 60 * MINUTE;
        assert_eq!(
            acks.answered(channel.key, None, hour, false),
            Settled::default()
        );
        let missing = answer([]);
        let said = acks.answered(channel.key, Some(&missing), hour, false);
        assert_eq!(said, Settled::default());
        let elsewhere = acks.answered(channel.key, None, 9 * MINUTE, true);
        assert_eq!(elsewhere, Settled::default());
        let elsewhere = acks.answered(channel.key, None, hour, true);
        assert_eq!(elsewhere.again, [(1, 0..10)]);
        assert_eq!(acks.next_due(), None);
    }

    #[test]
    fn a_restarted_indexer_makes_the_receipts_before_it_void() {
        let mut acks = acks();
        let channel = channel();
        accept(&mut acks, &channel, 7, 0..10, SECOND);
        accept(&mut acks, &channel, 8, 10..20, SECOND);
        let mut anew = receipt(&channel, 0);
        anew.channel.key = Uuid::new_v4();
        anew.voids = Some(channel.key);
        let settled = acks.accepted(0, &anew, vec![(1, 20..30)], SECOND);
        assert_eq!(settled.again, [(1, 0..10), (1, 10..20)]);
        assert_eq!(acks.lines(), 10);
        // Another indexer behind the same address, which counts too: whose 0 would be true?
        let mut other = receipt(&channel, 0);
        other.voids = Some(anew.channel.key);
        let settled = acks.accepted(0, &other, vec![(1, 30..40)], SECOND);
        assert_eq!(settled.again, [(1, 20..30), (1, 30..40)]);
        assert_eq!(acks.lines(), 0);
    }

    #[test]
    fn a_batch_that_nobody_owes_is_not_asked_for() {
        let mut acks = acks();
        let channel = channel();
        let lines = vec![(1, 5..9), (2, 0..3)];
        acks.accepted(0, &receipt(&channel, 0), lines, SECOND);
        assert_eq!(acks.forget_batch(1), []);
        assert_eq!(acks.lines(), 3);
        assert_eq!(acks.forget_batch(2), [(channel.key, 0)]);
        assert_eq!(acks.due(MINUTE), []);
    }
}
