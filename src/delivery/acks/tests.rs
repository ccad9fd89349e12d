use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn acks() -> Acks {
    Acks::new(5 * MINUTE, 2 * SECOND)
}

fn channel() -> Channel {
    Channel {
        guid: Uuid::new_v4(),
        cookies: BTreeMap::new(),
    }
}

/// A flight that was accepted.
fn accept(acks: &mut Acks, channel: &Channel, ack_id: u64, lines: Range<u64>, now: Duration) {
    acks.launched(0, channel, now);
    acks.landed(channel.guid, false);
    let settled = receive(acks, channel, ack_id, lines, now);
    assert_eq!(settled, Settled::default());
}

fn receive(
    acks: &mut Acks,
    channel: &Channel,
    ack_id: u64,
    lines: Range<u64>,
    now: Duration,
) -> Settled {
    let receipt = Receipt {
        channel: channel.clone(),
        ack_id,
    };
    acks.accepted(0, &receipt, vec![(1, lines)], now)
}

/// The ids that are asked for at that time, of each channel.
fn ask(acks: &mut Acks, now: Duration) -> Vec<Vec<u64>> {
    acks.to_leave(now);
    let questions = acks.due(now).into_iter();
    questions.map(|question| question.ack_ids).collect()
}

fn answer<const N: usize>(ids: [(u64, bool); N]) -> BTreeMap<u64, bool> {
    ids.into()
}

#[test]
fn only_true_delivers_and_only_what_it_stands_for() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, SECOND);
    accept(&mut acks, &channel, 1, 10..20, SECOND);
    assert!(ask(&mut acks, 2 * SECOND).is_empty());
    assert_eq!(acks.next_due(), Some(3 * SECOND));
    assert_eq!(ask(&mut acks, 3 * SECOND), [[0, 1]]);
    assert!(ask(&mut acks, MINUTE).is_empty(), "it is asked already");
    let said = answer([(0, false), (1, true)]);
    let settled = acks.answered(channel.guid, Some(&said), 4 * SECOND, false);
    assert_eq!(settled.delivered, [(1, 10..20)]);
    assert_eq!(settled.again, []);
    assert_eq!(settled.keys, [(channel.guid, 1)]);
    assert!(acks.lines_of(1).eq(std::iter::once(0..10)));
    assert_eq!((acks.count(0), acks.lines()), (1, 10));
    assert_eq!(ask(&mut acks, 6 * SECOND), [[0]]);
}

#[test]
fn a_channel_is_asked_when_nothing_can_be_given_its_ids_any_more() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, SECOND);
    acks.launched(0, &channel, SECOND);
    assert_eq!(acks.to_leave(3 * SECOND), [(0, channel.guid)]);
    // Should the indexer have restarted, this one may be its new 0.
    assert_eq!(acks.due(MINUTE), []);
    acks.landed(channel.guid, false);
    assert_eq!(acks.due(MINUTE).len(), 1);
    assert_eq!(acks.to_leave(HOUR), []);
}

#[test]
fn the_first_flight_on_a_channel_goes_alone() {
    let mut acks = acks();
    let channel = channel();
    assert!(acks.may_launch(0));
    acks.launched(0, &channel, SECOND);
    assert!(!acks.may_launch(0));
    assert!(acks.may_launch(1));
    receive(&mut acks, &channel, 0, 0..10, SECOND);
    acks.landed(channel.guid, false);
    acks.launched(0, &channel, SECOND);
    assert!(acks.may_launch(0));
}

#[test]
fn what_a_lost_flight_may_have_been_given_is_not_believed() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, SECOND);
    accept(&mut acks, &channel, 1, 10..20, SECOND);
    acks.launched(0, &channel, SECOND);
    acks.landed(channel.guid, true);
    assert_eq!(ask(&mut acks, MINUTE), [[1]]);
    let said = answer([(0, true), (1, true)]);
    let settled = acks.answered(channel.guid, Some(&said), MINUTE, false);
    assert_eq!(settled.delivered, [(1, 10..20)]);
    assert_eq!(acks.count(0), 1);
    assert_eq!(acks.give_up(5 * MINUTE), Settled::default());
    assert!(
        ask(&mut acks, HOUR).is_empty(),
        "there is nothing to ask for"
    );
    assert_eq!(acks.give_up(HOUR).again, [(1, 0..10)]);
    assert_eq!((acks.count(0), acks.next_due()), (0, None));
}

