//! Content_Blocks. What is wrong inside one does not reach beyond it, as long as the XML around it
//! can be read.

use super::{ContentSink, ReadResponseError, RefusedBlock, shortened};
use crate::flatten::Flattener;
use crate::stix::{self, ReadPackageError, Workspace};
use crate::xml::{Token, Xml, XmlError};

const NESTED: &str = "another Content_Block is nested in it";

/// How far an error in a block reaches.
enum BlockError {
    /// The block alone cannot be read.
    Block(String),
    /// The whole answer cannot.
    Answer(ReadResponseError),
}

/// Reads the Content_Blocks of a message.
pub(super) struct ContentReader<'x, 'r, C> {
    pub(super) xml: &'x mut Xml<'r>,
    pub(super) flattener: Flattener<C>,
    pub(super) workspace: Workspace,
    pub(super) max_refused_blocks: u32,
    /// Content_Blocks, those that were refused included.
    pub(super) blocks: u64,
    /// Content_Blocks that were refused.
    pub(super) refused_blocks: u64,
}

impl<C: ContentSink> ContentReader<'_, '_, C> {
    /// Reads the Content_Block that has just started.
    pub(super) fn block(&mut self, start_tag: &str) -> Result<(), ReadResponseError> {
        let outside = self.xml.depth() - 1;
        let before = self.flattener.counts().clone();
        self.blocks += 1;
        self.xml.start_recording(start_tag.as_bytes())?;
        let mut binding = None;
        let reason = match self.block_children(&mut binding) {
            Ok(()) => {
                self.xml.drop_recording();
                let read = self.flattener.packages().block_read();
                return read.map_err(ReadResponseError::Keep);
            }
            Err(BlockError::Answer(error)) => return Err(error),
            Err(BlockError::Block(reason)) => reason,
        };
        if self.refused_blocks >= u64::from(self.max_refused_blocks) {
            return Err(ReadResponseError::TooManyRefused {
                limit: self.max_refused_blocks,
            });
        }
        self.xml.skip_to_depth(outside)?;
        self.refused_blocks += 1;
        self.flattener.restore(before);
        let reason = match &binding {
            // The outer format and what is inside it: TAXII Services Specification, 5.3.
            Some(binding) if binding.contains('|') => {
                format!("the content is encrypted or packed as {binding}: {reason}")
            }
            _ => reason,
        };
        if let Some(raw) = self.xml.stop_recording()? {
            self.flattener
                .packages()
                .block_refused(RefusedBlock {
                    number: self.blocks,
                    binding: binding.as_deref(),
                    reason,
                    raw,
                })
                .map_err(ReadResponseError::Keep)?;
        }
        Ok(())
    }

    fn block_children(&mut self, binding: &mut Option<String>) -> Result<(), BlockError> {
        let mut has_content = false;
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Content" => {
                        has_content = true;
                        self.content()?;
                    }
                    "Content_Binding" => {
                        *binding = tag.attribute("binding_id")?.map(|id| shortened(&id));
                        // TAXII 1.0 has it as text.
                        let text = self.xml.text()?;
                        let text = Some(text.trim()).filter(|text| !text.is_empty());
                        *binding = binding.take().or(text.map(shortened));
                    }
                    "Content_Block" => {
                        return Err(BlockError::Block(NESTED.to_owned()));
                    }
                    _ => self.xml.skip()?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof if !has_content => {
                    return Err(BlockError::Block("it has no Content".to_owned()));
                }
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn content(&mut self) -> Result<(), BlockError> {
        let limits = self.xml.limits();
        let Some(mut text) = self.xml.nested_text()? else {
            stix::read_packages(self.xml, &mut self.workspace, &mut self.flattener)?;
            return Ok(());
        };
        let mut nested = Xml::of_nested(&mut text, limits);
        let read = stix::read_packages(&mut nested, &mut self.workspace, &mut self.flattener);
        let read = read.map_err(BlockError::of_nested);
        if !matches!(read, Err(BlockError::Answer(_))) {
            text.finish()?;
        }
        read?;
        loop {
            match self.xml.next()? {
                Token::Start(tag) => {
                    let reason = format!("text and the element <{}> side by side", tag.local());
                    return Err(BlockError::Block(reason));
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }
}

impl BlockError {
    /// Whatever is wrong inside a nested document, the one around it goes on.
    fn of_nested(error: ReadPackageError) -> Self {
        match error {
            ReadPackageError::Keep(error) => Self::Answer(ReadResponseError::Keep(error)),
            ReadPackageError::Xml(
                error @ (XmlError::Read(_) | XmlError::Record(_) | XmlError::TooLarge { .. }),
            ) => Self::Answer(error.into()),
            error => Self::Block(reason_of(&error)),
        }
    }
}

/// What is known of content that is no STIX.
fn reason_of(error: &ReadPackageError) -> String {
    let ReadPackageError::NotStix { found } = error else {
        return error.to_string();
    };
    match found.as_str() {
        "Content_Block" => NESTED.to_owned(),
        "EncryptedData" => "it is encrypted (XML Encryption)".to_owned(),
        _ => error.to_string(),
    }
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
            error => Self::Block(reason_of(&error)),
        }
    }
}
