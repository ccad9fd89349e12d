//! The service answers otherwise than it did, refuses the window, or is away.

use std::fs;
use std::path::{Path, PathBuf};

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules};

use crate::damage::{batches, cut, files, flip, gone};
use crate::scene::{
    HOUR, IN_FLIGHT, MINUTE, assert_at_splunk, assert_whole, in_the_middle, owing, publish_late,
    records, repairing, settle, settle_without_service,
};
use crate::world::World;
use crate::world::logs::Logs;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_middle_of_a_batch_and_the_answer_is_another_one() {
    // Whose lines can still be read up to its end, and one whose lines cannot.
    for (damage, may_be_known) in [(cut as fn(&Path), true), (gone, false)] {
        let mut world = in_the_middle().await;
        let sent = world.hec.event_ids().len();
        let all = files(&batches(&world)[0]);
        world.restart_after(|_| all.iter().for_each(|file| damage(file)));
        publish_late(&mut world, 0);
        settle(&mut world).await;
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        let allowed = if may_be_known { IN_FLIGHT } else { sent };
        assert!(twice <= allowed, "{twice} came twice, {allowed} may");
        assert_at_splunk(&world, twice);
        assert_eq!(records(&world, "batch_added").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_is_another_one_is_compared_by_the_events() {
    for restart in [false, true] {
        let mut world = owing().await;
        let batch = batches(&world)[1].clone();
        let all = files(&batch);
        assert!(all.len() > 1);
        flip(&all[0]);
        settle_without_service(&mut world).await;
        // Before all that the batch holds.
        publish_late(&mut world, 10);
        let checkpoint = world.checkpoint();
        if restart {
            let requests = world.cta.requests().len();
            let cta = std::sync::Arc::clone(&world.cta);
            // In the middle of the repair.
            world
                .kill_when(HOUR, cta.wait_for_requests(requests + 2))
                .await;
        }
        settle(&mut world).await;
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        let allowed = if restart { IN_FLIGHT } else { 0 };
        assert!(twice <= allowed, "{twice} came twice, {allowed} may");
        assert_at_splunk(&world, twice);
        world.assert_gate_was_kept();
        assert!(checkpoint <= world.checkpoint());
        let added = records(&world, "batch_added");
        assert_eq!(added.len(), 1, "{added:#?}");
        assert_eq!(added[0]["origin"], "repair");
        let audit = world.audit();
        let splunk = audit
            .outputs
            .iter()
            .find(|output| output.output == "splunk")
            .unwrap();
        assert!(splunk.repaired > 0);
        assert_eq!(splunk.lost, 0);
        world.restart();
        world.run_for(HOUR).await;
        // No more than what the kill above has repeated.
        assert_at_splunk(&world, twice);
        world.assert_gate_was_kept();
    }
}

/// Everything that was ever published is at Splunk, once; the file had done with it before.
#[track_caller]
fn assert_at_splunk_only(world: &World) {
    world.assert_exactly_once_at_splunk();
    world.assert_gate_was_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_repair_is_repaired() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    publish_late(&mut world, 10);
    world.hec.refuse_connections().await.unwrap();
    world.run_for(HOUR).await;
    // The damaged batch is done with but for Splunk's part of the repair.
    let left = batches(&world);
    let repair = left.last().unwrap();
    let head = fs::read_to_string(repair.join("batch.json")).unwrap();
    assert!(head.contains("\"repair\""), "{head}");
    // What is in memory must be read again.
    world.restart_after(|_| files(repair).iter().for_each(|file| gone(file)));
    settle(&mut world).await;
    assert_at_splunk_only(&world);
    assert_eq!(records(&world, "damaged").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_service_no_longer_has_is_lost_and_told() {
    let mut world = owing().await;
    let batch = batches(&world)[1].clone();
    for file in files(&batch) {
        flip(&file);
    }
    settle_without_service(&mut world).await;
    let waits = repairing(&world);
    let logs = Logs::capture();
    // Half of the window has gone.
    let stamp = world.stamps[15];
    let now = world.cta.now();
    world
        .cta
        .change_rules(|rules| rules.retention = now - stamp + chrono::TimeDelta::minutes(2));
    let gaps = world.collection(CtaRules::COLLECTION).gaps;
    world.run_for(10 * MINUTE).await;
    world
        .cta
        .change_rules(|rules| rules.retention = chrono::TimeDelta::days(30));
    settle(&mut world).await;
    let errors = logs.take_alarms();
    let told: Vec<_> = errors
        .iter()
        .filter(|line| line.text.contains("content is lost"))
        .collect();
    assert_eq!(told.len(), 1, "{errors:#?}");
    assert!(told[0].text.contains(CtaRules::COLLECTION) && told[0].text.contains("begin="));
    let audit = world.audit();
    assert!(audit.ok, "{audit:#?}");
    let splunk = audit
        .outputs
        .iter()
        .find(|output| output.output == "splunk")
        .unwrap();
    assert!(splunk.lost > 0 && splunk.repaired > 0, "{splunk:?}");
    assert_eq!(splunk.lost + splunk.repaired, waits);
    let missing = world.cta.published_ids().len() - world.hec.event_ids().len();
    assert_eq!(splunk.lost, missing as u64);
    assert_eq!(world.collection(CtaRules::COLLECTION).gaps, gaps + 1);
    assert_eq!(batches(&world), Vec::<PathBuf>::new());
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_that_the_service_refuses_is_given_up() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    let waits = repairing(&world);
    let fault = CtaFault::StatusMessage {
        status_type: "FAILURE".to_owned(),
        message: "no".to_owned(),
        details: Vec::new(),
    };
    world
        .cta
        .set_fault(ArmedFault::until_cleared(fault).on(CtaFaultOn::Poll));
    let logs = Logs::capture();
    world.run_for(6 * HOUR).await;
    assert_eq!(records(&world, "repair_failed").len(), 5);
    assert_eq!(records(&world, "repair_ended").len(), 1);
    world.cta.clear_faults();
    settle(&mut world).await;
    let lines = logs.take_alarms();
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("content is lost")),
        "{lines:#?}"
    );
    world.assert_adds_up();
    let missing = world.cta.published_ids().len() - world.hec.event_ids().len();
    assert_eq!(missing as u64, waits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_is_waited_for_as_long_as_the_service_is_away() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    world.cta.refuse_connections().await.unwrap();
    let logs = Logs::capture();
    world.run_for(48 * HOUR).await;
    let told = logs.take_alarms();
    let told = told
        .iter()
        .filter(|line| line.text.contains("repaired"))
        .count();
    assert!(told < 12, "{told} lines in two days");
    assert!(repairing(&world) > 0);
    world.cta.accept_connections().await.unwrap();
    settle(&mut world).await;
    assert_whole(&world);
}
