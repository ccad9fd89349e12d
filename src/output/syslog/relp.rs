//! RELP, the client's side: every message is acknowledged by the receiver's application.
//!
//! A session of the protocol without a connection: bytes in, bytes out.

mod answer;
mod frame;
mod strikes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use self::answer::{Answer, check_offers};
use self::frame::{Frame, FrameReader, write_frame};
use self::strikes::Strikes;
use super::failure::Failure;
use super::flight::Flight;
use super::session::Session;
use crate::event::EventId;
use crate::output::{FlightId, Verdict};

const MAX_TXNR: u32 = 999_999_999;
/// How many bytes of frames are made ready at once.
const READY_BYTES: usize = 64 << 10;
/// A connection that broke on the same message this often breaks because of it.
const SUSPICIOUS: u32 = 3;
const OFFERS: &str = concat!(
    "relp_version=0\nrelp_software=cta-forwarder,",
    env!("CARGO_PKG_VERSION"),
    "\ncommands=syslog"
);

/// Flights to a RELP receiver.
///
/// A flight is delivered when every message has its `200`. When the connection breaks, or a message
/// is refused, those that have one are delivered all the same, wherever they stand.
#[derive(Debug)]
pub(super) struct Relp {
    /// How many messages may be without an answer.
    window: usize,
    phase: Phase,
    next_txnr: u32,
    reader: FrameReader,
    /// Frames that are not written yet, from `out_start` on.
    out: Vec<u8>,
    out_start: usize,
    /// The messages without an answer: flight and place in it.
    unanswered: HashMap<u32, (FlightId, usize)>,
    flights: VecDeque<UnderWay>,
    strikes: Strikes,
    /// The event whose message was the first without an answer when the connection broke, and how
    /// many times in a row it was.
    suspect: Option<(EventId, u32)>,
    landed: VecDeque<(FlightId, Verdict)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    /// `open` is sent with this number.
    Opening(u32),
    Ready,
    /// `close` is sent with this number.
    Leaving(u32),
    Left,
}

#[derive(Debug)]
struct UnderWay {
    flight: Flight,
    sent: usize,
    answered: usize,
    /// Of each message that was sent, whether it was accepted.
    accepted: Vec<bool>,
    /// The first that was refused, and how; what comes behind it is not sent any more.
    refused: Option<(usize, Answer)>,
}

impl Relp {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            phase: Phase::Closed,
            next_txnr: 1,
            reader: FrameReader::default(),
            out: Vec::new(),
            out_start: 0,
            unanswered: HashMap::new(),
            flights: VecDeque::new(),
            strikes: Strikes::default(),
            suspect: None,
            landed: VecDeque::new(),
        }
    }

    fn command(&mut self, command: &str, data: &[u8]) -> u32 {
        let txnr = take_txnr(&mut self.next_txnr);
        write_frame(&mut self.out, txnr, command, data);
        txnr
    }

    /// Makes frames of messages, as far as the window is open.
    fn fill(&mut self) {
        while self.out.len() - self.out_start < READY_BYTES && self.unanswered.len() < self.window {
            let next = self.flights.iter_mut().find_map(UnderWay::next);
            let Some((flight, index, message)) = next else {
                return;
            };
            let txnr = take_txnr(&mut self.next_txnr);
            write_frame(&mut self.out, txnr, "syslog", message);
            self.unanswered.insert(txnr, (flight, index));
        }
    }

    /// Whether it is an answer to something.
    fn heard(&mut self, frame: &Frame) -> Result<bool, Failure> {
        match (frame.txnr, frame.command.as_str(), self.phase) {
            (0, "serverclose", _) => Err(Failure::passing("the receiver closes the connection")),
            // Other hints are nothing to us, and who only hints does not answer.
            (0, command, _) if command != "rsp" => Ok(false),
            (txnr, "rsp", Phase::Opening(open)) if txnr == open => {
                check_offers(&frame.data)?;
                self.phase = Phase::Ready;
                Ok(true)
            }
            (txnr, "rsp", Phase::Leaving(close)) if txnr == close => {
                self.phase = Phase::Left;
                Ok(true)
            }
            (txnr, "rsp", _) => {
                let answer = Answer::parse(&frame.data)?;
                match self.unanswered.remove(&txnr) {
                    Some((flight, index)) => {
                        self.answered(flight, index, answer);
                        Ok(true)
                    }
                    None => Err(Failure::passing(format!(
                        "the receiver answers RELP transaction {txnr}, which is not open"
                    ))),
                }
            }
            (txnr, command, _) => Err(Failure::passing(format!(
                "the receiver says {command:?} in RELP transaction {txnr}, where only an answer is \
                 allowed"
            ))),
        }
    }

    fn answered(&mut self, flight: FlightId, index: usize, answer: Answer) {
        let Some(place) = self
            .flights
            .iter()
            .position(|under| under.flight.id == flight)
        else {
            return;
        };
        let Some(under) = self.flights.get_mut(place) else {
            return;
        };
        under.answered += 1;
        let event = under.flight.message(index).map(|(_, event)| event);
        if answer.is_accepted() {
            if let Some(accepted) = under.accepted.get_mut(index) {
                *accepted = true;
            }
            self.strikes.clear(event);
            if self
                .suspect
                .is_some_and(|(suspect, _)| Some(suspect) == event)
            {
                self.suspect = None;
            }
        } else {
            self.strikes.add(event);
            if under
                .refused
                .as_ref()
                .is_none_or(|(first, _)| index < *first)
            {
                under.refused = Some((index, answer));
            }
        }
        if under.has_landed()
            && let Some(under) = self.flights.remove(place)
        {
            self.landed.push_back(under.verdict(&mut self.strikes));
        }
    }
}

