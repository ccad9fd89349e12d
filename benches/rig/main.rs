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
use cta_forwarder::simulator::content::PackageSize;

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

/// Packages of so many incidents, each with so many flows.
fn package_size(incidents: usize, flows: usize) -> PackageSize {
    PackageSize {
        incidents,
        indicators: 1,
        flows,
        exact: true,
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
