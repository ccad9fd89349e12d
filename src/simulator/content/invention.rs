//! Makes up what a package says.

use chrono::{DateTime, FixedOffset, Utc};
use fastrand::Rng;

use super::model::{Composition, Definition, Flow, Incident, IndicatedTtp, Indicator, Package};
use super::vocabulary as words;
use super::{Manner, PackageSize};

/// What makes the ids of a package differ from all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackageName {
    pub(super) seed: u64,
    pub(super) number: u64,
}

impl PackageName {
    fn incident(self, place: usize) -> String {
        let Self { seed, number } = self;
        format!("cta:incident-1412045744_{seed:016x}{number:08x}_ITMAL{place}")
    }
}

/// Makes up a package.
pub(super) fn package(
    random: &mut Rng,
    name: PackageName,
    size: PackageSize,
    manner: Manner,
    published: DateTime<Utc>,
) -> Package {
    let ttps = definitions(words::ACTIVITIES, "ttp", name);
    let campaigns = definitions(words::CAMPAIGNS, "campaign", name);
    let mut inventor = Inventor {
        random,
        size,
        manner,
        published,
        ttps: &ttps,
        campaigns: &campaigns,
    };
    let empty = !size.exact && inventor.one_in(12);
    let count = if empty {
        0
    } else {
        inventor.up_to(size.incidents)
    };
    let incidents = (0..count)
        .map(|place| inventor.incident(name.incident(place)))
        .collect();
    let offset_seconds = inventor.one_of(&[0, 3600, -19_800]);
    let offset = FixedOffset::east_opt(offset_seconds)
        .unwrap_or_else(|| published.fixed_offset().timezone());
    Package {
        id: format!(
            "cta:package-1412045744-{:016x}-{:08x}",
            name.seed, name.number
        ),
        timestamp: published.with_timezone(&offset),
        customer: "cta:customer-1234567890".to_owned(),
        ttps,
        campaigns,
        incidents,
    }
}

fn definitions(titles: &[&str], kind: &str, name: PackageName) -> Vec<Definition> {
    let titles = titles.iter().enumerate();
    titles
        .map(|(place, title)| Definition {
            id: format!("cta:{kind}-{:x}-{:x}-{place}", name.seed, name.number),
            title: (*title).to_owned(),
        })
        .collect()
}

struct Inventor<'a> {
    random: &'a mut Rng,
    size: PackageSize,
    manner: Manner,
    published: DateTime<Utc>,
    ttps: &'a [Definition],
    campaigns: &'a [Definition],
}

