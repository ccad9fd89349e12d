//! The other end: a command that asks a running agent.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Reply, Request, socket_path};

/// How long an agent may take to say that it has heard, and to answer what it answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a running agent.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    patience: Duration,
}

/// The agent was asked and did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is a socket that this user may not use.
    #[error(
        "the agent's control socket {path:?} cannot be used: {source}; run the command as the agent's user or as root"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody answers.
    #[error(
        "{agent} does not answer on {path:?} (waited {waited:?}): it is stopped, it hangs, or sixteen commands wait for it already. Its log and `systemctl status cta-forwarder` may say why; `kill -CONT` continues a process that was stopped, else restart it: nothing is lost"
    )]
    Silent {
        /// Who should.
        agent: Agent,
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The connection broke.
    #[error("the agent went away in the middle of its answer ({path:?}): {source}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agent is of another version.
    #[error(
        "the agent answers what this version does not know ({path:?}): {source}; restart it, or use its own version of this command"
    )]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    pid: Option<i32>,
}

impl Display for Agent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "the agent (process {pid})"),
            None => f.write_str("the agent"),
        }
    }
}

impl Client {
    /// Connects to the agent that runs on this state folder; `None` if none does.
    pub async fn connect(state: &Path) -> Result<Option<Self>, CallError> {
        let path = socket_path(state);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self {
                path,
                stream,
                patience: PATIENCE,
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            // So many wait before us that no place is left.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(CallError::Silent {
                agent: Agent { pid: None },
                path,
                waited: Duration::ZERO,
            }),
            Err(source) => Err(CallError::Connect { path, source }),
        }
    }

    /// Sends a request; its replies follow.
    pub async fn call(self, request: &Request) -> Result<Call, CallError> {
        let Self {
            path,
            stream,
            patience,
        } = self;
        let pid = stream.peer_cred().ok().and_then(|own| own.pid());
        let (read, write) = stream.into_split();
        let mut call = Call {
            path,
            agent: Agent { pid },
            lines: BufReader::new(read).lines(),
            patience: Some(patience),
            is_quick: request.is_quick(),
            write,
        };
        call.send(request, patience).await?;
        Ok(call)
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Call {
    path: PathBuf,
    agent: Agent,
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// How long the next line may take; none where that may be any time.
    patience: Option<Duration>,
    is_quick: bool,
    /// Open as long as somebody waits for the answer.
    write: OwnedWriteHalf,
}

impl Call {
    /// The next reply that tells something; none after the last.
    pub async fn next(&mut self) -> Result<Option<Reply>, CallError> {
        loop {
            let reply = self.line().await?;
            // Somebody is there. A poll or a replay takes its time.
            if !self.is_quick {
                self.patience = None;
            }
            if !matches!(reply, Some(Reply::Heard)) {
                return Ok(reply);
            }
        }
    }

    async fn send(&mut self, request: &Request, patience: Duration) -> Result<(), CallError> {
        let write = &mut self.write;
        let writing = async {
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            write.write_all(&line).await
        };
        match tokio::time::timeout(patience, writing).await {
            Ok(written) => written.map_err(|source| self.broken(source)),
            Err(_) => Err(self.silent(patience)),
        }
    }

    async fn line(&mut self) -> Result<Option<Reply>, CallError> {
        let line = self.lines.next_line();
        let line = match self.patience {
            None => line.await,
            Some(patience) => match tokio::time::timeout(patience, line).await {
                Ok(line) => line,
                Err(_) => return Err(self.silent(patience)),
            },
        };
        let line = line.map_err(|source| self.broken(source))?;
        let parse = |line: String| {
            serde_json::from_str(&line).map_err(|source| {
                if source.is_eof() {
                    self.broken(io::ErrorKind::UnexpectedEof.into())
                } else {
                    let path = self.path.clone();
                    CallError::Answer { path, source }
                }
            })
        };
        line.map(parse).transpose()
    }

    fn broken(&self, source: io::Error) -> CallError {
        let path = self.path.clone();
        CallError::Broken { path, source }
    }

    fn silent(&self, waited: Duration) -> CallError {
        CallError::Silent {
            agent: self.agent,
            path: self.path.clone(),
            waited,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_reply_that_is_cut_short_is_no_other_version() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_path(folder.path())).unwrap();
        let client = Client::connect(folder.path()).await.unwrap().unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut call = client.call(&Request::Status).await.unwrap();
        stream.write_all(b"{\"reply\":\"do").await.unwrap();
        drop(stream);
        let error = call.next().await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{error}");
    }

    /// An agent that takes a connection and says nothing, or that it has heard, and then answers late or
    /// never.
    async fn ask(
        heard: bool,
        request: Request,
        is_answered: bool,
    ) -> Result<Option<Reply>, CallError> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_path(folder.path())).unwrap();
        let mut client = Client::connect(folder.path()).await.unwrap().unwrap();
        client.patience = Duration::from_millis(50);
        let late = 3 * client.patience;
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut call = client.call(&request).await.unwrap();
        if heard {
            stream.write_all(b"{\"reply\":\"heard\"}\n").await.unwrap();
        }
        let answer = async {
            if is_answered {
                tokio::time::sleep(late).await;
                let done = b"{\"reply\":\"done\",\"message\":\"\"}\n";
                stream.write_all(done).await.unwrap();
            }
            std::future::pending().await
        };
        tokio::select! {
            reply = call.next() => reply,
            never = answer => never,
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for_and_who_has_heard_may_take_his_time() {
        for (heard, request) in [
            (false, Request::Status),
            (false, Request::Audit),
            (true, Request::Status),
        ] {
            let error = ask(heard, request, false).await.unwrap_err();
            let own = format!("(process {}) does not answer", std::process::id());
            assert!(error.to_string().contains(&own), "{error}");
        }
        let reply = ask(true, Request::Audit, true).await.unwrap();
        assert!(matches!(reply, Some(Reply::Done { .. })), "{reply:?}");
    }
}
