//! What the vendor offers, in which versions, and who it is.

use std::fmt;
use std::time::Duration;

use super::version::TaxiiVersion;
use crate::simulator::tls::ServerTls;

/// The vendor's rules.
#[derive(Debug, Clone)]
pub struct VendorRules {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// The versions that its services speak.
    pub versions: Vec<TaxiiVersion>,
    /// What can be bought.
    pub feeds: Vec<VendorFeed>,
    /// Who its services are, and whose certificates they accept.
    pub tls: ServerTls,
    /// Who it is to the inboxes that it pushes to.
    pub pushes_as: PusherTls,
    /// The collections that it pushes into, as inboxes of TAXII 1.1 call them; 1.0 has none.
    pub destinations: Vec<String>,
    /// How long it waits with what an inbox has not taken, unless the inbox says how long.
    pub push_again_after: Duration,
}

/// A feed that can be bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorFeed {
    /// The name, as messages have it.
    pub name: String,
    /// What it is, for people.
    pub description: String,
}

/// Who a pusher is over TLS, and whom it trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct PusherTls {
    /// The authorities that it trusts, as PEM.
    pub ca_pem: String,
    /// The certificate that it shows, as PEM.
    pub certificate_pem: String,
    /// The key of its certificate, as PEM.
    pub key_pem: String,
}

impl VendorRules {
    /// A vendor in both versions, with the feeds `Platinum` and `Gold`.
    #[must_use]
    pub fn new(tls: ServerTls, pushes_as: PusherTls) -> Self {
        let feed = |name: &str, description: &str| VendorFeed {
            name: name.to_owned(),
            description: description.to_owned(),
        };
        Self {
            port: 0,
            versions: TaxiiVersion::ALL.to_vec(),
            feeds: vec![
                feed(
                    "Platinum",
                    "Our most comprehensive data feed, with professional analysis of impact and context.",
                ),
                feed("Gold", "Global threats, without additional analysis."),
            ],
            tls,
            pushes_as,
            destinations: Vec::new(),
            push_again_after: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for PusherTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PusherTls").finish_non_exhaustive()
    }
}
