//! Acknowledgement: ids counted for each channel, told as done once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::envelope::HecEvent;
use super::rules::AckPolicy;

/// The ids of all channels of an indexer.
#[derive(Debug, Default)]
pub(super) struct Acks {
    channels: HashMap<String, Channel>,
}

#[derive(Debug)]
struct Channel {
    next: u64,
    /// What was told as done is no longer there.
    pending: BTreeMap<u64, Pending>,
    /// Ids below are done, whatever the policy.
    released: u64,
    used: Instant,
}

#[derive(Debug)]
struct Pending {
    /// How often it was asked for.
    asked: u32,
    /// What is in no index before it is done.
    waiting: Vec<HecEvent>,
}

/// What those who asked are told, and what is in an index from now on.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) acks: BTreeMap<String, bool>,
    pub(super) indexed: Vec<HecEvent>,
}

impl Acks {
    /// The id of a request that was taken, whose events may wait for it to be done.
    pub(super) fn issue(&mut self, channel: &str, waiting: Vec<HecEvent>, now: Instant) -> u64 {
        let channel = self.channel(channel, now);
        let id = channel.next;
        channel.next += 1;
        let asked = 0;
        channel.pending.insert(id, Pending { asked, waiting });
        id
    }

    /// Uses up an id that nobody is told and that is never done.
    pub(super) fn use_up(&mut self, channel: &str, now: Instant) {
        self.channel(channel, now).next += 1;
    }

    /// Whether each id is done; each is told so once.
    pub(super) fn ask(
        &mut self,
        channel: &str,
        ids: &[u64],
        policy: AckPolicy,
        now: Instant,
    ) -> Told {
        let mut indexed = Vec::new();
        let mut channel = self.channels.get_mut(channel);
        let mut done = |id: u64| {
            let Some(channel) = channel.as_deref_mut() else {
                return false;
            };
            channel.used = now;
            let Some(pending) = channel.pending.get_mut(&id) else {
                return false;
            };
            let done = id < channel.released
                || match policy {
                    AckPolicy::AtOnce => true,
                    AckPolicy::AfterAsked(times) => pending.asked >= times,
                    AckPolicy::Held | AckPolicy::Never => false,
                };
            pending.asked = pending.asked.saturating_add(1);
            if done {
                indexed.append(&mut pending.waiting);
                channel.pending.remove(&id);
            }
            done
        };
        let acks = ids.iter().map(|&id| (id.to_string(), done(id))).collect();
        Told { acks, indexed }
    }

    /// From now on all ids that were issued are done; gives what waited for it.
    pub(super) fn release(&mut self) -> Vec<HecEvent> {
        for channel in self.channels.values_mut() {
            channel.released = channel.next;
        }
        let pending = self
            .channels
            .values_mut()
            .flat_map(|channel| channel.pending.values_mut());
        pending
            .flat_map(|pending| std::mem::take(&mut pending.waiting))
            .collect()
    }

    /// Forgets all, as an indexer does that restarts; gives what is lost by it.
    pub(super) fn forget(&mut self) -> Vec<HecEvent> {
        let channels = std::mem::take(&mut self.channels);
        channels.into_values().flat_map(Channel::waiting).collect()
    }

    /// Forgets the channels that were not used for so long; gives what waited there, which is in
    /// an index by now.
    pub(super) fn forget_idle(&mut self, idle: Duration, now: Instant) -> Vec<HecEvent> {
        let gone = self
            .channels
            .extract_if(|_, channel| now.saturating_duration_since(channel.used) >= idle);
        gone.flat_map(|(_, channel)| channel.waiting()).collect()
    }

    fn channel(&mut self, channel: &str, now: Instant) -> &mut Channel {
        let channel = self.channels.entry(channel.to_owned());
        let channel = channel.or_insert_with(|| Channel {
            next: 0,
            pending: BTreeMap::new(),
            released: 0,
            used: now,
        });
        channel.used = now;
        channel
    }
}

impl Channel {
    fn waiting(self) -> impl Iterator<Item = HecEvent> {
        let pending = self.pending.into_values();
        pending.flat_map(|pending| pending.waiting)
    }
}

