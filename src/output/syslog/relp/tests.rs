//! The client against a model of a server, whatever happens in between.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::EventId;

const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };

/// A flight of messages such as `3.0`, each with an event of its own.
fn flight(id: FlightId, messages: usize) -> Flight {
    let mut flight = Flight::new(id, messages);
    for index in 0..messages {
        flight.push(event(id, index), |text| {
            text.extend_from_slice(format!("{id}.{index}").as_bytes());
        });
    }
    flight
}

fn event(flight: FlightId, index: usize) -> EventId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&flight.to_le_bytes());
    bytes[8..].copy_from_slice(&index.to_le_bytes());
    EventId::from_bytes(bytes)
}

/// What the client has to say now, all of it.
fn said(relp: &mut Relp) -> String {
    let bytes = relp.outgoing().to_owned();
    relp.written(bytes.len());
    String::from_utf8(bytes).unwrap()
}

fn hear(relp: &mut Relp, frames: &str) {
    relp.received(frames.as_bytes()).unwrap();
}

/// A session that is open; `open` had the number 1.
fn open(window: usize) -> Relp {
    let mut relp = Relp::new(window);
    relp.connected();
    said(&mut relp);
    hear(&mut relp, OPENED);
    assert!(relp.is_ready());
    relp
}

const OPENED: &str = "1 rsp 53 200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog\n";

fn landings(relp: &mut Relp) -> Vec<(FlightId, Verdict)> {
    std::iter::from_fn(|| relp.landed()).collect()
}

fn passing() -> Failure {
    Failure::passing("cut")
}

#[test]
fn messages_wait_until_the_session_is_open() {
    let mut relp = Relp::new(128);
    relp.launch(flight(1, 1));
    relp.connected();
    let version = env!("CARGO_PKG_VERSION");
    let offers = format!("relp_version=0\nrelp_software=cta-forwarder,{version}\ncommands=syslog");
    assert_eq!(
        said(&mut relp),
        format!("1 open {} {offers}\n", offers.len())
    );
    assert_eq!(said(&mut relp), "");
    hear(&mut relp, OPENED);
    assert_eq!(said(&mut relp), "2 syslog 3 1.0\n");
    hear(&mut relp, "2 rsp 6 200 OK\n");
    assert_eq!(landings(&mut relp), [(1, DELIVERED)]);
    assert!(!relp.is_busy());
}

#[test]
fn the_window_opens_with_each_answer_in_any_order() {
    let mut relp = open(2);
    relp.launch(flight(1, 3));
    assert_eq!(said(&mut relp), "2 syslog 3 1.0\n3 syslog 3 1.1\n");
    assert_eq!(said(&mut relp), "");
    hear(&mut relp, "3 rsp 6 200 OK\n");
    assert_eq!(said(&mut relp), "4 syslog 3 1.2\n");
    hear(&mut relp, "4 rsp 6 200 OK\n2 rsp 6 200 OK\n");
    assert_eq!(landings(&mut relp), [(1, DELIVERED)]);
}

#[test]
fn numbers_start_again_at_one() {
    let mut relp = open(128);
    relp.next_txnr = MAX_TXNR;
    relp.launch(flight(1, 2));
    assert_eq!(said(&mut relp), "999999999 syslog 3 1.0\n1 syslog 3 1.1\n");
    hear(&mut relp, "1 rsp 6 200 OK\n999999999 rsp 6 200 OK\n");
    assert_eq!(landings(&mut relp), [(1, DELIVERED)]);
}

#[test]
fn a_refused_message_ends_its_flight_and_is_given_up_at_the_third_time() {
    let mut relp = open(2);
    for attempt in 1..=3 {
        // The same events each time, under the same number.
        relp.launch(flight(7, 4));
        let first = relp.next_txnr;
        said(&mut relp);
        hear(&mut relp, &format!("{} rsp 8 500 full\n", first + 1));
        assert_eq!(said(&mut relp), "", "nothing behind it is sent");
        hear(&mut relp, &format!("{first} rsp 6 200 OK\n"));
        let reason = "the receiver refuses the message: 500 full".to_owned();
        let verdict = if attempt < 3 {
            Verdict::Retry {
                delivered: 1,
                reason,
                after: None,
            }
        } else {
            Verdict::Refused {
                index: 1,
                code: "relp-500".into(),
                reason,
                is_our_limit: false,
            }
        };
        assert_eq!(landings(&mut relp), [(7, verdict)]);
    }
}

