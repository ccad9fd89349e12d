//! The other side of every measurement: the data, the floor that the agent is compared with, and the
//! peers that it talks to, each as a process of its own. `tests/bench/run` starts them.

#![expect(
    clippy::print_stdout,
    reason = "what a tool has measured goes to its standard output"
)]
mod answer;
mod collector;
mod fleet;
mod post;
mod receiver;
mod scan;
mod send;
mod service;

use std::error::Error;

use clap::Parser;
use cta_forwarder::simulator::content::{ContentGenerator, Manner, PackageSize};

/// One tool of the rig
#[derive(Debug, Parser)]
enum Tool {
    Answer(answer::Arguments),
    Scan(scan::Arguments),
    Service(service::Arguments),
    Fleet(fleet::Arguments),
    Collector(collector::Arguments),
    Post(post::Arguments),
    Receiver(receiver::Arguments),
    Send(send::Arguments),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Tool::parse() {
        Tool::Answer(arguments) => arguments.run(),
        Tool::Scan(arguments) => arguments.run(),
        Tool::Service(arguments) => arguments.run(),
        Tool::Fleet(arguments) => arguments.run(),
        Tool::Collector(arguments) => arguments.run(),
        Tool::Post(arguments) => arguments.run(),
        Tool::Receiver(arguments) => arguments.run(),
        Tool::Send(arguments) => arguments.run(),
    }
}

/// What is published.
#[derive(Debug, clap::Args)]
struct Content {
    /// The same seed gives the same bytes for ever
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Incidents in a package
    #[arg(long, default_value_t = 1)]
    incidents: usize,
    /// Flows of an incident
    #[arg(long, default_value_t = 40)]
    flows: usize,
    /// Written in any way that XML has, instead of as the vendor's sample
    #[arg(long)]
    varied: bool,
}

impl Content {
    fn generator(&self) -> ContentGenerator {
        let size = PackageSize {
            incidents: self.incidents,
            indicators: 1,
            flows: self.flows,
            exact: true,
        };
        let manner = if self.varied {
            Manner::Varied
        } else {
            Manner::Sample
        };
        ContentGenerator::new(self.seed)
            .with_size(size)
            .with_manner(manner)
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

async fn until_stdin_ends() {
    let _ = tokio::task::spawn_blocking(|| {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())
    })
    .await;
}
