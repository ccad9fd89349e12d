//! `send-test`: beside an agent and without one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use cta_forwarder::simulator::hec::{AckPolicy, HecRules, HecServer};
use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules, SyslogTransport};
use serde_json::Value;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn send_test(simulator: &Simulator, more: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["send-test"][..], more].concat()))
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect(&ended.stderr)
}

/// What Splunk has of tests.
fn tests(simulator: &Simulator) -> Vec<Value> {
    let events = simulator.get("/hec/events");
    let events = events.as_array().unwrap().iter();
    let events = events.map(|event| event["event"].clone());
    events
        .filter(|event| event["ctaForwarderTest"] == "true")
        .collect()
}

/// With a file as the second output.
fn simulator() -> Simulator {
    let simulator = Simulator::start();
    let path = simulator.folder.path().join("events.jsonl");
    let path = path.to_str().unwrap();
    simulator.edit(|text| {
        format!("{text}\n[[output]]\nname = \"second\"\ntype = \"file\"\npath = {path:?}\n")
    });
    simulator
}

fn of<'a>(report: &'a Value, output: &str) -> &'a Value {
    let mut outputs = report["outputs"].as_array().unwrap().iter();
    let found = outputs.find(|tried| tried["output"] == output);
    found.unwrap_or_else(|| panic!("no {output}: {report:#}"))
}

