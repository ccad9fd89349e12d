//! `taxii poll`: the content of a collection, past the agent.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::connection::{AtUrl, Peer};
use crate::cli::flatten::Document;
use crate::cli::moment::moment;
use crate::cli::{CommandError, Exit, complain, print_line};
use crate::config::Limits;
use crate::flatten::Origin;
use crate::taxii::Timestamp;
use crate::taxii::client::new_message_id;
use crate::taxii::directory::unexpected;
use crate::taxii::exchange::{Exchange, Progress};
use crate::taxii::fault::Fault;
use crate::taxii::message::{Ask, ContentBinding, PollAsk, PollTerms, Request, ResponseType};
use crate::taxii::response::{Answer, PollPart};
use crate::taxii::window::PollWindow;

/// Poll a collection, past the agent: nothing is kept, no checkpoint moves
///
/// The events go to standard output, one JSON object a line. To the provider this is a poll like any
/// other: where the agent polls the same service, `cta-forwarder poll` keeps the provider's limit
/// and this command does not.
#[derive(Debug, clap::Args)]
pub(super) struct PollArguments {
    /// The collection (TAXII 1.0: feed)
    collection: String,
    /// Content from after this moment, such as 2026-03-01T00:00:00Z (RFC 3339); without it, from the
    /// beginning
    #[arg(long, value_name = "TIME", value_parser = moment)]
    begin: Option<DateTime<Utc>>,
    /// Content up to this moment and including it; without it, up to now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<DateTime<Utc>>,
    /// Only how much there is; TAXII 1.1
    #[arg(long, conflicts_with_all = ["subscription", "result_id"])]
    count_only: bool,
    /// With --count-only: write one JSON object, for scripts
    #[arg(long, requires = "count_only")]
    json: bool,
    /// Content in this format alone, such as urn:stix.mitre.org:xml:1.1.1; may be repeated
    #[arg(long, value_name = "BINDING", conflicts_with = "subscription")]
    binding: Vec<String>,
    /// As this subscription says
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// Instead of a new poll: one part of a result that the service has; TAXII 1.1
    #[arg(long, value_name = "ID", conflicts_with_all = ["begin", "end", "binding", "subscription"])]
    result_id: Option<String>,
    /// The part of that result
    #[arg(long, value_name = "N", default_value_t = 1, requires = "result_id", value_parser = clap::value_parser!(u32).range(1..))]
    part: u32,
    #[command(flatten)]
    at: AtUrl,
}

impl PollArguments {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        if self.at.is_configured() {
            complain(
                "note: this is a poll more than the agent knows of; where the provider counts polls, \
                 use `cta-forwarder poll`",
            );
        }
        let terms = match self.subscription {
            Some(id) => PollTerms::Subscription(id),
            None => PollTerms::Parameters {
                allow_asynch: false,
                response_type: if self.count_only {
                    ResponseType::CountOnly
                } else {
                    ResponseType::Full
                },
                bindings: self
                    .binding
                    .iter()
                    .map(|id| ContentBinding::from(id.as_str()))
                    .collect(),
            },
        };
        let ask = PollAsk {
            collection: self.collection,
            window: PollWindow {
                exclusive_begin: self.begin.map(Timestamp::from),
                inclusive_end: self.end.map(Timestamp::from),
            },
            terms,
        };
        let peer = self.at.open(config).await?;
        let url = if peer.is_discovery() {
            peer.directory().poll_service(&ask.collection).await?.url
        } else {
            peer.url.clone()
        };
        let poll = HandPoll { peer, url };
        match self.result_id {
            Some(result_id) => poll.one_part(ask, &result_id, self.part).await,
            None => poll.all_parts(ask, self.json).await,
        }
    }
}

struct HandPoll {
    peer: Peer,
    url: String,
}

impl HandPoll {
    async fn all_parts(self, ask: PollAsk, json: bool) -> Result<Exit, CommandError> {
        let is_counted = matches!(
            ask.terms,
            PollTerms::Parameters {
                response_type: ResponseType::CountOnly,
                ..
            }
        );
        let collection = ask.collection.clone();
        let max_parts = Limits::default().max_parts;
        let version = self.peer.version;
        let mut exchange = Exchange::new(version, ask, None, TimeDelta::zero(), max_parts);
        let mut document = Document::new(collection.clone());
        loop {
            let id = new_message_id();
            let request = exchange.request(id.clone()).map_err(Fault::from)?;
            let (part, date) = self.part(&request, &collection, &mut document).await?;
            if is_counted {
                return print_count(&collection, &part, json);
            }
            let now = date.unwrap_or_else(Utc::now);
            match exchange.received(part, &id, now)? {
                Progress::More => {}
                Progress::Complete(done) => {
                    for warning in &done.warnings {
                        document.note(&warning.text);
                    }
                    document.print()?;
                    complain(format_args!(
                        "{} events, {} content blocks, {} parts, up to {}",
                        done.totals.counts.events,
                        done.totals.blocks,
                        done.totals.parts,
                        done.checkpoint
                    ));
                    return Ok(document.exit());
                }
            }
        }
    }

    async fn one_part(
        self,
        ask: PollAsk,
        result_id: &str,
        part_number: u32,
    ) -> Result<Exit, CommandError> {
        let asked = Ask::Fulfillment {
            collection: &ask.collection,
            result_id,
            part_number,
        };
        let request =
            Request::new(asked, self.peer.version, new_message_id()).map_err(Fault::from)?;
        let mut document = Document::new(ask.collection.clone());
        let (part, _) = self.part(&request, &ask.collection, &mut document).await?;
        document.note_part(&part);
        document.print()?;
        Ok(document.exit())
    }

    async fn part(
        &self,
        request: &Request,
        collection: &str,
        document: &mut Document,
    ) -> Result<(PollPart, Option<DateTime<Utc>>), CommandError> {
        let client = &self.peer.client;
        let reply = client.send(&self.url, request).await?;
        let (http, date, retry_after) = (reply.status, reply.date, reply.retry_after);
        let origin = Origin {
            service: "",
            collection,
        };
        let answer = reply.read(|body| document.answer(body, origin));
        match answer {
            Ok(Answer::Poll(part)) if (200..300).contains(&http) => Ok((*part, date)),
            Ok(Answer::Status(message)) => {
                let message = message.reworded(|text| client.hide_credentials(text));
                Err(unexpected(http, Answer::Status(message)).into())
            }
            _ if !(200..300).contains(&http) => Err(Fault::Http {
                status: http,
                retry_after,
            }
            .into()),
            Ok(answer) => Err(unexpected(http, answer).into()),
            Err(error) => Err(CommandError::Failed(error.to_string())),
        }
    }
}

fn print_count(collection: &str, part: &PollPart, json: bool) -> Result<Exit, CommandError> {
    let Some(count) = part.record_count else {
        let what = "the service does not say how much there is (Record_Count)";
        return Err(CommandError::Failed(what.to_owned()));
    };
    if json {
        print_line(serde_json::json!({
            "collection": collection,
            "records": count.records,
            "is_partial": count.is_partial,
        }))?;
        return Ok(Exit::Success);
    }
    let at_least = if count.is_partial { "at least " } else { "" };
    print_line(format_args!("{at_least}{}", count.records))?;
    Ok(Exit::Success)
}
