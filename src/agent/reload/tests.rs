//! What takes over goes on where the other left off, and what has left is nobody's any more.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::*;
use crate::clock::Clock as _;
use crate::config::PollLimitScope;
use crate::simulator::ArmedFault;
use crate::simulator::hec::HecFault;
use crate::wake::Wake;
use crate::world::{Setup, World};

const HOUR: Duration = Duration::from_secs(3600);

/// The pollers of the only service after a poll, and of the same service with a change.
async fn pollers(
    world: &mut World,
    change: impl FnOnce(&mut ServiceConfig),
) -> (BTreeMap<String, Poller>, Vec<Poller>) {
    world.publish();
    world.run_for(HOUR).await;
    let house = world.agent.house().clone();
    let before = std::mem::take(world.agent.pollers());
    let before = before.into_iter();
    let before = before.map(|poller| (poller.gate_name().to_owned(), poller));
    let mut service = world.config().services[0].clone();
    change(&mut service);
    (before.collect(), service_of(&house, &service).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_is_not_watched() {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\n";
    let mut world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk.to_owned(),
        ..Setup::default()
    });
    // What fails is tried again after a while.
    let down = HecFault::HttpStatus {
        status: 503,
        retry_after: None,
    };
    world.hec.set_fault(ArmedFault::until_cleared(down));
    // Some packages give no event.
    (0..5).for_each(|_| world.publish());
    world.run_for(HOUR).await;
    let later = |world: &World| world.clock.now().monotonic + 24 * HOUR;
    let stall = |world: &World| world.agent.house().watchdog.stall(later(world));
    for poller in world.agent.pollers() {
        poller.waits(Wake::Asked);
    }
    let left = stall(&world).unwrap();
    assert_eq!(left.part, "the forwarder of splunk");
    for forwarder in world.agent.forwarders() {
        forwarder.close().await;
    }
    assert_eq!(stall(&world), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_keeps_its_time_whatever_changes() {
    for change in [
        (|_| {}) as fn(&mut ServiceConfig),
        |service| service.settle = Duration::from_secs(7),
        |service| service.poll_limit_scope = PollLimitScope::Collection,
        |service| service.min_poll_interval *= 2,
    ] {
        let mut world = World::new(Setup::default());
        let (mut before, mut after) = pollers(&mut world, change).await;
        let name = after[0].service().collections[0].clone();
        let was_closed = before.values().next().unwrap().closed_for(&name);
        assert!(!was_closed.is_zero(), "it has just been polled");
        for poller in &mut after {
            poller.take_over(&mut before);
            assert!(poller.closed_for(&name) >= was_closed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_another_when_its_file_has_another_content() {
    let world = World::new(Setup::default());
    let file = world.state_folder().join("ca.pem");
    let mut config = world.config().clone();
    config.services[0].tls.ca_file = Some(file.clone());
    let mut seen = Vec::new();
    for content in [Some("one"), Some("other"), None] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert_eq!(Made::of(&config).parts, Made::of(&config).parts);
        let parts = Made::of(&config).parts;
        assert!(!seen.contains(&parts), "{content:?}");
        seen.push(parts);
    }
}
