//! Checkpoints, as a person asks for them and sets them.

use tokio::task::block_in_place;

use super::{Control, Replies, Reply, reply};
use crate::checkpoints::{self, CheckpointChange};

impl Control {
    pub(super) async fn show_checkpoints(&self, replies: &Replies) -> Result<String, String> {
        let all =
            block_in_place(|| checkpoints::show(&self.house, &self.current().config.services));
        let all = all.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        for checkpoint in all {
            reply(replies, Reply::Checkpoint(Box::new(checkpoint))).await;
        }
        Ok(String::new())
    }

    pub(super) async fn plan_checkpoint(
        &self,
        change: &CheckpointChange,
        replies: &Replies,
    ) -> Result<String, String> {
        let plan = checkpoints::plan(&self.house, &self.current().config.services, change);
        let plan = plan.map_err(|error| error.to_string())?;
        reply(replies, Reply::CheckpointPlan(Box::new(plan))).await;
        Ok(String::new())
    }

    pub(super) fn set_checkpoint(&self, change: &CheckpointChange) -> Result<String, String> {
        let set = block_in_place(|| {
            checkpoints::set(&self.house, &self.current().config.services, change)
        });
        let plan = set.map_err(|error| error.to_string())?;
        let key = plan.key();
        tracing::info!(
            collection = %key,
            from = plan.from.as_ref().map(ToString::to_string),
            to = plan.to.as_ref().map(ToString::to_string),
            "the checkpoint was set by hand"
        );
        Ok(match plan.to {
            Some(to) => format!("the checkpoint of {key} is {to}"),
            None => format!("{key} has no checkpoint any more"),
        })
    }
}
