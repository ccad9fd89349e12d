//! A message becomes a batch in the spool for each collection that it is for. Its sender may forget it
//! when that is durable, and not before.

use std::io;

use super::Inbox;
use super::destination::destinations;
use crate::clock::Now;
use crate::crash::{self, Point};
use crate::flatten::Origin as EventOrigin;
use crate::spool::{BatchHead, EventFile, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, PolledCounts, Record};
use crate::tape::Tape;
use crate::taxii::message::StatusReply;
use crate::taxii::response::{
    InboxContent, InboxMessage, ReadInboxError, ReadResponseError, read_inbox_content,
    read_inbox_message,
};
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;
use crate::xml::XmlError;

/// What the sender of a message is told, and what is known of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message, as far as it could be read.
    pub message: InboxMessage,
    /// What its sender is told.
    pub reply: StatusReply,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// For what it is.
    #[error("{}", .0.message.as_deref().unwrap_or_default())]
    Message(StatusReply),
    /// The spool cannot take it now.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// What has come cannot be read again.
    #[error("what has come cannot be read again: {0}; mend the disk")]
    Scratch(#[source] io::Error),
}

/// A message's content for one collection, durable but not in place.
struct Staged {
    key: CollectionKey,
    staging: Staging,
    files: Vec<EventFile>,
    content: InboxContent,
}

impl Inbox {
    /// Takes a whole message, or refuses it. The first of its batches is staged in `staging`. Blocks
    /// while the disk works.
    pub fn receive(&self, body: &mut Tape, staging: Staging) -> Received {
        let started = self.house.clock.now();
        let mut message = InboxMessage::default();
        let taken = self.take(body, staging, &mut message, started);
        match taken {
            Ok(()) => Received {
                message,
                reply: StatusReply::success(),
            },
            Err(refusal) => self.refuse(&refusal, message),
        }
    }

    /// Makes room for a message before anything of it is read.
    pub fn stage(&self) -> Result<Staging, SpoolError> {
        // The message before wanted what it wanted: this is another one.
        self.house.spool.want(&self.config.name, 0);
        self.house.spool.stage(&self.config.name)
    }

    fn take(
        &self,
        body: &mut Tape,
        staging: Staging,
        message: &mut InboxMessage,
        started: Now,
    ) -> Result<(), Refusal> {
        let mut whole = body.rewind().map_err(Refusal::Scratch)?;
        read_inbox_message(&mut whole, &self.config.limits, message)
            .map_err(|error| unreadable(&error))?;
        drop(whole);
        let collections = destinations(&self.config, message).map_err(Refusal::Message)?;
        if let Some(binding) = &message.foreign_binding {
            return Err(Refusal::Message(foreign(binding)));
        }
        let mut staging = Some(staging);
        let mut all = Vec::new();
        for collection in collections {
            let own = match staging.take() {
                Some(staging) => staging,
                None => self.house.spool.stage(&self.config.name)?,
            };
            all.push(self.content(body, collection, own, started)?);
        }
        crash::point(Point::PushStaged);
        for staged in all {
            self.commit(staged, message, started)?;
        }
        Ok(())
    }

    /// Reads the content for one collection.
    fn content(
        &self,
        body: &mut Tape,
        collection: String,
        mut staging: Staging,
        started: Now,
    ) -> Result<Staged, Refusal> {
        let origin = EventOrigin {
            service: &self.config.name,
            collection: &collection,
        };
        let scratch = staging.scratch();
        let mut whole = body.rewind().map_err(Refusal::Scratch)?;
        let mut whole = staging.record_raw(&mut whole).map_err(Refusal::Scratch)?;
        let limits = &self.config.limits;
        let read = read_inbox_content(&mut whole, origin, limits, &scratch, &mut staging);
        let read = read.and_then(|content| {
            whole.finish().map_err(ReadResponseError::Keep)?;
            Ok(content)
        });
        let content = read.map_err(|error| match error {
            ReadResponseError::Keep(error) => SpoolError::staging(error, staging.folder()).into(),
            error => Refusal::Message(bad(error.to_string())),
        })?;
        let name = &self.config.name;
        let spool = &self.house.spool;
        let files = spool.finish(&mut staging, started.utc, name, &collection)?;
        let key = CollectionKey {
            service: name.clone(),
            collection,
        };
        Ok(Staged {
            key,
            staging,
            files,
            content,
        })
    }

