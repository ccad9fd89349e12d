//! Damage and its repair, and a person who sets a checkpoint: told up to the first step that an agent
//! may die at, which only then is told where.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use cta_forwarder::crash::Point;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules};
use cta_forwarder::simulator::hec::{HecFault, HecFaultOn};
use serde_json::Value;

use super::{Died, Life, Story};
use crate::rig::IN_REQUEST;

/// Where nothing of a window that is polled lies yet.
const EARLIER: TimeDelta = TimeDelta::hours(1);

impl Life {
    pub(super) async fn meets_damage(&mut self, story: Story) -> Result<(), Died> {
        match story {
            Story::Work => self.work().await,
            Story::SameAnswer => self.same_answer().await,
            Story::OtherAnswer => self.other_answer().await,
            Story::PutRight => self.person_puts_right().await,
            Story::GivenUp => self.person_gives_up().await,
            Story::Refused => self.service_refuses().await,
            Story::DamagedRetry => self.damaged_retry().await,
            Story::StrangeFolder => self.strange_folder().await,
            Story::BrokenStore => self.broken_store().await,
            Story::NoStore => self.no_store().await,
            Story::LostLedger => self.lost_ledger().await,
            Story::UnknownArchive => self.unknown_archive().await,
            Story::CheckedLedger => self.checked_ledger().await,
            Story::SetBack => self.person_sets_back().await,
            Story::Pushed => self.is_pushed_to().await,
        }
    }

    async fn same_answer(&mut self) -> Result<(), Died> {
        self.owes_a_batch(1).await?;
        for file in self.files_of_the_batch() {
            flip(&file);
        }
        flip(&self.batch().join("batch.json"));
        self.goes_on_and_stops().await
    }

    async fn other_answer(&mut self) -> Result<(), Died> {
        self.owes_a_batch(0).await?;
        flip(&self.files_of_the_batch()[0]);
        let stamp = self.rig.cta.now() - EARLIER;
        let late = self.rig.generator.publication(stamp);
        self.published.extend(&late.events);
        self.rig.cta.publish(late);
        // So that nothing is delivered beside the repair.
        self.rig.cta.refuse_connections().await.unwrap();
        self.start_to_die();
        self.until(Self::waits_for_repair_alone).await?;
        self.rig.cta.accept_connections().await.unwrap();
        self.all_is_done().await?;
        self.stops().await
    }

    async fn person_puts_right(&mut self) -> Result<(), Died> {
        self.owes_a_batch(0).await?;
        self.loses_all_files_without_the_service().await?;
        for entry in fs::read_dir(self.rig.path("state/quarantine")).unwrap() {
            flip(&entry.unwrap().path());
        }
        self.until(|life| life.count("mended") > 0).await?;
        self.rig.cta.accept_connections().await.unwrap();
        self.all_is_done().await?;
        self.stops().await
    }

    async fn person_gives_up(&mut self) -> Result<(), Died> {
        self.owes_a_batch(0).await?;
        self.loses_all_files_without_the_service().await?;
        self.given_up.clone_from(&self.published);
        self.command(&["spool", "give-up", "1", "--yes"]).await?;
        self.stops().await
    }

    async fn service_refuses(&mut self) -> Result<(), Died> {
        self.owes_a_batch(0).await?;
        for file in self.files_of_the_batch() {
            flip(&file);
        }
        let refusal = CtaFault::StatusMessage {
            status_type: "FAILURE".to_owned(),
            message: "no".to_owned(),
            details: Vec::new(),
        };
        let refusal = ArmedFault::until_cleared(refusal);
        self.rig.cta.set_fault(refusal.on(CtaFaultOn::Poll));
        if self.death.point == Point::RepairEnded {
            self.given_up.clone_from(&self.published);
        }
        self.start_to_die();
        self.until(|life| life.count("repair_ended") > 0).await?;
        self.stops().await
    }

    async fn damaged_retry(&mut self) -> Result<(), Died> {
        self.publish();
        self.rig.start();
        self.all_is_done().await?;
        self.splunk_takes(0);
        self.command(&["dead-letters", "retry", "--all", "--output", "splunk"])
            .await?;
        self.stops().await?;
        flip(&self.files_of_the_batch()[0]);
        self.given_up = self.refused.keys().copied().collect();
        self.refused.clear();
        self.rig.hec.change_rules(|rules| rules.refused.clear());
        self.goes_on_and_stops().await
    }

