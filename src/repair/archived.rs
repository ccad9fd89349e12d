//! Batches that the ledger says are owed, and that lie in the archive. Only what is delivered goes
//! there, so it is the ledger that lacks the records which say so.

use super::RepairError;
use crate::house::House;
use crate::state::{BatchPicture, Record};

/// Whether this very batch was delivered: the archive holds it.
pub(super) fn was_delivered(house: &House, seq: u64, batch: &BatchPicture) -> bool {
    let Some(source) = &batch.source else {
        return false;
    };
    let archived = house.spool.archived_head(seq);
    archived.is_some_and(|head| head.key() == source.key && head.content() == source.content)
}

/// Says of each batch that was delivered that its outputs have done with it, instead of the records
/// that were lost. What is not among the dead letters was taken, so their cursors come first.
pub fn finish_archived(house: &House) -> Result<(), RepairError> {
    let owed = house.state.look(|picture| picture.batches.clone());
    for (seq, batch) in owed {
        if house.spool.batch(seq).is_some() || !was_delivered(house, seq, &batch) {
            continue;
        }
        tracing::warn!(
            seq,
            "the ledger lacks the record that a batch was delivered, and the archive has it: it is \
             not sent again. Look at the disk"
        );
        for output in batch.outputs {
            let mut progress = house.state.progress(&output, seq);
            progress.delivered(0..batch.events);
            let record = Record::OutputFinished {
                output,
                seq,
                finished: progress.finished(batch.events),
            };
            house.state.append(house.clock.now().utc, &record)?;
        }
    }
    Ok(())
}
