//! Many CTA services with many collections, in which nothing happens.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cta_forwarder::clock::SystemClock;
use cta_forwarder::simulator::cta::{CtaRules, CtaService, GateScope};
use serde_json::json;

use crate::{runtime, until_stdin_ends};

/// Serve many collections, each behind a gate of its own
///
/// Tells where the services are and what their collections are called as JSON, and ends with its
/// standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    services: usize,
    /// Collections of each service
    #[arg(long)]
    collections: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        runtime()?.block_on(async {
            let names: Vec<String> = (0..self.collections)
                .map(|place| format!("webflows_{place:04}"))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let clock = Arc::new(SystemClock::new());
            let start = || {
                let rules = CtaRules {
                    gate_scope: GateScope::Collection,
                    min_poll_interval: Duration::from_millis(1),
                    ..CtaRules::for_collections(&names)
                };
                CtaService::start(rules, Arc::clone(&clock) as _)
            };
            let services = (0..self.services).map(|_| start());
            let services: Vec<CtaService> = services.collect::<Result<_, _>>()?;
            let urls: Vec<String> = services.iter().map(CtaService::poll_url).collect();
            let told = json!({
                "urls": urls,
                "username": "user",
                "password": "pass",
                "collections": names,
            });
            println!("{told}");
            until_stdin_ends().await;
            Ok(())
        })
    }
}
