//! Answers of a service. Content is read as a stream; what a service tells of itself is small and
//! read whole.
//!
//! Elements are known by their local names over every TAXII namespace, whatever their order.

mod block;
mod inbox;
mod information;
mod part;
mod record;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::sync::Arc;

use super::status::StatusMessage;
use crate::config::Limits;
use crate::flatten::{AtOnce, Counts, EventSink, FlattenLimits, Flattener, Origin, PackageSink};
use crate::stix::{self, PackageTag, ReadPackageError, Workspace};
use crate::tape::{Scratch, Tape};
use crate::xml::{Tag, Token, Xml, XmlError, XmlLimits};
use block::ContentReader;
pub use inbox::{
    InboxContent, InboxMessage, ReadInboxError, SourceSubscription, read_inbox_content,
    read_inbox_message,
};
pub use information::{
    CollectionInformation, CollectionKind, Collections, Contact, Discovery, PushMethod,
    ServiceInstance, ServiceKind, Subscription, Subscriptions,
};
use part::PartReader;
pub use part::{PollPart, RecordCount};
pub use record::MAX_INFORMATION_BYTES;

/// Memory for the raw text of the block that is being read.
const BLOCK_MEMORY: usize = 4 << 20;

/// The namespace of the draft that was before TAXII 1.0.
pub const DRAFT_NAMESPACE: &str = "http://taxii.mitre.org/messages/xml/1";

/// Takes events block by block: a block that cannot be read to its end gives none.
pub trait ResponseSink: EventSink {
    /// The events since the last block are whole.
    fn block_read(&mut self) -> io::Result<()>;
    /// The events since the last block are void, the block is set aside.
    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()>;
}

impl<T: ResponseSink + ?Sized> ResponseSink for &mut T {
    fn block_read(&mut self) -> io::Result<()> {
        (**self).block_read()
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        (**self).block_refused(block)
    }
}

/// Takes what is read of an answer: its packages, and how their blocks end. What it does with them may come
/// later, but it comes in this order.
pub trait ContentSink: PackageSink {
    /// The packages since the last block are whole.
    fn block_read(&mut self) -> io::Result<()>;
    /// The packages since the last block are void, the block is set aside.
    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()>;
    /// All of it is done; gives what was met as events left.
    fn finish(self) -> io::Result<Counts>;
}

impl<S: ResponseSink> ContentSink for AtOnce<S> {
    fn block_read(&mut self) -> io::Result<()> {
        self.keep();
        self.sink().block_read()
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.forget();
        self.sink().block_refused(block)
    }

    fn finish(self) -> io::Result<Counts> {
        Ok(AtOnce::finish(self))
    }
}

/// A Content_Block that cannot be read. What it says of itself is cut to what fits a message.
#[derive(Debug)]
pub struct RefusedBlock<'a> {
    /// Its place in the answer, from 1.
    pub number: u64,
    /// Content_Binding/@binding_id
    pub binding: Option<&'a str>,
    /// Why it cannot be read.
    pub reason: String,
    /// The block as it was received.
    pub raw: &'a mut Tape,
}

/// What an answer turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A Poll_Response, its events given to the sink.
    Poll(Box<PollPart>),
    /// A Status_Message.
    Status(StatusMessage),
    /// Which services there are.
    Discovery(Discovery),
    /// Which collections there are.
    Collections(Collections),
    /// Which subscriptions there are now.
    Subscriptions(Subscriptions),
    /// A bare STIX_Package, its events given to the sink: no answer of a service, but a document
    /// that people have.
    Package(Counts),
}

impl Answer {
    /// What kind of message it is.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Poll(_) => "a Poll_Response",
            Self::Status(_) => "a Status_Message",
            Self::Discovery(_) => "a Discovery_Response",
            Self::Collections(_) => "a list of collections",
            Self::Subscriptions(_) => "a Subscription_Management_Response",
            Self::Package(_) => "a bare STIX package",
        }
    }
}

