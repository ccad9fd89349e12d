//! An Inbox_Message: what a service pushes, with the same content that it answers a poll with.
//!
//! It is read twice: first what stands around the content, since that decides whether and as what
//! the content is taken, then the content.

use std::io::Read;
use std::sync::Arc;

use super::block::ContentReader;
use super::part::{MAX_NAME_BYTES, name};
use super::{
    BLOCK_MEMORY, DRAFT_NAMESPACE, ReadResponseError, ResponseSink, all_counts, is_draft,
    namespace, shortened,
};
use crate::config::Limits;
use crate::flatten::{AtOnce, Counts, FlattenLimits, Flattener, Origin};
use crate::stix::Workspace;
use crate::tape::{Scratch, Tape};
use crate::taxii::version::Version;
use crate::xml::{Tag, Token, Xml, XmlError, XmlLimits};

/// Destination_Collection_Name in one message: each of them gets the content.
const MAX_DESTINATIONS: usize = 100;

/// An Inbox_Message, without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxMessage {
    /// The version of its namespace.
    pub version: Option<Version>,
    /// `@message_id`
    pub message_id: Option<String>,
    /// Destination_Collection_Name, each once.
    pub destinations: Vec<String>,
    /// Source_Subscription
    pub source: Option<SourceSubscription>,
    /// Content_Blocks.
    pub blocks: u64,
    /// The first Content_Binding, if no block has one that STIX can be in.
    pub foreign_binding: Option<String>,
}

/// Source_Subscription: what the content is pushed for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSubscription {
    /// `@collection_name`, of TAXII 1.0 `@feed_name`
    pub collection: Option<String>,
    /// Subscription_ID, of TAXII 1.0 `@subscription_id`
    pub id: Option<String>,
}

/// What the content of an Inbox_Message was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxContent {
    /// Content_Blocks, those that were refused included.
    pub blocks: u64,
    /// Content_Blocks that were refused.
    pub refused_blocks: u64,
    /// What the blocks held.
    pub counts: Counts,
    /// Bytes of the message.
    pub bytes: u64,
}

/// An Inbox_Message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadInboxError {
    /// Its XML cannot be read.
    #[error("the message cannot be read: {0}")]
    Xml(#[from] XmlError),
    /// The draft of TAXII 1.0, which nobody speaks any more.
    #[error(
        "a message of the draft of TAXII 1.0 (the namespace {DRAFT_NAMESPACE}), which is not \
         understood: send an Inbox_Message of TAXII 1.0 or 1.1"
    )]
    Draft,
    /// Another message of TAXII.
    #[error("an inbox takes an Inbox_Message, this is a {name}")]
    Other {
        /// Its name.
        name: String,
    },
    /// Something else.
    #[error("no TAXII message: {found}")]
    NotTaxii {
        /// What it is.
        found: String,
    },
    /// An element that an Inbox_Message has not, or not there.
    #[error("the message has an element <{name}> where TAXII has none")]
    Strange {
        /// Its name.
        name: String,
    },
    /// More than makes sense.
    #[error("{what}")]
    TooMuch {
        /// What there is too much of.
        what: String,
    },
}

/// Reads what stands around the content. What is known of the message is in `message` also where
/// the rest cannot be read.
pub fn read_inbox_message(
    input: &mut dyn Read,
    limits: &Limits,
    message: &mut InboxMessage,
) -> Result<(), ReadInboxError> {
    let mut xml = Xml::new(input, XmlLimits::from(limits));
    read_root(&mut xml, message)?;
    let mut is_foreign = true;
    loop {
        match xml.next()? {
            Token::Start(tag) => match tag.local() {
                "Content_Block" => {
                    message.blocks += 1;
                    let binding = binding(&mut xml)?;
                    is_foreign &= binding.as_deref().is_some_and(is_foreign_binding);
                    if message.foreign_binding.is_none() {
                        message.foreign_binding = binding;
                    }
                }
                "Destination_Collection_Name" => {
                    let name = short_text(&mut xml, "Destination_Collection_Name")?;
                    if !message.destinations.contains(&name) {
                        message.destinations.push(name);
                    }
                    if message.destinations.len() > MAX_DESTINATIONS {
                        let what = format!(
                            "more than {MAX_DESTINATIONS} collections are named as the destination"
                        );
                        return Err(ReadInboxError::TooMuch { what });
                    }
                }
                "Source_Subscription" => {
                    let collection = match short(&tag, "collection_name")? {
                        Some(name) => Some(name),
                        None => short(&tag, "feed_name")?,
                    };
                    let id = short(&tag, "subscription_id")?;
                    let id = subscription_id(&mut xml, id)?;
                    message.source = Some(SourceSubscription { collection, id });
                }
                "Extended_Headers" | "Message" | "Record_Count" | "Signature" => xml.skip()?,
                name => return Err(strange(name)),
            },
            Token::Text(_) => {}
            Token::End | Token::Eof => break,
        }
    }
    message.foreign_binding = message.foreign_binding.take().filter(|_| is_foreign);
    loop {
        match xml.next()? {
            Token::Text(text) if text.trim().is_empty() => {}
            Token::Text(_) | Token::Start(_) => return Err(not_taxii("more than one document")),
            Token::End | Token::Eof => return Ok(()),
        }
    }
}

