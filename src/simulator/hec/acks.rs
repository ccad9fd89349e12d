//! Acknowledgement: ids counted for each channel, told as done once.

use std::collections::{BTreeMap, HashMap};

use super::rules::AckPolicy;

/// The ids of all channels.
#[derive(Debug, Default)]
pub(super) struct Acks {
    channels: HashMap<String, Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    /// How often each was asked for; what was told as done is no longer there.
    asked: BTreeMap<u64, u32>,
    /// Ids below are done, whatever the policy.
    released: u64,
}

impl Acks {
    /// The id of a request that was taken.
    pub(super) fn issue(&mut self, channel: &str) -> u64 {
        let channel = self.channels.entry(channel.to_owned()).or_default();
        let id = channel.next;
        channel.next += 1;
        channel.asked.insert(id, 0);
        id
    }

    /// Whether each id is done; each is told so once.
    pub(super) fn ask(
        &mut self,
        channel: &str,
        ids: &[u64],
        policy: AckPolicy,
    ) -> BTreeMap<String, bool> {
        let mut channel = self.channels.get_mut(channel);
        let mut done = |id: u64| {
            let Some(channel) = channel.as_deref_mut() else {
                return false;
            };
            let Some(asked) = channel.asked.get_mut(&id) else {
                return false;
            };
            let done = id < channel.released
                || match policy {
                    AckPolicy::AtOnce => true,
                    AckPolicy::AfterAsked(times) => *asked >= times,
                    AckPolicy::Held => false,
                };
            *asked += 1;
            if done {
                channel.asked.remove(&id);
            }
            done
        };
        ids.iter().map(|&id| (id.to_string(), done(id))).collect()
    }

    /// From now on all ids that were issued are done.
    pub(super) fn release(&mut self) {
        for channel in self.channels.values_mut() {
            channel.released = channel.next;
        }
    }

    /// Forgets all, as an indexer does that restarts.
    pub(super) fn forget(&mut self) {
        self.channels.clear();
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
    use super::*;

    fn done(acks: &mut Acks, channel: &str, id: u64, policy: AckPolicy) -> bool {
        acks.ask(channel, &[id], policy)[&id.to_string()]
    }

    #[test]
    fn ids_are_counted_for_each_channel_and_told_once() {
        let mut acks = Acks::default();
        assert_eq!(
            (acks.issue("a"), acks.issue("a"), acks.issue("b")),
            (0, 1, 0)
        );
        assert!(done(&mut acks, "a", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "a", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "b", 1, AckPolicy::AtOnce));
        assert!(!done(&mut acks, "none", 0, AckPolicy::AtOnce));
        assert!(done(&mut acks, "b", 0, AckPolicy::AtOnce));
    }

    #[test]
    fn they_can_take_their_time() {
        let mut acks = Acks::default();
        acks.issue("a");
        let answers: Vec<bool> = (0..4)
            .map(|_| done(&mut acks, "a", 0, AckPolicy::AfterAsked(2)))
            .collect();
        assert_eq!(answers, [false, false, true, false]);
    }

    #[test]
    fn held_ones_wait_for_their_release() {
        let mut acks = Acks::default();
        acks.issue("a");
        assert!(!done(&mut acks, "a", 0, AckPolicy::Held));
        acks.release();
        acks.issue("a");
        assert!(done(&mut acks, "a", 0, AckPolicy::Held));
        assert!(!done(&mut acks, "a", 1, AckPolicy::Held));
    }

    #[test]
    fn forgotten_ones_are_never_done_and_counting_starts_again() {
        let mut acks = Acks::default();
        acks.issue("a");
        acks.forget();
        assert!(!done(&mut acks, "a", 0, AckPolicy::AtOnce));
        assert_eq!(acks.issue("a"), 0);
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
