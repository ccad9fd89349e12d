//! Receivers of events: collectors and syslog servers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cta_forwarder::clock::SystemClock;
use cta_forwarder::simulator::content::ContentGenerator;
use cta_forwarder::simulator::cta::{CtaRules, CtaService};

use crate::agent::Agent;
use crate::server::{FOR_EVER, Speech, gzip_bomb, http, serve};

/// What the binary may take at most beside all of these receivers.
const MAX_PEAK_MEBIBYTES: u64 = 160;

struct Case {
    name: &'static str,
    speech: Speech,
    kind: &'static str,
    /// Words of the line that tells of it; none if nothing has to be told.
    told: &'static [&'static str],
}

const HEC: &str = "type = \"splunk_hec\"\ntoken = { file = \"{folder}/secret\" }\n\
    request_timeout = \"2s\"\nendpoints = [\"http://ADDRESS\"]";
const TCP: &str = "type = \"syslog\"\ntransport = \"tcp\"\nconnect_timeout = \"2s\"\n\
    write_timeout = \"2s\"\naddresses = [\"ADDRESS\"]";
const RELP: &str = "type = \"syslog\"\ntransport = \"relp\"\nconnect_timeout = \"2s\"\n\
    write_timeout = \"2s\"\naddresses = [\"ADDRESS\"]";

/// One agent whose outputs are all of these; each failure is told in the words that it should be.
async fn check(cases: Vec<Case>) {
    let rules = CtaRules::default();
    let cta = CtaService::start(rules, Arc::new(SystemClock::new())).unwrap();
    let mut generator = ContentGenerator::new(1);
    while cta.published_ids().len() < 100 {
        // Not in the second in which the window ends.
        cta.publish(generator.publication(cta.now() - chrono::TimeDelta::minutes(5)));
    }
    let account = &CtaRules::default().accounts[0];
    let mut sections = format!(
        "[[service]]\nname = \"cta\"\npoll_url = \"{}\"\nusername = {:?}\npassword = {:?}\n\
         collections = [{:?}]\nschedule = \"* * * * * *\"\nsettle = \"0s\"\n\
         initial_lookback = \"1h\"\n",
        cta.poll_url(),
        account.username,
        account.password,
        CtaRules::COLLECTION,
    );
    let mut expected = Vec::new();
    for case in cases {
        let address = serve(case.speech).await;
        let kind = case.kind.replace("ADDRESS", &address.to_string());
        writeln!(sections, "[[output]]\nname = {:?}\n{kind}", case.name).unwrap();
        if !case.told.is_empty() {
            let words = case.told.iter().map(|word| (*word).to_owned());
            expected.push(words.chain([format!("output={:?}", case.name)]).collect());
        }
    }
    let mut agent = Agent::start(&sections);
    agent.says(&expected).await;
    let peak = agent.peak_mebibytes();
    assert!(peak <= MAX_PEAK_MEBIBYTES, "{peak} MiB");
}

fn flood(start: &str, again: &str) -> Speech {
    Speech {
        start: start.as_bytes().to_vec(),
        again: again.repeat(1 + (64 << 10) / again.len()).into_bytes(),
        times: FOR_EVER,
        ..Speech::default()
    }
}

fn drip(start: &str, again: &str) -> Speech {
    Speech {
        again: again.as_bytes().to_vec(),
        pause: Duration::from_millis(50),
        ..flood(start, again)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collectors() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    const HELD: &str = "delivery is held until this is mended";
    const AGAIN: &str = "cannot deliver; it is tried again for ever";
    const FOREIGN: &str = "HTTP 200 with something that is not HEC's answer";
    let case = |name, speech, told| Case {
        name,
        speech,
        kind: HEC,
        told,
    };
    let nested = format!("{{\"text\":{}", "[".repeat(60_000));
    check(vec![
        case(
            "endless",
            flood(&format!("{HEAD}\r\n{{\"text\":\""), "x"),
            &[HELD, FOREIGN],
        ),
        case(
            "gzip-bomb",
            gzip_bomb("", b"{\"text\":\"", 10 << 10),
            &[HELD, FOREIGN],
        ),
        case("nested", http("", nested), &[HELD, FOREIGN]),
        case(
            "head-byte-by-byte",
            drip(&format!("{HEAD}X-A: "), "a"),
            &[AGAIN, "timed out"],
        ),
        case(
            "body-byte-by-byte",
            drip(&format!("{HEAD}\r\n"), " "),
            &[AGAIN, "timed out"],
        ),
        case(
            "informational",
            drip("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
            &[AGAIN, "timed out"],
        ),
        case(
            "headers",
            flood(HEAD, "X-A: aaaaaaaaaaaaaaaaaaaa\r\n"),
            &[AGAIN, "failed"],
        ),
        case(
            "redirects",
            Speech {
                start: b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
                ..Speech::default()
            },
            &[HELD, "the endpoint redirects, which is not followed"],
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_servers() {
    const AGAIN: &str = "cannot deliver; it is tried again for ever";
    const OPENED: &str = "1 rsp 53 200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog\n";
    let case = |name, kind, speech, told| Case {
        name,
        speech,
        kind,
        told,
    };
    let unasked = |speech| Speech {
        is_unasked: true,
        ..speech
    };
    check(vec![
        case(
            "chatter",
            TCP,
            unasked(flood("", "welcome to this server\r\n")),
            // Nobody wants to hear it; what the receiver's TCP acknowledges is delivered all the same.
            &[],
        ),
        case(
            "hints",
            RELP,
            flood(OPENED, "0 hint 0\n"),
            &[AGAIN, "nothing has moved for 2s"],
        ),
        case(
            "hints-byte-by-byte",
            RELP,
            drip(OPENED, "0 hint 0\n"),
            &[AGAIN, "nothing has moved for 2s"],
        ),
        case(
            "hints-before-open",
            RELP,
            unasked(drip("", "0 hint 0\n")),
            &[AGAIN, "no answer after 2s"],
        ),
        case(
            "endless-header",
            RELP,
            flood(OPENED, "x"),
            &[AGAIN, "a RELP frame's header is longer than 52 bytes"],
        ),
        case(
            "huge-frame",
            RELP,
            flood(&format!("{OPENED}2 rsp 999999999 "), "x"),
            &[AGAIN, "a RELP frame holds 999999999 bytes, over 131072"],
        ),
        case(
            "long-answer",
            RELP,
            Speech {
                start: format!("{OPENED}2 rsp 100000 {}\n", "x".repeat(100_000)).into_bytes(),
                ..Speech::default()
            },
            &[AGAIN, "a RELP answer begins with no status of three digits"],
        ),
        case(
            "endless-answer",
            RELP,
            flood(&format!("{OPENED}2 rsp 131072 200 "), "x"),
            &[AGAIN, "a RELP frame does not end where its length says"],
        ),
        case(
            "frame-byte-by-byte",
            RELP,
            drip(&format!("{OPENED}2 rsp 131072 200 "), "x"),
            &[AGAIN, "nothing has moved for 2s"],
        ),
        case(
            "other-protocol",
            RELP,
            unasked(flood("HTTP/1.1 400 Bad Request\r\n\r\n", "x")),
            &[
                AGAIN,
                "a RELP frame's header is not a number, a command and a length",
            ],
        ),
    ])
    .await;
}
