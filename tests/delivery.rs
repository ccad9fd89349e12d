//! What becomes of events once they are in the spool: every class of a collector's answers,
//! outages of one output while the others go on, a full spool, outputs that come and go.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::CtaRules;
use cta_forwarder::simulator::hec::{HecFault, HecRequestKind, TooLarge};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tracing::Level;
use world::logs::{Line, Logs};
use world::{Setup, World, assert_same};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const SPLUNK: &str = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                      token = { file = \"{folder}/token\" }\n";

fn setup(splunk: &str) -> Setup {
    Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: format!("{SPLUNK}{splunk}\n"),
        ..Setup::default()
    }
}

async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
}

fn status(status: u16, retry_after: Option<&str>) -> HecFault {
    HecFault::HttpStatus {
        status,
        retry_after: retry_after.map(str::to_owned),
    }
}

fn code(code: u8) -> HecFault {
    HecFault::Code { code, event: 0 }
}

fn of_level(alarms: &[Line], level: Level) -> Vec<&Line> {
    alarms.iter().filter(|line| line.level == level).collect()
}

#[track_caller]
fn assert_words(line: &Line, words: &[&str]) {
    for word in words {
        assert!(line.text.contains(word), "{word:?} is not in {line:?}");
    }
}

fn pending(world: &World, output: &str) -> u64 {
    let outputs = world.status().outputs;
    let found = outputs.iter().find(|status| status.name == output);
    found.unwrap().pending_events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_request_is_larger_than_a_batch_may_be() {
    const MAX_BYTES: usize = 5000;
    let keys = format!("gzip = false\nbatch = {{ max_bytes = {MAX_BYTES} }}");
    let mut world = World::new(setup(&keys));
    publish_for(&mut world, 30).await;
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    let requests = world.hec.requests();
    let several = requests.iter().filter(|request| request.taken > 1);
    assert!(several.clone().count() > 1, "nothing was sent together");
    let largest = several.map(|request| request.body_bytes).max();
    assert!(largest <= Some(MAX_BYTES), "{largest:?} bytes");
    assert!(largest > Some(MAX_BYTES / 2), "{largest:?} bytes only");
}

/// The file goes on while Splunk shows a fault; when it is over, Splunk catches up by itself.
async fn outage(fault: HecFault, level: Level, words: &[&str]) {
    let shown = format!("{fault:?}");
    let mut world = World::new(setup(""));
    publish_for(&mut world, 25).await;
    let logs = Logs::capture();
    world.hec.set_fault(ArmedFault::until_cleared(fault));
    publish_for(&mut world, 20).await;
    world.run_for(20 * MINUTE).await;
    world.assert_exactly_once();
    assert!(pending(&world, "splunk") > 0, "{shown}");
    let alarms = logs.take_alarms();
    let told = of_level(&alarms, level);
    assert_words(told[0], words);
    if level == Level::ERROR {
        assert_eq!(told.len(), 1, "{shown}: {told:#?}");
    } else {
        assert_eq!(of_level(&alarms, Level::ERROR), Vec::<&Line>::new());
        assert!(told.len() < 10, "{shown} fills the log: {told:#?}");
    }
    world.hec.clear_faults();
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    let status = world.status();
    assert_eq!((status.spool.dead_letters, status.spool.batches), (0, 0));
    assert!(
        status
            .outputs
            .iter()
            .all(|output| output.activity.hold.is_none())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_passes_is_tried_again_for_ever() {
    let words = ["cannot deliver", "nothing is lost", "output=\"splunk\""];
    for fault in [8, 9, 18, 19, 20, 23, 26, 27].map(code) {
        outage(fault, Level::WARN, &words).await;
    }
    for fault in [408, 429, 500, 503].map(|code| status(code, None)) {
        outage(fault, Level::WARN, &words).await;
    }
    for fault in [HecFault::Reset, HecFault::HangUp] {
        outage(fault, Level::WARN, &words).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_person_must_mend_holds_and_goes_on_by_itself() {
    for (number, mend) in [
        (1, "the token is disabled: enable it"),
        (2, "the token did not arrive"),
        (3, "the token has a wrong form"),
        (4, "Splunk does not know the token"),
        (7, "default index cannot be used"),
        (10, "acknowledgement"),
        (11, "acknowledgement"),
        (14, "acknowledgement is off"),
        (16, "Authorization header"),
        (21, "Splunk does not know the token"),
        (22, "the token is disabled"),
        (28, "the token's settings"),
    ] {
        let words = ["delivery is held until this is mended", mend];
        outage(code(number), Level::ERROR, &words).await;
    }
    for (fault, mend) in [
        (status(404, None), "there is no collector at this address"),
        (status(302, None), "the endpoint redirects"),
        (status(418, None), "this answer is unknown"),
        (HecFault::LoginPage, "login page"),
    ] {
        let words = ["delivery is held until this is mended", mend];
        outage(fault, Level::ERROR, &words).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_that_is_asked_for_is_kept() {
    let mut world = World::new(setup(""));
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    let fault = status(503, Some("1800"));
    world.hec.set_fault(ArmedFault::once(fault));
    let events = world.hec.requests().len();
    world.publish();
    while world.hec.requests().len() == events {
        world.run_for(SECOND).await;
    }
    world.run_for(29 * MINUTE).await;
    assert_eq!(world.hec.requests().len(), events + 1);
    world.run_for(10 * MINUTE).await;
    world.assert_exactly_once_at_splunk();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_is_lost_costs_one_request_twice() {
    for fault in [HecFault::AnswerLost, HecFault::HalfAnswer] {
        let mut world = World::new(setup("batch = { max_events = 10 }"));
        publish_for(&mut world, 25).await;
        world.hec.set_fault(ArmedFault::once(fault));
        publish_for(&mut world, 20).await;
        world.run_for(HOUR).await;
        let mut delivered = world.hec.event_ids();
        let all = delivered.len();
        delivered.sort_unstable();
        delivered.dedup();
        assert_same("Splunk", &world.cta.published_ids(), &delivered);
        assert!((1..=10).contains(&(all - delivered.len())));
        world.assert_exactly_once();
    }
}

/// The ids of the dead letters, which must have this code.
fn dead(world: &World, code: &str) -> Vec<EventId> {
    let path = world
        .state_folder()
        .join("spool/dead-letters/00000001.jsonl");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let letters = text.lines().map(|line| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(letter["code"], code, "{letter}");
        assert_eq!(letter["output"], "splunk");
        letter["event"]["eventId"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    });
    letters.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_bad_event_is_set_aside_and_the_rest_is_delivered_once() {
    for number in [6, 12, 13, 15] {
        let mut world = World::new(setup(""));
        publish_for(&mut world, 25).await;
        let logs = Logs::capture();
        let event = 3;
        let fault = HecFault::Code {
            code: number,
            event,
        };
        world.hec.set_fault(ArmedFault::once(fault));
        publish_for(&mut world, 20).await;
        world.run_for(HOUR).await;
        let dead = dead(&world, &format!("hec-{number}"));
        assert_eq!(dead.len(), 1);
        assert_eq!(world.status().spool.dead_letters, 1);
        let alarms = logs.take_alarms();
        assert_eq!(alarms.len(), 1, "{alarms:#?}");
        assert_words(
            &alarms[0],
            &["set aside in spool/dead-letters/", "the rest goes on"],
        );
        let everywhere = [world.hec.event_ids(), dead].concat();
        assert_same("Splunk", &world.cta.published_ids(), &everywhere);
        let status = world.status();
        let splunk = status.outputs.iter().find(|output| output.name == "splunk");
        let finished = splunk.unwrap().finished;
        assert_eq!(finished.dead_letters, 1);
        assert_eq!(finished.total(), world.cta.published_ids().len() as u64);
        world.assert_adds_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_too_much_at_once_is_halved_down_to_one_event() {
    for (too_large, dead_code) in [
        (TooLarge::Status413, "too-large"),
        (TooLarge::InvalidEvent0, "hec-6"),
    ] {
        let mut world = World::new(setup(""));
        world.hec.change_rules(|rules| {
            rules.too_large = too_large;
            rules.max_content_bytes = 1700;
        });
        publish_for(&mut world, 25).await;
        world.run_for(HOUR).await;
        let dead = dead(&world, dead_code);
        let published = world.cta.published_ids();
        assert!(
            !dead.is_empty() && dead.len() < published.len() / 2,
            "{}",
            dead.len()
        );
        let everywhere = [world.hec.event_ids(), dead].concat();
        assert_same("Splunk", &published, &everywhere);
        world.assert_exactly_once();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_collector_that_nears_its_limit_gets_less_at_once() {
    for number in [24, 25] {
        let mut world = World::new(setup("batch = { max_events = 16 }"));
        for _ in 0..30 {
            world.publish();
        }
        world.run_for(SECOND).await;
        world.hec.set_fault(ArmedFault::times(3, code(number)));
        world.run_for(20 * MINUTE).await;
        let requests = world.hec.requests();
        let taken = requests
            .iter()
            .filter(|request| request.kind == HecRequestKind::Events);
        let taken: Vec<usize> = taken.map(|request| request.taken).collect();
        assert_eq!(taken[..4], [16, 8, 4, 2]);
        world.run_for(HOUR).await;
        world.assert_exactly_once_at_splunk();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_receiver_that_refuses_everything_is_not_believed() {
    let mut world = World::new(setup(""));
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    let logs = Logs::capture();
    let before = world.hec.events_taken();
    world.hec.set_fault(ArmedFault::until_cleared(code(12)));
    // More than the limit in one batch, then another.
    for _ in 0..20 {
        world.publish();
    }
    world.run_for(30 * MINUTE).await;
    world.publish();
    world.run_for(HOUR).await;
    let alarms = logs.take_alarms();
    let held = alarms
        .iter()
        .filter(|line| line.text.contains("delivery is held"));
    assert_eq!(held.count(), 1, "{alarms:#?}");
    let letters = world.status().spool.dead_letters;
    world.run_for(HOUR).await;
    assert_eq!(
        world.status().spool.dead_letters,
        letters,
        "nothing more is set aside"
    );
    assert_eq!(world.hec.events_taken(), before);
    world.hec.clear_faults();
    world.run_for(HOUR).await;
    let everywhere = [world.hec.event_ids(), dead(&world, "hec-12")].concat();
    assert_same("Splunk", &world.cta.published_ids(), &everywhere);
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_dead_letters_have_no_room_the_output_holds() {
    let mut world = World::new(Setup {
        state: "max_dead_letter_bytes = \"1KiB\"\n".to_owned(),
        ..setup("")
    });
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    let logs = Logs::capture();
    world.hec.set_fault(ArmedFault::until_cleared(code(12)));
    for _ in 0..10 {
        world.publish();
    }
    world.run_for(20 * MINUTE).await;
    let alarms = logs.take_alarms();
    let held = alarms
        .iter()
        .find(|line| line.text.contains("delivery is held"));
    assert_words(
        held.unwrap(),
        &[
            "cta-forwarder dead-letters list",
            "state.max_dead_letter_bytes",
        ],
    );
    let count = alarms
        .iter()
        .filter(|line| line.text.contains("delivery is held"));
    assert_eq!(count.count(), 1, "{alarms:#?}");
    let first = hold_of(&world, "splunk").unwrap();
    world.run_for(5 * MINUTE).await;
    assert_eq!(hold_of(&world, "splunk").unwrap().since, first.since);
    world.assert_exactly_once();
    // The person makes room.
    world.hec.clear_faults();
    world.run_for(HOUR).await;
    assert_eq!(hold_of(&world, "splunk"), None);
    let everywhere = [world.hec.event_ids(), dead(&world, "hec-12")].concat();
    assert_same("Splunk", &world.cta.published_ids(), &everywhere);
    world.assert_adds_up();
}

fn hold_of(world: &World, output: &str) -> Option<cta_forwarder::observe::board::Hold> {
    let outputs = world.status().outputs;
    let found = outputs.into_iter().find(|status| status.name == output);
    found.unwrap().activity.hold
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn small_batches_travel_together_but_wait_no_longer_than_allowed() {
    let mut world = World::new(Setup {
        rules: CtaRules {
            min_poll_interval: Duration::from_secs(30),
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\nmin_poll_interval = \"30s\"\nmax_window = \"2m\"\n"
            .to_owned(),
        ..setup("batch = { max_wait = \"2m\" }")
    });
    // Thirty windows are fetched one after the other.
    world.run_for(5 * MINUTE).await;
    let begun = world.hec.requests().len();
    for _ in 0..30 {
        world.publish();
        world.run_for(20 * SECOND).await;
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    let polled = world.ledger();
    let batches = polled
        .iter()
        .filter(|record| record["type"] == "polled" && !record["seq"].is_null());
    let requests = world.hec.requests().len() - begun;
    assert!(requests <= batches.count(), "{requests} requests");
    let ledger = world.ledger();
    let mut waits = Vec::new();
    for record in ledger
        .iter()
        .filter(|record| record["type"] == "output_finished")
    {
        let of_batch =
            |other: &&serde_json::Value| other["type"] == "polled" && other["seq"] == record["seq"];
        let polled = ledger.iter().find(of_batch).unwrap();
        let time = |value: &serde_json::Value| {
            chrono::DateTime::parse_from_rfc3339(value["at"].as_str().unwrap()).unwrap()
        };
        waits.push((time(record) - time(polled)).num_seconds());
    }
    assert!(waits.iter().all(|wait| *wait <= 120), "{waits:?}");
    assert!(waits.contains(&120), "{waits:?}");
}

/// A syslog receiver on a port that can be closed and opened.
struct Receiver {
    address: std::net::SocketAddr,
    socket: Option<TcpSocket>,
    lines: mpsc::UnboundedReceiver<String>,
    sender: mpsc::UnboundedSender<String>,
}

impl Receiver {
    /// Bound, but not listening: connections are refused.
    fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        Self {
            address: socket.local_addr().unwrap(),
            socket: Some(socket),
            lines,
            sender,
        }
    }

    fn open(&mut self) {
        let listener = self.socket.take().unwrap().listen(16).unwrap();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(read_lines(stream, sender.clone()));
            }
        });
    }

    async fn ids(&mut self, count: usize) -> Vec<EventId> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let line = tokio::time::timeout(MINUTE, self.lines.recv()).await;
            let line = line.unwrap().unwrap();
            let json: serde_json::Value =
                serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
            ids.push(json["eventId"].as_str().unwrap().parse().unwrap());
        }
        ids
    }
}

async fn read_lines(stream: TcpStream, sender: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if sender.send(line).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_that_is_away_keeps_none_of_the_others_waiting() {
    let mut receiver = Receiver::closed();
    let syslog = format!(
        "[[output]]\nname = \"siem\"\ntype = \"syslog\"\naddresses = [\"{}\"]\nframing = \"lf\"\n",
        receiver.address
    );
    let mut world = World::new(setup(&syslog));
    let logs = Logs::capture();
    // The file cannot be written: its place is taken by a folder.
    let file = world.folder.path().join("events.jsonl");
    std::fs::create_dir(&file).unwrap();
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    let alarms = logs.take_alarms();
    assert_eq!(of_level(&alarms, Level::ERROR).len(), 1, "{alarms:#?}");
    assert_words(
        of_level(&alarms, Level::ERROR)[0],
        &["output=\"file\"", "delivery is held"],
    );
    assert_words(
        of_level(&alarms, Level::WARN)[0],
        &["output=\"siem\"", "cannot deliver"],
    );
    std::fs::remove_dir(&file).unwrap();
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    receiver.open();
    world.restart();
    world.run_for(HOUR).await;
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    let published = world.cta.published_ids();
    assert_same("syslog", &published, &receiver.ids(published.len()).await);
    assert_eq!(world.status().spool.batches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn splunk_is_away_for_a_day_and_a_second_output_goes_on() {
    let mut world = World::new(setup(""));
    publish_for(&mut world, 25).await;
    let logs = Logs::capture();
    world.hec.refuse_connections().await.unwrap();
    for _ in 0..48 {
        world.run_for(30 * MINUTE).await;
        world.publish();
        world.publish();
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    let waiting = pending(&world, "splunk");
    assert!(waiting > 500, "{waiting}");
    // A day's outage is told now and then, not at every try.
    let alarms = logs.take_alarms();
    assert!((1..20).contains(&alarms.len()), "{alarms:#?}");
    world.restart();
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    assert_eq!(pending(&world, "splunk"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_spool_that_holds_stops_polling_and_goes_on_by_itself() {
    let mut world = World::new(Setup {
        rules: CtaRules {
            retention: chrono::TimeDelta::days(1),
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\nretention = \"1d\"\n".to_owned(),
        state: "max_spool_bytes = \"20KiB\"\n".to_owned(),
        ..setup("")
    });
    publish_for(&mut world, 25).await;
    let logs = Logs::capture();
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 120).await;
    let status = world.status();
    let hold = status.collections[0].activity.hold.clone().unwrap();
    assert!(hold.reason.contains("state.max_spool_bytes") || hold.reason.contains("no room"));
    assert!(status.spool.bytes <= 20 << 10);
    let polls = world.polls().len();
    let alarms = logs.take_alarms();
    let told: Vec<_> = alarms
        .iter()
        .filter(|line| line.text.contains("polling waits"))
        .collect();
    assert_eq!(told.len(), 1, "{alarms:#?}");
    assert_eq!(told[0].level, Level::WARN, "{told:?}");
    // From half the retention on somebody must look.
    world.run_for(12 * HOUR).await;
    let alarms = logs.take_alarms();
    let errors = of_level(&alarms, Level::ERROR);
    assert_eq!(errors.len(), 1, "{alarms:#?}");
    assert_words(errors[0], &["half of the time", "state.max_spool_bytes"]);
    let later = world.status().collections[0].activity.hold.clone().unwrap();
    assert_eq!(later.since, hold.since);
    assert_eq!(world.polls().len(), polls, "fetched for nothing");
    world.hec.accept_connections().await.unwrap();
    world.run_for(6 * HOUR).await;
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    assert_eq!(world.status().collections[0].activity.hold, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_spool_that_releases_gives_up_the_oldest_and_no_more() {
    let second = "[[output]]\nname = \"other\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\nwhen_spool_full = \"release\"\n";
    let mut world = World::new(Setup {
        state: "max_spool_bytes = \"20KiB\"\n".to_owned(),
        ..setup(&format!("when_spool_full = \"release\"\n{second}"))
    });
    publish_for(&mut world, 25).await;
    let logs = Logs::capture();
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 180).await;
    world.run_for(HOUR).await;
    // Polling goes on, and who can deliver has everything.
    world.assert_exactly_once();
    assert_eq!(world.status().collections[0].activity.hold, None);
    let alarms = logs.take_alarms();
    let released = alarms
        .iter()
        .filter(|line| line.text.contains("gives up its oldest events"));
    assert!(released.count() > 0, "{alarms:#?}");
    let status = world.status();
    assert!(
        status.spool.bytes > 8 << 10,
        "it gave up more than was wanted: {:?}",
        status.spool
    );
    let of = |name: &str| {
        status
            .outputs
            .iter()
            .find(|output| output.name == name)
            .unwrap()
            .clone()
    };
    let (splunk, other) = (of("splunk"), of("other"));
    assert!(splunk.finished.abandoned > 0);
    assert_eq!(splunk.finished, other.finished);
    let published = world.cta.published_ids().len() as u64;
    assert_eq!(splunk.finished.total() + splunk.pending_events, published);
    // What was given up can still be found.
    assert!(
        std::fs::read_dir(world.state_folder().join("archive"))
            .unwrap()
            .count()
            > 0
    );
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    let delivered = world.hec.event_ids().len() as u64;
    assert_eq!(delivered, 2 * (published - splunk.finished.abandoned));
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_given_up_is_delivered_though_it_is_older() {
    // What the second output holds cannot make room, so younger batches are given up before it.
    let second = "[[output]]\nname = \"other\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\ncollections = [\"held\"]\n";
    let mut world = World::new(Setup {
        rules: CtaRules::for_collections(&["held", "free"]),
        state: "max_spool_bytes = \"50KiB\"\n".to_owned(),
        ..setup(&format!(
            "when_spool_full = \"release\"\nbatch = {{ max_events = 5 }}\n{second}"
        ))
    });
    world.hec.refuse_connections().await.unwrap();
    // One batch, so that there is room for younger ones.
    for _ in 0..20 {
        world.publish_to("held");
        world.run_for(MINUTE).await;
    }
    for _ in 0..240 {
        world.publish_to("free");
        world.run_for(MINUTE).await;
    }
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    let status = world.status();
    let mut splunk = status.outputs.iter().filter(|one| one.name == "splunk");
    let splunk = splunk.next().unwrap();
    assert!(splunk.finished.abandoned > 0, "nothing was given up");
    assert_eq!(splunk.pending_events, 0, "what is owed is forgotten");
    assert_eq!(status.spool.batches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_given_up_while_another_output_holds_the_same() {
    let second = "[[output]]\nname = \"other\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\n";
    let mut world = World::new(Setup {
        state: "max_spool_bytes = \"20KiB\"\n".to_owned(),
        ..setup(&format!("when_spool_full = \"release\"\n{second}"))
    });
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 120).await;
    assert!(world.status().collections[0].activity.hold.is_some());
    let given_up = world
        .status()
        .outputs
        .iter()
        .map(|output| output.finished.abandoned)
        .sum::<u64>();
    assert_eq!(given_up, 0);
    world.hec.accept_connections().await.unwrap();
    world.run_for(3 * HOUR).await;
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn outputs_come_and_go() {
    let mut world = World::new(setup(""));
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 25).await;
    world.run_for(MINUTE).await;
    let owed = pending(&world, "splunk");
    assert!(owed > 0);

    // One leaves the configuration: what it owes stays.
    let with_splunk = std::cell::RefCell::new(String::new());
    world.restart_with(|toml| {
        with_splunk.replace(toml.to_owned());
        let at = toml.find("[[output]]\nname = \"splunk\"").unwrap();
        toml[..at].to_owned()
    });
    publish_for(&mut world, 25).await;
    world.run_for(HOUR).await;
    assert_eq!(pending(&world, "splunk"), owed);
    world.assert_adds_up();

    // It comes back, together with one that begins with the oldest and one that begins now.
    let (now, oldest) = (
        world.folder.path().join("now"),
        world.folder.path().join("oldest"),
    );
    let more = format!(
        "\n[[output]]\nname = \"now\"\ntype = \"file\"\npath = \"{}\"\n\
         [[output]]\nname = \"oldest\"\ntype = \"file\"\npath = \"{}\"\nstart_at = \"oldest\"\n\
         [[output]]\nname = \"none\"\ntype = \"file\"\npath = \"{}.none\"\ncollections = [\"others\"]\n",
        now.display(),
        oldest.display(),
        now.display(),
    );
    let before = world.cta.published_ids().len();
    world.restart_with(|_| with_splunk.take() + &more);
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    assert_eq!(pending(&world, "splunk"), 0);
    assert_eq!(world.hec.event_ids().len() as u64, owed);
    let oldest = world::ids_in(&oldest);
    assert_eq!(oldest.len() as u64, owed, "what was in the spool then");
    assert_eq!(world::ids_in(&now), []);
    publish_for(&mut world, 10).await;
    world.run_for(HOUR).await;
    let published = world.cta.published_ids();
    assert_same("the new file", &published[before..], &world::ids_in(&now));
    assert_eq!(pending(&world, "none"), 0);
    world.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_collection_goes_where_it_is_wanted() {
    let mut world = World::new(Setup {
        rules: CtaRules::for_collections(&["one", "two"]),
        file: "collections = [\"one\"]\n".to_owned(),
        ..setup("collections = [\"two\"]")
    });
    for _ in 0..40 {
        world.run_for(MINUTE).await;
        world.publish_to("one");
        world.publish_to("two");
    }
    world.run_for(HOUR).await;
    assert_same(
        "the file",
        &world.cta.published_ids_of("one"),
        &world.ids_in_file(),
    );
    assert_same(
        "Splunk",
        &world.cta.published_ids_of("two"),
        &world.hec.event_ids(),
    );
    // What nobody takes is fetched, kept in the archive and owed by nobody.
    let taken = world.hec.events_taken();
    world.restart_with(|toml| toml.replace("collections = [\"two\"]", "collections = [\"three\"]"));
    world.publish_to("two");
    world.run_for(HOUR).await;
    assert_eq!(world.status().spool.batches, 0);
    assert_eq!(world.hec.events_taken(), taken);
    let fetched = world.collection("two").events;
    assert_eq!(fetched, world.cta.published_ids_of("two").len() as u64);
}
