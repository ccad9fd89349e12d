//! Any damage, at any place, at any time.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::damage::{batches, files, gone};
use crate::scene::{HOUR, MINUTE, assert_whole, owing, settle};

/// What is done to one file of a batch, or to its head, while the agent runs or while it is stopped.
#[derive(Debug, Clone)]
struct Blow {
    /// As a part of what there is.
    batch: Index,
    file: Index,
    place: Index,
    kind: BlowKind,
    is_stopped: bool,
}

#[derive(Debug, Clone, Copy)]
enum BlowKind {
    Flip(u8),
    Cut,
    Gone,
    Folder,
}

fn blow() -> impl Strategy<Value = Blow> {
    let kind = prop_oneof![
        6 => (0..8_u8).prop_map(BlowKind::Flip),
        3 => Just(BlowKind::Cut),
        1 => Just(BlowKind::Gone),
        1 => Just(BlowKind::Folder),
    ];
    let part = || any::<Index>();
    (part(), part(), part(), kind, any::<bool>()).prop_map(
        |(batch, file, place, kind, is_stopped)| Blow {
            batch,
            file,
            place,
            kind,
            is_stopped,
        },
    )
}

impl Blow {
    fn strike(&self, state: &Path) {
        let ready = state.join("spool/ready");
        let mut batches: Vec<PathBuf> = fs::read_dir(ready)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        batches.sort();
        let batch = &batches[self.batch.index(batches.len())];
        let mut all = files(batch);
        all.push(batch.join("batch.json"));
        let file = &all[self.file.index(all.len())];
        match self.kind {
            BlowKind::Folder => fs::remove_dir_all(batch).unwrap(),
            BlowKind::Gone => gone(file),
            BlowKind::Flip(bit) => {
                // An earlier blow may have taken it away.
                let Ok(mut bytes) = fs::read(file) else {
                    return;
                };
                if bytes.is_empty() {
                    return;
                }
                let place = self.place.index(bytes.len());
                bytes[place] ^= 1 << bit;
                fs::write(file, bytes).unwrap();
            }
            BlowKind::Cut => {
                let Ok(bytes) = fs::read(file) else { return };
                let place = self.place.index(bytes.len().max(1));
                fs::write(file, &bytes[..place]).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_damaged_everything_comes_once() {
    let cases = std::env::var("REPAIR_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 8,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let blows = prop::collection::vec(blow(), 1..7);
    let result = TestRunner::new(config).run(&blows, |blows| {
        runtime.block_on(async {
            let mut world = owing().await;
            for blow in blows {
                if blow.is_stopped {
                    world.restart_after(|state| blow.strike(state));
                } else {
                    blow.strike(&world.state_folder());
                }
                world.run_for(MINUTE).await;
            }
            settle(&mut world).await;
            // A head that was altered beside the running agent waits for nobody.
            world.restart();
            world.run_for(HOUR).await;
            assert_whole(&world);
            assert_eq!(batches(&world), Vec::<PathBuf>::new());
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
