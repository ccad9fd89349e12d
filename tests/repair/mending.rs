//! The service answers as it did, or the disk reads again: everything comes back as it was.

use std::fs;

use cta_forwarder::repair;
use cta_forwarder::simulator::cta::CtaRules;
use cta_forwarder::spool::Place;
use tracing::Level;

use crate::damage::{batches, cut, files, flip, gone};
use crate::scene::{
    HOUR, IN_FLIGHT, assert_at_splunk, assert_whole, in_the_middle, owing, records, repairing,
    settle, settle_without_service,
};
use crate::world::World;
use crate::world::logs::Logs;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_file_comes_back_as_it_was() {
    for damage in [flip, cut, gone] {
        let mut world = owing().await;
        let logs = Logs::capture();
        let batch = batches(&world)[1].clone();
        damage(&files(&batch)[0]);
        let checkpoint = world.checkpoint();
        settle_without_service(&mut world).await;
        // All but the damaged file is there, and it is told once.
        let published = world.cta.published_ids().len();
        let audit = world.audit();
        assert!(!audit.ok);
        let waits = repairing(&world);
        assert!(waits > 0);
        assert_eq!(world.hec.event_ids().len() as u64 + waits, published as u64);
        assert!(audit.differences[0].contains("for repair"), "{audit:#?}");
        assert!(
            audit.differences[0].contains(CtaRules::COLLECTION),
            "{audit:#?}"
        );
        assert_eq!(audit.differences.len(), 1, "{audit:#?}");
        let status = world.status();
        let splunk = status.outputs.iter().find(|output| output.name == "splunk");
        assert_eq!(splunk.unwrap().repairing_events, waits);
        settle(&mut world).await;
        assert_whole(&world);
        assert_eq!(records(&world, "mended").len(), 1);
        let alarms = logs.take_alarms();
        let errors: Vec<_> = alarms
            .iter()
            .filter(|line| line.level == Level::ERROR)
            .collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        let text = &errors[0].text;
        for word in [
            CtaRules::COLLECTION,
            "begin=",
            "end=",
            "events-0001",
            "set aside",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(checkpoint <= world.checkpoint());
        world.restart();
        world.run_for(HOUR).await;
        assert_whole(&world);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_head_costs_nothing() {
    let mut world = owing().await;
    let (batch, logs, polls) = (
        batches(&world)[1].clone(),
        Logs::capture(),
        world.polls().len(),
    );
    world.restart_after(|_| flip(&batch.join("batch.json")));
    let alarms = logs.take_alarms();
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert!(alarms[0].text.contains("written again"), "{alarms:#?}");
    assert_eq!(alarms[0].level, Level::WARN);
    let kept = world.state_folder().join("quarantine");
    assert_eq!(fs::read_dir(kept).unwrap().count(), 1);
    world.restart();
    assert_eq!(logs.take_alarms(), []);
    settle_without_service(&mut world).await;
    assert_whole(&world);
    assert_eq!(world.polls().len(), polls, "nothing was polled for it");
}

/// As an agent that runs does each hour.
fn check_heads(world: &World) {
    let house = world.agent.house();
    repair::check_heads(house, &house.spool.numbers()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_head_that_is_damaged_while_the_agent_runs_costs_nothing() {
    let mut world = owing().await;
    let (logs, polls) = (Logs::capture(), world.polls().len());
    let all = batches(&world);
    flip(&all[0].join("batch.json"));
    gone(&all[1].join("batch.json"));
    check_heads(&world);
    assert_eq!(logs.take_alarms().len(), 2);
    check_heads(&world);
    // What is delivered is delivered without it.
    gone(&all[0].join("batch.json"));
    settle_without_service(&mut world).await;
    check_heads(&world);
    let alarms = logs.take_alarms().into_iter();
    let of_batches = alarms.filter(|alarm| alarm.text.contains("batch"));
    assert_eq!(of_batches.count(), 1, "it goes to the archive whole");
    let spool = &world.agent.house().spool;
    assert!(spool.archived().len() >= all.len());
    for seq in spool.archived() {
        assert_eq!(spool.read_head(Place::Archive, seq).unwrap().seq, seq);
    }
    assert_whole(&world);
    assert_eq!(world.polls().len(), polls, "nothing was polled for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_files_and_a_folder() {
    let mut world = owing().await;
    let all = batches(&world);
    for file in files(&all[0]) {
        flip(&file);
    }
    fs::remove_dir_all(&all[1]).unwrap();
    settle_without_service(&mut world).await;
    assert!(repairing(&world) > 0);
    world.restart();
    settle(&mut world).await;
    assert_whole(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_middle_of_a_batch() {
    for damage in [flip, cut, gone] {
        let mut world = in_the_middle().await;
        let sent = world.hec.event_ids();
        assert!(!sent.is_empty());
        let all = files(&batches(&world)[0]);
        world.restart_after(|_| all.iter().for_each(|file| damage(file)));
        settle(&mut world).await;
        world.assert_exactly_once();
        // What was under way when it was killed comes twice, and that is not the damage's doing.
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        assert!(twice <= IN_FLIGHT, "{twice}");
        assert_at_splunk(&world, twice);
        assert_eq!(records(&world, "mended").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_reads_again_needs_no_poll() {
    let mut world = owing().await;
    let file = files(&batches(&world)[1])[0].clone();
    let whole = fs::read(&file).unwrap();
    flip(&file);
    settle_without_service(&mut world).await;
    let polls = world.polls().len();
    // A person puts it back from a backup.
    fs::write(&file, whole).unwrap();
    world.cta.refuse_connections().await.unwrap();
    world.run_for(HOUR).await;
    assert_whole(&world);
    assert_eq!(world.polls().len(), polls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_checked_by_hand_is_found_and_mended() {
    use cta_forwarder::repair::{CheckedBatch, FileState, Repaired, check, repair};
    let mut world = owing().await;
    assert!(
        check(world.agent.house())
            .iter()
            .all(CheckedBatch::is_whole)
    );
    let batch = batches(&world)[1].clone();
    flip(&files(&batch)[0]);
    fs::write(batch.join("batch.json"), "{").unwrap();
    let found = check(world.agent.house());
    assert_eq!(found.iter().filter(|batch| !batch.is_whole()).count(), 1);
    assert!(found[1].head_damage.is_some());
    assert!(matches!(found[1].files[0].state, FileState::Damaged(_)));
    assert_eq!(check(world.agent.house()), found, "nothing was changed");
    let done = repair(world.agent.house()).unwrap();
    assert_eq!(done.heads.len(), 1);
    assert_eq!(
        done.files,
        [(found[1].seq, "events-0001.jsonl.zst".to_owned())]
    );
    let after = check(world.agent.house());
    assert_eq!(after[1].files[0].state, FileState::BeingRepaired);
    assert_eq!(repair(world.agent.house()).unwrap(), Repaired::default());
    settle(&mut world).await;
    assert_whole(&world);
}
