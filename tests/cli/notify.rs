//! What systemd is told, by its own protocol.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, command};
use crate::simulator::Simulator;

/// What is waited for comes before so many messages.
const MOST_MESSAGES: usize = 300;

/// systemd, as far as a service sees it.
struct ServiceManager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl ServiceManager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(90)))
            .unwrap();
        Self { socket, folder }
    }

    fn start(&self, simulator: &Simulator, watchdog: Option<Duration>) -> Running {
        let mut command = command(&simulator.arguments(&["run"]));
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        Running::of(command)
    }

    /// The next message.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Waits for a message with this line; gives it, and those before it.
    fn wait_for(&self, line: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        while before.len() < MOST_MESSAGES {
            let message = self.next();
            if message.lines().any(|known| known == line) {
                return (message, before);
            }
            before.push(message);
        }
        before.dedup();
        panic!("no {line:?} came, but {before:?}");
    }
}

#[test]
fn it_is_told_of_start_life_and_stop() {
    let (simulator, manager) = (Simulator::start(), ServiceManager::new());
    let agent = manager.start(&simulator, Some(Duration::from_millis(200)));
    let (ready, before) = manager.wait_for("READY=1");
    assert_eq!(before, Vec::<String>::new());
    // What it does takes a look at the state, and that may take its time.
    assert!(ready.contains("\nSTATUS=started"), "{ready}");
    manager.wait_for("STATUS=polls 1 collection, delivers to 1 output");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    agent.signal(Signal::TERM);
    let (stopping, _) = manager.wait_for("STOPPING=1");
    // The default of shutdown_timeout, and a little more.
    assert!(
        stopping.contains("\nEXTEND_TIMEOUT_USEC=40000000\n"),
        "{stopping}"
    );
    assert_eq!(agent.wait().code, Some(0));
}

#[test]
fn a_reload_is_told_from_its_begin_to_its_end() {
    let (simulator, manager) = (Simulator::start(), ServiceManager::new());
    let agent = manager.start(&simulator, None);
    manager.wait_for("READY=1");
    let right = std::fs::read_to_string(simulator.config()).unwrap();
    for text in [right.clone(), format!("nonsense = 1\n{right}")] {
        simulator.edit(|_| text);
        agent.signal(Signal::HUP);
        let (reloading, _) = manager.wait_for("RELOADING=1");
        let time = reloading
            .lines()
            .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        time.unwrap().parse::<u64>().unwrap();
        // Also where the old configuration goes on.
        manager.wait_for("READY=1");
    }
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_held_output_stands_in_the_status_line() {
    let (simulator, manager) = (Simulator::start(), ServiceManager::new());
    simulator.put("/hec/fault", r#"{"fault": "code", "code": 4}"#);
    let agent = manager.start(&simulator, Some(Duration::from_millis(200)));
    let is_held = |message: &String| message.contains("STATUS=output splunk is held: ");
    assert!((0..MOST_MESSAGES).any(|_| is_held(&manager.next())));
    // What is held for a reason goes on.
    manager.wait_for("WATCHDOG=1");
    assert_eq!(agent.stop().code, Some(0));
}