/// Whether `text` is a GUID.
pub(super) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::super::envelope;
    use super::*;

    fn issue(acks: &mut Acks, channel: &str) -> u64 {
        acks.issue(channel, Vec::new(), Instant::now())
    }

    fn done(acks: &mut Acks, channel: &str, id: u64, policy: AckPolicy) -> bool {
        let told = acks.ask(channel, &[id], policy, Instant::now());
        told.acks[&id.to_string()]
    }

    fn event() -> Vec<HecEvent> {
        envelope::take(br#"{"event":1}"#, None).events
    }

    #[test]
    fn ids_are_counted_for_each_channel_and_told_once() {
        let mut acks = Acks::default();
        let issued = ["a", "a", "b"].map(|channel| issue(&mut acks, channel));
        assert_eq!(issued, [0, 1, 0]);
        assert!(done(&mut acks, "a", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "a", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "b", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "none", 0, AckPolicy::AtOnce));
        assert!(done(&mut acks, "b", 0, AckPolicy::AtOnce));
    }

    #[test]
    fn used_up_ones_are_never_done() {
        let mut acks = Acks::default();
        acks.use_up("a", Instant::now());
        assert_eq!(issue(&mut acks, "a"), 1);
        acks.release();
        assert!(!done(&mut acks, "a", 0, AckPolicy::AtOnce));
        assert!(done(&mut acks, "a", 1, AckPolicy::AtOnce));
    }

    #[test]
    fn they_can_take_their_time() {
        let mut acks = Acks::default();
        issue(&mut acks, "a");
        let answers: Vec<bool> = (0..4)
            .map(|_| done(&mut acks, "a", 0, AckPolicy::AfterAsked(2)))
            .collect();
        assert_eq!(answers, [false, false, true, false]);
    }

    #[test]
    fn held_ones_wait_for_their_release() {
        for policy in [AckPolicy::Held, AckPolicy::Never] {
            let mut acks = Acks::default();
            issue(&mut acks, "a");
            assert!(!done(&mut acks, "a", 0, policy));
            acks.release();
            issue(&mut acks, "a");
            assert!(done(&mut acks, "a", 0, policy));
            assert!(!done(&mut acks, "a", 1, policy));
        }
    }

    #[test]
    fn what_waits_is_indexed_once_or_lost() {
        let now = Instant::now();
        let mut acks = Acks::default();
        for _ in 0..3 {
            acks.issue("a", event(), now);
        }
        let told = acks.ask("a", &[0, 0], AckPolicy::AtOnce, now);
        assert_eq!(told.indexed, event());
        assert_eq!(acks.release().len(), 2);
        assert_eq!(acks.release(), []);
        acks.issue("a", event(), now);
        assert_eq!(acks.forget(), event());
        assert_eq!(acks.forget(), []);
    }

    #[test]
    fn forgotten_ones_are_never_done_and_counting_starts_again() {
        let mut acks = Acks::default();
        issue(&mut acks, "a");
        acks.forget();
        assert!(!done(&mut acks, "a", 0, AckPolicy::AtOnce));
        assert_eq!(issue(&mut acks, "a"), 0);
    }

    #[test]
    fn a_channel_that_nobody_uses_goes() {
        let (begin, idle) = (Instant::now(), Duration::from_secs(600));
        let mut acks = Acks::default();
        acks.issue("used", event(), begin);
        acks.issue("idle", event(), begin);
        let later = begin + idle / 2;
        acks.ask("used", &[7], AckPolicy::Held, later);
        assert_eq!(acks.forget_idle(idle, begin + idle), event());
        assert_eq!(acks.issue("idle", Vec::new(), later), 0);
        assert_eq!(acks.issue("used", Vec::new(), later), 1);
    }

    #[test]
    fn a_channel_is_a_guid() {
        assert!(is_guid("0AEEAC95-ac74-4aa9-b30d-6c4c0ac581ba"));
        for wrong in [
            "",
            "x",
            "0aeeac95ac744aa9b30d6c4c0ac581ba",
            "0aeeac95-ac74-4aa9-b30d-6c4c0ac581bg",
        ] {
            assert!(!is_guid(wrong), "{wrong}");
        }
    }
}
