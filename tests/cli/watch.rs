//! `status --watch`: on a terminal, which is one indeed, and in a pipe.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use crate::program::{Running, command, wait_until};
use crate::simulator::Simulator;

/// Our binary on a terminal of so many rows and columns.
struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
    /// All that was written to it.
    written: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(arguments: &[String], rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = name.to_str().unwrap().to_owned();
        resize(&master, rows, columns);
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let slave = OwnedFd::from(open());
        let mut command = command(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(Stdio::from(open()));
        command.stdout(Stdio::from(open()));
        command.stderr(Stdio::from(open()));
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let written = Arc::new(Mutex::new(String::new()));
        let (all, mut reader) = (Arc::clone(&written), master.try_clone().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                all.lock().unwrap().push_str(&text);
            }
        });
        Self {
            master,
            slave,
            child,
            written,
        }
    }

    fn written(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    /// What the last whole drawing shows, without colours.
    fn shown(&self) -> String {
        let written = self.written();
        let drawings = written.split("\x1b[H").filter(|one| one.contains("\x1b[J"));
        let last = drawings.last().unwrap_or_default();
        let mut plain = String::new();
        let mut rest = last;
        while let Some((text, code)) = rest.split_once("\x1b[") {
            plain.push_str(text);
            rest = code.trim_start_matches(|c: char| c.is_ascii_digit() || ";?".contains(c));
            rest = &rest[1..];
        }
        plain + rest
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.shown().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn hears_keys_one_by_one(&self) -> bool {
        let modes = tcgetattr(self.slave.as_fd()).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Its exit code; the terminal is as it was before.
    fn ended(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        assert!(!self.hears_keys_one_by_one());
        wait_until("the first screen is back", || {
            self.written().ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l")
        });
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}

fn watch(simulator: &Simulator) -> Vec<String> {
    simulator.arguments(&["status", "--watch", "--interval", "100ms"])
}

#[test]
fn on_a_terminal_it_is_drawn_in_place_and_the_terminal_is_given_back() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let mut terminal = Terminal::start(&watch(&simulator), 30, 100);
    terminal.wait_for(&format!("runs as process {}", agent.pid()));
    terminal.wait_for("all is well");
    terminal.wait_for("NOW");
    assert!(terminal.written().starts_with("\x1b[?1049h"));
    assert!(terminal.hears_keys_one_by_one());
    assert_eq!(terminal.shown().matches("\r\n").count(), 29);

    // What a service says moves no cursor.
    let fault = r#"{"fault": "status_message", "status_type": "DENIED", "message": "no\u009b2J"}"#;
    simulator.put("/cta/fault", fault);
    terminal.wait_for("DENIED: no\\u{9b}2J");
    assert!(!terminal.written().contains('\u{9b}'));
    terminal.wait_for("needs you: cta/");
    terminal.wait_for("to mend it: ");

    let before = terminal.written().len();
    resize(&terminal.master, 6, 40);
    terminal.signal(Signal::WINCH);
    wait_until("it is drawn smaller", || {
        terminal.written().len() > before && terminal.shown().matches("\r\n").count() == 5
    });
    assert!(!terminal.shown().contains("SPOOL"));
    terminal.press("jjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    terminal.wait_for("SPOOL");
    terminal.press("q");
    assert_eq!(terminal.ended(), Some(0));
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn an_agent_that_goes_and_comes_again_is_told_and_never_kept_from_its_state() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let first = agent.pid();
    let terminal = Terminal::start(&watch(&simulator), 30, 100);
    terminal.wait_for("all is well");
    agent.signal(Signal::KILL);
    agent.wait();
    terminal.wait_for("no agent runs");
    terminal.wait_for(&format!("ran as process {first}"));
    assert!(!terminal.shown().contains("all is well"));
    let agent = simulator.start_agent();
    terminal.wait_for(&format!("process {first} is {} now", agent.pid()));
    terminal.wait_for("all is well");
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.ended(), Some(0));
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn whatever_signal_ends_it_the_terminal_is_given_back() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    for signal in [Signal::INT, Signal::HUP, Signal::QUIT] {
        let terminal = Terminal::start(&watch(&simulator), 30, 100);
        terminal.wait_for("all is well");
        terminal.signal(signal);
        assert_eq!(terminal.ended(), Some(0), "{signal:?}");
    }
    assert_eq!(agent.stop().code, Some(0));
}

/// What is old is not told as if it were new.
#[test]
fn for_scripts_a_look_in_vain_is_an_error_object() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let mut json = Running::start(&[watch(&simulator), vec!["--json".to_owned()]].concat());
    let mut line = || -> Value { serde_json::from_str(&json.stdout_line()).unwrap() };
    let mut last = line();
    assert_eq!(last["pid"], agent.pid());
    agent.signal(Signal::KILL);
    agent.wait();
    let in_vain = loop {
        let line = line();
        assert_ne!(line["at"], last["at"], "it is told twice");
        if line["pid"].is_null() {
            break line;
        }
        last = line;
    };
    assert_eq!(in_vain["error"], "no agent runs");
    let next = line();
    assert_eq!(next["error"], "no agent runs");
    assert_ne!(next["at"], in_vain["at"]);
    let agent = simulator.start_agent();
    while line()["pid"] != agent.pid() {}
    assert_eq!(json.stop().code, Some(0));
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn in_a_pipe_it_is_one_after_the_other_without_a_control_sequence() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let mut text = Running::start(&watch(&simulator));
    let mut lines = Vec::new();
    while lines
        .iter()
        .filter(|line: &&String| line.starts_with("SPOOL"))
        .count()
        < 3
    {
        lines.push(text.stdout_line());
    }
    assert_eq!(text.stop().code, Some(0));
    assert!(!lines.concat().contains('\x1b'));
    assert!(lines[0].ends_with('Z'), "{lines:?}");

    let mut json = Running::start(&[watch(&simulator), vec!["--json".to_owned()]].concat());
    for _ in 0..3 {
        let status: Value = serde_json::from_str(&json.stdout_line()).unwrap();
        assert_eq!(status["pid"], agent.pid());
    }
    assert_eq!(json.stop().code, Some(0));
    assert_eq!(agent.stop().code, Some(0));
    let ended = crate::program::run(&simulator.arguments(&["status", "--interval", "1s"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
