//! The other end: a command that asks a running agent.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use super::{Reply, Request, socket_path};

/// A connection to a running agent.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
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

impl Client {
    /// Connects to the agent that runs on this state folder; `None` if none does.
    pub async fn connect(state: &Path) -> Result<Option<Self>, CallError> {
        let path = socket_path(state);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self { path, stream })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(source) => Err(CallError::Connect { path, source }),
        }
    }

    /// Sends a request; its replies follow.
    pub async fn call(self, request: &Request) -> Result<Call, CallError> {
        let Self { path, stream } = self;
        let (read, mut write) = stream.into_split();
        let send = async {
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            write.write_all(&line).await
        };
        send.await.map_err(|source| CallError::Broken {
            path: path.clone(),
            source,
        })?;
        Ok(Call {
            path,
            lines: BufReader::new(read).lines(),
            _write: write,
        })
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Call {
    path: PathBuf,
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Open as long as somebody waits for the answer.
    _write: tokio::net::unix::OwnedWriteHalf,
}

impl Call {
    /// The next reply; none after the last.
    pub async fn next(&mut self) -> Result<Option<Reply>, CallError> {
        let line = self.lines.next_line().await;
        let line = line.map_err(|source| CallError::Broken {
            path: self.path.clone(),
            source,
        })?;
        let parse = |line: String| {
            let path = self.path.clone();
            serde_json::from_str(&line).map_err(|source| {
                if source.is_eof() {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    CallError::Broken { path, source }
                } else {
                    CallError::Answer { path, source }
                }
            })
        };
        line.map(parse).transpose()
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
}