#[test]
fn what_is_accepted_behind_a_refused_message_is_not_sent_again() {
    let mut relp = open(128);
    relp.launch(flight(1, 6));
    said(&mut relp);
    // The second is refused, the last two have no answer yet.
    hear(
        &mut relp,
        "2 rsp 6 200 OK\n3 rsp 6 500 no\n4 rsp 6 200 OK\n5 rsp 6 200 OK\n",
    );
    relp.lost(&passing());
    let then = passing().verdict(1);
    // In the order of the flight: 0, 2 and 3.
    let scattered = Verdict::Scattered {
        delivered: Vec::from([2..4; 1]),
        then: Box::new(then),
    };
    assert_eq!(landings(&mut relp), [(1, scattered)]);
}

#[test]
fn a_connection_that_breaks_on_one_message_again_and_again_says_on_which() {
    let mut relp = open(128);
    for attempt in 1..=4 {
        relp.launch(flight(1, 3));
        let first = relp.next_txnr;
        said(&mut relp);
        hear(&mut relp, &format!("{first} rsp 6 200 OK\n"));
        relp.lost(&passing());
        let landed = landings(&mut relp);
        let (1, verdict) = &landed[0] else {
            panic!("{landed:?}");
        };
        match verdict {
            Verdict::Retry { delivered: 1, .. } => assert!(attempt < 3, "{attempt}"),
            Verdict::Hold {
                delivered: 1,
                reason,
                mend,
            } => {
                assert!(attempt >= 3, "{attempt}");
                assert!(reason.contains(&event(1, 1).to_string()), "{reason}");
                assert!(mend.contains("max_message_bytes"), "{mend}");
            }
            other => panic!("{other:?}"),
        }
        relp.connected();
        said(&mut relp);
        hear(&mut relp, OPENED);
    }
    // It was taken after all.
    relp.launch(flight(1, 3));
    let first = relp.next_txnr;
    said(&mut relp);
    hear(
        &mut relp,
        &format!("{first} rsp 6 200 OK\n{} rsp 6 200 OK\n", first + 1),
    );
    relp.lost(&passing());
    assert!(matches!(
        landings(&mut relp)[0].1,
        Verdict::Retry { delivered: 2, .. }
    ));
}

#[test]
fn strikes_outlive_a_connection_but_not_an_acceptance() {
    let mut relp = open(1);
    let mut turn = |answer: &str| {
        relp.launch(flight(7, 1));
        let txnr = relp.next_txnr;
        said(&mut relp);
        hear(
            &mut relp,
            &format!("{txnr} rsp {} {answer}\n", answer.len()),
        );
        let landed = landings(&mut relp);
        relp.lost(&passing());
        relp.connected();
        said(&mut relp);
        hear(&mut relp, OPENED);
        matches!(landed[..], [(7, Verdict::Refused { .. })])
    };
    assert!(!turn("500 no"));
    assert!(!turn("500 no"));
    assert!(!turn("200 OK"));
    assert!(!turn("500 no"));
    assert!(!turn("500 no"));
    assert!(turn("500 no"));
}

#[test]
fn a_server_that_closes_is_left() {
    let mut relp = open(128);
    relp.launch(flight(1, 2));
    said(&mut relp);
    let failure = relp
        .received(b"2 rsp 6 200 OK\n0 serverclose 0\n")
        .unwrap_err();
    assert!(!failure.is_lasting());
    assert!(!relp.is_clean());
    relp.lost(&failure);
    assert_eq!(landings(&mut relp), [(1, failure.verdict(1))]);
}

#[test]
fn other_hints_are_nothing_to_us() {
    let mut relp = open(128);
    hear(&mut relp, "0 hello 0\n");
    assert!(relp.is_ready());
}