/// An answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadResponseError {
    /// Its XML cannot be read.
    #[error(transparent)]
    Xml(XmlError),
    /// A web page, such as the login page of a proxy.
    #[error("an HTML page instead of TAXII, perhaps a proxy's login page")]
    Html,
    /// The draft of TAXII 1.0, which nobody speaks any more.
    #[error(
        "a message of the draft of TAXII 1.0 (the namespace {DRAFT_NAMESPACE}), which is not \
         understood: ask the provider for the address of a TAXII 1.0 or 1.1 service"
    )]
    Draft,
    /// Something else.
    #[error("no TAXII message: {found}")]
    NotTaxii {
        /// What it is.
        found: String,
    },
    /// A name or an id that is none.
    #[error("{attribute} of the answer is longer than {limit} bytes")]
    LongName {
        /// Whose value it is.
        attribute: &'static str,
        /// The limit.
        limit: usize,
    },
    /// So much of it is bad that the rest is not believed.
    #[error(
        "more than {limit} content blocks of the answer cannot be read (limits.max_refused_blocks)"
    )]
    TooManyRefused {
        /// The limit.
        limit: u32,
    },
    /// A package on its own cannot be read.
    #[error(transparent)]
    Package(ReadPackageError),
    /// What was read could not be kept.
    #[error("what was read cannot be kept: {0}")]
    Keep(#[source] io::Error),
}

impl From<XmlError> for ReadResponseError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Record(error) => Self::Keep(io::Error::new(error.kind(), error)),
            error => Self::Xml(error),
        }
    }
}

/// Reads one answer; its events go to `sink`. They count only once this has returned `Ok`: an
/// answer that is cut off has lost something, even if all the blocks that came are whole.
///
/// `origin` says whom was asked for what; a collection that the answer names takes precedence.
pub fn read_answer<S: ResponseSink>(
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<Answer, ReadResponseError> {
    read_answer_into(input, origin, limits, scratch, AtOnce::new(sink))
}

/// The same for whoever takes packages, and has their events leave.
pub fn read_answer_into<C: ContentSink>(
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: C,
) -> Result<Answer, ReadResponseError> {
    let xml_limits = XmlLimits::from(limits);
    let flattener = |origin| Flattener::new(origin, FlattenLimits::from(limits), scratch, sink);
    let mut workspace = Workspace::new(limits.max_properties);
    let max_refused_blocks = limits.max_refused_blocks;
    let mut raw = Tape::new(Arc::clone(scratch), BLOCK_MEMORY, limits.max_response_bytes);
    let mut xml = Xml::new(input, xml_limits).with_recording(&mut raw);
    match read_root(&mut xml)? {
        Root::Status(status) => {
            let status = status.finish(&mut xml)?;
            read_epilogue(&mut xml)?;
            Ok(Answer::Status(status))
        }
        Root::Discovery => {
            let discovery = Discovery::read(&mut xml)?;
            read_epilogue(&mut xml)?;
            Ok(Answer::Discovery(discovery))
        }
        Root::Collections => {
            let collections = Collections::read(&mut xml)?;
            read_epilogue(&mut xml)?;
            Ok(Answer::Collections(collections))
        }
        Root::Subscriptions(started) => {
            let subscriptions = started.finish(&mut xml)?;
            read_epilogue(&mut xml)?;
            Ok(Answer::Subscriptions(subscriptions))
        }
        Root::Package(tag) => {
            let mut flattener = flattener(Origin::default());
            stix::read_package(&mut xml, &tag, &mut workspace, &mut flattener)
                .map_err(ReadResponseError::Package)?;
            read_epilogue(&mut xml)?;
            let read = flattener.packages().block_read();
            read.map_err(ReadResponseError::Keep)?;
            Ok(Answer::Package(all_counts(flattener)?))
        }
        Root::Poll(part) => {
            let asked = origin.unwrap_or_default();
            let collection = part.collection.clone();
            let origin = Origin {
                collection: collection.as_deref().unwrap_or(asked.collection),
                ..asked
            };
            let reader = PartReader {
                part: *part,
                content: ContentReader {
                    xml: &mut xml,
                    flattener: flattener(origin),
                    workspace,
                    max_refused_blocks,
                    blocks: 0,
                    refused_blocks: 0,
                },
            };
            let mut part = reader.read()?;
            read_epilogue(&mut xml)?;
            part.bytes = xml.bytes_read();
            Ok(Answer::Poll(Box::new(part)))
        }
    }
}

/// What was met by reading, and as the events left.
fn all_counts<C: ContentSink>(flattener: Flattener<C>) -> Result<Counts, ReadResponseError> {
    let (mut counts, sink) = flattener.finish();
    counts.add(&sink.finish().map_err(ReadResponseError::Keep)?);
    Ok(counts)
}

impl From<&Limits> for XmlLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            max_bytes: limits.max_response_bytes,
            max_depth: limits.max_xml_depth,
            max_text_bytes: limits.max_text_bytes,
        }
    }
}

