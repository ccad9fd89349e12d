//! The disk refuses one step of a push after the other: its sender is told to come again, never that the
//! message is bad, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::disk::refusal::{self, Steps, code};
use crate::event::EventId;
use crate::simulator::content::{ContentGenerator, PackageSize};
use crate::tape::Tape;
use crate::taxii::status::StatusType;
use crate::world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
/// Of a message that comes in this much is in memory.
const MEMORY: usize = 2000;

fn world() -> World {
    World::new(Setup {
        state: "archive = { keep_raw = true }\n".to_owned(),
        outputs: "[inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"a\", \"b\"]\n".to_owned(),
        ..Setup::default()
    })
}

/// A message for two collections, with a block that cannot be read.
fn message(world: &World) -> (String, BTreeSet<EventId>) {
    let size = PackageSize {
        incidents: 2,
        indicators: 1,
        flows: 3,
        exact: true,
    };
    let package = ContentGenerator::new(5)
        .with_size(size)
        .publication(world.cta.now());
    let xml = format!(
        "<t:Inbox_Message message_id=\"1\" \
         xmlns:t=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\">\
         <t:Destination_Collection_Name>a</t:Destination_Collection_Name>\
         <t:Destination_Collection_Name>b</t:Destination_Collection_Name>\
         <t:Content_Block><t:Content>{}</t:Content></t:Content_Block>\
         <t:Content_Block><t:Content><no-stix/></t:Content></t:Content_Block></t:Inbox_Message>",
        package.package_xml
    );
    (xml, package.events.into_iter().collect())
}

/// What its sender is told; none where nothing of it was taken in.
fn push(world: &World, xml: &str) -> Option<StatusType> {
    let inbox = world.agent.inbox().unwrap();
    let staging = inbox.make_room().ok()?;
    let mut body = Tape::new(staging.scratch(), MEMORY, 1 << 20);
    for piece in xml.as_bytes().chunks(MEMORY / 2) {
        body.append(piece).ok()?;
    }
    Some(inbox.receive(&mut body, staging).reply.status)
}

async fn check(world: &mut World, xml: &str, events: &BTreeSet<EventId>, step: u64) {
    while push(world, xml) != Some(StatusType::Success) {
        world.run_for(MINUTE).await;
    }
    world.run_for(5 * MINUTE).await;
    let found = world.ids_in_file();
    let distinct: BTreeSet<EventId> = found.iter().copied().collect();
    assert_eq!(&distinct, events, "refused at step {step}");
    // For two collections, and once more each where nobody heard of it.
    assert!(
        (2..=4).contains(&(found.len() / events.len())),
        "step {step}"
    );
    let audit = world.audit();
    assert!(audit.ok, "{audit:#?}, refused at step {step}");
}

async fn refuse_each(kind: Steps) {
    let mut world_without = world();
    let (xml, events) = message(&world_without);
    refusal::refuse_as(kind, code::EIO, u64::MAX, 0);
    assert_eq!(push(&world_without, &xml), Some(StatusType::Success));
    let steps = refusal::end();
    assert!(steps > 3, "{steps}");
    check(&mut world_without, &xml, &events, u64::MAX).await;
    for step in 0..steps {
        let code = code::ALL[usize::try_from(step).unwrap() % code::ALL.len()];
        let mut world = world();
        let (xml, events) = message(&world);
        refusal::refuse_as(kind, code, step, u64::MAX);
        let told = push(&world, &xml);
        refusal::end();
        let may_be_told = [None, Some(StatusType::Retry), Some(StatusType::Success)];
        assert!(may_be_told.contains(&told), "step {step}: {told:?}");
        check(&mut world, &xml, &events, step).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_refuses_a_step_is_no_fault_of_the_message() {
    refuse_each(Steps::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nor_is_one_that_cannot_be_read() {
    refuse_each(Steps::Reads).await;
}
