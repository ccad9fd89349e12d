//! What must hold: after each step, after each start, and at the end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::known::{self, Counts};
use super::{IN_FLIGHT, Life, OUTPUTS};
use crate::audit::audit;
use crate::clock::Clock as _;
use crate::config::Config;
use crate::event::EventId;
use crate::house::House;
use crate::observe::status::Status;
use crate::simulator::hec::HecServer;
use crate::state::Record;
use crate::state::ledger::HistoryLine;
use crate::taxii::Timestamp;

impl Life {
    /// What must hold after each start.
    pub(super) fn started(&mut self, is_rolled_back: bool) -> Result<(), String> {
        let now = self.clock.now().monotonic;
        let agent = self.agent.as_mut().unwrap();
        self.pollers = vec![Some(now); agent.pollers().len()];
        self.forwarders = vec![Some(now); agent.forwarders().len()];
        let house = agent.house().clone();
        let (mut doubts, mut mended) = (0, 0);
        let read = house.state.history(|line| {
            if let HistoryLine::Record { record, .. } = line {
                doubts += usize::from(matches!(*record, Record::Recovered { .. }));
                mended += u64::from(matches!(*record, Record::Mended { .. }));
            }
        });
        read.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        let is_doubtful = doubts > self.known.doubts;
        self.known.doubts = self.known.doubts.max(doubts);
        self.tally.mended = self.tally.mended.max(mended);
        let (checkpoint, number) = standing(&house);
        self.known.standing.found(checkpoint, number, is_doubtful)?;
        self.look()?;
        self.judge_the_disk()?;
        let delivered: Vec<Counts> = self.splunk.iter().map(counts).collect();
        let again = self.known.note_what_may_come_again(&house, &delivered);
        self.tally.again += again as u64;
        // What a store that was rolled back has forgotten may not have been sent again yet.
        let was_rolled_back = is_rolled_back || self.tally.rolled_back > 0;
        // What one stop has left in flight may wait for its repair when the next one comes.
        let earlier = match self.tally.damaged {
            0 => 0,
            _ => self.tally.crashes + self.tally.kills + self.tally.failed_starts,
        };
        let stops = usize::try_from(earlier).unwrap_or(usize::MAX - 1) + 1;
        if again > IN_FLIGHT * stops && !was_rolled_back && !is_doubtful {
            return Err(format!("{again} events at one output may come again"));
        }
        Ok(())
    }

    /// What was acknowledged by now; of a machine that has stopped nobody has heard anything.
    pub(super) fn look(&mut self) -> Result<(), String> {
        if self.disk.is_stopped() {
            return Ok(());
        }
        let agent = self.agent.as_ref().unwrap();
        let house = agent.house();
        self.known.look(house)?;
        if self.late == 0 && self.known.repairs() > 0 {
            return Err(
                "a window was the same when it was polled again, and came twice".to_owned(),
            );
        }
        let (checkpoint, number) = standing(house);
        self.known.standing.seen(checkpoint, number)?;
        judge_the_status(house, &self.config)
    }