impl Inventor<'_> {
    fn incident(&mut self, id: String) -> Incident {
        let indicators = if !self.size.exact && self.one_in(6) {
            // An indicator may be there that has no observable.
            let without_flows = self.random.usize(..2);
            (0..without_flows)
                .map(|place| self.indicator(&id, place, 0))
                .collect()
        } else {
            let count = self.up_to(self.size.indicators);
            (0..count)
                .map(|place| {
                    let flows = self.up_to(self.size.flows);
                    self.indicator(&id, place, flows)
                })
                .collect()
        };
        Incident {
            url: self.maybe(|of| {
                format!(
                    "https://cta.example.com/incident?id={id}&view={}",
                    of.random.u8(..)
                )
            }),
            title: (!self.one_in(8)).then(|| self.word(words::TITLES)),
            victims: self.some_of(words::NAMES),
            discovery_method: self.maybe(|of| of.word(words::DISCOVERY_METHODS)),
            confidence: self.maybe(|of| of.word(words::CONFIDENCES)),
            risks: self.maybe(|of| of.word(words::RISKS)).into_iter().collect(),
            risk_categories: self.some_of(words::RISK_CATEGORIES),
            tools: self.some_of(&words::TOOLS.map(|(id, _)| id)),
            campaigns: self.some_campaigns(),
            indicators,
            id,
        }
    }

    fn some_campaigns(&mut self) -> Vec<String> {
        let campaigns = self.campaigns;
        let count = self.one_of(&[0, 1, 1, 2]);
        let chosen = self.random.choose_multiple(campaigns.iter(), count);
        chosen.iter().map(|campaign| campaign.id.clone()).collect()
    }

    fn indicator(&mut self, incident_id: &str, place: usize, flows: usize) -> Indicator {
        let (outer, inner) = (self.one_of(words::OPERATORS), self.one_of(words::OPERATORS));
        // Only the first may lack an id, or the flows of two could not be told apart.
        let id = (place > 0 || !self.one_in(10))
            .then(|| format!("{}_{place}", incident_id.replace("incident", "indicator")));
        let ttps = self.ttps;
        let ttp = match self.random.choice(ttps) {
            Some(ttp) if self.random.bool() => IndicatedTtp::Reference { id: ttp.id.clone() },
            _ => IndicatedTtp::Inline {
                title: self.word(words::ACTIVITIES),
            },
        };
        let campaigns = self.campaigns;
        let campaign = match self.random.choice(campaigns) {
            Some(campaign) if flows > 0 && self.one_in(3) => Some(campaign.id.clone()),
            _ => None,
        };
        Indicator {
            id,
            ttp,
            campaign,
            composition: self.one_of(&[
                Composition::One(outer),
                Composition::One(outer),
                Composition::Nested(outer, inner),
                Composition::None,
            ]),
            flows: self.flows(flows),
        }
    }

    fn flows(&mut self, count: usize) -> Vec<Flow> {
        let mut flows: Vec<Flow> = Vec::with_capacity(count);
        while flows.len() < count {
            let flow = match flows.last() {
                _ if self.manner == Manner::Sample => self.flow_of_the_sample(),
                Some(last) if self.one_in(6) => last.clone(),
                _ if self.one_in(3) => self.stealthwatch_flow(),
                _ => self.web_flow(),
            };
            flows.push(flow);
        }
        flows
    }

    fn flow_of_the_sample(&mut self) -> Flow {
        let mut properties = self.web_properties();
        properties.push(("scResultCode", "TCP_MISS".to_owned()));
        Flow {
            flow_type: Some("cta:webflow"),
            properties,
        }
    }

    fn web_properties(&mut self) -> Vec<(&'static str, String)> {
        let when = self.moment_before_publication();
        vec![
            ("timestamp", when.to_string()),
            ("xElapsedTime", self.random.u32(..100_000).to_string()),
            (
                "scHttpStatus",
                self.one_of(&["0", "200", "304", "404", "502"]).to_owned(),
            ),
            ("csContentBytes", self.random.u32(..2_000).to_string()),
            ("scContentBytes", self.random.u32(..2_000_000).to_string()),
            ("csUrl", self.word(words::URLS)),
            ("sIP", self.address()),
            ("cIP", self.address()),
            ("cUsername", self.word(words::NAMES)),
            ("sReputation", self.random.i32(-1000..1000).to_string()),
            ("sCategory", self.word(words::CATEGORIES)),
        ]
    }

    fn web_flow(&mut self) -> Flow {
        let mut properties = self.web_properties();
        if self.random.bool() {
            properties.extend([
                ("scResultCode", "TCP_MISS".to_owned()),
                ("scContentType", self.word(words::CONTENT_TYPES)),
                ("xMagicContentType", self.word(words::CONTENT_TYPES)),
                ("csReferer", self.word(words::URLS)),
                ("csUserAgent", self.word(words::USER_AGENTS)),
                ("sPort", self.random.u16(..).to_string()),
                ("cPort", self.random.u16(..).to_string()),
                ("scFileName", "größe & co.exe".to_owned()),
                ("scSHA256", self.digits(64)),
                ("scMD5", self.digits(32)),
                ("pDNSHostname", "host.example.net".to_owned()),
                ("pDNSProbability", "0.97".to_owned()),
            ]);
        }
        self.vary(&mut properties);
        Flow {
            flow_type: (!self.one_in(5)).then_some("cta:webflow"),
            properties,
        }
    }

    fn stealthwatch_flow(&mut self) -> Flow {
        let start = self.moment_before_publication();
        let end = start + self.random.i64(0..600_000);
        let mut properties = vec![
            ("startTime", start.to_string()),
            ("endTime", end.to_string()),
            (
                "networkProtocol",
                self.one_of(&["6", "17", "ICMP"]).to_owned(),
            ),
            ("eta", self.one_of(&["", "tls 1.2"]).to_owned()),
            ("client.ip", self.address()),
            ("client.totalBytes", self.random.u32(..).to_string()),
            ("client.macAddress", "00:1b:21:3c:9d:f8".to_owned()),
            ("client.firstSeenPort", self.random.u16(..).to_string()),
            ("server.ip", self.address()),
            ("server.totalBytes", self.random.u32(..).to_string()),
            ("server.macAddress", String::new()),
            ("server.firstSeenPort", self.random.u16(..).to_string()),
            ("pDNSHostname", "host.example.net".to_owned()),
            ("pDNSProbability", "1".to_owned()),
        ];
        self.vary(&mut properties);
        Flow {
            flow_type: Some("cta:swflow"),
            properties,
        }
    }

    /// Properties in another order, one twice, one with an odd value, one that collides.
    fn vary(&mut self, properties: &mut Vec<(&'static str, String)>) {
        if self.one_in(4) {
            self.random.shuffle(properties);
        }
        if self.one_in(8) {
            properties.push(("sCategory", self.word(words::CATEGORIES)));
            properties.push(("sCategory", self.word(words::CATEGORIES)));
        }
        if self.one_in(8) {
            properties.push((
                self.one_of(&["host", "victim", "_raw", "eventId"]),
                self.word(words::NAMES),
            ));
        }
        if self.one_in(8) {
            let odd = self.word(words::ODD_VALUES);
            if let Some((_, value)) = self.random.choice(&mut *properties) {
                *value = odd;
            }
        }
    }

    /// Milliseconds since 1970, in the hour before the publication.
    fn moment_before_publication(&mut self) -> i64 {
        self.published.timestamp_millis() - self.random.i64(0..3_600_000)
    }

    fn address(&mut self) -> String {
        if self.one_in(5) {
            return format!("2001:db8::{:x}", self.random.u16(..));
        }
        let [a, b] = self.random.u16(..).to_be_bytes();
        format!("198.51.{a}.{b}")
    }

    fn digits(&mut self, count: usize) -> String {
        // A hash of decimal digits alone must not become a number.
        let base = self.one_of(&[10, 16]);
        (0..count).map(|_| self.random.digit(base)).collect()
    }

    fn some_of(&mut self, words: &[&str]) -> Vec<String> {
        let count = self.one_of(&[0, 1, 1, 1, 2]);
        let chosen = self.random.choose_multiple(words, count);
        chosen.into_iter().map(|word| (*word).to_owned()).collect()
    }

    fn word(&mut self, words: &[&str]) -> String {
        self.random
            .choice(words)
            .copied()
            .unwrap_or_default()
            .to_owned()
    }

    fn one_of<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        self.random.choice(choices).copied().unwrap_or_default()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.one_in(4)).then(|| make(self))
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.u32(..count) == 0
    }

    /// From one to `limit`; `limit` itself where sizes are exact.
    fn up_to(&mut self, limit: usize) -> usize {
        if self.size.exact || limit <= 1 {
            limit
        } else {
            self.random.usize(1..=limit)
        }
    }
}
