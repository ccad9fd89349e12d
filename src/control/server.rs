//! Listens on the control socket.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Control, Reply, Request, socket_path};
use crate::crash::{self, Point};
use crate::wake::told_to_stop;

/// A request is a line of at most this many bytes.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// Commands that are answered at once.
const MAX_CONNECTIONS: usize = 16;

/// How long a command is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// One that asks nothing is let go after this.
    request: Duration,
    /// One that takes nothing of a reply for this long is let go when all places are taken: until
    /// then a person may page through what he has asked for.
    reply: Duration,
}

const PATIENCE: Patience = Patience {
    request: Duration::from_secs(10),
    reply: Duration::from_secs(10),
};

/// The control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the control socket {path:?} cannot be opened: {source}; check the folder's rights, and that its path is shorter than 100 bytes"
)]
pub struct ListenError {
    path: PathBuf,
    source: io::Error,
}

/// Opens the socket and answers until the agent stops. The caller holds the state's lock, so a
/// socket that is there already is a dead agent's.
pub fn listen(
    state: &Path,
    control: Control,
    stopped: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
    let path = socket_path(state);
    let bind = || -> io::Result<UnixListener> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // The folder is its owner's alone, and so is what the binary makes; this is for where
        // neither is so.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    match bind() {
        Ok(listener) => {
            crash::point(Point::Listening);
            Ok(accept(listener, path, control, stopped, PATIENCE))
        }
        Err(source) => Err(ListenError { path, source }),
    }
}

async fn accept(
    listener: UnixListener,
    path: PathBuf,
    control: Control,
    mut stopped: watch::Receiver<bool>,
    patience: Patience,
) {
    let mut connections = JoinSet::new();
    let full = watch::Sender::new(false);
    loop {
        full.send_replace(connections.len() >= MAX_CONNECTIONS);
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let control = control.clone();
                    let full = full.subscribe();
                    connections.spawn(async move {
                        if let Err(error) = serve(stream, &control, full, patience).await {
                            tracing::debug!(%error, "a command went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command could not connect");
                    // Out of file descriptors, most likely: give them time to come back.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
    connections.shutdown().await;
    // The next start removes what this one could not.
    let _ = fs::remove_file(path);
}

/// Whether a command of this user is answered: the rights of the socket say the same, as long as
/// nobody widens them.
fn may_ask(user: u32, own_user: u32) -> bool {
    const ROOT: u32 = 0;
    user == own_user || user == ROOT
}

async fn serve(
    stream: UnixStream,
    control: &Control,
    mut full: watch::Receiver<bool>,
    patience: Patience,
) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let own_user = rustix::process::geteuid().as_raw();
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read).take(MAX_REQUEST_BYTES);
    tokio::time::timeout(patience.request, read.read_line(&mut line)).await??;
    if !may_ask(user, own_user) {
        return refuse(user, own_user, &mut write).await;
    }
    let (replies, mut to_send) = mpsc::channel(64);
    let answering = async {
        match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                // Who asks knows then that somebody is there, however long the answer takes.
                let _ = replies.send(Reply::Heard).await;
                control.answer(request, &replies).await;
            }
            Err(error) => {
                let message = format!("not a request that this version knows: {error}");
                // Who has gone needs no reply.
                let _ = replies.send(Reply::Failed { message }).await;
            }
        }
        drop(replies);
    };
    // With what it sends: nobody may wait for a place among replies that nobody takes any more.
    let sending = async move {
        while let Some(reply) = to_send.recv().await {
            tokio::select! {
                biased;
                sent = send(&reply, &mut write) => sent?,
                () = wanted(&mut full, patience.reply) => {
                    let why = "it takes no reply, and others wait for its place";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
            }
        }
        write.shutdown().await
    };
    // A person who goes ends the sending, and with it the waiting.
    let ((), sent) = tokio::join!(answering, sending);
    sent
}

/// Waits until a place is wanted that has been of no use for so long.
async fn wanted(full: &mut watch::Receiver<bool>, patience: Duration) {
    tokio::time::sleep(patience).await;
    // Who has all places has stopped otherwise.
    let _ = full.wait_for(|is_full| *is_full).await;
}

async fn refuse(user: u32, own_user: u32, write: &mut OwnedWriteHalf) -> io::Result<()> {
    tracing::warn!(
        user,
        "a command of another user was refused, and the control socket should not have let it in: \
         chmod 700 the state folder and chmod 600 control.sock in it"
    );
    let message = format!("this agent answers the user with id {own_user} and root alone");
    send(&Reply::Failed { message }, write).await?;
    write.shutdown().await
}

async fn send(reply: &Reply, write: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}

#[cfg(test)]
mod tests;
