//! Runs the binary, and waits for what it says.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(90);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[impl AsRef<OsStr>]) -> Ended {
    Running::start(arguments).wait()
}

/// Runs a command to its end, with something to read.
pub(crate) fn run_with_input(arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Ended {
    let mut running = Running::start(arguments);
    let mut stdin = running.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Who does not want all of it ends early.
            let _ = stdin.write_all(input);
        });
        running.wait()
    })
}

/// A command that runs; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

/// The lines of a pipe, as they come.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::of(command(arguments))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: Lines::of(child.stdout.take().unwrap()),
            stderr: Lines::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line on standard output.
    pub(crate) fn stdout_line(&mut self) -> String {
        self.stdout.next().expect("standard output ended")
    }

    /// Waits for a line on standard error that contains this, and gives it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        while let Some(line) = self.stderr.next() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("it ended without {text:?}: {:#?}", self.stderr.seen);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        drop(self.stdin.take());
        while self.stdout.next().is_some() {}
        while self.stderr.next().is_some() {}
        let text = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect();
        Ended {
            code: self.child.wait().unwrap().code(),
            stdout: text(&self.stdout.seen),
            stderr: text(&self.stderr.seen),
        }
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            receiver,
            seen: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Option<String> {
        match self.receiver.recv_timeout(LIMIT) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in time: {:#?}", self.seen),
        }
    }
}

/// The binary, with pipes, and without what in the surroundings would change what it does.
pub(crate) fn command(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cta-forwarder"));
    command
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("CTA_FORWARDER_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits until a condition of the outside world is true.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::yield_now();
    }
}