    /// The batch in place, then the ledger's record.
    fn commit(&self, staged: Staged, message: &InboxMessage, started: Now) -> Result<(), Refusal> {
        let Staged {
            key,
            staging,
            files,
            content,
        } = staged;
        let (spool, state) = (&self.house.spool, &self.house.state);
        let now = self.house.clock.now().utc;
        let counts = PolledCounts {
            events: content.counts.events,
            incidents: content.counts.incidents,
            packages: content.counts.packages,
            blocks: content.blocks,
            refused_blocks: content.refused_blocks,
            parts: 1,
            bytes: content.bytes,
        };
        let turn = spool.commit_turn();
        let seq = (!files.is_empty()).then(|| spool.next_seq());
        let source = message.source.as_ref();
        let record = Record::Pushed {
            key: key.clone(),
            message_id: message.message_id.clone(),
            subscription: source.and_then(|source| source.id.clone()),
            seq,
            outputs: self.house.takers(&key.collection),
            counts,
            content: None,
        };
        match seq {
            None => state.append(now, &record)?,
            Some(seq) => {
                let head = BatchHead {
                    seq,
                    staged_at: now,
                    service: key.service.clone(),
                    collection: key.collection.clone(),
                    window_end: started.utc,
                    end: None,
                    message_ids: message.message_id.iter().cloned().collect(),
                    record,
                    files,
                };
                let record = head.told();
                spool.commit(staging, head)?;
                crash::point(Point::PushCommitted);
                if let Err(error) = state.append(now, &record) {
                    // Where the record may be there after all, so must be the batch.
                    if state.retell(now).is_ok() {
                        spool.take_back(seq)?;
                    }
                    return Err(error.into());
                }
            }
        }
        drop(turn);
        crash::point(Point::PushRecorded);
        if let Some(seq) = seq {
            self.house.put_away(seq, now);
        }
        spool.announce();
        self.tell_of(&key, message, &content, started);
        Ok(())
    }

    fn tell_of(
        &self,
        key: &CollectionKey,
        message: &InboxMessage,
        content: &InboxContent,
        started: Now,
    ) {
        let now = self.house.clock.now();
        let took = now.monotonic.saturating_sub(started.monotonic);
        if let Some(what) = content.counts.not_forwarded() {
            tracing::info!(collection = %key, "not forwarded: {what}");
        }
        tracing::info!(
            collection = %key,
            message_id = message.message_id,
            bytes = content.bytes,
            incidents = content.counts.incidents,
            events = content.counts.events,
            refused_blocks = content.refused_blocks,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "pushed"
        );
        self.house.board.inbox(|inbox| {
            inbox.messages += 1;
            inbox.last_message_at = Some(now.utc);
            inbox.last_message = Some(format!(
                "{} events of {} incidents for {}",
                content.counts.events, content.counts.incidents, key.collection
            ));
        });
    }

    /// What the sender is told of a refusal; outputs that may are asked to make room.
    fn refusal(&self, refusal: &Refusal) -> StatusReply {
        let what = match refusal {
            Refusal::Message(reply) => return reply.clone(),
            Refusal::Spool(SpoolError::TooLarge { needed, .. }) => {
                self.house.spool.want(&self.config.name, *needed);
                "there is no room for this message now"
            }
            Refusal::Spool(SpoolError::Full { .. }) => {
                self.house.spool.want(&self.config.name, 1);
                "there is no room for messages now"
            }
            Refusal::Spool(_) | Refusal::Ledger(_) | Refusal::Scratch(_) => {
                "messages cannot be kept now"
            }
        };
        StatusReply::retry(what, super::RETRY_WAIT, self.house.clock.now().utc)
    }

    /// Refuses a message.
    pub(super) fn refuse(&self, refusal: &Refusal, message: InboxMessage) -> Received {
        let reply = self.refusal(refusal);
        let id = message.message_id.as_deref();
        self.tell_of_refusal(&reply, &refusal.to_string(), id);
        Received { message, reply }
    }
}

fn bad(what: impl Into<String>) -> StatusReply {
    StatusReply::new(StatusType::BadMessage, what)
}

fn unreadable(error: &ReadInboxError) -> Refusal {
    let what = error.to_string();
    match error {
        ReadInboxError::Xml(XmlError::Read(_)) => Refusal::Scratch(io::Error::other(what)),
        ReadInboxError::Draft => Refusal::Message(unsupported_message(&what)),
        ReadInboxError::Other { .. } => {
            Refusal::Message(StatusReply::new(StatusType::Failure, what))
        }
        ReadInboxError::Xml(_)
        | ReadInboxError::NotTaxii { .. }
        | ReadInboxError::TooMuch { .. } => Refusal::Message(bad(what)),
    }
}

/// The message is in another format than those that are understood.
pub(super) fn unsupported_message(what: &str) -> StatusReply {
    let reply = StatusReply::new(StatusType::UnsupportedMessage, what);
    Version::ALL.iter().fold(reply, |reply, version| {
        reply.detail("SUPPORTED_BINDING", version.message_binding())
    })
}

/// No block of the message is in a format that is understood.
fn foreign(binding: &str) -> StatusReply {
    let what = format!("STIX 1.0 to 1.2 is understood, not {binding:?}");
    let reply = StatusReply::new(StatusType::UnsupportedContent, what);
    ["1.0", "1.0.1", "1.1", "1.1.1", "1.2"]
        .iter()
        .fold(reply, |reply, version| {
            let binding = format!("urn:stix.mitre.org:xml:{version}");
            reply.detail("SUPPORTED_CONTENT", binding)
        })
}
