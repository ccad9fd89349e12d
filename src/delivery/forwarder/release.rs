//! A poll waits for room, and this output may give up what it owes: its oldest batches go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Forwarder;
use super::keeping::KeepError;
use crate::config::WhenSpoolFull;
use crate::state::Picture;

impl Forwarder {
    /// Gives up the oldest batches, as far as room is wanted and as it makes room.
    pub(super) fn release_if_room_is_wanted(&mut self) -> Result<(), KeepError> {
        if self.config.when_spool_full != WhenSpoolFull::Release {
            return Ok(());
        }
        let wanted = self.house.spool.bytes_to_release();
        if wanted == 0 {
            return Ok(());
        }
        // What has been delivered is not given up.
        self.keep()?;
        for seq in self.to_release(wanted) {
            if let Err(error) = self.release(seq) {
                self.read_again();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The oldest batches that nobody but outputs like this one owes: others keep theirs, and to
    /// give those up here would make no room. Every such output comes to the same choice, so that
    /// none gives up more than the others.
    fn to_release(&self, wanted: u64) -> Vec<u64> {
        let outputs = self.house.outputs.now();
        let outputs = outputs.iter();
        let releasing: BTreeSet<&str> = outputs
            .filter(|output| output.when_spool_full == WhenSpoolFull::Release)
            .map(|output| output.name.as_str())
            .collect();
        let spool = &self.house.spool;
        self.house.state.look(|picture: &Picture| {
            let mut bytes = 0;
            let mut ours = Vec::new();
            for (seq, batch) in &picture.batches {
                if bytes >= wanted {
                    break;
                }
                let is_free = batch
                    .outputs
                    .iter()
                    .all(|output| releasing.contains(output.as_str()));
                let (true, Some(found)) = (is_free, spool.in_place(*seq)) else {
                    continue;
                };
                bytes += found.bytes;
                if batch.outputs.contains(&self.config.name) {
                    ours.push(*seq);
                }
            }
            ours
        })
    }

    fn release(&mut self, seq: u64) -> Result<(), KeepError> {
        let Some(open) = self.open_batch(seq) else {
            return Ok(());
        };
        let head = Arc::clone(&open.head);
        let abandoned = open.progress.finished(head.events()).abandoned;
        tracing::error!(
            output = self.config.name,
            collection = head.collection,
            seq,
            until = %head.window_end,
            events = abandoned,
            "the spool is full: this output gives up its oldest events (when_spool_full = \
             \"release\"); they can be replayed while they are in the archive"
        );
        self.queue.drop_batch(seq);
        let is_read = |reading: &super::reading::Reading| reading.head.seq == seq;
        if self.reading.as_ref().is_some_and(is_read) {
            self.reading = None;
        }
        // Older batches may still be owed: what is read next is looked up as ever.
        self.finish(&[seq])
    }
}
