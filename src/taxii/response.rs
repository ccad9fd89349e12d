//! Answers of a service: Poll_Response and Status_Message, read as a stream.
//!
//! Elements are known by their local names over every TAXII namespace, whatever their order.

use std::io::{self, Read};
use std::sync::Arc;

use super::Timestamp;
use super::status::StatusMessage;
use crate::config::Limits;
use crate::flatten::{Counts, EventSink, FlattenLimits, Flattener, Origin};
use crate::stix::{self, PackageTag, ReadPackageError};
use crate::tape::{Scratch, Tape};
use crate::xml::{Tag, Token, Xml, XmlError, XmlLimits};

/// Memory for the raw text of the block that is being read.
const BLOCK_MEMORY: usize = 4 << 20;
/// Definitions of one package are kept in memory.
const MAX_DEFINITION_BYTES: usize = 4 << 20;

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

/// A Content_Block that cannot be read.
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
    /// A bare STIX_Package, its events given to the sink: no answer of a service, but a document
    /// that people have.
    Package(Counts),
}

/// A Poll_Response, without its content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PollPart {
    /// `@collection_name`, of TAXII 1.0 `@feed_name`
    pub collection: Option<String>,
    /// `@message_id`
    pub message_id: Option<String>,
    /// `@in_response_to`
    pub in_response_to: Option<String>,
    /// `@more`
    pub more: bool,
    /// `@result_id`
    pub result_id: Option<String>,
    /// `@result_part_number`
    pub part_number: Option<u32>,
    /// Exclusive_Begin_Timestamp, of TAXII 1.0 Inclusive_Begin_Timestamp
    pub begin: Option<Timestamp>,
    /// Inclusive_End_Timestamp
    pub end: Option<Timestamp>,
    /// Message
    pub message: Option<String>,
    /// Content_Blocks, those that were refused included.
    pub blocks: u64,
    /// Content_Blocks that were refused.
    pub refused_blocks: u64,
    /// What the blocks held.
    pub counts: Counts,
    /// Bytes of the answer.
    pub bytes: u64,
    /// What was not as it should be.
    pub warnings: Vec<String>,
}

/// An answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadResponseError {
    /// Its XML cannot be read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// A web page, such as the login page of a proxy.
    #[error("an HTML page instead of TAXII, perhaps a proxy's login page")]
    Html,
    /// Something else.
    #[error("no TAXII message: {found}")]
    NotTaxii {
        /// What it is.
        found: String,
    },
    /// A package on its own cannot be read.
    #[error(transparent)]
    Package(ReadPackageError),
    /// What was read could not be kept.
    #[error("what was read cannot be kept: {0}")]
    Keep(#[source] io::Error),
}

