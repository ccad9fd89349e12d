//! The machine and the process on it stop and start.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::super::action::Target;
use super::Life;
use crate::agent::Agent;
use crate::clock::Clock;
use crate::repair;

/// More starts than this in a row, and it never comes up.
const MAX_STARTS: u32 = 20;

impl Life {
    /// The machine has stopped: the agent is no more, and what is left is what the disk keeps.
    pub(super) async fn stopped(&mut self) -> Result<(), String> {
        self.agent = None;
        self.cut_off().await;
        let is_rolled_back = self.lose();
        if self.random.u8(..4) == 0 {
            let target = Target::draw(&mut self.random);
            self.damage(target);
        }
        // From a moment later on, so that the service can tell two starts apart.
        self.clock
            .advance(Duration::from_millis(self.random.u64(1..3000)));
        self.start(is_rolled_back)
    }

    /// Requests of an agent that is no more have come by now, or never come: none comes at a later
    /// time, which would not be the one at which it was sent.
    async fn cut_off(&self) {
        self.cta.refuse_connections().await.unwrap();
        self.cta.accept_connections().await.unwrap();
        for splunk in &self.splunk {
            splunk.refuse_connections().await.unwrap();
            splunk.accept_connections().await.unwrap();
        }
    }

    /// Tells whether the store was lost too.
    fn lose(&mut self) -> bool {
        if self.random.u8(..3) == 0 {
            let _ = writeln!(self.story, "  the process is killed");
            self.tally.kills += 1;
            self.disk.kill();
            return false;
        }
        self.tally.crashes += 1;
        self.disk.crash(&mut self.random);
        let is_rolled_back = self.random.u8(..4) == 0;
        let _ = writeln!(
            self.story,
            "  the machine crashes, store lost: {is_rolled_back}"
        );
        if is_rolled_back {
            self.tally.rolled_back += 1;
            let random = &mut self.random;
            self.tables.crash(|states| random.usize(..states));
        }
        is_rolled_back
    }

    /// Starts until it is up, as systemd does.
    pub(super) fn start(&mut self, mut is_rolled_back: bool) -> Result<(), String> {
        for _ in 0..MAX_STARTS {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let built = Agent::build_on(self.config.clone(), clock, &self.storage);
            // What the agent does behind its start, if it comes so far. The sequence stays what it is.
            if let Ok(agent) = &built
                && self.random.clone().bool()
            {
                agent.house().state.compare_stored_batches();
            }
            if let Ok(agent) = &built
                && let Err(error) =
                    repair::check_heads(agent.house(), &agent.house().spool.numbers())
            {
                // It goes on, and tries it again in an hour.
                let _ = writeln!(self.story, "  heads are not checked: {error}");
            }
            let problem = match built {
                Ok(agent) if !self.disk.is_stopped() => {
                    self.agent = Some(agent);
                    return self.started(is_rolled_back);
                }
                Ok(agent) => {
                    drop(agent);
                    "it stopped".to_owned()
                }
                Err(error) => error.to_string(),
            };
            let _ = writeln!(self.story, "  no start: {problem}");
            self.tally.failed_starts += 1;
            if self.disk.is_stopped() {
                is_rolled_back |= self.lose();
            } else {
                // The next start finds what this one has left, and has room.
                self.disk.kill();
                self.disk.set_capacity(None);
            }
        }
        Err("the agent never comes up".to_owned())
    }
}
