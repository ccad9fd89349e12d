//! JSON lines on standard output.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::{BuildOutputError, Outgoing, Problem, Verdict, json_lines};

const BROKEN: &str = "nobody reads standard output any more";
const MEND: &str = "start the agent again with a reader behind it";

/// Writes each call's events.
#[derive(Debug)]
pub(super) struct Stdout {
    // Shared with the thread that writes, so that a dropped `send` is waited for by the next one.
    pipe: Arc<Mutex<Pipe<File>>>,
}

impl Stdout {
    /// This process's standard output, past the buffer of `io::stdout`: what is written is written.
    pub(super) fn new() -> Result<Self, BuildOutputError> {
        let descriptor = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|source| BuildOutputError::Stdout { source })?;
        Ok(Self {
            pipe: Arc::new(Mutex::new(Pipe::new(File::from(descriptor)))),
        })
    }

    pub(super) fn send(&self, events: &[Outgoing]) -> impl Future<Output = Verdict> + use<> {
        let lines = json_lines(events);
        let pipe = Arc::clone(&self.pipe);
        async {
            let written = tokio::task::spawn_blocking(move || {
                pipe.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .write_lines(&lines)
            })
            .await;
            written.unwrap_or_else(|error| Verdict::Retry {
                delivered: 0,
                reason: format!("writing to standard output was cut short: {error}"),
                after: None,
            })
        }
    }

    pub(super) fn probe(&self) -> Result<(), Problem> {
        let pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if pipe.broken {
            return Err(Problem {
                reason: BROKEN.into(),
                mend: Some(MEND.into()),
                after: None,
            });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Pipe<W> {
    writer: W,
    /// Nobody reads any more; that never comes back.
    broken: bool,
    /// The last write ended inside a line.
    torn: bool,
}

impl<W: Write> Pipe<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            broken: false,
            torn: false,
        }
    }

    /// Writes whole lines as far as it goes.
    fn write_lines(&mut self, lines: &[u8]) -> Verdict {
        if self.torn {
            if let Err(error) = self.writer.write_all(b"\n") {
                return self.failed(0, &error);
            }
            self.torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let taken = match self.writer.write(rest) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Ok(taken) => Ok(taken),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            match taken {
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                Err(error) => {
                    let written = lines.strip_suffix(rest).unwrap_or_default();
                    self.torn = !written.is_empty() && !written.ends_with(b"\n");
                    return self.failed(memchr::memchr_iter(b'\n', written).count(), &error);
                }
            }
        }
        Verdict::Delivered { slow_down: false }
    }

    fn failed(&mut self, delivered: usize, error: &io::Error) -> Verdict {
        if error.kind() == ErrorKind::BrokenPipe {
            self.broken = true;
            return Verdict::Hold {
                delivered,
                reason: BROKEN.into(),
                mend: MEND.into(),
            };
        }
        Verdict::Retry {
            delivered,
            reason: format!("standard output cannot be written to: {error}"),
            after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails in this way.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
        then: ErrorKind,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(self.then.into());
            }
            self.room -= fits;
            self.taken.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn narrow(room: usize, then: ErrorKind) -> Pipe<Narrow> {
        Pipe::new(Narrow {
            taken: Vec::new(),
            room,
            then,
        })
    }

    #[test]
    fn a_full_disk_counts_whole_lines_and_the_next_write_ends_the_torn_one() {
        let mut pipe = narrow(5, ErrorKind::StorageFull);
        let verdict = pipe.write_lines(b"{}\n[1]\n");
        assert!(
            matches!(verdict, Verdict::Retry { delivered: 1, .. }),
            "{verdict:?}"
        );
        pipe.writer.room = 100;
        let verdict = pipe.write_lines(b"[1]\n");
        assert_eq!(verdict, Verdict::Delivered { slow_down: false });
        assert_eq!(pipe.writer.taken, b"{}\n[1\n[1]\n");
    }

    #[test]
    fn a_closed_pipe_holds() {
        let mut pipe = narrow(3, ErrorKind::BrokenPipe);
        let verdict = pipe.write_lines(b"{}\n{}\n");
        assert!(
            matches!(verdict, Verdict::Hold { delivered: 1, .. }),
            "{verdict:?}"
        );
        assert!(pipe.broken);
    }
}