impl Session for Relp {
    fn launch(&mut self, flight: Flight) {
        self.flights.push_back(UnderWay {
            sent: 0,
            answered: 0,
            accepted: Vec::with_capacity(flight.len()),
            refused: None,
            flight,
        });
    }

    fn connected(&mut self) {
        self.reader = FrameReader::default();
        self.next_txnr = 1;
        self.discard_output();
        let txnr = self.command("open", OFFERS.as_bytes());
        self.phase = Phase::Opening(txnr);
    }

    fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    fn outgoing(&mut self) -> &[u8] {
        if self.is_ready() {
            self.fill();
        }
        self.out.get(self.out_start..).unwrap_or_default()
    }

    fn written(&mut self, bytes: usize) {
        self.out_start += bytes;
        if self.out_start >= self.out.len() {
            self.discard_output();
        } else if self.out_start >= READY_BYTES {
            self.out.drain(..self.out_start);
            self.out_start = 0;
        }
    }

    fn flushed(&mut self, _: u64) {}

    fn awaits_acknowledgement(&self) -> bool {
        false
    }

    fn acknowledged(&mut self, _: u64) {}

    fn received(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        self.reader.push(bytes);
        let mut has_heard = false;
        loop {
            match self.reader.next() {
                Ok(Some(frame)) => has_heard |= self.heard(&frame)?,
                Ok(None) => return Ok(has_heard),
                Err(error) => return Err(Failure::passing(error.to_string())),
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.flights.is_empty()
    }

    fn is_clean(&self) -> bool {
        self.flights.iter().all(|under| under.sent == 0)
    }

    fn lost(&mut self, failure: &Failure) {
        let message = self.suspected_message();
        let failure = match &message {
            Some(message) if !failure.is_lasting() => &failure.clone().on_message(message),
            _ => failure,
        };
        self.phase = Phase::Closed;
        self.unanswered.clear();
        self.discard_output();
        for under in self.flights.drain(..) {
            let then = failure.verdict(under.delivered());
            self.landed
                .push_back((under.flight.id, under.scattered(then)));
        }
    }

    fn has_landed(&self) -> bool {
        !self.landed.is_empty()
    }

    fn landed(&mut self) -> Option<(FlightId, Verdict)> {
        self.landed.pop_front()
    }

    fn leave(&mut self) {
        self.phase = match self.phase {
            Phase::Ready => Phase::Leaving(self.command("close", b"")),
            _ => Phase::Left,
        };
    }

    fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }
}

impl Relp {
    /// What the connection breaks on, if it is the same message again and again.
    fn suspected_message(&mut self) -> Option<String> {
        if self.phase != Phase::Ready {
            return None;
        }
        let first = self.flights.iter().find_map(UnderWay::first_unanswered);
        let (event, bytes) = first?;
        let times = match self.suspect {
            Some((suspect, times)) if suspect == event => times + 1,
            _ => 1,
        };
        self.suspect = Some((event, times));
        (times >= SUSPICIOUS).then(|| format!("event {event}, whose message has {bytes} bytes"))
    }

    fn discard_output(&mut self) {
        self.out.clear();
        self.out_start = 0;
    }
}

impl UnderWay {
    /// The message that is sent next: its flight, its place, itself.
    fn next(&mut self) -> Option<(FlightId, usize, &[u8])> {
        if self.refused.is_some() {
            return None;
        }
        let index = self.sent;
        let (message, _) = self.flight.message(index)?;
        self.sent += 1;
        self.accepted.push(false);
        Some((self.flight.id, index, message))
    }

    /// The event of the first message that is sent and has no answer, and the message's bytes.
    fn first_unanswered(&self) -> Option<(EventId, usize)> {
        let index = self.accepted.iter().position(|accepted| !accepted)?;
        let (message, event) = self.flight.message(index)?;
        Some((event, message.len()))
    }

    /// What is accepted beyond the first that is not, and `then` of the rest.
    fn scattered(&self, then: Verdict) -> Verdict {
        let mut delivered: Vec<Range<usize>> = Vec::new();
        for (index, _) in self.accepted.iter().enumerate().filter(|(_, is)| **is) {
            match delivered.last_mut() {
                Some(range) if range.end == index => range.end = index + 1,
                _ => delivered.push(index..index + 1),
            }
        }
        // Those at the beginning are the verdict's own.
        delivered.retain(|range| range.start > 0);
        if delivered.is_empty() {
            return then;
        }
        Verdict::Scattered {
            delivered,
            then: Box::new(then),
        }
    }

    /// How many of the first messages were accepted.
    fn delivered(&self) -> usize {
        let accepted = self.accepted.iter();
        accepted.take_while(|accepted| **accepted).count()
    }

    fn has_landed(&self) -> bool {
        let is_sent = self.sent == self.flight.len() || self.refused.is_some();
        is_sent && self.answered == self.sent
    }

    fn verdict(self, strikes: &mut Strikes) -> (FlightId, Verdict) {
        let Some((index, answer)) = &self.refused else {
            return self.flight.arrived();
        };
        let (index, answer) = (*index, answer);
        let event = self.flight.message(index).map(|(_, event)| event);
        let reason = format!("the receiver refuses the message: {answer}");
        let verdict = if strikes.are_out(event) {
            strikes.clear(event);
            Verdict::Refused {
                index,
                code: answer.code(),
                reason,
                is_our_limit: false,
            }
        } else {
            Verdict::Retry {
                delivered: index,
                reason,
                after: None,
            }
        };
        (self.flight.id, self.scattered(verdict))
    }
}

fn take_txnr(next: &mut u32) -> u32 {
    let txnr = *next;
    *next = if txnr >= MAX_TXNR { 1 } else { txnr + 1 };
    txnr
}
