//! A trial of outputs, as a person asks for it.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Control, Replies, Reply, reply};
use crate::trial::{self, LONGEST_TRIAL, Trial, TrialResult};

/// How often is looked what has become of the event.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

impl Control {
    /// Tells of each output as soon as there is something to tell, and of the rest when the time is up.
    pub(super) async fn try_outputs(
        &self,
        trial: &Trial,
        timeout: Duration,
        replies: &Replies,
    ) -> Result<String, String> {
        let deadline = Instant::now() + timeout.min(LONGEST_TRIAL);
        let sent = block_in_place(|| trial::send(&self.house, trial));
        let sent = sent.map_err(|error| error.to_string())?;
        let event_id = sent.event.id;
        let seq = Some(sent.seq);
        reply(replies, Reply::TrialSent { event_id, seq }).await;
        let mut left = sent.outputs;
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !left.is_empty() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = replies.closed() => return Err("nobody waits any more".to_owned()),
            }
            let is_time_up = Instant::now() >= deadline;
            let mut still = Vec::new();
            for output in left {
                let tried = block_in_place(|| trial::look(&self.house, sent.seq, &output));
                let tried = tried.map_err(|error| error.to_string())?;
                let is_passing =
                    matches!(tried.result, TrialResult::Failing | TrialResult::Waiting);
                if is_passing && !is_time_up {
                    still.push(output);
                } else {
                    reply(replies, Reply::Tried(Box::new(tried))).await;
                }
            }
            left = still;
        }
        Ok(String::new())
    }
}