    async fn strange_folder(&mut self) -> Result<(), Died> {
        self.owes_a_batch(0).await?;
        let strange = self.rig.path("state/spool/ready/000000000099");
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("events-0001.jsonl.zst"), "nothing").unwrap();
        self.goes_on_and_stops().await
    }

    async fn broken_store(&mut self) -> Result<(), Died> {
        self.owes_a_batch(1).await?;
        flip_at(&self.rig.path("state/state.sled/conf"), 10);
        self.goes_on_and_stops().await
    }

    async fn no_store(&mut self) -> Result<(), Died> {
        self.owes_a_batch(1).await?;
        fs::remove_dir_all(self.rig.path("state/state.sled")).unwrap();
        self.goes_on_and_stops().await
    }

    async fn lost_ledger(&mut self) -> Result<(), Died> {
        self.owes_a_batch(1).await?;
        // A second segment: the record of the poll that follows the question for the time.
        self.splunk_takes(0);
        self.rig.start();
        self.rig.more_polls(2).await;
        self.stops().await?;
        for segment in self.files("ledger") {
            flip_at(&segment, 20);
        }
        self.goes_on_and_stops().await
    }

    async fn unknown_archive(&mut self) -> Result<(), Died> {
        self.publish();
        self.rig.start();
        self.all_is_done().await?;
        self.stops().await?;
        self.damage_a_record("output_finished");
        fs::remove_dir_all(self.rig.path("state/state.sled")).unwrap();
        self.goes_on_and_stops().await
    }

    async fn checked_ledger(&mut self) -> Result<(), Died> {
        self.publish();
        self.start_to_die();
        self.all_is_done().await?;
        self.damage_a_record("output_finished");
        self.command(&["spool", "check", "--repair"]).await?;
        self.stops().await
    }

    async fn person_sets_back(&mut self) -> Result<(), Died> {
        self.publish();
        self.start_to_die();
        self.all_is_done().await?;
        self.comes_again = self.published.len();
        self.command(&["checkpoint", "set", CtaRules::COLLECTION, "-1d", "--yes"])
            .await?;
        self.stops().await
    }

    /// Lives until a batch is owed of which Splunk has taken the events of so many requests, and stops.
    async fn owes_a_batch(&mut self, requests: u32) -> Result<(), Died> {
        self.publish();
        self.splunk_takes(requests);
        self.rig.start();
        let taken = requests as usize * IN_REQUEST;
        self.until(|life| life.count("polled") > 0 && life.rig.hec.events_taken() >= taken)
            .await?;
        self.stops().await?;
        assert_eq!(self.rig.hec.events_taken(), taken);
        assert_eq!(self.files_of_the_batch().len(), 2);
        self.rig.hec.clear_faults();
        Ok(())
    }

    /// Splunk takes the events of so many requests, and no more.
    fn splunk_takes(&self, requests: u32) {
        let took = HecFault::Code { code: 0, event: 0 };
        let away = HecFault::HttpStatus {
            status: 503,
            retry_after: None,
        };
        self.rig.hec.clear_faults();
        for fault in [
            ArmedFault::times(requests, took),
            ArmedFault::until_cleared(away),
        ] {
            self.rig.hec.set_fault(fault.on(HecFaultOn::Events));
        }
    }

    /// Goes on, now to the death, while the service is away; all files of the batch are found damaged.
    async fn loses_all_files_without_the_service(&mut self) -> Result<(), Died> {
        let files = self.files_of_the_batch();
        for file in &files {
            flip(file);
        }
        self.rig.cta.refuse_connections().await.unwrap();
        self.start_to_die();
        self.until(|life| life.count("damaged") >= files.len())
            .await
    }

    /// Goes on, now to the death, with everything mended that is not the agent's.
    async fn goes_on_and_stops(&mut self) -> Result<(), Died> {
        self.rig.hec.clear_faults();
        self.start_to_die();
        self.all_is_done().await?;
        self.stops().await
    }

    /// Everything is delivered but what is damaged.
    fn waits_for_repair_alone(&self) -> bool {
        let (_, said) = self.rig.command(&["status", "--json"]);
        let status: Value = serde_json::from_str(&said).unwrap_or_default();
        let output = &status["outputs"][0];
        let repairing = output["repairing_events"].as_u64();
        repairing.is_some_and(|events| events > 0 && output["pending_events"] == events)
    }

    /// The only batch.
    fn batch(&self) -> PathBuf {
        let batches = fs::read_dir(self.rig.path("state/spool/ready")).unwrap();
        let batches: Vec<_> = batches.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(batches.len(), 1, "{batches:?}");
        batches[0].clone()
    }

    fn files_of_the_batch(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.batch()).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "zst"))
            .collect();
        files.sort();
        files
    }

    fn count(&self, kind: &str) -> usize {
        let lines = self.lines("ledger");
        lines.iter().filter(|line| line["type"] == kind).count()
    }

    /// A byte of the first record of this kind is another one.
    fn damage_a_record(&self, kind: &str) {
        for segment in self.files("ledger") {
            let text = fs::read_to_string(&segment).unwrap();
            let place = text.find(&format!("\"type\":\"{kind}\""));
            if let Some(place) = place {
                // Behind the quotation mark of the name.
                flip_at(&segment, place + 1);
                return;
            }
        }
        panic!("the ledger has no record {kind}");
    }
}

/// Another bit in the middle of a file; a second time takes it back.
fn flip(path: &Path) {
    let middle = fs::metadata(path).unwrap().len() / 2;
    flip_at(path, usize::try_from(middle).unwrap());
}

/// An agent may write behind it.
fn flip_at(path: &Path, place: usize) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let (mut byte, place) = ([0], place as u64);
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 4], place).unwrap();
}