/// Reads the content; its events go to `sink`. They count only once this has returned `Ok`.
pub fn read_inbox_content<S: ResponseSink>(
    input: &mut dyn Read,
    origin: Origin<'_>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<InboxContent, ReadResponseError> {
    let mut raw = Tape::new(Arc::clone(scratch), BLOCK_MEMORY, limits.max_response_bytes);
    let mut xml = Xml::new(input, XmlLimits::from(limits)).with_recording(&mut raw);
    while !matches!(xml.next()?, Token::Start(_) | Token::Eof) {}
    let mut content = ContentReader {
        xml: &mut xml,
        flattener: Flattener::new(
            origin,
            FlattenLimits::from(limits),
            scratch,
            AtOnce::new(sink),
        ),
        workspace: Workspace::new(limits.max_properties),
        max_refused_blocks: limits.max_refused_blocks,
        blocks: 0,
        refused_blocks: 0,
    };
    loop {
        match content.xml.next()? {
            Token::Start(tag) if tag.local() == "Content_Block" => {
                let start_tag = tag.to_xml();
                content.block(&start_tag)?;
            }
            Token::Start(_) => content.xml.skip()?,
            Token::Text(_) => {}
            Token::End | Token::Eof => break,
        }
    }
    Ok(InboxContent {
        blocks: content.blocks,
        refused_blocks: content.refused_blocks,
        counts: all_counts(content.flattener)?,
        bytes: xml.bytes_read(),
    })
}

fn read_root(xml: &mut Xml<'_>, message: &mut InboxMessage) -> Result<(), ReadInboxError> {
    loop {
        match xml.next()? {
            Token::Start(tag) => {
                if is_draft(&tag)? {
                    return Err(ReadInboxError::Draft);
                }
                let namespace = namespace(&tag)?.unwrap_or_default();
                message.version = Version::of_namespace(&namespace);
                message.message_id = short(&tag, "message_id")?;
                let name = tag.local();
                return match (name, message.version) {
                    ("Inbox_Message", _) => Ok(()),
                    (_, Some(_)) => Err(ReadInboxError::Other {
                        name: shortened(name),
                    }),
                    (_, None) => Err(not_taxii(&format!("a document <{}>", shortened(name)))),
                };
            }
            Token::Text(text) if text.trim().is_empty() => {}
            Token::Text(text) => {
                return Err(not_taxii(&format!("{:?}", shortened(text.trim()))));
            }
            Token::End | Token::Eof => return Err(not_taxii("an empty body")),
        }
    }
}

/// The binding of the Content_Block that has just started; its end is passed.
fn binding(xml: &mut Xml<'_>) -> Result<Option<String>, ReadInboxError> {
    let mut binding = None;
    loop {
        match xml.next()? {
            Token::Start(tag) if tag.local() == "Content_Binding" => {
                let id = tag.owned("binding_id")?;
                // TAXII 1.0 has it as text.
                let text = xml.text()?;
                let id = id.unwrap_or_else(|| text.trim().to_owned());
                binding = Some(shortened(&id)).filter(|id| !id.is_empty());
            }
            Token::Start(_) => xml.skip()?,
            Token::Text(_) => {}
            Token::End | Token::Eof => return Ok(binding),
        }
    }
}

/// Whether content in this format cannot be STIX, nor be encrypted so that nobody knows.
fn is_foreign_binding(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let may_be_ours = [
        "stix",
        "application/xml",
        "text/xml",
        "xmlenc",
        "pkcs7",
        "|",
    ];
    !may_be_ours.iter().any(|known| id.contains(known))
}

/// Reads a Source_Subscription to its end; in TAXII 1.1 the id is an element of it.
fn subscription_id(
    xml: &mut Xml<'_>,
    mut id: Option<String>,
) -> Result<Option<String>, ReadInboxError> {
    loop {
        match xml.next()? {
            Token::Start(tag) => match tag.local() {
                "Subscription_ID" => id = Some(short_text(xml, "Subscription_ID")?),
                "Exclusive_Begin_Timestamp"
                | "Inclusive_Begin_Timestamp"
                | "Inclusive_End_Timestamp" => xml.skip()?,
                name => return Err(strange(name)),
            },
            Token::Text(_) => {}
            Token::End | Token::Eof => return Ok(id),
        }
    }
}

/// What is passed over might be content.
fn strange(name: &str) -> ReadInboxError {
    ReadInboxError::Strange {
        name: shortened(name),
    }
}

fn short_text(xml: &mut Xml<'_>, what: &'static str) -> Result<String, ReadInboxError> {
    let text = xml.text()?;
    let text = text.trim();
    if text.len() > MAX_NAME_BYTES {
        return Err(too_long(what));
    }
    Ok(text.to_owned())
}

fn short(tag: &Tag<'_>, attribute: &'static str) -> Result<Option<String>, ReadInboxError> {
    name(tag, attribute).map_err(|error| match error {
        ReadResponseError::Xml(error) => error.into(),
        _ => too_long(attribute),
    })
}

fn too_long(what: &str) -> ReadInboxError {
    ReadInboxError::TooMuch {
        what: format!("{what} is longer than {MAX_NAME_BYTES} bytes"),
    }
}

fn not_taxii(found: &str) -> ReadInboxError {
    ReadInboxError::NotTaxii {
        found: found.to_owned(),
    }
}