impl From<&Limits> for FlattenLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            max_observables: limits.max_observables,
            max_definition_bytes: limits.max_definition_bytes,
            max_package_bytes: limits.max_package_bytes,
        }
    }
}

enum Root {
    Poll(Box<PollPart>),
    Status(StatusMessage),
    Discovery,
    Collections,
    Subscriptions(Subscriptions),
    Package(PackageTag),
}

fn read_root(xml: &mut Xml<'_>) -> Result<Root, ReadResponseError> {
    loop {
        let token = match xml.next() {
            Err(XmlError::Doctype { html: true }) => return Err(ReadResponseError::Html),
            other => other?,
        };
        return match token {
            Token::Start(tag) if tag.local().eq_ignore_ascii_case("html") => {
                Err(ReadResponseError::Html)
            }
            Token::Start(tag) if is_draft(&tag)? => Err(ReadResponseError::Draft),
            Token::Start(tag) => match tag.local() {
                "Poll_Response" => Ok(Root::Poll(Box::new(PollPart::start(&tag)?))),
                "Status_Message" => Ok(Root::Status(StatusMessage::start(&tag)?)),
                "Discovery_Response" => Ok(Root::Discovery),
                "Collection_Information_Response" | "Feed_Information_Response" => {
                    Ok(Root::Collections)
                }
                "Subscription_Management_Response" => {
                    Ok(Root::Subscriptions(Subscriptions::start(&tag)?))
                }
                "STIX_Package" => Ok(Root::Package(PackageTag::of(&tag)?)),
                name => Err(not_taxii(format!("a document <{}>", shortened(name)))),
            },
            Token::Text(text) if text.trim().is_empty() => continue,
            Token::Text(text) => Err(not_taxii(format!("{:?}", shortened(text.trim())))),
            Token::End | Token::Eof => Err(not_taxii("an empty answer".to_owned())),
        };
    }
}

/// Whether the root's own namespace, by whatever prefix, is the draft's.
fn is_draft(tag: &Tag<'_>) -> Result<bool, XmlError> {
    Ok(namespace(tag)?.as_deref() == Some(DRAFT_NAMESPACE))
}

/// The namespace of a root, if it declares it.
fn namespace(tag: &Tag<'_>) -> Result<Option<String>, XmlError> {
    let declaration = match tag.prefix() {
        Some(prefix) => format!("xmlns:{prefix}"),
        None => "xmlns".to_owned(),
    };
    tag.owned(&declaration)
}

/// Nothing but white space and comments may follow the root.
fn read_epilogue(xml: &mut Xml<'_>) -> Result<(), ReadResponseError> {
    loop {
        match xml.next()? {
            Token::Eof => return Ok(()),
            Token::Text(text) if text.trim().is_empty() => {}
            _ => return Err(not_taxii("more than one document".to_owned())),
        }
    }
}

fn not_taxii(found: String) -> ReadResponseError {
    ReadResponseError::NotTaxii { found }
}

fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 100;
    text.chars().take(MAX_CHARACTERS).collect()
}
