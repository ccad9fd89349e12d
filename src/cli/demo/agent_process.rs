//! The agent as a process of its own: this very program, with `run`.

use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;

/// A running agent; it is killed when this is dropped.
pub(super) struct AgentProcess {
    child: Child,
    log: Option<Lines<BufReader<pipe::Receiver>>>,
}

impl AgentProcess {
    /// Starts `run` with this configuration. Must be called within a tokio runtime.
    pub(super) fn start(config: &Path) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // The simulated services are on this machine, and its log is read here.
            .env("NO_PROXY", "127.0.0.1")
            .env_remove(crate::observe::logging::LEVEL_VARIABLE);
        let mut child = command.spawn()?;
        let log = child.stderr.take();
        let mut agent = Self { child, log: None };
        if let Some(log) = log {
            let log = pipe::Receiver::from_owned_fd(log.into())?;
            agent.log = Some(BufReader::new(log).lines());
        }
        Ok(agent)
    }

    /// The next line of its log; `None` once it has closed it, which it does when it ends.
    pub(super) async fn next_line(&mut self) -> Option<String> {
        let line = self.log.as_mut()?.next_line().await.ok().flatten();
        if line.is_none() {
            self.log = None;
        }
        line
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to stop, as systemd does.
    pub(super) fn terminate(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        match pid {
            Some(pid) => Ok(kill_process(pid, Signal::TERM)?),
            None => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    /// How it ended; waits for that.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        tokio::task::block_in_place(|| self.child.wait())
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        let _ = self.kill();
    }
}
