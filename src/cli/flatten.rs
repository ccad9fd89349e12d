//! `flatten`: what poll responses and STIX packages become.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::{CommandError, Exit, complain};
use crate::config::Limits;
use crate::flatten::{Counts, EventSink, FlatEvent, Origin};
use crate::tape::{Scratch, ScratchFile, Tape};
use crate::taxii::beside;
use crate::taxii::response::{Answer, PollPart, ReadResponseError, RefusedBlock, ResponseSink};

/// Memory for the events of one file, which count only when it is read to its end.
const FILE_MEMORY: usize = 4 << 20;
/// Events leave in pieces of about this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Turn poll responses and STIX packages into JSON events
///
/// Writes the events that the agent would deliver to standard output, one JSON object a line, and
/// what is wrong to standard error. Of a poll response the events of each content block are written
/// once the block is read to its end; a block, or a package that is a file of its own, that cannot be
/// read gives none. The exit code is 0 only if everything was read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder flatten answer.xml
  cta-forwarder flatten --service cta *.xml > events.jsonl
  curl … | cta-forwarder flatten - | jq -r .incidentTitle")]
pub(super) struct Flatten {
    /// Poll responses (TAXII 1.0, 1.1) or bare STIX 1.x packages; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The `service` of the events of poll responses, as it is named in the configuration
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
}

impl Flatten {
    pub(super) fn run(self) -> Result<Exit, CommandError> {
        let mut exit = Exit::Success;
        for file in &self.files {
            let name = file.display().to_string();
            let mut document = Document::new(name).printing();
            let read = document.read(file, &self.service);
            if let Some(error) = document.print_error.take() {
                return Err(CommandError::Print(error));
            }
            if let Err(problem) = &read {
                document.lines.truncate(document.whole_bytes);
                document.complain(problem);
            }
            document.print()?;
            if document.has_problem {
                exit = Exit::Failure;
            }
        }
        Ok(exit)
    }
}

/// One file, and the lines that it gives.
pub(super) struct Document {
    name: String,
    lines: Tape,
    /// The length of `lines` up to the last block that was read to its end.
    whole_bytes: u64,
    /// Whether whole blocks are printed at once.
    is_printing: bool,
    print_error: Option<io::Error>,
    has_problem: bool,
}

impl Document {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            lines: Tape::new(Arc::new(TemporaryFiles), FILE_MEMORY, u64::MAX),
            whole_bytes: 0,
            is_printing: false,
            print_error: None,
            has_problem: false,
        }
    }

    /// With each block's lines printed once it is read, and not when all is.
    fn printing(mut self) -> Self {
        self.is_printing = true;
        self
    }

    fn read(&mut self, path: &PathBuf, service: &str) -> Result<(), String> {
        let mut input: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(|error| error.to_string())?)
        };
        let origin = Origin {
            service,
            collection: "",
        };
        let answer = self.answer(&mut input, origin);
        match answer.map_err(|error| error.to_string())? {
            Answer::Poll(part) => self.note_part(&part),
            Answer::Package(counts) => self.note_counts(&counts),
            Answer::Status(message) => {
                return Err(format!("no content but a Status_Message, {message}"));
            }
            Answer::Discovery(_) | Answer::Collections(_) | Answer::Subscriptions(_) => {
                return Err("no content but what a service tells of itself".to_owned());
            }
        }
        Ok(())
    }

    /// Reads an answer; its lines stay here.
    pub(super) fn answer(
        &mut self,
        input: &mut dyn Read,
        origin: Origin<'_>,
    ) -> Result<Answer, ReadResponseError> {
        let scratch: Arc<dyn Scratch> = Arc::new(TemporaryFiles);
        beside::read_answer(input, Some(origin), &Limits::default(), &scratch, self)
    }

    /// How well it could be read.
    pub(super) fn exit(&self) -> Exit {
        if self.has_problem {
            Exit::Failure
        } else {
            Exit::Success
        }
    }

    pub(super) fn note_part(&mut self, part: &PollPart) {
        for warning in &part.warnings {
            self.note(warning);
        }
        if part.more {
            let number = part.part_number.unwrap_or(1);
            self.note(&format!(
                "this is part {number} of an answer that has more parts"
            ));
        }
        self.note_counts(&part.counts);
    }

    fn note_counts(&mut self, counts: &Counts) {
        if let Some(what) = counts.not_forwarded() {
            self.note(&format!("not forwarded: {what}"));
        }
    }

    /// What is no problem and yet worth knowing.
    pub(super) fn note(&self, what: &str) {
        complain(format_args!("{}: note: {what}", self.name));
    }

    fn complain(&mut self, problem: &str) {
        complain(format_args!("{}: {problem}", self.name));
        self.has_problem = true;
    }

    /// Prints the lines that were not printed yet.
    pub(super) fn print(&mut self) -> Result<(), CommandError> {
        let failed = CommandError::failed("the scratch file cannot be read again");
        let mut lines = self.lines.rewind().map_err(&failed)?;
        let mut out = io::stdout().lock();
        if let Some(bytes) = lines.in_memory() {
            out.write_all(bytes).map_err(CommandError::Print)?;
        } else {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = lines.read(&mut piece).map_err(&failed)?;
                let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
                    break;
                };
                out.write_all(bytes).map_err(CommandError::Print)?;
            }
        }
        out.flush().map_err(CommandError::Print)?;
        self.lines.clear();
        self.whole_bytes = 0;
        Ok(())
    }
}

impl EventSink for Document {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        self.lines.append(event.json)?;
        self.lines.append(b"\n")
    }
}

impl ResponseSink for Document {
    fn block_read(&mut self) -> io::Result<()> {
        self.whole_bytes = self.lines.len();
        // Small blocks leave together.
        if !self.is_printing || self.whole_bytes < PIECE_BYTES as u64 {
            return Ok(());
        }
        match self.print() {
            Ok(()) => Ok(()),
            Err(CommandError::Print(error)) => {
                let kind = error.kind();
                self.print_error = Some(error);
                Err(kind.into())
            }
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.lines.truncate(self.whole_bytes);
        let binding = block.binding.unwrap_or("no binding");
        self.complain(&format!(
            "content block {} ({binding}) cannot be read: {}",
            block.number, block.reason
        ));
        Ok(())
    }
}

/// Scratch files without a name, in the folder for temporary files.
struct TemporaryFiles;

impl Scratch for TemporaryFiles {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(tempfile::tempfile()?))
    }
}