#[test]
fn beside_an_agent_it_goes_the_way_of_all_events() {
    let simulator = simulator();
    let agent = simulator.start_agent();
    let ended = send_test(&simulator, &["--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = report(&ended);
    for output in ["splunk", "second"] {
        assert_eq!(of(&told, output)["result"], "delivered", "{told:#}");
    }
    let sent = tests(&simulator);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["eventId"], told["event_id"]);
    assert_eq!(sent[0]["collection"], "cta-forwarder-test");
    let seq = told["batch"].as_u64().unwrap();
    let table = send_test(&simulator, &["--to", "second", "--collection", "flows"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("second  delivered"), "{table:?}");
    assert!(table.stdout.contains("ctaForwarderTest=true"), "{table:?}");
    assert_eq!(tests(&simulator).len(), 1);
    let file = fs::read_to_string(simulator.folder.path().join("events.jsonl")).unwrap();
    assert!(file.contains("\"collection\":\"flows\""), "{file}");
    // Nothing of it stays, and everything adds up.
    let archive = run(&simulator.arguments(&["spool", "list", "--archive", "--json"]));
    assert!(!archive.stdout.contains(&format!("\"seq\":{seq},")));
    assert_eq!(run(&simulator.arguments(&["audit"])).code, Some(0));
    let checkpoints = run(&simulator.arguments(&["checkpoint", "show"]));
    assert!(!checkpoints.stdout.contains("test"), "{checkpoints:?}");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn what_holds_an_output_is_told_with_its_mend_and_the_event_goes_out_later() {
    let simulator = simulator();
    let agent = simulator.start_agent();
    wait_until("everything is delivered", || {
        let events = simulator.get("/hec/events");
        events.as_array().unwrap().len() == simulator.published().len()
    });
    simulator.put("/hec/fault", r#"{"fault": "code", "code": 1, "event": 0}"#);
    // What waits for a person is not waited for.
    let ended = send_test(&simulator, &["--json", "--timeout", "10m"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = report(&ended);
    assert_eq!(of(&told, "second")["result"], "delivered");
    let held = of(&told, "splunk");
    assert_eq!(held["result"], "held", "{told:#}");
    let mend = held["mend"].as_str().unwrap();
    assert!(mend.contains("the token is disabled"), "{told:#}");
    simulator.delete("/hec/fault");
    wait_until("it goes out by itself", || tests(&simulator).len() == 1);

    simulator.put(
        "/hec/fault",
        r#"{"fault": "code", "code": 12, "event": 0, "times": 1}"#,
    );
    let told = report(&send_test(&simulator, &["--json", "--to", "splunk"]));
    assert_eq!(of(&told, "splunk")["result"], "refused", "{told:#}");
    assert!(
        of(&told, "splunk")["what"]
            .as_str()
            .unwrap()
            .contains("hec-12"),
        "{told:#}"
    );

    simulator.put("/hec/outage", "");
    let told = report(&send_test(
        &simulator,
        &["--json", "--to", "splunk", "--timeout", "1s"],
    ));
    let result = of(&told, "splunk")["result"].as_str().unwrap();
    assert!(["failing", "waiting"].contains(&result), "{told:#}");
    simulator.delete("/hec/outage");
    wait_until("it goes out by itself", || tests(&simulator).len() == 2);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn without_an_agent_it_is_sent_once_and_nothing_is_owed() {
    let simulator = simulator();
    let ended = send_test(&simulator, &["--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("no agent runs"), "{ended:?}");
    let told = report(&ended);
    assert_eq!(of(&told, "splunk")["result"], "delivered", "{told:#}");
    assert_eq!(told["batch"], Value::Null);
    assert_eq!(tests(&simulator)[0]["eventId"], told["event_id"]);
    assert!(!simulator.state().exists());

    simulator.put("/hec/outage", "");
    let told = report(&send_test(&simulator, &["--json"]));
    assert_eq!(of(&told, "splunk")["result"], "failing", "{told:#}");
    assert!(
        of(&told, "splunk")["what"].to_string().contains("refused"),
        "{told:#}"
    );
    assert_eq!(of(&told, "second")["result"], "delivered", "{told:#}");
    simulator.delete("/hec/outage");

    let wrong = simulator.folder.path().join("agent.toml.hec-token");
    fs::write(&wrong, "wrong-token-7b1d9f").unwrap();
    let ended = send_test(&simulator, &["--to", "splunk"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("Splunk does not know the token"),
        "{ended:?}"
    );
    assert!(!format!("{ended:?}").contains("7b1d9f"));
    assert_eq!(tests(&simulator).len(), 1);
}

#[test]
fn an_output_that_is_not_there_is_refused_with_a_reason() {
    let simulator = simulator();
    let check = || {
        let ended = send_test(&simulator, &["--to", "nowhere"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        assert!(
            ended.stderr.contains("there are: splunk, second"),
            "{ended:?}"
        );
    };
    check();
    let agent = simulator.start_agent();
    check();
    assert_eq!(agent.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_agent_confirmed_is_what_the_receiver_confirms() {
    let simulator = Simulator::start();
    let siem = siem();
    let acknowledging = |policy| {
        HecServer::start(HecRules {
            acknowledgement: Some(policy),
            ..HecRules::default()
        })
        .unwrap()
    };
    let (at_once, never) = (
        acknowledging(AckPolicy::AfterAsked(2)),
        acknowledging(AckPolicy::Never),
    );
    simulator.edit(|text| {
        let (head, _) = text.split_once("[[output]]").unwrap();
        let collector = |name: &str, hec: &HecServer| {
            let (url, token) = (hec.url(), HecRules::default().token);
            format!(
                "[[output]]\nname = {name:?}\ntype = \"splunk_hec\"\nendpoints = [{url:?}]\n\
                 token = {token:?}\nacknowledge = true\nack_interval = \"100ms\"\n"
            )
        };
        // The first receiver is away; the next takes its place.
        format!(
            "{head}[[output]]\nname = \"siem\"\ntype = \"syslog\"\ntransport = \"relp\"\n\
             addresses = [\"127.0.0.1:1\", \"{}\"]\n{}{}",
            siem.address(),
            collector("indexed", &at_once),
            collector("never", &never),
        )
    });
    let told = report(&send_test(&simulator, &["--json", "--timeout", "3s"]));
    assert_eq!(of(&told, "siem")["result"], "delivered", "{told:#}");
    assert!(
        of(&told, "siem")["what"]
            .to_string()
            .contains("127.0.0.1:1: "),
        "{told:#}"
    );
    assert_eq!(of(&told, "indexed")["result"], "delivered", "{told:#}");
    assert_eq!(of(&told, "never")["result"], "waiting", "{told:#}");
    assert_eq!(siem.messages_taken(), 1);
    assert_eq!(siem.violations(), []);
}

#[test]
fn without_an_agent_nothing_is_written_that_the_agent_could_not_open() {
    // Only root can make a file another user's.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let simulator = simulator();
    let file = simulator.folder.path().join("events.jsonl");
    fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
    let ended = send_test(&simulator, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("belongs to the user with id 65534"),
        "{ended:?}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
    assert_eq!(tests(&simulator), [] as [Value; 0]);
    let ended = send_test(&simulator, &["--to", "splunk"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn an_event_on_standard_output_does_not_spoil_the_object_of_a_script() {
    let simulator = Simulator::start();
    simulator.edit(|text| format!("{text}\n[[output]]\nname = \"second\"\ntype = \"stdout\"\n"));
    let ended = send_test(&simulator, &["--json"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("--to"), "{ended:?}");
    let ended = send_test(&simulator, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("\"ctaForwarderTest\""), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_says_nothing_leaves_time_for_the_next() {
    let simulator = Simulator::start();
    let siem = siem();
    // It takes connections and says nothing.
    let silent = listener();
    simulator.edit(|text| {
        let (head, _) = text.split_once("[[output]]").unwrap();
        format!(
            "{head}[[output]]\nname = \"siem\"\ntype = \"syslog\"\ntransport = \"relp\"\n\
             addresses = [\"{}\", \"{}\"]\n",
            silent.local_addr().unwrap(),
            siem.address()
        )
    });
    let told = report(&send_test(&simulator, &["--json", "--timeout", "6s"]));
    assert_eq!(of(&told, "siem")["result"], "delivered", "{told:#}");
    assert_eq!(siem.messages_taken(), 1);
}

/// An answer that comes too late is the one of whoever gives it.
#[test]
fn a_late_answer_is_not_taken_for_that_of_the_next_peer() {
    let simulator = Simulator::start();
    let (late, next) = (listener(), listener());
    let endpoint = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (first, second) = (endpoint(&late), endpoint(&next));
    simulator.edit(|text| {
        let (head, _) = text.split_once("[[output]]").unwrap();
        format!(
            "{head}[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\n\
             endpoints = [{first:?}, {second:?}]\ntoken = \"t\"\n"
        )
    });
    let answering = std::thread::spawn(move || {
        let mut early = asked(&late);
        // The first has had its time.
        let mut other = asked(&next);
        answer(
            &mut early,
            "503 Service Unavailable",
            r#"{"text":"Server is busy","code":9}"#,
        );
        // The client has read that.
        let _ = early.read(&mut [0]);
        answer(&mut other, "200 OK", r#"{"text":"Success","code":0}"#);
    });
    let told = report(&send_test(&simulator, &["--json", "--timeout", "6s"]));
    answering.join().unwrap();
    assert_eq!(of(&told, "splunk")["result"], "delivered", "{told:#}");
    let what = of(&told, "splunk")["what"].to_string();
    assert!(what.contains(&second), "{told:#}");
    assert!(!what.contains("code 9"), "{told:#}");
}

fn siem() -> SyslogReceiver {
    let relp = SyslogTransport::Relp {
        window: 128,
        tls: None,
    };
    SyslogReceiver::start(SyslogRules::over(relp)).unwrap()
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The connection of the next request, which is read to its end.
fn asked(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if request.len() >= head.len() + 4 + length.unwrap().parse::<usize>().unwrap() {
            return stream;
        }
    }
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}
