//! A person gives up what was damaged and no poll brings again.

use super::{BatchesError, no_batch};
use crate::house::House;
use crate::repair;

/// Gives up what the damaged files of a batch held, as far as an output lacks it; gives how many
/// events are lost. Blocks while the disk works.
pub fn abandon(house: &House, seq: u64) -> Result<u64, BatchesError> {
    if house.spool.in_place(seq).is_none() {
        return Err(no_batch(house, seq));
    }
    repair::abandon(house, seq)?.ok_or(BatchesError::NotDamaged { seq })
}
