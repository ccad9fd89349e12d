//! A Poll_Response: one part of an answer.

use super::block::ContentReader;
use super::{ContentSink, ReadResponseError, all_counts, shortened};
use crate::flatten::Counts;
use crate::taxii::Timestamp;
use crate::xml::{Tag, Token};

/// What is wrong in a thousand places is told for the first few.
const MAX_WARNINGS: usize = 20;
/// Of a name or an id. They are kept for every part, sent back, and stand in every event.
pub(super) const MAX_NAME_BYTES: usize = 1024;

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
    /// Record_Count
    pub record_count: Option<RecordCount>,
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

/// Record_Count: what the whole result holds, over all its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordCount {
    /// How many Content_Blocks.
    pub records: u64,
    /// `@partial_count`: whether there may be more.
    pub is_partial: bool,
}

impl PollPart {
    /// What the start tag says.
    pub(super) fn start(tag: &Tag<'_>) -> Result<Self, ReadResponseError> {
        let collection = match name(tag, "collection_name")? {
            Some(name) => Some(name),
            None => name(tag, "feed_name")?,
        };
        let mut part = Self {
            collection: collection.filter(|name| !name.is_empty()),
            message_id: name(tag, "message_id")?,
            in_response_to: name(tag, "in_response_to")?,
            result_id: name(tag, "result_id")?.filter(|id| !id.is_empty()),
            ..Self::default()
        };
        if let Some(more) = tag.attribute("more")? {
            part.more = part.boolean("more", more.trim());
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

    /// In doubt it is true: to ask in vain loses nothing.
    fn boolean(&mut self, name: &str, value: &str) -> bool {
        let is_one_of = |texts: [&str; 2]| texts.iter().any(|t| value.eq_ignore_ascii_case(t));
        if is_one_of(["true", "1"]) {
            return true;
        }
        if is_one_of(["false", "0"]) || value.is_empty() {
            return false;
        }
        let value = shortened(value);
        self.warn(format!("its {name} is {value:?}, taken as true"));
        true
    }

    fn count(&mut self, text: &str, partial: &str) -> Option<RecordCount> {
        let is_partial = self.boolean("partial_count", partial.trim());
        if let Ok(records) = text.trim().parse() {
            return Some(RecordCount {
                records,
                is_partial,
            });
        }
        let text = shortened(text.trim());
        self.warn(format!("its record count {text:?} is no number"));
        None
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

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }
}

pub(super) fn name(
    tag: &Tag<'_>,
    attribute: &'static str,
) -> Result<Option<String>, ReadResponseError> {
    match tag.owned(attribute)? {
        Some(name) if name.len() > MAX_NAME_BYTES => Err(ReadResponseError::LongName {
            attribute,
            limit: MAX_NAME_BYTES,
        }),
        name => Ok(name),
    }
}

/// Reads what follows the start tag of a Poll_Response.
pub(super) struct PartReader<'x, 'r, C> {
    pub(super) part: PollPart,
    pub(super) content: ContentReader<'x, 'r, C>,
}

impl<C: ContentSink> PartReader<'_, '_, C> {
    pub(super) fn read(mut self) -> Result<PollPart, ReadResponseError> {
        loop {
            let xml = &mut *self.content.xml;
            match xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Content_Block" => {
                        let start_tag = tag.to_xml();
                        self.content.block(&start_tag)?;
                    }
                    "Exclusive_Begin_Timestamp" | "Inclusive_Begin_Timestamp" => {
                        let text = xml.text()?;
                        self.part.begin = self.part.timestamp("begin", &text);
                    }
                    "Inclusive_End_Timestamp" => {
                        let text = xml.text()?;
                        self.part.end = self.part.timestamp("end", &text);
                    }
                    "Record_Count" => {
                        let partial = tag.owned("partial_count")?.unwrap_or_default();
                        let text = xml.text()?;
                        self.part.record_count = self.part.count(&text, &partial);
                    }
                    "Message" => self.part.message = Some(shortened(xml.text()?.trim())),
                    _ => xml.skip()?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => break,
            }
        }
        self.part.blocks = self.content.blocks;
        self.part.refused_blocks = self.content.refused_blocks;
        self.part.counts = all_counts(self.content.flattener)?;
        Ok(self.part)
    }
}
