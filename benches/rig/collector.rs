//! A Splunk HTTP Event Collector that counts.

use std::error::Error;
use std::time::Instant;

use cta_forwarder::simulator::hec::{AckPolicy, HecRules, HecServer};

use crate::{runtime, until_stdin_ends};

/// Take events, acknowledge them at once, and count them
///
/// Tells where it is as JSON, then when the expected number of events has come, and ends with its
/// standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    expect: usize,
    /// The port, 0 for any
    #[arg(long, default_value_t = 0)]
    port: u16,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        runtime()?.block_on(async {
            let rules = HecRules {
                acknowledgement: Some(AckPolicy::AtOnce),
                port: self.port,
                kept_events: 0,
                max_content_bytes: 64 << 20,
                ..HecRules::default()
            };
            let token = rules.token.clone();
            let server = HecServer::start(rules)?;
            println!("{{\"url\":{:?},\"token\":{token:?}}}", server.url());
            server.wait_for_events(1).await;
            let started = Instant::now();
            server.wait_for_events(self.expect).await;
            println!("{{\"seconds\":{:.6}}}", started.elapsed().as_secs_f64());
            until_stdin_ends().await;
            println!("{{\"events\":{}}}", server.events_taken());
            Ok(())
        })
    }
}
