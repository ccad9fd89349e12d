use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn peers(count: usize, order: PeerOrder) -> Peers {
    let names = (0..count).map(|n| format!("peer-{n}")).collect();
    let backoff = Backoff::new(SECOND, 300 * SECOND).unwrap();
    Peers::new(names, order, 4, &backoff, false)
}

fn at(seconds: u64) -> Now {
    Now {
        utc: DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap(),
        monotonic: SECOND * u32::try_from(seconds).unwrap(),
    }
}

fn fail(peers: &mut Peers, peer: usize, now: Now) -> Option<Failure> {
    peers.failed(peer, now, "refused", None, &mut fastrand::Rng::with_seed(1))
}

fn launch(peers: &mut Peers, now: Now) -> usize {
    match peers.choose(now.monotonic, |_| true) {
        Choice::Launch(peer) => {
            peers.launched(peer);
            peer
        }
        other => panic!("{other:?}"),
    }
}

fn deliver(peers: &mut Peers, peer: usize) -> Option<DateTime<Utc>> {
    let was_full = peers.landed(peer);
    peers.delivered(peer, SECOND, was_full)
}

#[test]
fn equals_take_turns_and_the_least_busy_comes_first() {
    let mut peers = peers(3, PeerOrder::Spread);
    let taken: Vec<usize> = (0..3).map(|_| launch(&mut peers, at(0))).collect();
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!(
        peers.choose(SECOND, |_| true),
        Choice::Nothing { until: None }
    );
    deliver(&mut peers, 1);
    assert_eq!(launch(&mut peers, at(0)), 1);
    // It has shown that it can take more.
    assert_eq!(launch(&mut peers, at(0)), 1);
    assert_eq!(
        peers.choose(SECOND, |_| true),
        Choice::Nothing { until: None }
    );
}

#[test]
fn the_first_that_is_well_has_everything_and_gets_it_back() {
    let mut peers = peers(2, PeerOrder::Preferred);
    assert_eq!(launch(&mut peers, at(0)), 0);
    // The second is there for an outage, not for a moment.
    assert_eq!(
        peers.choose(SECOND, |_| true),
        Choice::Nothing { until: None }
    );
    peers.landed(0);
    let failure = fail(&mut peers, 0, at(1)).unwrap();
    assert_eq!((failure.failures, failure.is_new), (1, true));
    assert_eq!(launch(&mut peers, at(1)), 1);
    deliver(&mut peers, 1);
    assert_eq!(peers.choose(SECOND * 3, |_| true), Choice::Probe(0));
    assert_eq!(
        launch(&mut peers, at(3)),
        1,
        "until the probe has an answer"
    );
    peers.probed(0);
    deliver(&mut peers, 1);
    assert_eq!(launch(&mut peers, at(4)), 0);
    assert_eq!(peers.failures(), 0);
    assert_eq!(deliver(&mut peers, 0), None, "it was never held");
    assert!(peers.is_another_well(1));
}

#[test]
fn one_flight_must_show_that_a_peer_is_well() {
    let mut peers = peers(1, PeerOrder::Spread);
    for _ in 0..20 {
        let peer = launch(&mut peers, at(0));
        deliver(&mut peers, peer);
    }
    assert_eq!(
        (launch(&mut peers, at(0)), launch(&mut peers, at(0))),
        (0, 0)
    );
    peers.landed(0);
    fail(&mut peers, 0, at(0)).unwrap();
    // What was under way beside it tells nothing new.
    peers.landed(0);
    assert_eq!(fail(&mut peers, 0, at(0)), None);
    let Choice::Nothing { until: Some(until) } = peers.choose(Duration::ZERO, |_| true) else {
        panic!("it is not left alone");
    };
    assert!(until <= SECOND);
    assert_eq!(launch(&mut peers, at(1)), 0);
    assert_eq!(
        peers.choose(SECOND, |_| true),
        Choice::Nothing { until: None }
    );
    deliver(&mut peers, 0);
    assert_eq!(
        (launch(&mut peers, at(1)), launch(&mut peers, at(1))),
        (0, 0)
    );
}