#[test]
fn what_no_server_says_is_a_fault() {
    for said_by_server in [
        "2 rsp 6 200 OK\n",
        "1 rsp 6 200 OK\n",
        "0 rsp 6 200 OK\n",
        "1 syslog 3 1.0\n",
        "3 rsp 6 200 OK\n",
        "nonsense\n",
        "HTTP/1.1 400 Bad Request\r\n",
    ] {
        let mut relp = open(128);
        let failure = relp.received(said_by_server.as_bytes()).unwrap_err();
        assert!(!failure.is_lasting(), "{said_by_server}");
    }
    let mut relp = open(128);
    relp.launch(flight(1, 1));
    said(&mut relp);
    relp.received(b"2 rsp 2 OK\n").unwrap_err();
}

#[test]
fn leaving_says_close_and_waits_for_the_answer() {
    let mut relp = open(128);
    relp.leave();
    assert_eq!(said(&mut relp), "2 close 0\n");
    assert!(!relp.has_left());
    // As librelp does it.
    hear(&mut relp, "2 rsp 0\n");
    assert!(relp.has_left());

    let mut never_open = Relp::new(128);
    never_open.connected();
    never_open.leave();
    assert!(never_open.has_left());
}

#[test]
fn what_waits_is_clean_until_its_first_message_is_ready() {
    let mut relp = Relp::new(128);
    relp.launch(flight(1, 2));
    relp.connected();
    assert!(relp.is_busy() && relp.is_clean());
    said(&mut relp);
    assert!(relp.is_clean());
    hear(&mut relp, OPENED);
    said(&mut relp);
    assert!(!relp.is_clean());
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Launch { messages: usize },
    Write { bytes: usize },
    Answer { which: usize, accepts: bool },
    Hear { bytes: usize },
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1usize..6).prop_map(|messages| Step::Launch { messages }),
        5 => (1usize..60).prop_map(|bytes| Step::Write { bytes }),
        5 => (any::<usize>(), prop::bool::weighted(0.9))
            .prop_map(|(which, accepts)| Step::Answer { which, accepts }),
        5 => (1usize..40).prop_map(|bytes| Step::Hear { bytes }),
        1 => Just(Step::Cut),
    ]
}

/// What the client is told of a message: its flight, its place in it, whether it is accepted.
type Told = (FlightId, usize, bool);

/// A server that reads frames by its own rules, and what it knows of the client.
#[derive(Debug, Default)]
struct World {
    window: usize,
    /// Not yet understood.
    input: Vec<u8>,
    last_txnr: u32,
    /// Received and not answered.
    open: Vec<(u32, Option<(FlightId, usize)>)>,
    /// Answers on their way to the client: bytes, and the message that they accept or refuse.
    answers: Vec<u8>,
    /// Where in `answers` each ends.
    ends: Vec<(usize, Option<Told>)>,
    /// For each flight under way, what the client knows of its messages.
    flights: BTreeMap<FlightId, Vec<Option<bool>>>,
}

impl World {
    fn read(&mut self) {
        while let Some(line) = self.input.iter().position(|b| *b == b' ') {
            let text = String::from_utf8_lossy(&self.input).into_owned();
            let mut parts = text.splitn(4, ' ');
            let (Some(txnr), Some(command), Some(length)) =
                (parts.next(), parts.next(), parts.next())
            else {
                return;
            };
            assert!(line > 0);
            let Some(data) = parts.next() else {
                return;
            };
            let length: usize = length.parse().unwrap();
            if data.len() <= length {
                return;
            }
            assert_eq!(data.as_bytes()[length], b'\n');
            let txnr: u32 = txnr.parse().unwrap();
            assert_eq!(txnr, self.last_txnr + 1);
            self.last_txnr = txnr;
            let message = match command {
                "open" => None,
                "syslog" => {
                    let (flight, index) = data[..length].split_once('.').unwrap();
                    Some((flight.parse().unwrap(), index.parse().unwrap()))
                }
                command => panic!("{command}"),
            };
            self.open.push((txnr, message));
            let rest = text.len() - (data.len() - length - 1);
            self.input.drain(..rest);
            self.check_window();
        }
    }

    fn check_window(&self) {
        let unheard = self.ends.iter().filter(|(_, answer)| answer.is_some());
        let open = self.open.iter().filter(|(_, message)| message.is_some());
        assert!(open.count() + unheard.count() <= self.window);
    }

