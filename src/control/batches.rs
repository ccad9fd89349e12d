//! Batches of the spool and of the archive, as a person asks for them.

use tokio::task::block_in_place;

use super::{Control, Replies, Reply, reply};
use crate::batches::{self, BatchesError, Checked, ExportChoice};
use crate::spool::Place;

impl Control {
    pub(super) async fn list_batches(
        &self,
        place: Place,
        replies: &Replies,
    ) -> Result<String, String> {
        for batch in block_in_place(|| batches::list(&self.house, place)) {
            reply(replies, Reply::Batch(Box::new(batch))).await;
        }
        Ok(String::new())
    }

    pub(super) async fn show_batch(&self, seq: u64, replies: &Replies) -> Result<String, String> {
        let shown = block_in_place(|| batches::show(&self.house, seq));
        let shown = shown.map_err(|error| error.to_string())?;
        reply(replies, Reply::ShownBatch(Box::new(shown))).await;
        Ok(String::new())
    }

    pub(super) async fn export_batch(
        &self,
        seq: u64,
        choice: &ExportChoice,
        replies: &Replies,
    ) -> Result<String, String> {
        let export = block_in_place(|| batches::export(&self.house, seq, choice));
        let mut export = export.map_err(|error| error.to_string())?;
        while let Some(json) = block_in_place(|| export.next_event()) {
            if replies.send(Reply::Event { json }).await.is_err() {
                // Who closes the pipe has seen enough.
                break;
            }
        }
        export.end()
    }

    pub(super) fn abandon_damage(&self, seq: u64) -> Result<String, String> {
        let lost = block_in_place(|| batches::abandon(&self.house, seq));
        let lost = lost.map_err(|error| error.to_string())?;
        let events = if lost == 1 { "event is" } else { "events are" };
        Ok(format!(
            "{lost} {events} given up, of each output at most; what is left of the damaged files stays in quarantine/"
        ))
    }

    /// One after the other, so that a person sees how far it is; who goes ends it.
    pub(super) async fn check_spool(
        &self,
        archive: bool,
        repair: bool,
        replies: &Replies,
    ) -> Result<String, String> {
        let house = &self.house;
        let places = [Place::Spool, Place::Archive];
        for place in places.into_iter().take(1 + usize::from(archive)) {
            for seq in batches::numbers(house, place) {
                let checked = || batches::check_batch(house, place, seq, repair);
                if !Self::tell_checked(checked, replies).await? {
                    return Ok(String::new());
                }
            }
        }
        let ledger = || batches::check_ledger(house, repair).map(Some);
        let letters = || batches::check_letters(house, repair).map(Some);
        Self::tell_checked(ledger, replies).await?;
        Self::tell_checked(letters, replies).await?;
        Ok(String::new())
    }

    /// Checks something and tells what was found; gives whether somebody still listens.
    async fn tell_checked(
        check: impl FnOnce() -> Result<Option<Checked>, BatchesError>,
        replies: &Replies,
    ) -> Result<bool, String> {
        let checked = block_in_place(check).map_err(|error| error.to_string())?;
        Ok(match checked {
            Some(checked) => {
                let reply = Reply::Checked(Box::new(checked));
                replies.send(reply).await.is_ok()
            }
            None => true,
        })
    }
}
