//! Damage that no poll mends: to what came from no window, and to what nobody waits for.

use std::fs;

use cta_forwarder::batches::{ExportChoice, check_batch, export};
use cta_forwarder::letters::{self, Choice};
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::hec::HecFault;
use cta_forwarder::spool::Place;
use tracing::Level;

use crate::damage::{batches, files, flip};
use crate::scene::{HOUR, assert_whole, setup};
use crate::world::logs::Logs;
use crate::world::{Setup, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_batch_of_retried_letters_held_is_lost_at_once_and_told() {
    let mut world = World::new(setup());
    let refused = HecFault::Code { code: 12, event: 0 };
    world.hec.set_fault(ArmedFault::once(refused));
    for _ in 0..20 {
        world.publish();
    }
    world.run_for(HOUR).await;
    world.hec.refuse_connections().await.unwrap();
    let services = world.config().services.clone();
    let choice = Choice::default();
    let retried = letters::retry(world.agent.house(), &services, &choice, None, |_| {}).unwrap();
    assert_eq!(retried.retried, 1);
    let (batch, polls) = (batches(&world), world.polls().len());
    assert_eq!(batch.len(), 1);
    let file = files(&batch[0]).remove(0);
    let logs = Logs::capture();
    // What is in memory must be read again.
    world.restart_after(|_| flip(&file));
    world.cta.refuse_connections().await.unwrap();
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    let alarms = logs.take_alarms();
    let errors: Vec<_> = alarms
        .iter()
        .filter(|line| line.level == Level::ERROR)
        .collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].text.contains("set aside"), "{errors:#?}");
    assert!(errors[1].text.contains("content is lost"), "{errors:#?}");
    assert_eq!(world.polls().len(), polls);
    let audit = world.audit();
    assert!(audit.ok, "{audit:#?}");
    let splunk = audit.outputs.iter().find(|of| of.output == "splunk");
    assert_eq!(splunk.unwrap().lost, 1);
    let missing = world.cta.published_ids().len() - world.hec.event_ids().len();
    assert_eq!(missing, 1);
    let quarantine = fs::read_dir(world.state_folder().join("quarantine")).unwrap();
    assert_eq!(quarantine.count(), 1, "a person may look at it");
    assert!(batches(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_archive_it_costs_nothing() {
    let mut world = World::new(Setup {
        state: "archive = { keep = \"7d\" }\n".to_owned(),
        ..setup()
    });
    for _ in 0..20 {
        world.publish();
    }
    world.run_for(HOUR).await;
    let archived = world.state_folder().join("archive/000000000001");
    let file = files(&archived).remove(0);
    let (logs, polls) = (Logs::capture(), world.polls().len());
    world.restart_after(|_| flip(&file));
    assert_whole(&world);
    let house = world.agent.house();
    let checked = check_batch(house, Place::Archive, 1, true)
        .unwrap()
        .unwrap();
    let finding = &checked.findings()[0];
    assert_eq!(finding.file, "events-0001.jsonl.zst");
    assert!(finding.remedy.contains("nothing is lost"), "{finding:?}");
    assert!(file.exists(), "a repair leaves it to the archive");
    let refused = export(house, 1, &ExportChoice::default()).unwrap_err();
    assert!(refused.to_string().contains("events-0001"), "{refused}");
    world.run_for(HOUR).await;
    assert_eq!(logs.take_alarms(), []);
    let waits = world
        .status()
        .outputs
        .iter()
        .map(|o| o.repairing_events)
        .sum::<u64>();
    assert_eq!(waits, 0);
    assert!(
        world.polls().len() <= polls + 7,
        "no window is polled again"
    );
    assert_whole(&world);
}
