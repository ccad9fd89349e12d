//! A CTA service with much to tell.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cta_forwarder::clock::SystemClock;
use cta_forwarder::simulator::content::Publication;
use cta_forwarder::simulator::cta::{CtaRules, CtaService};

use crate::{Content, runtime, until_stdin_ends};

/// Serve packages that lie evenly over the last days
///
/// Tells where it is and what it has as JSON, and ends with its standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    content: Content,
    #[arg(long)]
    packages: u32,
    #[arg(long, default_value_t = 29)]
    days: u32,
    /// So many different packages, published again and again: all of a day would not fit in memory
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    distinct: Option<u32>,
    /// Packages in a part of an answer
    #[arg(long, default_value_t = 100)]
    part: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        runtime()?.block_on(async {
            let rules = CtaRules {
                min_poll_interval: Duration::from_millis(1),
                publications_per_part: self.part,
                // What it takes to compress them is not the agent's.
                gzip: false,
                ..CtaRules::default()
            };
            let user = rules.accounts.first().cloned().ok_or("no account")?;
            let collection = CtaRules::COLLECTION;
            let service = CtaService::start(rules, Arc::new(SystemClock::new()))?;
            let mut generator = self.content.generator();
            let now = service.now();
            let step = TimeDelta::days(self.days.into()) / self.packages.cast_signed();
            let (mut events, mut bytes) = (0, 0);
            let moments = (1..=self.packages.cast_signed()).rev();
            let mut moments = moments.map(|place| now - step * place);
            let distinct = self.distinct.unwrap_or(self.packages);
            let mut made = Vec::new();
            for moment in moments.by_ref().take(distinct.try_into()?) {
                let publication = generator.publication(moment);
                events += publication.events.len();
                bytes += publication.package_xml.len();
                if self.distinct.is_some() {
                    made.push(publication.clone());
                }
                service.publish(publication);
            }
            for (published, like) in moments.zip(made.iter().cycle()) {
                events += like.events.len();
                bytes += like.package_xml.len();
                service.publish(Publication {
                    published,
                    package_xml: Arc::clone(&like.package_xml),
                    // Nobody compares them with what has come.
                    events: Vec::new(),
                    ..*like
                });
            }
            println!(
                "{{\"url\":{:?},\"username\":{:?},\"password\":{:?},\"collection\":{collection:?},\
                 \"events\":{events},\"bytes\":{bytes}}}",
                service.poll_url(),
                user.username,
                user.password
            );
            until_stdin_ends().await;
            Ok(())
        })
    }
}
