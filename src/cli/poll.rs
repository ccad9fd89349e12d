//! `poll`: one window by hand.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::ask::ask_to_poll;
use super::moment::moment;
use super::{CommandError, Exit, complain};
use crate::control::{Reply, Request};
use crate::taxii::Timestamp;

/// The word for the person who asks, in the place of an output's name.
const STDOUT: &str = "stdout";

/// Poll one window by hand, without moving the checkpoint
///
/// The events go to standard output, one JSON object a line, or to an output like those of any
/// other poll. The provider's limit holds here too: the command waits until it may poll, and the
/// agent's next poll waits in turn. Without a running agent the command polls by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder poll webflows_1234567890_v0 \\
      --begin 2026-03-01T00:00:00Z --end 2026-03-02T00:00:00Z > events.jsonl
  cta-forwarder poll webflows_1234567890_v0 \\
      --begin 2026-03-01T00:00:00Z --end 2026-03-02T00:00:00Z --to splunk
  cta-forwarder poll blocklist > events.jsonl     all of a Data Set")]
pub(super) struct Poll {
    /// The collection
    collection: String,
    /// Content from after this moment, such as 2026-03-01T00:00:00Z (RFC 3339); of a Data Set all is
    /// polled, without times
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "end")]
    begin: Option<DateTime<Utc>>,
    /// Content up to this moment and including it
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "begin")]
    end: Option<DateTime<Utc>>,
    /// The service, where several have a collection of that name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where the events go: `stdout`, or the name of an output
    #[arg(long, value_name = "OUTPUT", default_value = STDOUT)]
    to: String,
}

impl Poll {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        if self.begin.is_some() && self.begin >= self.end {
            complain("--begin must be before --end");
            return Ok(Exit::Usage);
        }
        let request = Request::Poll {
            service: self.service,
            collection: self.collection,
            begin: self.begin.map(Timestamp::from),
            end: self.end.map(Timestamp::from),
            to: (self.to != STDOUT).then_some(self.to),
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let done = ask_to_poll(config, request, |reply| {
            match reply {
                Reply::Event { json } => {
                    writeln!(out, "{json}").map_err(CommandError::Print)?;
                }
                Reply::Progress { message } => complain(message),
                _ => {}
            }
            Ok(())
        })
        .await?;
        out.flush().map_err(CommandError::Print)?;
        complain(done);
        Ok(Exit::Success)
    }
}
