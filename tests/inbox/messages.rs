//! Messages that are taken.

use std::time::Duration;

use crate::sender::{Inboxed, block, block_1_0, block_of, message_1_0, message_1_1};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_a_batch_and_its_events_go_out_once() {
    let mut inboxed = Inboxed::new("name = \"vendor\"");
    for collection in ["gold", "tin", "gold"] {
        let told = inboxed.push_to(collection).await;
        assert_eq!((told.http, told.in_response_to.as_str()), (200, "7"));
        told.is("SUCCESS");
        for (header, value) in [
            ("content-type", "application/xml"),
            (
                "x-taxii-content-type",
                "urn:taxii.mitre.org:message:xml:1.1",
            ),
            ("x-taxii-protocol", "urn:taxii.mitre.org:protocol:http:1.0"),
            ("x-taxii-services", "urn:taxii.mitre.org:services:1.1"),
        ] {
            assert_eq!(told.headers[header], value);
        }
    }
    let batches = inboxed.world.agent.house().spool.numbers();
    assert_eq!(batches.len(), 3);
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    let events = inboxed.world.events_in_file();
    assert!(events.iter().all(|event| event["service"] == "vendor"));
    let of = |name| {
        events
            .iter()
            .filter(|event| event["collection"] == name)
            .count()
    };
    assert!(of("gold") > 0 && of("tin") > 0);
    assert_eq!(of("gold") + of("tin"), events.len());

    let records = inboxed.world.ledger();
    let pushed: Vec<_> = records
        .iter()
        .filter(|record| record["type"] == "pushed")
        .collect();
    assert_eq!(pushed.len(), 3);
    assert_eq!(pushed[0]["message_id"], "7");
    assert_eq!(pushed[0]["service"], "vendor");
    assert_eq!(pushed[0]["collection"], "gold");
    assert_eq!(pushed[0]["counts"]["blocks"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_is_delivered_after_a_restart() {
    let mut inboxed = Inboxed::new("");
    for _ in 0..3 {
        inboxed.push_to("gold").await.is("SUCCESS");
        inboxed.restart().await;
    }
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_1_0_goes_where_its_subscription_is() {
    let mut inboxed = Inboxed::new("subscriptions = { gold = \"customer-1\" }");
    let (package, events) = inboxed.package();
    let source = "<t:Source_Subscription feed_name=\"Gold Feed\" subscription_id=\"customer-1\">\
         <t:Inclusive_End_Timestamp>2015-01-01T00:00:00Z</t:Inclusive_End_Timestamp>\
         </t:Source_Subscription>";
    let told = inboxed
        .post(message_1_0("42", source, &block_1_0(&package)))
        .await;
    told.is("SUCCESS").says("taxii_xml_binding-1\"");
    let binding = "urn:taxii.mitre.org:message:xml:1.0";
    assert_eq!(told.headers["x-taxii-content-type"], binding);
    assert_eq!(told.in_response_to, "42");
    inboxed.taken = events;
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    let event = &inboxed.world.events_in_file()[0];
    assert_eq!(
        (&event["service"], &event["collection"]),
        (&"inbox".into(), &"gold".into())
    );
    let records = inboxed.world.ledger();
    let pushed = records
        .iter()
        .find(|record| record["type"] == "pushed")
        .unwrap();
    assert_eq!(pushed["subscription"], "customer-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_destinations_each_get_it() {
    let mut inboxed = Inboxed::new("");
    let (package, events) = inboxed.package();
    let to = "<t:Destination_Collection_Name>tin</t:Destination_Collection_Name>\
         <t:Destination_Collection_Name>gold</t:Destination_Collection_Name>\
         <t:Message>take this</t:Message>";
    let told = inboxed.post(message_1_1("1", to, &block(&package))).await;
    told.is("SUCCESS");
    inboxed.taken = events.repeat(2);
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_larger_than_memory_comes_through_a_scratch_file() {
    let mut inboxed = Inboxed::new("default_collection = \"tin\"");
    let mut blocks = String::new();
    let mut events = Vec::new();
    while blocks.len() < 3 << 20 {
        let (package, ids) = inboxed.package();
        blocks += &block(&package);
        events.extend(ids);
    }
    inboxed
        .post(message_1_1("1", "", &blocks))
        .await
        .is("SUCCESS");
    inboxed.taken = events;
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    assert_eq!(
        inboxed
            .world
            .ledger()
            .iter()
            .filter(|r| r["type"] == "pushed")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_cannot_be_read_is_a_dead_letter_and_the_others_go_on() {
    let mut inboxed = Inboxed::new("default_collection = \"gold\"");
    let (package, events) = inboxed.package();
    let encrypted = block_of(
        "urn:stix.mitre.org:xml:1.1|http://www.w3.org/2001/04/xmlenc#",
        "<EncryptedData/>",
    );
    let message = message_1_1("1", "", &(encrypted + &block(&package)));
    inboxed.post(message).await.is("SUCCESS");
    inboxed.taken = events;
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    let letters = inboxed.world.status().spool.dead_letters;
    assert_eq!(letters, 1);
    // Of it alone, nothing is lost either.
    let alone = block_of("application/x-pkcs7-mime", "<x/>");
    inboxed
        .post(message_1_1("2", "", &alone))
        .await
        .is("SUCCESS");
    assert_eq!(inboxed.world.status().spool.dead_letters, 2);
    inboxed.restart().await;
    inboxed.assert_exactly_once();
    assert_eq!(inboxed.world.status().spool.dead_letters, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_content_is_taken() {
    let mut inboxed = Inboxed::new("default_collection = \"gold\"");
    inboxed.post(message_1_1("1", "", "")).await.is("SUCCESS");
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    assert!(inboxed.world.agent.house().spool.numbers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_at_the_same_time_is_kept_side_by_side() {
    let mut inboxed = Inboxed::new("default_collection = \"gold\"");
    let mut posts = Vec::new();
    for _ in 0..24 {
        let (package, events) = inboxed.package();
        inboxed.taken.extend(events);
        posts.push(message_1_1("1", "", &block(&package)));
    }
    let posts = posts.into_iter().map(|message| inboxed.post(message));
    for told in futures_util::future::join_all(posts).await {
        told.is("SUCCESS");
    }
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
}
