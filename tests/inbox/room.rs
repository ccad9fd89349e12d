//! Where there is no room, or the disk fails: the sender keeps what it has, and is told when to come
//! again.

use std::time::Duration;

use crate::sender::{Inboxed, block, message_1_1};
use crate::world::Setup;

const MINUTE: Duration = Duration::from_secs(60);

fn small(file: &str) -> Setup {
    Setup {
        state: "max_spool_bytes = \"6KiB\"\n".to_owned(),
        file: file.to_owned(),
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_takes_nothing_until_something_is_delivered() {
    let mut inboxed = Inboxed::with("", small(""));
    let mut refused = 0;
    for round in 0..3 {
        let mut told = inboxed.push_to("gold").await;
        let mut pushes = 1;
        while told.status == "SUCCESS" {
            told = inboxed.push_to("gold").await;
            pushes += 1;
            assert!(pushes < 1000, "the spool never fills");
        }
        assert_eq!(told.in_response_to, "7");
        told.is("RETRY")
            .says("<taxii:Detail name=\"ESTIMATED_WAIT\">60</taxii:Detail>");
        told.says("there is no room");
        assert!(pushes > 1, "round {round}");
        refused += 1;
        inboxed.world.run_for(MINUTE).await;
    }
    inboxed.push_to("gold").await.is("SUCCESS");
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    let activity = inboxed.world.agent.house().board.inbox_activity();
    assert_eq!(activity.refused, refused);
    assert!(activity.last_refusal.unwrap().contains("no room for this"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_may_release_makes_room() {
    let stuck = "[[output]]\nname = \"stuck\"\ntype = \"splunk_hec\"\n\
         endpoints = [\"{hec}\"]\ntoken = { file = \"{folder}/token\" }\n\
         when_spool_full = \"release\"\n";
    let mut inboxed = Inboxed::with(
        "",
        Setup {
            outputs: stuck.to_owned(),
            ..small("")
        },
    );
    inboxed.world.hec.refuse_connections().await.unwrap();
    let mut retries = 0;
    for _ in 0..60 {
        let told = inboxed.push_to("gold").await;
        if told.status != "SUCCESS" {
            told.is("RETRY");
            retries += 1;
        }
        inboxed.world.run_for(MINUTE).await;
    }
    assert!(retries > 0, "the spool never fills");
    assert!(retries < 30, "{retries} of 60 were told to come again");
    inboxed.assert_exactly_once();
    let status = inboxed.world.status();
    let stuck = status
        .outputs
        .iter()
        .find(|output| output.name == "stuck")
        .unwrap();
    assert!(stuck.finished.abandoned > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_rate_is_told_when_to_come_again() {
    let mut inboxed = Inboxed::new("max_messages_per_minute = 3");
    for _ in 0..3 {
        inboxed.push_to("gold").await.is("SUCCESS");
    }
    let told = inboxed.push_to("gold").await;
    assert_eq!(told.in_response_to, "7");
    told.is("RETRY")
        .says("name=\"ESTIMATED_WAIT\">20<")
        .says("3 messages in a minute");
    inboxed.world.run_for(Duration::from_secs(20)).await;
    inboxed.push_to("gold").await.is("SUCCESS");
    inboxed.push_to("gold").await.is("RETRY");
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_to_what_was_pushed_is_told_since_nobody_can_be_polled_for_it() {
    let mut inboxed = Inboxed::new("");
    inboxed.push_to("gold").await.is("SUCCESS");
    let lost = std::mem::take(&mut inboxed.taken);
    inboxed.push_to("gold").await.is("SUCCESS");
    let ready = inboxed.world.state_folder().join("spool/ready");
    let first = std::fs::read_dir(&ready).unwrap();
    let mut batches: Vec<_> = first.map(|entry| entry.unwrap().path()).collect();
    batches.sort();
    std::fs::write(batches[0].join("events-0001.jsonl.zst"), "rubbish").unwrap();
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
    let outputs = inboxed.world.status().outputs;
    assert_eq!(outputs[0].finished.lost, lost.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_finds_no_room_leaves_no_dead_letter_and_wants_nothing_for_ever() {
    let mut inboxed = Inboxed::with("", small(""));
    let mut told = inboxed.push_to("gold").await;
    while told.status == "SUCCESS" {
        told = inboxed.push_to("gold").await;
    }
    let spool = inboxed.world.agent.house().spool.clone();
    assert!(
        spool.bytes_to_release() > 0,
        "outputs that may release make room"
    );
    // Two copies of more than there is room for, and a block that cannot be read.
    let mut blocks = block("<no-stix/>");
    for _ in 0..40 {
        blocks += &block(&inboxed.package().0);
    }
    let to = ["gold", "tin"].map(|name| {
        format!("<t:Destination_Collection_Name>{name}</t:Destination_Collection_Name>")
    });
    for _ in 0..3 {
        inboxed
            .post(message_1_1("1", &to.concat(), &blocks))
            .await
            .is("RETRY");
    }
    assert_eq!(inboxed.world.status().spool.dead_letters, 0);
    inboxed.world.clock.advance(3 * MINUTE);
    let _ = inboxed.push_to("lead").await;
    assert_eq!(spool.bytes_to_release(), 0, "nobody comes again");
    inboxed.world.run_for(MINUTE).await;
    inboxed.assert_exactly_once();
}
