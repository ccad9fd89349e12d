//! Content as the CTA service publishes it, made from a seed.

mod identity;
mod invention;
mod model;
mod style;
mod vocabulary;
mod xml;

pub(super) use self::xml::{attribute, cdata, escaped};

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::EventId;

/// One package and what must come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The stamp by which poll windows find it, by the service's clock.
    pub published: DateTime<Utc>,
    /// A `STIX_Package` element that declares all its namespaces; the same can be published often.
    pub package_xml: Arc<str>,
    /// The ids of its events, in document order.
    pub events: Vec<EventId>,
    /// How many incidents it has.
    pub incidents: usize,
    /// How many flows it has.
    pub flows: usize,
}

/// How much is in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageSize {
    /// At most so many incidents.
    pub incidents: usize,
    /// At most so many indicators an incident.
    pub indicators: usize,
    /// At most so many flows an indicator.
    pub flows: usize,
    /// Exactly as many as stated, and no incident without observables: for benchmarks.
    pub exact: bool,
}

/// How packages are written, and how odd what they say is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    /// Whatever was seen of the service, and any way in which XML can say it.
    #[default]
    Varied,
    /// As the vendor's sample: indented, texts as they are, flows of twelve properties each.
    Sample,
}

impl Default for PackageSize {
    fn default() -> Self {
        Self {
            incidents: 3,
            indicators: 2,
            flows: 4,
            exact: false,
        }
    }
}

/// Makes publications; the same seed gives the same ones for ever.
///
/// Ids do not repeat within a seed. Among forty varied publications there is everything that was
/// seen of the real service: both kinds of flow, children in any order, definitions before and
/// after their use, incidents without observables, several values, empty values, flows that are
/// there twice, entities, CDATA, comments, any alphabet and any offset.
#[derive(Debug, Clone)]
pub struct ContentGenerator {
    seed: u64,
    size: PackageSize,
    manner: Manner,
    made: u64,
}

impl ContentGenerator {
    /// A generator of small packages.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            size: PackageSize::default(),
            manner: Manner::default(),
            made: 0,
        }
    }

    /// The same with packages of this size.
    #[must_use]
    pub fn with_size(mut self, size: PackageSize) -> Self {
        self.size = size;
        self
    }

    /// The same with packages written in this manner.
    #[must_use]
    pub fn with_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// The next publication, stamped `published`.
    pub fn publication(&mut self, published: DateTime<Utc>) -> Publication {
        let mut random = fastrand::Rng::with_seed(self.seed);
        // Drawn anew for each, so that a change in one package leaves the next as it is.
        let package_seed = random.u64(..) ^ self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = fastrand::Rng::with_seed(package_seed);
        let name = invention::PackageName {
            seed: self.seed,
            number: self.made,
        };
        self.made += 1;
        let package = invention::package(&mut random, name, self.size, self.manner, published);
        Publication {
            published,
            package_xml: match self.manner {
                Manner::Varied => xml::write_any_way(&package, &mut random),
                Manner::Sample => xml::write_plainly(&package, &mut random),
            }
            .into(),
            events: identity::of_package(&package),
            incidents: package.incidents.len(),
            flows: package.flows(),
        }
    }
}

#[cfg(test)]
mod tests;
