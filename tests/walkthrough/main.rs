//! The scenario that TAXII is made for, as its walk-through tells it: a customer looks at what a
//! vendor offers, buys a feed, subscribes, polls what there is, and is pushed what comes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod scene;

use std::time::Duration;

use cta_forwarder::simulator::vendor::{PushOutcome, TaxiiVersion};
use scene::Scene;
use serde_json::Value;

/// What the customer finds before there is a contract.
fn looks_around(scene: &Scene) {
    let (discovery, feeds) = (scene.vendor.discovery_url(), scene.vendor.feeds_url());
    let services = scene.taxii(&["discover", &discovery, "--json"]).json();
    let services = services["services"].as_array().unwrap();
    let addresses: Vec<_> = services.iter().map(|service| &service["address"]).collect();
    assert_eq!(addresses, [discovery.as_str(), &feeds, &feeds]);
    assert_eq!(
        available(scene),
        [("Platinum", false), ("Gold", false)].map(named)
    );

    let poll = ["poll", "Gold", "--url", &discovery];
    let refused = scene.taxii(&poll);
    refused.assert_refused("the service lists it as not available to this account");
    let subscribe = ["subscribe", "Gold", "--url", &discovery];
    let refused = scene.taxii(&subscribe);
    refused.assert_refused("UNAUTHORIZED: there is no contract for this certificate");

    let stranger = scene.taxii_of_a_stranger(&["discover", &discovery]);
    // That it lacks a certificate may come too late to be told.
    stranger.assert_refused("the connection failed before the answer came");
}

fn named((name, is_available): (&str, bool)) -> (String, bool) {
    (name.to_owned(), is_available)
}

/// The feeds, and whether the customer may have them.
fn available(scene: &Scene) -> Vec<(String, bool)> {
    let told = scene.taxii(&["collections", &scene.vendor.discovery_url(), "--json"]);
    let told = told.json();
    let collections = told["collections"].as_array().unwrap().iter();
    collections
        .map(|collection| {
            let name = collection["name"].as_str().unwrap().to_owned();
            (name, collection["is_available"].as_bool().unwrap())
        })
        .collect()
}

/// Gives the id of the subscription.
fn subscribes(scene: &Scene) -> String {
    let (discovery, inbox) = (scene.vendor.discovery_url(), scene.inbox_url());
    let subscribe = |feed| {
        let at = ["--url", discovery.as_str(), "--push-to", &inbox, "--json"];
        scene.taxii(&[&["subscribe", feed], &at[..]].concat())
    };
    subscribe("Platinum").assert_refused("UNAUTHORIZED: customer.com has not bought Platinum");
    let told = subscribe("Gold").json();
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("Thank you for your business"), "{message}");
    let id = told["subscriptions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id, "customer.com-JGK8H84BF");
    let asked = ["subscription-status", "Gold", "--url", &discovery, "--json"];
    let status = scene.taxii(&asked).json();
    let known: Vec<&Value> = status["subscriptions"].as_array().unwrap().iter().collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0]["id"], id.as_str());
    assert_eq!(known[0]["push"]["address"], inbox.as_str());
    id
}

/// The first poll asks for all that there is, as the subscription says.
async fn polls(scene: &mut Scene, id: &str) {
    scene.configure(id, id);
    scene.start_agent();
    scene.delivered().await;
    let polls = scene.asked("Poll_Request");
    assert_eq!(polls.len(), 1, "{polls:#?}");
    assert!(polls[0].body.contains(id), "{}", polls[0].body);
    assert!(!polls[0].body.contains("Timestamp"), "{}", polls[0].body);
}

/// What is published is at the customer's Splunk, also when the agent was away.
async fn is_pushed_to(scene: &mut Scene, version: TaxiiVersion) {
    for number in 1..=3 {
        scene.publish("Platinum", 1);
        scene.publish("Gold", number);
        let push = scene.push(number).await;
        assert_eq!(push.outcome, PushOutcome::Taken);
        assert_eq!((push.version, push.publications), (version, number));
    }
    scene.delivered().await;

    scene.stop_agent();
    scene.publish("Gold", 1);
    scene.publish("Gold", 1);
    let push = scene.push(4).await;
    let is_away = matches!(push.outcome, PushOutcome::Failed { .. });
    assert!(is_away, "{push:?}");
    scene.start_agent();
    scene.listens(2).await;
    scene.vendor.push_now();
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    scene.delivered().await;
}