/// Reads one answer; its events go to `sink`.
pub fn read_answer<S: ResponseSink>(
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<Answer, ReadResponseError> {
    let xml_limits = XmlLimits {
        max_bytes: limits.max_response_bytes,
        max_depth: limits.max_xml_depth,
        max_text_bytes: limits.max_text_bytes,
    };
    let mut raw = Tape::new(Arc::clone(scratch), BLOCK_MEMORY, limits.max_response_bytes);
    let mut xml = Xml::new(input, xml_limits).with_recording(&mut raw);
    let root = read_root(&mut xml)?;
    let flattener = |origin| {
        let flatten_limits = FlattenLimits {
            max_observables: limits.max_observables,
            max_definition_bytes: MAX_DEFINITION_BYTES,
            max_package_bytes: limits.max_package_bytes,
        };
        Flattener::new(origin, flatten_limits, scratch, sink)
    };
    let answer = match root {
        Root::Status(status) => Answer::Status(status.finish(&mut xml)?),
        Root::Package(tag) => {
            let mut flattener = flattener(None);
            stix::read_package(&mut xml, &tag, limits.max_properties, &mut flattener)
                .map_err(ReadResponseError::Package)?;
            flattener
                .sink()
                .block_read()
                .map_err(ReadResponseError::Keep)?;
            Answer::Package(flattener.counts().clone())
        }
        Root::Poll(part) => {
            // The answer names its collection; the question does where the answer does not.
            let collection = part.collection.clone();
            let origin = origin.map(|asked| Origin {
                collection: collection.as_deref().unwrap_or(asked.collection),
                ..asked
            });
            let mut reader = PartReader {
                xml: &mut xml,
                part: *part,
                flattener: flattener(origin),
                max_properties: limits.max_properties,
            };
            reader.children()?;
            reader.part.counts = reader.flattener.counts().clone();
            Answer::Poll(Box::new(reader.part))
        }
    };
    read_epilogue(&mut xml)?;
    Ok(match answer {
        Answer::Poll(mut part) => {
            part.bytes = xml.bytes_read();
            Answer::Poll(part)
        }
        other => other,
    })
}

enum Root {
    Poll(Box<PollPart>),
    Status(StatusMessage),
    Package(PackageTag),
}

fn read_root(xml: &mut Xml<'_>) -> Result<Root, ReadResponseError> {
    loop {
        let token = match xml.next() {
            Err(XmlError::Doctype { html: true }) => return Err(ReadResponseError::Html),
            other => other?,
        };
        return match token {
            Token::Start(tag) => match tag.local() {
                "Poll_Response" => Ok(Root::Poll(Box::new(PollPart::start(&tag)?))),
                "Status_Message" => Ok(Root::Status(StatusMessage::start(&tag)?)),
                "STIX_Package" => Ok(Root::Package(PackageTag::of(&tag)?)),
                name if name.eq_ignore_ascii_case("html") => Err(ReadResponseError::Html),
                name => Err(not_taxii(format!("a document <{}>", shortened(name)))),
            },
            Token::Text(text) if text.trim().is_empty() => continue,
            Token::Text(text) => Err(not_taxii(format!("{:?}", shortened(text.trim())))),
            Token::End | Token::Eof => Err(not_taxii("an empty answer".to_owned())),
        };
    }
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

impl PollPart {
    fn start(tag: &Tag<'_>) -> Result<Self, XmlError> {
        let collection = match tag.owned("collection_name")? {
            Some(name) => Some(name),
            None => tag.owned("feed_name")?,
        };
        let mut part = Self {
            collection: collection.filter(|name| !name.is_empty()),
            message_id: tag.owned("message_id")?,
            in_response_to: tag.owned("in_response_to")?,
            result_id: tag.owned("result_id")?.filter(|id| !id.is_empty()),
            ..Self::default()
        };
        if let Some(more) = tag.attribute("more")? {
            part.more = matches!(more.trim(), "true" | "1");
        }
        if let Some(number) = tag.attribute("result_part_number")? {
            // A service was seen to write part 1000 as `1,000`.
            match number.replace(',', "").trim().parse() {
                Ok(number) => part.part_number = Some(number),
                Err(_) => part.warn(format!(
                    "its part number {:?} is no number",
                    shortened(&number)
                )),
            }
        }
        Ok(part)
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    fn timestamp(&mut self, name: &str, text: &str) -> Option<Timestamp> {
        match Timestamp::parse(text) {
            Ok(stamp) => Some(stamp),
            Err(error) => {
                self.warn(format!("its {name} {error}"));
                None
            }
        }
    }
}

struct PartReader<'x, 'r, S> {
    xml: &'x mut Xml<'r>,
    part: PollPart,
    flattener: Flattener<S>,
    max_properties: u32,
}

impl<S: ResponseSink> PartReader<'_, '_, S> {
    fn children(&mut self) -> Result<(), ReadResponseError> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Content_Block" => {
                        let start_tag = format!("<{}>", tag.qualified());
                        self.block(&start_tag)?;
                    }
                    "Exclusive_Begin_Timestamp" | "Inclusive_Begin_Timestamp" => {
                        let text = self.xml.text()?;
                        self.part.begin = self.part.timestamp("begin", &text);
                    }
                    "Inclusive_End_Timestamp" => {
                        let text = self.xml.text()?;
                        self.part.end = self.part.timestamp("end", &text);
                    }
                    "Message" => self.part.message = Some(shortened(self.xml.text()?.trim())),
                    _ => self.xml.skip()?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn block(&mut self, start_tag: &str) -> Result<(), ReadResponseError> {
        let outside = self.xml.depth() - 1;
        let before = self.flattener.counts().clone();
        self.part.blocks += 1;
        self.xml.start_recording(start_tag.as_bytes())?;
        let mut binding = None;
        let reason = match self.block_children(&mut binding) {
            Ok(()) => {
                self.xml.stop_recording();
                return self
                    .flattener
                    .sink()
                    .block_read()
                    .map_err(ReadResponseError::Keep);
            }
            Err(BlockError::Answer(error)) => return Err(error),
            Err(BlockError::Block(reason)) => reason,
        };
        self.xml.skip_to_depth(outside)?;
        self.part.refused_blocks += 1;
        self.flattener.restore(before);
        if let Some(raw) = self.xml.stop_recording() {
            self.flattener
                .sink()
                .block_refused(RefusedBlock {
                    number: self.part.blocks,
                    binding: binding.as_deref(),
                    reason,
                    raw,
                })
                .map_err(ReadResponseError::Keep)?;
        }
        Ok(())
    }

    fn block_children(&mut self, binding: &mut Option<String>) -> Result<(), BlockError> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Content" => self.content()?,
                    "Content_Binding" => {
                        *binding = tag.owned("binding_id")?;
                        self.xml.skip()?;
                    }
                    _ => self.xml.skip()?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn content(&mut self) -> Result<(), BlockError> {
        let outside = self.xml.depth() - 1;
        let limits = self.xml.limits();
        let Some(mut text) = self.xml.nested_text()? else {
            stix::read_packages(self.xml, self.max_properties, &mut self.flattener)?;
            return Ok(());
        };
        let mut nested = Xml::new(&mut text, limits);
        let read = stix::read_packages(&mut nested, self.max_properties, &mut self.flattener);
        // Whatever is wrong inside, the document around it goes on.
        read.map_err(|error| match error {
            ReadPackageError::Keep(error) => BlockError::Answer(ReadResponseError::Keep(error)),
            error => BlockError::Block(error.to_string()),
        })?;
        self.xml.skip_to_depth(outside)?;
        Ok(())
    }
}

/// How far an error in a block reaches.
enum BlockError {
    /// The block alone cannot be read.
    Block(String),
    /// The whole answer cannot.
    Answer(ReadResponseError),
}

impl From<XmlError> for BlockError {
    fn from(error: XmlError) -> Self {
        if error.is_recoverable() {
            Self::Block(error.to_string())
        } else {
            Self::Answer(error.into())
        }
    }
}

impl From<ReadPackageError> for BlockError {
    fn from(error: ReadPackageError) -> Self {
        match error {
            ReadPackageError::Xml(error) => error.into(),
            ReadPackageError::Keep(error) => Self::Answer(ReadResponseError::Keep(error)),
            error => Self::Block(error.to_string()),
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

#[cfg(test)]
mod tests;
