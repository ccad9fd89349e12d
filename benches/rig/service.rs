//! A CTA service with much to tell.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cta_forwarder::clock::SystemClock;
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
            for place in (1..=self.packages.cast_signed()).rev() {
                let publication = generator.publication(now - step * place);
                events += publication.events.len();
                bytes += publication.package_xml.len();
                service.publish(publication);
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