#[test]
fn what_is_false_or_left_out_for_too_long_is_sent_again() {
    for said in [answer([(0, false), (1, false)]), answer([])] {
        let mut acks = acks();
        let channel = channel();
        accept(&mut acks, &channel, 0, 0..10, SECOND);
        accept(&mut acks, &channel, 1, 10..20, MINUTE);
        ask(&mut acks, 5 * MINUTE);
        let before = acks.answered(channel.guid, Some(&said), 5 * MINUTE, false);
        assert_eq!(before, Settled::default());
        let later = 5 * MINUTE + 3 * SECOND;
        ask(&mut acks, later);
        let after = acks.answered(channel.guid, Some(&said), later, false);
        assert_eq!(after.again, [(1, 0..10)]);
        assert_eq!(acks.count(0), 1);
    }
}

#[test]
fn without_an_answer_nothing_is_sent_again_unless_it_can_go_elsewhere() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, SECOND);
    let mut unanswered = |now, is_other_well| {
        assert_eq!(ask(&mut acks, now), [[0]]);
        acks.answered(channel.guid, None, now, is_other_well)
    };
    assert_eq!(unanswered(9 * MINUTE, true), Settled::default());
    assert_eq!(unanswered(HOUR, false), Settled::default());
    assert_eq!(unanswered(2 * HOUR, true).again, [(1, 0..10)]);
    assert_eq!(acks.next_due(), None);
}

#[test]
fn a_peer_that_does_not_answer_is_asked_less_and_less() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut waits = Vec::new();
    for _ in 0..7 {
        let at = acks.next_due().unwrap();
        waits.push(at.saturating_sub(now).as_secs());
        now = at;
        assert_eq!(ask(&mut acks, now), [[0]]);
        acks.answered(channel.guid, None, now, false);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
    now = acks.next_due().unwrap();
    ask(&mut acks, now);
    acks.answered(channel.guid, Some(&answer([])), now, false);
    assert_eq!(acks.next_due(), Some(now + 2 * SECOND));
}

#[test]
fn questions_are_bounded_in_number_and_length() {
    let mut acks = acks();
    for _ in 0..10 {
        accept(&mut acks, &channel(), 0, 0..10, Duration::ZERO);
    }
    assert_eq!(ask(&mut acks, MINUTE).len(), MAX_QUESTIONS);
    assert!(ask(&mut acks, MINUTE).is_empty());

    let mut acks = self::acks();
    let channel = channel();
    let ids = 2 * MAX_ASKED as u64 + 1;
    for id in 0..ids {
        accept(&mut acks, &channel, id, id..id + 1, Duration::ZERO);
    }
    let mut seen = BTreeSet::new();
    for round in 1..=3 {
        let asked = ask(&mut acks, round * MINUTE).remove(0);
        assert!(asked.len() <= MAX_ASKED);
        seen.extend(asked);
        acks.answered(channel.guid, Some(&answer([])), round * MINUTE, false);
    }
    assert_eq!(seen.len() as u64, ids);
    // What was not asked for is not missed.
    assert_eq!(acks.count(0) as u64, ids);
}

#[test]
fn one_number_from_two_indexers_is_nobodys() {
    let mut acks = acks();
    let channel = channel();
    accept(&mut acks, &channel, 0, 0..10, SECOND);
    let settled = receive(&mut acks, &channel, 0, 10..20, SECOND);
    assert_eq!(settled.keys, [(channel.guid, 0)]);
    assert_eq!(settled.again, [(1, 0..10), (1, 10..20)]);
    assert_eq!((acks.lines(), acks.count(0)), (0, 0));
}

#[test]
fn a_restart_goes_on_with_the_time_that_was_left() {
    let mut acks = acks();
    let receipt = Receipt {
        channel: channel(),
        ack_id: 7,
    };
    acks.restore(0, &receipt, vec![(1, 0..10)], SECOND, 4 * MINUTE);
    assert_eq!(ask(&mut acks, 59 * SECOND), [[7]]);
    let said = answer([(7, false)]);
    let guid = receipt.channel.guid;
    let before = acks.answered(guid, Some(&said), 59 * SECOND, false);
    assert_eq!(before, Settled::default());
    ask(&mut acks, 62 * SECOND);
    let after = acks.answered(guid, Some(&said), 62 * SECOND, false);
    assert_eq!(after.again, [(1, 0..10)]);
}

#[test]
fn a_batch_that_nobody_owes_is_not_asked_for() {
    let mut acks = acks();
    let channel = channel();
    let receipt = Receipt {
        channel: channel.clone(),
        ack_id: 0,
    };
    acks.accepted(0, &receipt, vec![(1, 5..9), (2, 0..3)], SECOND);
    assert_eq!(acks.forget_batch(1), []);
    assert_eq!(acks.lines(), 3);
    assert_eq!(acks.forget_batch(2), [(channel.guid, 0)]);
    assert!(ask(&mut acks, MINUTE).is_empty());
    assert_eq!(acks.count(0), 0);
}
