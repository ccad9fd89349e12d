//! The way to the indexer behind one endpoint: the present channel, and the cookies that lead there.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::{Channel, Receipt};

/// Cookies that are kept of one endpoint, more than a load balancer needs: who always sets others
/// must not fill memory, store and requests.
const MAX_COOKIES: usize = 50;
/// Of one cookie, name and value, as browsers have it.
const MAX_COOKIE_BYTES: usize = 4096;
/// Of all that are sent back: many servers take no longer header.
const MAX_COOKIES_BYTES: usize = 8192;

/// One endpoint's present channel.
#[derive(Debug)]
pub(super) struct Lane {
    channel: Channel,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            channel: anew(BTreeMap::new()),
        }
    }

    /// Where the next request goes.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// From now on another channel, behind the same indexer as far as the cookies know.
    pub(super) fn leave(&mut self) {
        self.channel = anew(self.channel.cookies.clone());
    }

    /// Takes in the answer to a request that went to `channel`: the cookies that came with it, and
    /// the id if it was accepted. Gives the receipt.
    ///
    /// A cookie that changes says little: many load balancers renew it with every answer.
    pub(super) fn answered(
        &mut self,
        channel: &Channel,
        cookies: &BTreeMap<String, String>,
        ack_id: Option<u64>,
    ) -> Option<Receipt> {
        keep(&mut self.channel.cookies, cookies);
        let mut theirs = channel.clone();
        keep(&mut theirs.cookies, cookies);
        Some(Receipt {
            channel: theirs,
            ack_id: ack_id?,
        })
    }
}

/// Takes cookies in. Beyond the limits those of before go: the present ones lead the way.
fn keep(known: &mut BTreeMap<String, String>, cookies: &BTreeMap<String, String>) {
    known.extend(cookies.clone());
    let is_over = |known: &BTreeMap<String, String>| {
        let bytes = known.iter().map(|(name, value)| name.len() + value.len());
        known.len() > MAX_COOKIES || bytes.sum::<usize>() > MAX_COOKIES_BYTES
    };
    if is_over(known) {
        known.clone_from(cookies);
    }
    while is_over(known) {
        known.pop_last();
    }
}

/// The name and value of each `Set-Cookie`.
pub(super) fn cookies<'a>(headers: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let pairs = headers.filter_map(|header| {
        let (name, value) = header.split(';').next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_sendable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        let fits = name.len() + value.len() <= MAX_COOKIE_BYTES;
        (fits && !name.is_empty() && is_sendable(name) && is_sendable(value))
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

    #[test]
    fn a_channel_is_one_until_it_is_left_and_its_cookies_stay() {
        let mut lane = Lane::new();
        let first = lane.channel().clone();
        let receipt = lane.answered(&first, &sticky("a"), Some(3)).unwrap();
        assert_eq!((receipt.channel.guid, receipt.ack_id), (first.guid, 3));
        assert_eq!(receipt.channel.cookies, sticky("a"));
        assert_eq!(lane.channel(), &receipt.channel);
        lane.leave();
        assert_ne!(lane.channel().guid, first.guid);
        assert_eq!(lane.channel().cookies, sticky("a"));
    }

    #[test]
    fn a_receipt_leads_to_where_it_came_from() {
        let mut lane = Lane::new();
        let old = lane.channel().clone();
        lane.answered(&old, &sticky("a"), Some(0));
        let at_a = lane.channel().clone();
        lane.leave();
        lane.answered(&at_a, &sticky("b"), None);
        let receipt = lane.answered(&at_a, &BTreeMap::new(), Some(1)).unwrap();
        assert_eq!(receipt.channel.guid, at_a.guid);
        assert_eq!(receipt.channel.cookies, sticky("a"));
        assert_eq!(lane.channel().cookies, sticky("b"));
        assert_eq!(lane.answered(&at_a, &sticky("c"), None), None);
    }

    #[test]
    fn who_always_sets_other_cookies_fills_nothing() {
        let mut lane = Lane::new();
        for (names, value) in [
            (7, "v".to_owned()),
            (1000, "v".to_owned()),
            (9, "v".repeat(4000)),
        ] {
            for answer in 0..100 {
                let channel = lane.channel().clone();
                let set: Vec<String> = (0..names)
                    .map(|n| format!("c{answer}-{n}={value}"))
                    .collect();
                let set = cookies(set.iter().map(String::as_str));
                lane.answered(&channel, &set, Some(1)).unwrap();
                let known = &lane.channel().cookies;
                assert!(known.len() <= MAX_COOKIES, "{} cookies", known.len());
                let header = cookie_header(known).unwrap();
                assert!(
                    header.len() <= MAX_COOKIES_BYTES + 3 * MAX_COOKIES,
                    "{}",
                    header.len()
                );
                assert!(
                    known.keys().any(|name| set.contains_key(name)),
                    "none of the last"
                );
            }
        }
        assert_eq!(
            cookies([format!("a={}", "v".repeat(5000)).as_str()].into_iter()).len(),
            0
        );
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
