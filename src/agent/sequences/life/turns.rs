//! Time passes: with every turn that somebody wants meanwhile.

use std::time::Duration;

use chrono::TimeDelta;

use super::Life;
use crate::clock::Clock as _;
use crate::wake::Wake;

/// How often the schedule ticks.
pub(super) const TICK: Duration = Duration::from_secs(600);
/// Between two polls, with the gate's margin.
const INTERVAL: Duration = Duration::from_secs(602);
/// More turns than this in one moment, and somebody turns in circles.
const MAX_TURNS_IN_A_MOMENT: u32 = 2000;

impl Life {
    /// Our clock alone. One that is set ahead makes a gate that a start finds look older than it
    /// is, so that an interval passes before anything else happens.
    pub(super) async fn set_clock(&mut self, seconds: i64) -> Result<(), String> {
        let by = TimeDelta::seconds(seconds);
        self.clock.set_wall_clock(self.clock.now().utc + by);
        self.cta.change_rules(|rules| rules.clock_skew -= by);
        if seconds > 0 {
            self.disk.allow();
            let quiet = (self.doomed.take(), std::mem::take(&mut self.is_restless));
            let ran = self.run_for(INTERVAL).await;
            (self.doomed, self.is_restless) = quiet;
            ran?;
        }
        Ok(())
    }

    /// Lets time pass, with every turn that somebody wants meanwhile, until the machine stops.
    pub(super) async fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let stopped = self.disk.clone();
        let now = self.clock.now().monotonic;
        self.pollers.fill(Some(now));
        self.forwarders.fill(Some(now));
        tokio::select! {
            biased;
            () = stopped.stopped() => Ok(()),
            ran = self.run(time) => ran,
        }
    }

    async fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = self.clock.now().monotonic + time;
        loop {
            self.turn_all().await?;
            let now = self.clock.now().monotonic;
            let wanted = self.pollers.iter().chain(&self.forwarders).flatten().min();
            let next = wanted.map_or(self.next_tick, |wanted| (*wanted).min(self.next_tick));
            if next >= end {
                self.clock.advance(end.saturating_sub(now));
                return Ok(());
            }
            self.clock.advance(next.saturating_sub(now));
            if self.next_tick <= next {
                self.next_tick += TICK;
                self.agent()
                    .pollers()
                    .iter_mut()
                    .for_each(crate::poller::Poller::tick);
                self.pollers.fill(Some(next));
            }
        }
    }

    async fn turn_all(&mut self) -> Result<(), String> {
        let mut spool = self.agent().house().spool.changes();
        for _ in 0..MAX_TURNS_IN_A_MOMENT {
            let now = self.clock.now().monotonic;
            let mut turned = false;
            for index in 0..self.pollers.len() {
                if self.pollers[index].is_some_and(|due| due <= now) {
                    self.stop_in_a_repair();
                    self.under_way = "a poll";
                    let wake = self.agent().pollers()[index].turn().await;
                    self.under_way = "";
                    self.stop_here().await;
                    self.pollers[index] = wake.after().map(|wait| now.saturating_add(wait));
                    self.look()?;
                    self.strike();
                    turned = true;
                }
            }
            for index in 0..self.forwarders.len() {
                if self.forwarders[index].is_some_and(|due| due <= now) {
                    let wake = self.deliver(index).await;
                    self.forwarders[index] = wake.after().map(|wait| now.saturating_add(wait));
                    turned = true;
                }
            }
            if spool.has_changed().unwrap_or_default() {
                spool.mark_unchanged();
                self.pollers.fill(Some(now));
                self.forwarders.fill(Some(now));
                turned = true;
            }
            if !turned {
                return match self.agent().house().watchdog.stuck() {
                    Some(part) => Err(format!("{part} has something to do and waits for nothing")),
                    None => Ok(()),
                };
            }
        }
        Err("somebody turns in circles".to_owned())
    }

    async fn deliver(&mut self, index: usize) -> Wake {
        loop {
            let forwarder = &mut self.agent().forwarders()[index];
            let wake = forwarder.turn();
            self.stop_here().await;
            let forwarder = &mut self.agent().forwarders()[index];
            if !forwarder.is_under_way() {
                return wake;
            }
            self.under_way = "a landing";
            self.agent().forwarders()[index].landing().await;
            self.under_way = "";
            self.strike();
        }
    }

    /// A machine that has stopped does nothing more: whoever waits for that is told here.
    ///
    /// It has to ask for that: an answer is read in a `block_on` of its own on this thread, which
    /// takes the wake-ups that come meanwhile for itself.
    async fn stop_here(&mut self) {
        while self.disk.is_stopped() {
            self.under_way = "nothing: the machine has stopped";
            tokio::task::yield_now().await;
        }
    }
}