#[test]
fn a_held_peer_is_probed_and_stays_held_until_it_delivers() {
    let mut peers = peers(1, PeerOrder::Spread);
    let mut random = fastrand::Rng::with_seed(1);
    let peer = launch(&mut peers, at(0));
    peers.landed(peer);
    let failure = peers.held(0, at(7), "bad token", "mend it", &mut random);
    assert!(failure.unwrap().is_new);
    let hold = peers.hold().unwrap();
    assert_eq!((hold.mend.as_str(), hold.since), ("mend it", at(7).utc));
    assert_eq!(peers.choose(SECOND * 8, |_| true), Choice::Probe(0));
    let again = peers.held(0, at(8), "bad token", "mend it", &mut random);
    assert!(!again.unwrap().is_new, "it is told once");
    assert_eq!(peers.choose(SECOND * 100, |_| true), Choice::Probe(0));
    // A fault that may pass, met by a probe, does not end the hold.
    fail(&mut peers, 0, at(100)).unwrap();
    assert_eq!(peers.hold().unwrap().since, at(7).utc);
    assert_eq!(peers.choose(SECOND * 200, |_| true), Choice::Probe(0));
    peers.probed(0);
    assert!(peers.hold().is_some());
    assert_eq!(launch(&mut peers, at(200)), 0);
    assert_eq!(deliver(&mut peers, 0), Some(at(7).utc));
    assert_eq!(peers.hold(), None);
}

#[test]
fn an_output_is_held_only_if_no_peer_is_well() {
    let mut peers = peers(2, PeerOrder::Spread);
    let mut random = fastrand::Rng::with_seed(1);
    peers.held(1, at(0), "bad token", "mend it", &mut random);
    assert_eq!(peers.hold(), None);
    let states: Vec<PeerState> = peers.activities().iter().map(|one| one.state).collect();
    assert_eq!(states, [PeerState::Ready, PeerState::Held]);
    fail(&mut peers, 0, at(0));
    assert_eq!(peers.hold().unwrap().reason, "bad token");
}

#[test]
fn a_peer_that_waits_for_acknowledgements_gets_nothing_more() {
    let mut peers = peers(2, PeerOrder::Spread);
    assert_eq!(peers.choose(SECOND, |peer| peer == 1), Choice::Launch(1));
}

proptest! {
    /// Whatever happens: no peer has more than it may have, and none is forgotten.
    #[test]
    fn every_peer_comes_back(
        count in 1..4_usize,
        is_spread: bool,
        steps in prop::collection::vec((0..6_u8, 0..4_usize), 0..200),
    ) {
        let order = if is_spread { PeerOrder::Spread } else { PeerOrder::Preferred };
        let mut peers = peers(count, order);
        let mut in_flight = vec![0_usize; count];
        let mut probing = vec![false; count];
        let mut random = fastrand::Rng::with_seed(3);
        let mut now = 0;
        for (step, peer) in steps {
            let peer = peer % count;
            now += 1;
            match step {
                0 | 1 => match peers.choose(at(now).monotonic, |_| true) {
                    Choice::Launch(peer) => {
                        peers.launched(peer);
                        in_flight[peer] += 1;
                    }
                    Choice::Probe(peer) => probing[peer] = true,
                    Choice::Nothing { .. } => {}
                },
                2 if in_flight[peer] > 0 => {
                    in_flight[peer] -= 1;
                    deliver(&mut peers, peer);
                }
                3 if in_flight[peer] > 0 => {
                    in_flight[peer] -= 1;
                    peers.landed(peer);
                    fail(&mut peers, peer, at(now));
                }
                4 if probing[peer] => {
                    probing[peer] = false;
                    peers.probed(peer);
                }
                5 if probing[peer] => {
                    probing[peer] = false;
                    peers.held(peer, at(now), "bad", "mend", &mut random);
                }
                _ => {}
            }
            for (activity, count) in peers.activities().iter().zip(&in_flight) {
                prop_assert_eq!(activity.in_flight, *count);
                prop_assert!(activity.in_flight <= 4);
            }
        }
        // Everything lands, every probe goes well: each gets something again.
        for (peer, count) in in_flight.iter().enumerate() {
            for _ in 0..*count {
                deliver(&mut peers, peer);
            }
        }
        for (peer, _) in probing.iter().enumerate().filter(|(_, probing)| **probing) {
            peers.probed(peer);
        }
        for wanted in 0..count {
            let mut rounds = 0;
            loop {
                now += 400;
                match peers.choose(at(now).monotonic, |peer| peer == wanted) {
                    Choice::Launch(peer) => {
                        peers.launched(peer);
                        prop_assert_eq!(peer, wanted);
                        deliver(&mut peers, peer);
                        break;
                    }
                    Choice::Probe(peer) => peers.probed(peer),
                    // A better one is well, and has all.
                    Choice::Nothing { .. } if !is_spread => break,
                    Choice::Nothing { .. } => {}
                }
                rounds += 1;
                prop_assert!(rounds < 20, "peer {} is forgotten", wanted);
            }
        }
    }
}
