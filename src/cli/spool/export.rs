//! `spool export`: the events of a batch.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::batches::ExportChoice;
use crate::cli::ask::ask;
use crate::cli::terminal::printable;
use crate::cli::{CommandError, Exit, complain};
use crate::config::Config;
use crate::control::{Reply, Request};

/// A file to write to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// Whether it may be there already.
    pub(super) force: bool,
}

pub(super) async fn run(
    config: Config,
    seq: u64,
    choice: ExportChoice,
    to: Option<Target>,
) -> Result<Exit, CommandError> {
    let Some(target) = to else {
        let mut out = BufWriter::new(io::stdout().lock());
        let said = write_events(config, seq, choice, &mut out, CommandError::Print).await?;
        complain(printable(&said));
        return Ok(Exit::Success);
    };
    let mut file = target.begin()?;
    let mut out = BufWriter::new(file.as_file_mut());
    let failed = |error| target.failed(&error);
    let said = write_events(config, seq, choice, &mut out, failed).await?;
    drop(out);
    target.end(file)?;
    complain(printable(&format!("{}: {said}", target.path.display())));
    Ok(Exit::Success)
}

async fn write_events(
    config: Config,
    seq: u64,
    choice: ExportChoice,
    out: &mut impl Write,
    failed: impl Fn(io::Error) -> CommandError,
) -> Result<String, CommandError> {
    let said = ask(config, Request::ExportBatch { seq, choice }, |reply| {
        if let Reply::Event { json } = reply {
            writeln!(out, "{json}").map_err(&failed)?;
        }
        Ok(())
    })
    .await?;
    out.flush().map_err(&failed)?;
    Ok(said)
}

impl Target {
    /// A file beside the target, which takes its place when all is in it: who finds the target has
    /// all of it. Only its owner may read it.
    fn begin(&self) -> Result<NamedTempFile, CommandError> {
        match fs::symlink_metadata(&self.path) {
            Ok(_) if !self.force => return Err(self.is_there()),
            Ok(found) if !found.is_file() => {
                return Err(CommandError::Failed(format!(
                    "{} is there and is no file: name another",
                    self.path.display()
                )));
            }
            _ => {}
        }
        let folder = self.path.parent().filter(|path| *path != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        NamedTempFile::with_prefix_in(".cta-forwarder-", folder)
            .map_err(|error| self.failed(&error))
    }

    fn end(&self, file: NamedTempFile) -> Result<(), CommandError> {
        file.as_file()
            .sync_all()
            .map_err(|error| self.failed(&error))?;
        let kept = if self.force {
            file.persist(&self.path)
        } else {
            file.persist_noclobber(&self.path)
        };
        match kept {
            Ok(_) => Ok(()),
            // Somebody was quicker.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(self.is_there())
            }
            Err(error) => Err(self.failed(&error.error)),
        }
    }

    fn is_there(&self) -> CommandError {
        CommandError::Failed(format!(
            "{} is there already: name another file, or say --force to write over it",
            self.path.display()
        ))
    }

    fn failed(&self, error: &io::Error) -> CommandError {
        CommandError::Failed(format!(
            "{} cannot be written: {error}",
            self.path.display()
        ))
    }
}
