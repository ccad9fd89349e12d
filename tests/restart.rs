//! The real binary against simulated services over loopback: a score of compressed polls, outages
//! on both sides, and kill -9 between any two steps. What was published is what arrives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::content::PackageSize;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn};
use cta_forwarder::simulator::hec::HecFault;
use rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_poll() {
    let mut rig = Rig::new(1);
    for _ in 0..20 {
        rig.publish();
        rig.more_polls(1).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_delivery() {
    let mut rig = Rig::new(2);
    for _ in 0..20 {
        rig.publish();
        rig.more_deliveries(1).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_large_batch() {
    let mut rig = Rig::new(5);
    let generator = rig.generator.clone();
    rig.generator = generator.with_size(PackageSize {
        incidents: 10,
        indicators: 5,
        flows: 10,
        exact: true,
    });
    rig.publish();
    // Each start goes on where the last one was, not at the beginning of the batch.
    for _ in 0..6 {
        rig.more_deliveries(3).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_as_soon_as_something_lies_in_the_spool() {
    let mut rig = Rig::new(3);
    // Splunk is away, so that what is committed stays.
    rig.hec.refuse_connections().await.unwrap();
    for round in 0..10 {
        rig.publish();
        rig.more_polls(1 + round % 3).await;
        rig.kill_and_start();
    }
    rig.hec.accept_connections().await.unwrap();
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_score_of_polls_with_outages() {
    let mut rig = Rig::new(4);
    for round in 0..20 {
        rig.publish();
        rig.publish();
        match round {
            2 => rig
                .cta
                .set_fault(ArmedFault::times(2, CtaFault::CutAnswer).on(CtaFaultOn::Poll)),
            4 => rig.hec.set_fault(ArmedFault::times(5, HecFault::Reset)),
            6 => rig.cta.refuse_connections().await.unwrap(),
            7 => rig.cta.accept_connections().await.unwrap(),
            9 => rig.hec.set_fault(ArmedFault::times(
                3,
                HecFault::HttpStatus {
                    status: 503,
                    retry_after: None,
                },
            )),
            11 => rig.hec.refuse_connections().await.unwrap(),
            13 => rig.hec.accept_connections().await.unwrap(),
            15 => rig.kill_and_start(),
            17 => rig
                .cta
                .set_fault(ArmedFault::times(2, CtaFault::HangUp).on(CtaFaultOn::Fulfillment)),
            _ => {}
        }
        if round != 6 {
            rig.more_polls(1).await;
        }
    }
    // Nothing that was taken is sent again, but by the kill.
    rig.check().await;
}
