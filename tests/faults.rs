//! Every row of the fault table against the simulated service: what becomes of window, gate,
//! checkpoint, ledger and events, and the one line of the log that an operator can act on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRequest, CtaRules};
use tracing::Level;
use world::logs::{Line, Logs};
use world::{Setup, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The interval of the service, and the second that is added to it.
const GATE: Duration = Duration::from_secs(601);

/// A short past, so that a world is up to date at once.
const SHORT_PAST: &str = "initial_lookback = \"1h\"\n";

fn setup() -> Setup {
    Setup {
        service: SHORT_PAST.to_owned(),
        ..Setup::default()
    }
}

fn slow_answers_time_out() -> Setup {
    Setup {
        service: format!("{SHORT_PAST}request_timeout = \"1s\"\n"),
        ..Setup::default()
    }
}

/// What an operator sees, and what follows.
struct Expect {
    level: Level,
    /// Words of the one line.
    words: &'static [&'static str],
    /// What the ledger gets with the failed poll.
    ledger: &'static [&'static str],
    /// From that poll to the next.
    next_poll: Duration,
}

const NEXT_GATE: Expect = Expect {
    level: Level::WARN,
    words: &["same window again when the gate opens", "nothing is lost"],
    ledger: &["poll_started", "poll_answered"],
    next_poll: GATE,
};

const USELESS: Expect = Expect {
    level: Level::WARN,
    words: &["the answer is useless", "nothing is lost"],
    ledger: &["poll_started", "poll_answered", "poll_failed"],
    next_poll: GATE,
};

const HOLD: Expect = Expect {
    level: Level::ERROR,
    words: &["polling is held until this is mended"],
    ..NEXT_GATE
};

/// Runs until the service has seen another poll, which is given.
async fn next_poll(world: &mut World) -> CtaRequest {
    let seen = world.polls().len();
    for _ in 0..100_000 {
        world.run_for(SECOND).await;
        let mut polls = world.polls();
        if polls.len() > seen {
            return polls.swap_remove(seen);
        }
    }
    panic!("nobody polls");
}

#[track_caller]
fn assert_one_alarm(alarms: &[Line], level: Level, words: &[&str]) {
    let [line] = alarms else {
        panic!("not one line that asks for attention: {alarms:#?}");
    };
    assert_eq!(line.level, level, "{line:?}");
    for word in words {
        assert!(line.text.contains(word), "{word:?} is not in {line:?}");
    }
}

/// A world that is up to date, with something new to be had.
async fn quiet(setup: Setup) -> World {
    let mut world = World::new(setup);
    world.publish();
    world.run_for(30 * MINUTE).await;
    assert!(world.checkpoint().is_some());
    world.publish();
    world
}

/// One failed poll: nothing moves, one line says why, the same window follows when it may.
async fn check(setup: Setup, fault: CtaFault, words: &[&str], expect: Expect) {
    let shown = format!("{fault:?}");
    let mut world = quiet(setup).await;
    let logs = Logs::capture();
    let checkpoint = world.checkpoint();
    let (records, ids) = (world.ledger().len(), world.ids_in_file());
    world
        .cta
        .set_fault(ArmedFault::once(fault).on(CtaFaultOn::Poll));

    let failed = next_poll(&mut world).await;
    let alarms = logs.take_alarms();
    assert_one_alarm(&alarms, expect.level, expect.words);
    assert_one_alarm(&alarms, expect.level, words);
    assert_eq!(world.checkpoint(), checkpoint, "after {shown}");
    assert_eq!(world.ids_in_file(), ids, "after {shown}");
    let ledger = world.ledger();
    let types = ledger[records..].iter().map(|record| &record["type"]);
    let types: Vec<&str> = types.map(|kind| kind.as_str().unwrap()).collect();
    assert_eq!(types, expect.ledger, "after {shown}");

    let again = next_poll(&mut world).await;
    assert_eq!(again.begin, failed.begin, "after {shown}");
    assert!(again.end >= failed.end, "after {shown}");
    let waited = failed.monotonic + expect.next_poll;
    assert_eq!(again.monotonic, waited, "after {shown}");
    world.run_for(HOUR).await;
    assert_eq!(logs.take_alarms(), [], "after {shown}");
    world.assert_exactly_once();
    let known = world.collection(CtaRules::COLLECTION);
    assert_eq!((known.failures, known.gaps), (0, 0), "after {shown}");
    assert_eq!(world.status().collections[0].activity.hold, None);
}

fn http(status: u16) -> CtaFault {
    CtaFault::HttpStatus {
        status,
        status_type: None,
    }
}

