//! The disk damages what the agent needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::super::action::Target;
use super::Life;
use crate::disk::model::Blow;

impl Life {
    /// Sooner or later what is doomed is struck; and often the machine stops while that is mended.
    pub(super) fn strike(&mut self) {
        let Some(target) = self.doomed.filter(|_| self.random.bool()) else {
            return;
        };
        if self.damage(target) {
            self.doomed = None;
            if self.random.bool() {
                let soon = [6, 20, 60][self.random.usize(..3)];
                self.disk.stop(self.random.u64(..soon));
            }
        }
    }

    /// As long as something waits for its repair, the machine often stops in the midst of a poll.
    pub(super) fn stop_in_a_repair(&mut self) {
        let waits = !self.agent().house().state.damaged_batches().is_empty();
        if waits && self.is_restless && self.random.u8(..3) == 0 {
            self.disk.stop(self.random.u64(..35));
        }
    }

    /// Strikes something, if there is any; tells whether it did.
    pub(super) fn damage(&mut self, target: Target) -> bool {
        let ready = self.state.join("spool/ready");
        let is_wanted = |name: &str| match target {
            Target::Events => name.starts_with("events-"),
            Target::Head => name == "batch.json",
            Target::Ledger => true,
        };
        let mut places: Vec<(Option<u64>, PathBuf)> = Vec::new();
        if target == Target::Ledger {
            let folder = self.state.join("ledger");
            let names = self.names(&folder).into_iter();
            places.extend(names.map(|name| (None, folder.join(name))));
        } else {
            for folder in self.names(&ready) {
                let seq = folder.parse::<u64>().ok();
                // Of what nobody has seen nobody knows what must come of it.
                let Some(seq) = seq.filter(|seq| self.known.is_damaged(*seq).is_some()) else {
                    continue;
                };
                let names = self.names(&ready.join(&folder)).into_iter();
                let names = names.filter(|name| is_wanted(name));
                places.extend(names.map(|name| (Some(seq), ready.join(&folder).join(name))));
            }
        }
        if places.is_empty() {
            return false;
        }
        let (seq, path) = places.swap_remove(self.random.usize(..places.len()));
        let length = self.storage.disk.metadata(&path);
        let length = length.map_or(0, |found| found.bytes);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let blow = match self.random.u8(..4) {
            0 if seq.is_some() => Blow::Gone,
            1 if seq.is_some() && length > 0 => Blow::Cut {
                length: self.random.usize(..length),
            },
            _ if length > 0 => Blow::Flip {
                at: self.random.usize(..length),
                bit: self.random.u8(..8),
            },
            _ => return false,
        };
        if self.disk.strike(&path, blow).is_err() {
            return false;
        }
        let path = path.strip_prefix(&self.state).unwrap_or(&path);
        let _ = writeln!(self.story, "  {}: {blow:?}", path.display());
        match seq {
            Some(seq) => {
                self.known.damage(seq);
                if self.random.u8(..3) == 0 {
                    self.add_to_window_of(seq);
                }
            }
            None => self.tally.ledger_damaged += 1,
        }
        self.tally.damaged += 1;
        true
    }

    /// The service adds something to the window of a batch, which is then another one when it is
    /// polled again.
    fn add_to_window_of(&mut self, seq: u64) {
        let Some(end) = self.known.window_end(seq) else {
            return;
        };
        let before = TimeDelta::seconds(self.random.i64(0..600));
        self.publish_late(end - before);
    }

    pub(super) fn publish_late(&mut self, dated: DateTime<Utc>) {
        self.cta.publish(self.generator.publication(dated));
        self.late += 1;
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.storage.disk.names(folder).unwrap_or_default()
    }
}
