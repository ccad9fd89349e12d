//! A message becomes a batch in the spool for each collection that it is for. Its sender may forget it
//! when that is durable, and not before.

use std::io;

use super::Inbox;
use super::destination::destinations;
use super::words::printable;
use crate::clock::Now;
use crate::crash::{self, Point};
use crate::flatten::Origin as EventOrigin;
use crate::observe::board::Hold;
use crate::spool::{BatchHead, SpoolError, Staging};
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

/// Batches that wait for their delivery when no more messages are taken: each is named in every snapshot
/// of the ledger.
const MAX_OPEN_BATCHES: usize = 50_000;
/// Who stages what is pushed; nobody of this name ever wants room.
const STAGED_BY: &str = "a pushed message";

const MEND_DISK: &str = "free space or mend the disk of the state folder";
const MEND_ROOM: &str = "mend the outputs that hold what they owe (see status), or give the spool \
                         more room (state.max_spool_bytes, state.min_free_disk)";

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
pub(crate) enum Refusal {
    /// For what it is.
    #[error("{}", .0.message.as_deref().unwrap_or_default())]
    Message(StatusReply),
    /// It was no push: somebody asks what there is, before he pushes.
    #[error("{}", .0.message.as_deref().unwrap_or_default())]
    Question(StatusReply),
    /// The spool cannot take it now.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// Each message is a batch, and so many wait already.
    #[error(
        "{MAX_OPEN_BATCHES} batches wait for their delivery, and each message is one: see why no output \
         takes them"
    )]
    TooMany,
    /// The agent stops, and the message is not whole.
    #[error("the agent stops, and not all of the message has come")]
    Stopping,
    /// What has come cannot be read again.
    #[error("what has come cannot be read again: {0}; mend the disk")]
    Scratch(#[source] io::Error),
}

/// A message's content for one collection, read to its end.
struct Staged {
    key: CollectionKey,
    staging: Staging,
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
    pub(crate) fn make_room(&self) -> Result<Staging, Refusal> {
        let spool = &self.house.spool;
        self.wanted.expire(spool, self.house.clock.now().monotonic);
        if self.house.state.look(|picture| picture.batches.len()) >= MAX_OPEN_BATCHES {
            return Err(Refusal::TooMany);
        }
        // What a larger message wants is no reason to refuse this one.
        Ok(spool.stage(STAGED_BY)?)
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
                None => self.house.spool.stage(STAGED_BY)?,
            };
            all.push(self.content(body, collection, own, message)?);
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
        message: &InboxMessage,
    ) -> Result<Staged, Refusal> {
        let origin = EventOrigin {
            service: &self.config.name,
            collection: &collection,
        };
        let scratch = staging.scratch();
        let mut whole = body.rewind().map_err(Refusal::Scratch)?;
        let not_staged = |error, staging: &Staging| SpoolError::staging(error, staging.folder());
        let mut whole = match staging.record_raw(&mut whole) {
            Ok(whole) => whole,
            Err(error) => return Err(not_staged(error, &staging).into()),
        };
        let limits = &self.config.limits;
        let read = read_inbox_content(&mut whole, origin, limits, &scratch, &mut staging);
        // A copy that cannot be kept says nothing of the message.
        whole
            .finish()
            .map_err(|error| not_staged(error, &staging))?;
        let content = read.map_err(|error| match error {
            ReadResponseError::Keep(error) => not_staged(error, &staging).into(),
            ReadResponseError::Xml(XmlError::Read(error)) => {
                Refusal::Scratch(io::Error::other(error))
            }
            error => Refusal::Message(bad(error.to_string())),
        })?;
        if content.blocks != message.blocks {
            return Err(Refusal::Message(bad("content blocks stand where none may")));
        }
        let key = CollectionKey {
            service: self.config.name.clone(),
            collection,
        };
        Ok(Staged {
            key,
            staging,
            content,
        })
    }

    /// The batch in place, then the ledger's record.
    fn commit(&self, staged: Staged, message: &InboxMessage, started: Now) -> Result<(), Refusal> {
        let Staged {
            key,
            mut staging,
            content,
        } = staged;
        let spool = &self.house.spool;
        let now = self.house.clock.now().utc;
        let files = spool.finish(&mut staging, now, &key.service, &key.collection)?;
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
            None => self.house.state.append(now, &record)?,
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
                self.house
                    .keep_batch::<Refusal>(staging, &head, now, Point::PushCommitted)?;
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
            message_id = message.message_id.as_deref().map(printable),
            bytes = content.bytes,
            incidents = content.counts.incidents,
            events = content.counts.events,
            refused_blocks = content.refused_blocks,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "pushed"
        );
        self.house.board.inbox(|inbox| {
            inbox.messages += 1;
            inbox.hold = None;
            inbox.last_message_at = Some(now.utc);
            inbox.last_message = Some(format!(
                "{} events of {} incidents for {}",
                content.counts.events, content.counts.incidents, key.collection
            ));
        });
    }

    /// What the sender is told of a refusal; outputs that may are asked to make room.
    fn refusal(&self, refusal: &Refusal) -> StatusReply {
        let now = self.house.clock.now();
        let what = match refusal {
            Refusal::Message(reply) | Refusal::Question(reply) => return reply.clone(),
            Refusal::Spool(SpoolError::TooLarge { needed, .. }) => {
                self.wanted.add(&self.house.spool, *needed, now.monotonic);
                "there is no room for this message now"
            }
            Refusal::Spool(SpoolError::Full { .. }) => {
                self.wanted.add(&self.house.spool, 1, now.monotonic);
                "there is no room for messages now"
            }
            Refusal::TooMany => "too many messages wait here for their delivery",
            Refusal::Stopping => "this inbox is about to stop",
            Refusal::Spool(_) | Refusal::Ledger(_) | Refusal::Scratch(_) => {
                "messages cannot be kept now"
            }
        };
        StatusReply::retry(what, super::RETRY_WAIT, now.utc)
    }

    /// Tells the board that messages are not taken, whatever is in them.
    fn tell_of_hold(&self, refusal: &Refusal) {
        let mend = match refusal {
            Refusal::Message(_) | Refusal::Question(_) | Refusal::Stopping => return,
            Refusal::Spool(SpoolError::TooLarge { .. } | SpoolError::Full { .. })
            | Refusal::TooMany => MEND_ROOM,
            Refusal::Spool(_) | Refusal::Ledger(_) | Refusal::Scratch(_) => MEND_DISK,
        };
        let now = self.house.clock.now().utc;
        self.house.board.inbox(|inbox| {
            let since = inbox.hold.as_ref().map_or(now, |hold| hold.since);
            inbox.hold = Some(Hold {
                reason: refusal.to_string(),
                mend: mend.to_owned(),
                since,
            });
        });
    }

    /// Refuses a message.
    pub(super) fn refuse(&self, refusal: &Refusal, message: InboxMessage) -> Received {
        let reply = self.refusal(refusal);
        let id = message.message_id.as_deref();
        if let Refusal::Question(_) = refusal {
            tracing::debug!(message_id = id.map(printable), "{refusal}");
        } else {
            self.tell_of_refusal(&reply, &refusal.to_string(), id);
            self.tell_of_hold(refusal);
        }
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
        ReadInboxError::Other { name } => {
            let reply = StatusReply::new(StatusType::Failure, what);
            match name.as_str() {
                "Discovery_Request" => Refusal::Question(reply),
                _ => Refusal::Message(reply),
            }
        }
        ReadInboxError::Xml(_)
        | ReadInboxError::Strange { .. }
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
