//! What a person does, and what others do in the spool.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::super::action::Move;
use super::super::known;
use super::{Life, OUTPUTS};
use crate::checkpoints::{self, CheckpointChange, CheckpointError, To};
use crate::clock::Clock as _;
use crate::event::{EventId, RecordType};
use crate::flatten::{EventSink as _, FlatEvent};
use crate::letters::{self, Choice};
use crate::poller::{Destination, ManualPoll};
use crate::simulator::cta::CtaRules;
use crate::taxii::Timestamp;
use crate::taxii::response::ResponseSink as _;
use crate::taxii::window::PollWindow;

impl Life {
    pub(super) async fn poll_by_hand(&mut self, output: Option<usize>) -> Result<(), String> {
        let end = self.cta.now() - TimeDelta::seconds(90);
        let poll = ManualPoll {
            collection: CtaRules::COLLECTION.to_owned(),
            window: PollWindow {
                exclusive_begin: Some(Timestamp::from(end - TimeDelta::hours(1))),
                inclusive_end: Some(Timestamp::from(end)),
            },
            destination: match output {
                Some(number) => Destination::Output(OUTPUTS[number].to_owned()),
                None => Destination::Person,
            },
        };
        let stopped = self.disk.clone();
        let poller = &mut self.agent().pollers()[0];
        tokio::select! {
            biased;
            () = stopped.stopped() => {}
            _ = poller.poll_by_hand(&poll) => {}
        }
        let now = self.clock.now().monotonic;
        self.pollers.fill(Some(now));
        self.forwarders.fill(Some(now));
        self.look()
    }

    pub(super) fn stage_and_drop(&mut self, is_finished: bool) {
        let now = self.clock.now().utc;
        let spool = Arc::clone(&self.agent().house().spool);
        let Ok(mut staging) = spool.stage("somebody") else {
            return;
        };
        let event = FlatEvent {
            id: EventId::from_bytes([1; 16]),
            record_type: RecordType::Flow,
            json: b"{}",
        };
        let _ = staging.event(event).and_then(|()| staging.block_read());
        if is_finished {
            let _ = spool.finish(&mut staging, now, "cta", CtaRules::COLLECTION);
        }
    }

    pub(super) fn set_checkpoint(&mut self, to: Move) -> Result<(), String> {
        let house = self.agent().house().clone();
        let to = match to {
            Move::Back(seconds) => {
                let from = known::checkpoint(&house);
                let from = from.map_or_else(|| self.cta.now(), |from| from.time());
                let moment = Timestamp::from(from - TimeDelta::seconds(seconds));
                To::Moment { moment }
            }
            Move::Ago(seconds) => To::Ago {
                ago: Duration::from_secs(seconds),
            },
            Move::Clear => To::First,
        };
        let change = CheckpointChange {
            service: None,
            collection: CtaRules::COLLECTION.to_owned(),
            to,
        };
        let services = &self.config.services;
        let Ok(plan) = checkpoints::plan(&house, services, &change) else {
            return Ok(());
        };
        match checkpoints::set(&house, services, &change) {
            Ok(done) => {
                self.known.standing.is_set(done.to);
                self.tally.checkpoints_set += 1;
            }
            Err(CheckpointError::Ledger(_)) => {
                let number = house.state.look(|picture| picture.number);
                self.known.standing.was_asked_for(plan.to, number);
            }
            // A batch waits for its record.
            Err(_) => {}
        }
        self.look()
    }

    pub(super) fn drop_letters(&mut self, output: usize) -> Result<(), String> {
        let house = self.agent().house().clone();
        let name = OUTPUTS[output];
        let there = known::letters(&house, name).unwrap_or_default();
        self.known.dropped[output].extend(there);
        let choice = Choice {
            output: Some(name.to_owned()),
            ..Choice::default()
        };
        let _ = letters::drop(&house, &choice);
        self.look()
    }
}