    fn answer(&mut self, which: usize, accepts: bool) {
        if self.open.is_empty() {
            return;
        }
        let (txnr, message) = self.open.remove(which % self.open.len());
        let data = match message {
            None => "200 OK\nrelp_version=0\ncommands=syslog",
            Some(_) if accepts => "200 OK",
            Some(_) => "500 no",
        };
        write_frame(&mut self.answers, txnr, "rsp", data.as_bytes());
        let answer = message.map(|(flight, index)| (flight, index, accepts));
        self.ends.push((self.answers.len(), answer));
    }

    fn hear(&mut self, relp: &mut Relp, bytes: usize) {
        let bytes = bytes.min(self.answers.len());
        let heard: Vec<u8> = self.answers.drain(..bytes).collect();
        for (end, _) in &mut self.ends {
            *end = end.saturating_sub(bytes);
        }
        for (_, answer) in self.ends.extract_if(.., |(end, _)| *end == 0) {
            if let Some((flight, index, accepts)) = answer {
                self.flights.get_mut(&flight).unwrap()[index] = Some(accepts);
            }
        }
        relp.received(&heard).unwrap();
    }

    /// Every verdict says exactly what the client was told.
    fn check(&mut self, relp: &mut Relp) {
        for (flight, verdict) in landings(relp) {
            let known = self.flights.remove(&flight).unwrap();
            let accepted: Vec<bool> = known.iter().map(|k| *k == Some(true)).collect();
            let (scattered, then) = match verdict {
                Verdict::Scattered { delivered, then } => (delivered, *then),
                verdict => (Vec::new(), verdict),
            };
            let prefix = match then {
                Verdict::Delivered { .. } => known.len(),
                Verdict::Retry { delivered, .. } => delivered,
                verdict => panic!("{verdict:?}"),
            };
            let mut delivered = vec![false; known.len()];
            for index in std::iter::once(0..prefix).chain(scattered).flatten() {
                assert!(
                    !std::mem::replace(&mut delivered[index], true),
                    "told twice"
                );
            }
            assert_eq!(delivered, accepted);
        }
    }

    fn cut(&mut self, relp: &mut Relp) {
        relp.lost(&passing());
        self.check(relp);
        assert!(self.flights.is_empty(), "{:?}", self.flights);
        assert!(!relp.is_busy());
        *self = Self {
            window: self.window,
            ..Self::default()
        };
        relp.connected();
    }
}

proptest! {
    #[test]
    fn every_message_is_acknowledged_once_or_returned(
        window in 1usize..6,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut relp = Relp::new(window);
        relp.connected();
        let mut world = World { window, ..World::default() };
        let mut next = 0;
        for step in steps {
            match step {
                Step::Launch { messages } => {
                    relp.launch(flight(next, messages));
                    world.flights.insert(next, vec![None; messages]);
                    next += 1;
                }
                Step::Write { bytes } => {
                    let out = relp.outgoing();
                    let bytes = bytes.min(out.len());
                    world.input.extend_from_slice(&out[..bytes]);
                    relp.written(bytes);
                    world.read();
                }
                Step::Answer { which, accepts } => world.answer(which, accepts),
                Step::Hear { bytes } => world.hear(&mut relp, bytes),
                Step::Cut => world.cut(&mut relp),
            }
            world.check(&mut relp);
        }
        // With a server that answers all of it, all of it lands.
        while relp.is_busy() {
            let bytes = relp.outgoing().to_owned();
            relp.written(bytes.len());
            world.input.extend(bytes);
            world.read();
            while !world.open.is_empty() {
                world.answer(0, true);
            }
            world.hear(&mut relp, usize::MAX);
            world.check(&mut relp);
        }
        prop_assert!(world.flights.is_empty());
    }

    #[test]
    fn no_bytes_of_a_server_make_it_panic(
        pieces in prop::collection::vec("[0-3 a-z\n]{0,12}|[0-9]{1,2} rsp 6 200 OK\n", 0..20),
    ) {
        let mut relp = open(3);
        relp.launch(flight(1, 5));
        for piece in pieces {
            said(&mut relp);
            if let Err(failure) = relp.received(piece.as_bytes()) {
                relp.lost(&failure);
                let landed = landings(&mut relp);
                prop_assert!(landed.len() <= 1);
                return Ok(());
            }
        }
    }
}