/// While it rests nothing is pushed, and afterwards all of it.
async fn rests(scene: &mut Scene, id: &str) {
    let (discovery, before) = (scene.vendor.discovery_url(), scene.vendor.pushes().len());
    let change = |scene: &Scene, to: &str| {
        let told = scene.taxii(&[to, "Gold", "--id", id, "--url", &discovery, "--json"]);
        told.json()["subscriptions"][0]["status"].clone()
    };
    assert_eq!(change(scene, "pause"), "PAUSED");
    scene.publish("Gold", 1);
    scene.publish("Gold", 1);
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    assert_eq!(scene.vendor.pushes().len(), before);
    assert_eq!(change(scene, "resume"), "ACTIVE");
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    assert_eq!(scene.vendor.pushes().len(), before + 2);
    scene.delivered().await;
}

/// Afterwards nothing is pushed any more.
async fn unsubscribes(scene: &mut Scene, id: &str) {
    let (discovery, before) = (scene.vendor.discovery_url(), scene.vendor.pushes().len());
    let ended = scene.taxii(&["unsubscribe", "Gold", "--id", id, "--url", &discovery]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let had = scene.splunk.events_taken();
    scene.publish("Gold", 1);
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    assert_eq!(scene.vendor.subscriptions(), []);
    scene.stop_agent();
    assert_eq!(scene.vendor.pushes().len(), before);
    assert_eq!(scene.splunk.events_taken(), had);
}

async fn walk_through(version: TaxiiVersion) {
    let mut scene = Scene::new(version);
    scene.publish("Platinum", 2);
    scene.publish("Gold", 3);
    looks_around(&scene);
    scene.buy(&["Gold"]);
    let bought = [("Platinum", false), ("Gold", true)].map(named);
    assert_eq!(available(&scene), bought);
    let id = subscribes(&scene);
    polls(&mut scene, &id).await;
    is_pushed_to(&mut scene, version).await;
    if version == TaxiiVersion::V1_1 {
        rests(&mut scene, &id).await;
    }
    unsubscribes(&mut scene, &id).await;
    assert_eq!(scene.asked("Poll_Request").len(), 1);
    scene.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_whole_in_1_0() {
    walk_through(TaxiiVersion::V1_0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_whole_in_1_1() {
    walk_through(TaxiiVersion::V1_1).await;
}

/// What the vendor was told SUCCESS for is there, and what it was told nothing for comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_agent_that_is_killed_nothing_is_lost() {
    let wait = Duration::from_millis(50);
    let mut scene = Scene::pushing_again_after(TaxiiVersion::V1_1, wait);
    let id = scene.subscribed();
    scene.configure(&id, &id);
    scene.start_agent();
    scene.polled().await;
    for _ in 0..4 {
        for _ in 0..5 {
            scene.publish("Gold", 1);
        }
        scene.push(scene.vendor.pushes().len() + 2).await;
        scene.kill_agent();
        scene.start_agent();
    }
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    scene.arrived().await;
    scene.stop_agent();
    scene.assert_adds_up();
}

/// What is pushed for a subscription that the inbox does not know waits until it does.
async fn knows_its_subscription(version: TaxiiVersion) {
    let mut scene = Scene::new(version);
    let id = scene.subscribed();
    scene.configure(&id, "customer.com-ANOTHER");
    scene.start_agent();
    scene.polled().await;
    scene.listens(1).await;
    scene.publish("Gold", 1);
    scene.publish("Gold", 1);
    let refused = scene.push(1).await.outcome;
    let denied =
        matches!(&refused, PushOutcome::Refused { status_type, .. } if status_type == "DENIED");
    assert!(denied, "{refused:?}");
    scene.stop_agent();
    assert_eq!(scene.splunk.events_taken(), 0);
    scene.configure(&id, &id);
    scene.start_agent();
    scene.listens(2).await;
    scene.vendor.push_now();
    scene.within_limit(scene.vendor.wait_until_pushed()).await;
    scene.delivered().await;
    scene.stop_agent();
    scene.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_knows_its_subscription_in_1_0() {
    knows_its_subscription(TaxiiVersion::V1_0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_knows_its_subscription_in_1_1() {
    knows_its_subscription(TaxiiVersion::V1_1).await;
}
