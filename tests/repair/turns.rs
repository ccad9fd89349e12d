//! Whose turn it is at the gate.

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules};

use crate::damage::{batches, files, flip, gone};
use crate::scene::{
    MINUTE, assert_whole, owing, records, repairing, settle, settle_without_service, setup,
};
use crate::world::{Setup, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn polls_and_repairs_share_the_gate() {
    let mut world = World::new(Setup {
        service: "initial_lookback = \"5h\"\nmax_window = \"20m\"\n".to_owned(),
        ..setup()
    });
    world.hec.refuse_connections().await.unwrap();
    for minute in 0..5 * 60 {
        let stamp = world.cta.now() - chrono::TimeDelta::minutes(5 * 60 - minute);
        if minute % 10 == 0 {
            world.cta.publish(world.generator.publication(stamp));
        }
    }
    world.run_for(45 * MINUTE).await;
    let before = world.collection(CtaRules::COLLECTION).polled_at;
    for batch in batches(&world) {
        gone(&files(&batch)[0]);
    }
    let damaged = u32::try_from(batches(&world).len()).unwrap();
    world.hec.accept_connections().await.unwrap();
    world.run_for(damaged * 25 * MINUTE).await;
    // Though many windows are behind, each repair has had its opening; and the windows theirs.
    assert_eq!(repairing(&world), 0);
    assert!(world.collection(CtaRules::COLLECTION).polled_at > before);
    world.assert_gate_was_kept();
    settle(&mut world).await;
    assert_whole(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_repair_that_came_to_nothing_the_others_have_their_turn() {
    let mut world = owing().await;
    for batch in &batches(&world)[1..3] {
        flip(&files(batch)[0]);
    }
    settle_without_service(&mut world).await;
    let refusal = CtaFault::StatusMessage {
        status_type: "FAILURE".to_owned(),
        message: "no".to_owned(),
        details: Vec::new(),
    };
    let refusal = ArmedFault::until_cleared(refusal).on(CtaFaultOn::Poll);
    world.cta.set_fault(refusal);
    while records(&world, "repair_failed").is_empty() {
        world.run_for(MINUTE).await;
    }
    world.cta.clear_faults();
    settle(&mut world).await;
    let of = |kind: &str| -> Vec<u64> {
        let seq = |record: &serde_json::Value| record["seq"].as_u64().unwrap();
        records(&world, kind).iter().map(seq).collect()
    };
    let (failed, mended) = (of("repair_failed"), of("mended"));
    assert_eq!((failed.len(), mended.len()), (1, 2));
    assert_eq!(mended[1], failed[0], "the other one came first");
    assert_whole(&world);
}
