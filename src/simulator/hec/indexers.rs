//! Several indexers behind one address, and the load balancer before them.

use std::collections::BTreeMap;

use super::acks::Acks;
use super::envelope::HecEvent;
use super::rules::{HecRules, Sticky};

/// The name of the load balancer's cookie.
const COOKIE: &str = "indexer";

/// All indexers, by their number from 0.
#[derive(Debug, Default)]
pub(super) struct Indexers {
    acks: BTreeMap<usize, Acks>,
    /// The one that is next without a cookie.
    next: usize,
    /// Cookies of an earlier one are not honoured.
    generation: u64,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) indexer: usize,
    /// The `Set-Cookie` of its answer.
    pub(super) set_cookie: Option<String>,
}

/// There is no such indexer.
#[derive(Debug, thiserror::Error)]
#[error("there is no indexer {number}: they are numbered from 0 to {last}")]
pub struct NoIndexerError {
    /// The number that was asked for.
    pub number: usize,
    /// The highest.
    pub last: usize,
}

impl Indexers {
    /// Where a request goes that brings these cookies.
    pub(super) fn route(&mut self, rules: &HecRules, cookies: &[&str]) -> Route {
        let count = rules.indexers.max(1);
        if rules.sticky == Sticky::None {
            let indexer = self.next_of(count);
            let set_cookie = None;
            return Route {
                indexer,
                set_cookie,
            };
        }
        let known = cookies.iter().find_map(|cookies| cookie(cookies));
        let known = known.filter(|&(indexer, _)| indexer < count);
        if let Some((indexer, generation)) = known
            && generation == self.generation
        {
            let set_cookie = None;
            return Route {
                indexer,
                set_cookie,
            };
        }
        let mut indexer = self.next_of(count);
        if known.is_some_and(|(former, _)| former == indexer) {
            indexer = self.next_of(count);
        }
        let set_cookie = format!("{COOKIE}={indexer}.{}; Path=/", self.generation);
        Route {
            indexer,
            set_cookie: Some(set_cookie),
        }
    }

    /// Cookies are not honoured any more; each client is sent elsewhere, if there is an elsewhere.
    pub(super) fn move_clients(&mut self) {
        self.generation += 1;
    }

    /// The acknowledgements of an indexer.
    pub(super) fn acks(&mut self, indexer: usize) -> &mut Acks {
        self.acks.entry(indexer).or_default()
    }

    /// Acknowledges everything; gives what waited for it.
    pub(super) fn release(&mut self) -> Vec<HecEvent> {
        self.acks.values_mut().flat_map(Acks::release).collect()
    }

    /// All indexers forget all; gives what is lost by it.
    pub(super) fn forget(&mut self) -> Vec<HecEvent> {
        self.acks.values_mut().flat_map(Acks::forget).collect()
    }

    fn next_of(&mut self, count: usize) -> usize {
        let indexer = self.next % count;
        self.next = indexer + 1;
        indexer
    }
}

/// Indexer and generation of our cookie, if it is among these.
fn cookie(cookies: &str) -> Option<(usize, u64)> {
    let mut cookies = cookies.split(';').map(str::trim);
    let value = cookies.find_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('='))?;
    let (indexer, generation) = value.split_once('.')?;
    Some((indexer.parse().ok()?, generation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(indexers: usize, sticky: Sticky) -> HecRules {
        HecRules {
            indexers,
            sticky,
            ..HecRules::default()
        }
    }

    /// A client that keeps its cookie.
    #[derive(Default)]
    struct Client {
        cookie: String,
    }

    impl Client {
        fn ask(&mut self, indexers: &mut Indexers, rules: &HecRules) -> usize {
            let route = indexers.route(rules, &["theme=dark", &self.cookie]);
            if let Some(cookie) = route.set_cookie {
                cookie
                    .split(';')
                    .next()
                    .unwrap()
                    .clone_into(&mut self.cookie);
            }
            route.indexer
        }
    }

    #[test]
    fn without_stickiness_one_after_the_other() {
        let (mut indexers, rules) = (Indexers::default(), rules(3, Sticky::None));
        let routes: Vec<Route> = (0..4).map(|_| indexers.route(&rules, &[])).collect();
        let numbers: Vec<usize> = routes.iter().map(|route| route.indexer).collect();
        assert_eq!(numbers, [0, 1, 2, 0]);
        assert!(routes.iter().all(|route| route.set_cookie.is_none()));
    }

    #[test]
    fn with_a_cookie_always_to_the_same_until_the_clients_are_moved() {
        let (mut indexers, rules) = (Indexers::default(), rules(2, Sticky::Cookie));
        let mut clients = [Client::default(), Client::default()];
        let mut ask = |indexers: &mut Indexers| {
            let asked = clients.each_mut();
            asked.map(|client| client.ask(indexers, &rules))
        };
        assert_eq!(ask(&mut indexers), [0, 1]);
        assert_eq!(ask(&mut indexers), [0, 1]);
        indexers.move_clients();
        assert_eq!(ask(&mut indexers), [1, 0]);
        assert_eq!(ask(&mut indexers), [1, 0]);
    }

    #[test]
    fn an_unknown_cookie_is_none() {
        let (mut indexers, rules) = (Indexers::default(), rules(2, Sticky::Cookie));
        for wrong in ["indexer=", "indexer=0", "indexer=x.0", "indexer=9.0"] {
            let route = indexers.route(&rules, &[wrong]);
            assert!(route.set_cookie.is_some(), "{wrong}");
        }
        let good = indexers.route(&rules, &["a=b; indexer=1.0; c=d"]);
        assert_eq!((good.indexer, good.set_cookie), (1, None));
    }

    #[test]
    fn one_indexer_has_no_elsewhere() {
        let (mut indexers, rules) = (Indexers::default(), rules(0, Sticky::Cookie));
        let mut client = Client::default();
        assert_eq!(client.ask(&mut indexers, &rules), 0);
        indexers.move_clients();
        assert_eq!(client.ask(&mut indexers, &rules), 0);
    }
}
