//! What the picture tells of damage to the spool. Pure.

use serde::{Deserialize, Serialize};

use super::picture::{BatchPicture, Picture};
use super::record::{CollectionKey, DamagedFile, Record, Settlement};
use crate::delivery::{Cursor, Progress};
use crate::taxii::window::PollWindow;

/// What is damaged of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Damage {
    /// The batch's collection.
    pub key: CollectionKey,
    /// What brings the events again; none if no poll does.
    pub window: Option<PollWindow>,
    /// The files that were set aside, in order.
    pub files: Vec<DamagedFile>,
    /// Polls that could not bring them, in a row.
    pub failures: u32,
}

/// Lines of damaged files that need no more work in their batch, whatever became of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SettledLines {
    /// The lines.
    pub lines: Cursor,
    /// So many of them went out with another batch.
    pub repaired: u64,
    /// So many of them are lost.
    pub lost: u64,
}

impl BatchPicture {
    /// The lines of damaged files that an output has not done with.
    #[must_use]
    pub fn lacks(&self, progress: &Progress) -> u64 {
        let files = self.damage.iter().flat_map(|damage| &damage.files);
        let lacks =
            |file: &DamagedFile| file.events - progress.cursor.count_finished_of(&file.lines());
        files.map(lacks).sum()
    }

    /// Whether this file was set aside and is not back.
    #[must_use]
    pub fn is_damaged(&self, file: &str) -> bool {
        let mut files = self.damage.iter().flat_map(|damage| &damage.files);
        files.any(|damaged| damaged.name == file)
    }

    /// Lines of damaged files need no more work here; whether some of them are lost.
    fn settle_files(&mut self, settles: &Settlement) -> bool {
        let files = self.damage.iter().flat_map(|damage| &damage.files);
        let files = files.filter(|file| settles.files.contains(&file.name));
        let ranges: Vec<_> = files.map(DamagedFile::lines).collect();
        let mut is_lost = false;
        for (output, counts) in &settles.outputs {
            if !self.outputs.contains(output) {
                continue;
            }
            let settled = self.settled.entry(output.clone()).or_default();
            // A record that is told again settles nothing more.
            let mut is_known = ranges.iter().cloned().flatten();
            if is_known.all(|line| settled.lines.is_finished(line)) {
                continue;
            }
            for range in &ranges {
                settled.lines.finish(range.clone());
            }
            settled.repaired += counts.repaired;
            settled.lost += counts.lost;
            is_lost |= counts.lost > 0;
        }
        is_lost
    }

    fn mended(&mut self, names: &[String]) {
        let Some(damage) = &mut self.damage else {
            return;
        };
        damage.files.retain(|file| !names.contains(&file.name));
        if damage.files.is_empty() {
            self.damage = None;
        }
    }
}

impl Picture {
    /// The batches that have damaged files.
    pub(super) fn damaged_batches(&self) -> impl Iterator<Item = (u64, &BatchPicture)> {
        let batches = self.batches.unusual_batches();
        batches.filter(|(_, batch)| batch.damage.is_some())
    }

    /// Takes in a record of damage or repair.
    pub(super) fn apply_repair(&mut self, number: u64, record: &Record) {
        match record {
            Record::Damaged {
                key,
                window,
                seq,
                files,
            } => self.damaged(*seq, key, window.as_ref(), files),
            Record::Mended { seq, files } => {
                self.batches.change(*seq, |batch| batch.mended(files));
                self.mended = number;
            }
            Record::RepairFailed { seq, failures, .. } => {
                self.batches.change(*seq, |batch| {
                    if let Some(damage) = &mut batch.damage {
                        damage.failures = *failures;
                    }
                });
            }
            Record::RepairEnded { key, settles, .. } => self.settles(number, key, settles),
            _ => {}
        }
    }

    fn damaged(
        &mut self,
        seq: u64,
        key: &CollectionKey,
        window: Option<&PollWindow>,
        files: &[DamagedFile],
    ) {
        self.batches.change(seq, |batch| {
            let damage = batch.damage.get_or_insert_with(|| {
                Box::new(Damage {
                    key: key.clone(),
                    window: window.cloned(),
                    files: Vec::new(),
                    failures: 0,
                })
            });
            let known = &mut damage.files;
            known.retain(|known| files.iter().all(|file| file.name != known.name));
            known.extend_from_slice(files);
            known.sort_by_key(|file| file.first);
        });
    }

    /// Lines of damaged files need no more work in their batch.
    pub(super) fn settles(&mut self, number: u64, key: &CollectionKey, settles: &Settlement) {
        let loses = |batch: &mut BatchPicture| batch.settle_files(settles);
        if self.batches.change(settles.seq, loses) == Some(true) {
            self.collections.entry(key.to_string()).or_default().gaps += 1;
        }
        self.mended = number;
    }
}