    fn judge_the_disk(&self) -> Result<(), String> {
        let house = self.agent.as_ref().unwrap().house();
        let found = audit(house).map_err(|error| format!("no audit: {error}"))?;
        let mut differences = found.differences;
        // What waits for its repair is told.
        let damaged: Vec<u64> = self.known.damaged().collect();
        differences.retain(|told| {
            let is_of = |seq: &u64| {
                told.starts_with(&format!("batch {seq}:"))
                    || told.starts_with(&format!("batch {seq},"))
            };
            !damaged.iter().any(is_of)
        });
        // A batch that is done with and not archived is owed again where its record is in doubt.
        if self.known.doubts > 0 {
            differences.retain(|told| !told.contains(" for repair: "));
        }
        // A sync that failed, a kill and a crash: the audit sees what a snapshot took the place of.
        if self.tally.kills > 0 && self.tally.crashes > 0 {
            differences.retain(|told| !told.contains("is not what the records before it say"));
        }
        if !differences.is_empty() {
            let ledger = ledger_told(house);
            return Err(format!("the audit: {differences:?}\n{ledger}"));
        }
        for folder in ["spool/staging", "quarantine"] {
            let names = self.storage.disk.names(&self.state.join(folder));
            let mut names = names.map_err(|error| format!("{folder}: {error}"))?;
            if folder == "quarantine" {
                let is_of = |name: &str, seq: &u64| name.starts_with(&format!("{seq:012}"));
                let has_ledger = self.tally.ledger_damaged > 0;
                names.retain(|name| {
                    let is_ledger = has_ledger && name.starts_with("ledger-");
                    !is_ledger && !damaged.iter().any(|seq| is_of(name, seq))
                });
            }
            if !names.is_empty() {
                return Err(format!("{folder} holds {names:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn judge_the_end(&mut self) -> Result<(), String> {
        let requests = self.cta.requests();
        let early = requests
            .iter()
            .find(|request| request.answer.contains("Only one poll"));
        if let Some(early) = early {
            return Err(format!("a poll came too early, at {}", early.at));
        }
        let house = self.agent.as_ref().unwrap().house();
        let waiting = house.spool.numbers();
        if !waiting.is_empty() {
            return Err(format!("{} batches still wait", waiting.len()));
        }
        let standing = &self.known.standing;
        let polled = self.published.iter();
        let polled = polled.filter(|(_, published)| !standing.has_passed_over(*published));
        let mut published: BTreeSet<EventId> = polled.map(|(id, _)| *id).collect();
        if self.unanswered.is_some() {
            return Err("a message that is pushed is never taken".to_owned());
        }
        published.extend(&self.pushed);
        for (number, splunk) in self.splunk.iter().enumerate() {
            self.known
                .judge(house, number, &counts(splunk), &published)?;
            let letters = known::letters(house, OUTPUTS[number])?;
            self.tally.letters += letters.len() as u64;
        }
        Ok(())
    }
}

/// Where the collection stands, and the ledger's number.
fn standing(house: &House) -> (Option<Timestamp>, u64) {
    let number = house.state.look(|picture| picture.number);
    (known::checkpoint(house), number)
}

fn counts(splunk: &HecServer) -> Counts {
    let mut counts = Counts::new();
    for id in splunk.event_ids() {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// The lines of the ledger, for who looks for the fault.
fn ledger_told(house: &House) -> String {
    let mut told = String::new();
    let read = house.state.history(|line| {
        let _ = writeln!(told, "  {line:?}");
    });
    read.map_or_else(|error| error.to_string(), |()| told)
}

/// What the status says of outputs is what it comes to batch by batch.
fn judge_the_status(house: &House, config: &Config) -> Result<(), String> {
    let picture = house.state.look(Clone::clone);
    for output in Status::take(house, config, true).outputs {
        let name = &output.name;
        let known = picture.outputs.get(name);
        let mut finished = known.map(|known| known.finished).unwrap_or_default();
        let (mut batches, mut events, mut repairing) = (0, 0, 0);
        for (seq, batch) in &picture.batches {
            if !batch.outputs.contains(name) {
                continue;
            }
            let progress = house.state.progress(name, *seq);
            let (mut so_far, _) = batch.settle_so_far(name, &progress);
            batches += 1;
            events += std::mem::take(&mut so_far.abandoned);
            repairing += batch.lacks(&progress);
            finished.add(&so_far);
        }
        let owed = (batches, events, repairing, finished);
        let told = (
            output.pending_batches,
            output.pending_events,
            output.repairing_events,
            output.finished,
        );
        if told != owed {
            return Err(format!(
                "the status of {name} is {told:?}, and owed is {owed:?}"
            ));
        }
    }
    Ok(())
}
