//! The way to the indexer behind one endpoint: the channel, its cookies and the ids that were seen
//! on it.
//!
//! Acknowledgements are kept by the indexer that took the events. Whether it is still the same one
//! can only be seen from a sticky cookie that changes and from ids that count anew.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::{Channel, Receipt};

/// One endpoint's present channel.
#[derive(Debug)]
pub(super) struct Lane {
    channel: Channel,
    /// The ids that came back on it.
    seen: BTreeSet<u64>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            channel: anew(BTreeMap::new()),
            seen: BTreeSet::new(),
        }
    }

    /// Where the next request goes.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// From now on another channel: what happened to the indexer behind this one is not known.
    pub(super) fn leave(&mut self) {
        self.channel = anew(self.channel.cookies.clone());
        self.seen.clear();
    }

    /// Takes in the answer to a request that went to `channel`: the cookies that came with it, and
    /// the id if it was accepted. Gives the receipt.
    pub(super) fn answered(
        &mut self,
        channel: &Channel,
        cookies: &BTreeMap<String, String>,
        ack_id: Option<u64>,
    ) -> Option<Receipt> {
        let has_moved = is_another(&channel.cookies, cookies);
        let mut theirs = channel.clone();
        theirs.cookies.extend(cookies.clone());
        let is_present = channel.key == self.channel.key;
        let is_seen = is_present && ack_id.is_some_and(|id| !self.seen.insert(id));
        if is_present {
            self.channel.cookies.clone_from(&theirs.cookies);
            if has_moved || is_seen {
                self.leave();
            }
        }
        let ack_id = ack_id?;
        if has_moved || is_seen {
            theirs.key = Uuid::new_v4();
        }
        Some(Receipt {
            channel: theirs,
            ack_id,
            // Where only the cookie has changed, the indexer before it can still be asked.
            voids: (is_seen && !has_moved).then_some(channel.key),
        })
    }
}

/// Whether these cookies lead to another indexer than those before.
pub(super) fn is_another(
    before: &BTreeMap<String, String>,
    cookies: &BTreeMap<String, String>,
) -> bool {
    cookies
        .iter()
        .any(|(name, value)| before.get(name).is_some_and(|before| before != value))
}

/// The name and value of each `Set-Cookie`.
pub(super) fn cookies<'a>(headers: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let pairs = headers.filter_map(|header| {
        let (name, value) = header.split(';').next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_sendable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        (!name.is_empty() && is_sendable(name) && is_sendable(value))
            .then(|| (name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// The value of the header `Cookie`; none without cookies.
pub(super) fn cookie_header(cookies: &BTreeMap<String, String>) -> Option<String> {
    let pairs: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

fn anew(cookies: BTreeMap<String, String>) -> Channel {
    Channel {
        key: Uuid::new_v4(),
        guid: Uuid::new_v4(),
        cookies,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky(value: &str) -> BTreeMap<String, String> {
        [("sticky".to_owned(), value.to_owned())].into()
    }

    fn answered(lane: &mut Lane, cookie: Option<&str>, id: u64) -> Receipt {
        let channel = lane.channel().clone();
        let cookies = cookie.map(sticky).unwrap_or_default();
        lane.answered(&channel, &cookies, Some(id)).unwrap()
    }

    #[test]
    fn one_channel_as_long_as_nothing_changes() {
        let mut lane = Lane::new();
        let first = answered(&mut lane, Some("a"), 0);
        assert_eq!(first.channel.cookies, sticky("a"));
        for id in [2, 1, 7] {
            let next = answered(&mut lane, None, id);
            assert_eq!(next.channel, first.channel);
            assert_eq!((next.ack_id, next.voids), (id, None));
        }
    }

    #[test]
    fn another_cookie_is_another_indexer_and_the_old_one_can_still_be_asked() {
        let mut lane = Lane::new();
        let first = answered(&mut lane, Some("a"), 0);
        let moved = answered(&mut lane, Some("b"), 0);
        assert_ne!(moved.channel.key, first.channel.key);
        assert_eq!(moved.channel.guid, first.channel.guid);
        assert_eq!(moved.channel.cookies, sticky("b"));
        assert_eq!(moved.voids, None);
        let next = answered(&mut lane, None, 0);
        assert_ne!(next.channel.guid, first.channel.guid);
        assert_eq!(next.channel.cookies, sticky("b"));
    }

    #[test]
    fn an_id_that_comes_again_voids_what_was_before_it() {
        let mut lane = Lane::new();
        let first = answered(&mut lane, None, 0);
        answered(&mut lane, None, 1);
        let again = answered(&mut lane, None, 0);
        assert_eq!(again.voids, Some(first.channel.key));
        assert_ne!(again.channel.key, first.channel.key);
        let next = answered(&mut lane, None, 1);
        assert_ne!(next.channel.guid, first.channel.guid);
        assert_eq!(next.voids, None);
    }

    #[test]
    fn a_late_answer_to_a_channel_that_was_left_is_a_receipt_of_that_channel() {
        let mut lane = Lane::new();
        let old = lane.channel().clone();
        lane.leave();
        let receipt = lane.answered(&old, &BTreeMap::new(), Some(3)).unwrap();
        assert_eq!(receipt.channel, old);
        assert_ne!(lane.channel().guid, old.guid);
    }

    #[test]
    fn cookies_are_read_and_written_as_browsers_do() {
        let read =
            cookies(["a=1; Path=/; HttpOnly", " b = \"2\" ", "=x", "no", "c=x y"].into_iter());
        let header = cookie_header(&read);
        assert_eq!(header.as_deref(), Some("a=1; b=\"2\""));
        assert_eq!(cookie_header(&BTreeMap::new()), None);
    }
}