fn status(status_type: &str, wait: Option<&str>) -> CtaFault {
    let detail = |wait: &str| ("ESTIMATED_WAIT".to_owned(), wait.to_owned());
    CtaFault::StatusMessage {
        status_type: status_type.to_owned(),
        message: "the service's own words".to_owned(),
        details: wait.map(detail).into_iter().collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_passes_by_itself_waits_for_the_next_gate() {
    for code in [500, 502, 503, 429] {
        let answer = format!("the service answers HTTP {code}");
        check(setup(), http(code), &[&answer], NEXT_GATE).await;
    }
    for kind in ["FAILURE", "SOMETHING_NEW", "RETRY"] {
        let words = ["the service's own words"];
        check(setup(), status(kind, None), &words, NEXT_GATE).await;
    }
    let no_answer = Expect {
        ledger: &["poll_started"],
        ..NEXT_GATE
    };
    let words = ["the connection failed before the answer came"];
    check(setup(), CtaFault::HangUp, &words, no_answer).await;
    let words = ["the answer makes no progress"];
    check(setup(), CtaFault::NoProgress, &words, NEXT_GATE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_service_that_asks_to_wait_is_waited_for_and_for_the_gate() {
    for (wait, seconds) in [
        ("60", 601),
        ("1800", 1800),
        ("18446744073709551615", 86_400),
    ] {
        let expect = Expect {
            words: &["the service asks to wait", "nothing is lost"],
            next_poll: Duration::from_secs(seconds),
            ..NEXT_GATE
        };
        check(setup(), status("RETRY", Some(wait)), &["wait_s="], expect).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_person_must_mend_is_said_with_the_mend() {
    for (code, mend) in [
        (401, "check username, password, poll_url"),
        (403, "check username, password, poll_url"),
        (404, "check username, password, poll_url"),
        (407, "set proxy, proxy_username and proxy_password"),
        (302, "poll_url has moved"),
        (
            415,
            "poll_url is that of a TAXII poll service, and taxii_version",
        ),
    ] {
        check(setup(), http(code), &[mend], HOLD).await;
    }
    for (kind, mend) in [
        (
            "UNAUTHORIZED",
            "check username, password, and with the provider",
        ),
        ("DENIED", "check username, password, and with the provider"),
        ("BAD_MESSAGE", "the service refuses the request"),
        ("NOT_FOUND", "check the name of the collection"),
        ("UNSUPPORTED_MESSAGE", "TAXII poll service"),
        ("UNSUPPORTED_CONTENT", "content_bindings"),
        ("UNSUPPORTED_PROTOCOL", "TAXII poll service"),
        ("UNSUPPORTED_QUERY", "TAXII poll service"),
        (
            "POLLING_UNSUPPORTED",
            "ask the provider for its poll service",
        ),
        ("PENDING", "allow_asynch = true"),
    ] {
        let words = [mend, "the service's own words"];
        check(setup(), status(kind, None), &words, HOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_is_told_once_probed_at_each_gate_and_ends_by_itself() {
    let mut world = quiet(setup()).await;
    let logs = Logs::capture();
    world.cta.set_fault(ArmedFault::until_cleared(http(401)));
    let first = next_poll(&mut world).await;
    let since = world.utc();
    assert_one_alarm(&logs.take_alarms(), Level::ERROR, &["held"]);
    let mut last = first.monotonic;
    for probe in 0..6 {
        if probe == 3 {
            // Another fault in between does not say that the first is mended.
            world.cta.clear_faults();
            world.cta.set_fault(ArmedFault::once(http(503)));
            world.cta.set_fault(ArmedFault::until_cleared(http(401)));
        }
        let again = next_poll(&mut world).await;
        assert_eq!(again.monotonic, last + GATE);
        last = again.monotonic;
        let hold = world.status().collections[0].activity.hold.clone().unwrap();
        assert!(
            since - hold.since <= chrono::TimeDelta::seconds(1),
            "{hold:?}"
        );
        let errors = logs.take_alarms();
        assert!(
            errors.iter().all(|line| line.level > Level::ERROR),
            "{errors:?}"
        );
    }
    world.cta.clear_faults();
    world.run_for(HOUR).await;
    let lines = logs.take();
    assert!(
        lines
            .iter()
            .any(|line| line.text.starts_with("polling goes on"))
    );
    assert_eq!(world.status().collections[0].activity.hold, None);
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_password_is_taken_without_a_restart() {
    let mut world = quiet(setup()).await;
    world
        .cta
        .change_rules(|rules| rules.accounts[0].password = "new".to_owned());
    world.run_for(HOUR).await;
    assert!(world.status().collections[0].activity.hold.is_some());
    std::fs::write(world.folder.path().join("password"), "new\n").unwrap();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_cannot_be_read_is_no_answer() {
    for (fault, words) in [
        (CtaFault::CutAnswer, &["the answer cannot be read"][..]),
        (CtaFault::MalformedXml, &["the answer cannot be read"]),
        (CtaFault::Doctype, &["DOCTYPE"]),
        (CtaFault::InvalidUtf8, &["UTF-8"]),
        (CtaFault::HtmlPage, &["HTML page", "login page"]),
    ] {
        check(setup(), fault, words, USELESS).await;
    }
    let small = Setup {
        rules: CtaRules {
            gzip: false,
            ..CtaRules::default()
        },
        service: format!("{SHORT_PAST}limits = {{ max_response_bytes = \"1MiB\" }}\n"),
        ..Setup::default()
    };
    let words = ["the document is larger than 1048576 bytes"];
    check(small, CtaFault::EndlessAnswer, &words, USELESS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_time_out_counts_like_an_answer_that_cannot_be_read() {
    let words = ["the answer cannot be read"];
    check(
        slow_answers_time_out(),
        CtaFault::StalledAnswer,
        &words,
        USELESS,
    )
    .await;
    let no_head = Expect {
        ledger: &["poll_started", "poll_failed"],
        ..USELESS
    };
    let words = ["no answer came in time (request_timeout)"];
    check(
        slow_answers_time_out(),
        CtaFault::BlackHole,
        &words,
        no_head,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_service_that_is_away_is_tried_three_times_in_a_slot() {
    let mut world = quiet(setup()).await;
    let logs = Logs::capture();
    let checkpoint = world.checkpoint();
    let polls = world.polls().len();
    world.cta.refuse_connections().await.unwrap();
    world.run_for(5 * MINUTE).await;
    let lines = logs.take();
    let tries = lines
        .iter()
        .filter(|line| line.text.contains("cannot connect"));
    assert_eq!(tries.count(), 3, "{lines:#?}");
    let alarms: Vec<Line> = lines
        .into_iter()
        .filter(|line| line.level <= Level::WARN)
        .collect();
    assert_one_alarm(&alarms, Level::WARN, &["cannot connect", "nothing is lost"]);
    assert_eq!(world.checkpoint(), checkpoint);

    // No byte was sent: a restart finds the gate open.
    world.cta.accept_connections().await.unwrap();
    world.restart();
    world.run_for(SECOND).await;
    assert_eq!(world.polls().len(), polls + 1);
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_service_that_comes_back_within_the_slot_is_polled_in_it() {
    let mut world = quiet(setup()).await;
    let logs = Logs::capture();
    world.cta.refuse_connections().await.unwrap();
    let mut waited = Duration::ZERO;
    while !logs
        .take()
        .iter()
        .any(|line| line.text.contains("cannot connect"))
    {
        world.run_for(SECOND).await;
        waited += SECOND;
        assert!(waited < HOUR);
    }
    world.cta.accept_connections().await.unwrap();
    let polls = world.polls().len();
    world.run_for(30 * SECOND).await;
    assert_eq!(world.polls().len(), polls + 1);
    assert_eq!(logs.take_alarms(), []);
    world.run_for(HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bad_block_is_a_dead_letter_and_the_window_commits() {
    for block in [BadBlock::NotStix, BadBlock::Broken, BadBlock::Encrypted] {
        let mut world = quiet(setup()).await;
        let logs = Logs::capture();
        let checkpoint = world.checkpoint();
        let fault = CtaFault::BadBlock { block };
        world
            .cta
            .set_fault(ArmedFault::once(fault).on(CtaFaultOn::Poll));
        next_poll(&mut world).await;
        let words = ["a content block cannot be read", "spool/dead-letters/"];
        assert_one_alarm(&logs.take_alarms(), Level::ERROR, &words);
        assert_ne!(world.checkpoint(), checkpoint);
        let ledger = world.ledger();
        let polled = ledger
            .iter()
            .rev()
            .find(|record| record["type"] == "polled");
        assert_eq!(polled.unwrap()["counts"]["refused_blocks"], 1);
        assert_eq!(world.status().spool.dead_letters, 1);
        let letters = world.state_folder().join("spool/dead-letters");
        let text = std::fs::read_to_string(letters.join("00000001.jsonl")).unwrap();
        let letter: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert!(!letter["reason"].as_str().unwrap().is_empty());
        let raw = std::fs::read_to_string(letters.join(letter["file"].as_str().unwrap()));
        assert!(raw.unwrap().contains("Content_Block"));
        world.run_for(HOUR).await;
        world.assert_exactly_once();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_to_another_request_is_warned_of_once() {
    let mut world = quiet(setup()).await;
    let logs = Logs::capture();
    world
        .cta
        .set_fault(ArmedFault::times(3, CtaFault::WrongInResponseTo).on(CtaFaultOn::Poll));
    world.run_for(HOUR).await;
    assert_one_alarm(&logs.take_alarms(), Level::WARN, &["in response to"]);
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_part_number_with_a_comma_is_no_matter() {
    let mut world = quiet(setup()).await;
    let logs = Logs::capture();
    world
        .cta
        .set_fault(ArmedFault::times(3, CtaFault::GroupedPartNumber));
    world.run_for(HOUR).await;
    let alarms = logs.take_alarms();
    assert!(
        alarms.iter().all(|line| line.level > Level::ERROR),
        "{alarms:#?}"
    );
    world.assert_exactly_once();
}
