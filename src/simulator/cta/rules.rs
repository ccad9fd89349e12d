//! What the simulated service allows, and in which of the ways that were seen it answers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The rules of a CTA service; the default is the service as documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtaRules {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Who may ask, and for what.
    pub accounts: Vec<Account>,
    /// How long a client must wait between two accepted polls.
    pub min_poll_interval: Duration,
    /// What the wait counts for.
    pub gate_scope: GateScope,
    /// The longest window; of a longer one the last part before its end is served.
    pub max_window: Option<TimeDelta>,
    /// How long content is kept.
    pub retention: TimeDelta,
    /// Publications in a part of an answer.
    pub publications_per_part: usize,
    /// Publications in a Content_Block.
    pub publications_per_block: usize,
    /// How long the parts of an answer can be fetched.
    pub result_lifetime: Duration,
    /// How content stands in its block.
    pub content_style: ContentStyle,
    /// Whether answers are compressed for those who accept it.
    pub gzip: bool,
    /// What the answer states as its end.
    pub end_policy: EndPolicy,
    /// The service's clock less ours.
    pub clock_skew: TimeDelta,
    /// The headers and the namespace of Status_Message.
    pub header_style: HeaderStyle,
    /// Whether each part states bounds of its own.
    pub later_parts_state_later_bounds: bool,
    /// An answer that may come later is ready after this; none always answers at once.
    pub ready_after: Option<Duration>,
    /// Collections without times: a poll brings all of them.
    pub data_sets: Vec<String>,
}

/// A client of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user of HTTP Basic authentication.
    pub username: String,
    /// The password.
    pub password: String,
    /// The collections that it may poll; each exists once any account names it.
    pub collections: Vec<String>,
}

/// What the wait between two polls counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GateScope {
    /// The client, whatever the collection.
    #[default]
    Client,
    /// Each collection of a client.
    Collection,
}

/// How content stands in its block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentStyle {
    /// As elements.
    #[default]
    Element,
    /// As text with `&lt;` for `<`.
    Escaped,
    /// As CDATA.
    Cdata,
}

/// What the answer states as its Inclusive_End_Timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EndPolicy {
    /// The requested one, even if the service's clock has not reached it.
    #[default]
    Echo,
    /// The requested one, but never later than the service's own time.
    OwnTime,
    /// Nothing.
    Omit,
}

/// The headers of answers and the namespace of Status_Message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderStyle {
    /// As the specification has them.
    #[default]
    Specification,
    /// As the service's own document shows them: X-TAXII-Content-Type and X-TAXII-Protocol
    /// swapped, Status_Message in the namespace of TAXII 1.0.
    Swapped,
}

impl CtaRules {
    /// The collection of the default account.
    pub const COLLECTION: &str = "webflows_1234567890_v0";

    /// The rules with the one account `user`, `pass` for these collections.
    #[must_use]
    pub fn for_collections(collections: &[&str]) -> Self {
        let collections = collections.iter().map(|name| (*name).to_owned());
        Self {
            accounts: vec![Account {
                username: "user".to_owned(),
                password: "pass".to_owned(),
                collections: collections.collect(),
            }],
            ..Self::default()
        }
    }

    pub(super) fn collection_exists(&self, collection: &str) -> bool {
        let mut accounts = self.accounts.iter();
        accounts.any(|account| account.may_poll(collection))
    }

    /// The time by the service's clock.
    pub(super) fn service_time(&self, ours: DateTime<Utc>) -> DateTime<Utc> {
        ours.checked_add_signed(self.clock_skew).unwrap_or(ours)
    }
}

impl Default for CtaRules {
    fn default() -> Self {
        Self {
            port: 0,
            accounts: vec![Account {
                username: "user".to_owned(),
                password: "pass".to_owned(),
                collections: vec![Self::COLLECTION.to_owned()],
            }],
            min_poll_interval: Duration::from_secs(600),
            gate_scope: GateScope::default(),
            max_window: Some(TimeDelta::days(3)),
            retention: TimeDelta::days(30),
            publications_per_part: 100,
            publications_per_block: 1,
            result_lifetime: Duration::from_secs(3600),
            content_style: ContentStyle::default(),
            gzip: true,
            end_policy: EndPolicy::default(),
            clock_skew: TimeDelta::zero(),
            header_style: HeaderStyle::default(),
            later_parts_state_later_bounds: false,
            ready_after: None,
            data_sets: Vec::new(),
        }
    }
}

impl Account {
    pub(super) fn may_poll(&self, collection: &str) -> bool {
        self.collections.iter().any(|name| name == collection)
    }
}
