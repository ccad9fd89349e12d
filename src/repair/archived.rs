//! Batches that the ledger says are owed, and that lie in the archive. Only what nobody owes any more
//! goes there, so it is the ledger that lacks the records which say so.

use super::RepairError;
use crate::crash::{self, Point};
use crate::house::House;
use crate::spool::Place;
use crate::state::{BatchPicture, Record};

/// Whether nobody owes this very batch any more: the archive holds it.
pub(super) fn is_done_with(house: &House, seq: u64, batch: &BatchPicture) -> bool {
    let Some(source) = batch.source() else {
        return false;
    };
    let archived = house.spool.read_head(Place::Archive, seq);
    archived.is_ok_and(|head| head.key() == source.key && head.content() == source.content)
}

/// Says of each batch that lies in the archive that its outputs have done with it, instead of the
/// records that were lost. What is not among the dead letters counts as delivered, so their cursors
/// come first.
pub fn finish_archived(house: &House) -> Result<(), RepairError> {
    for (seq, batch) in super::owed(house, |seq, _| house.spool.in_place(seq).is_none()) {
        if !is_done_with(house, seq, &batch) {
            continue;
        }
        tracing::warn!(
            seq,
            "the ledger lacks the record that a batch is done with, and the archive has it: it is not \
             sent again, and what is not among its dead letters counts as delivered. Look at the disk"
        );
        for output in &batch.outputs {
            let mut progress = house.state.progress(output, seq);
            progress.delivered(0..batch.events);
            let record = Record::OutputFinished {
                output: output.clone(),
                seq,
                finished: progress.finished(batch.events),
            };
            house.state.append(house.clock.now().utc, &record)?;
            crash::point(Point::ArchivedFinished);
        }
    }
    Ok(())
}
