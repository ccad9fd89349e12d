//! Reads packages: one function for each element that means something, everything else is walked
//! through in search of them.

mod custom;
mod definition;
mod impact;
mod incident;
mod indicator;
mod marking;
mod object;
mod observable;
mod within;

use std::fmt;

use super::element::{Element, PackageTag};
use super::{
    DefinitionKind, Header, IncidentStart, Marking, Named, Owner, PackageStart, PassedOver,
    ReadPackageError, Reference, Visitor,
};
use crate::xml::{Token, Xml};
use within::Within;

/// Between one content and the next a [`Workspace`] keeps no more memory than this in one place.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// A description that is longer is cut.
const MAX_DESCRIPTION_BYTES: usize = 4096;

type Result<T> = std::result::Result<T, ReadPackageError>;

/// Reads all packages up to the end of the element around them, or of the document.
///
/// After a recoverable error the caller goes on with [`Xml::skip_to_depth`].
pub fn read_packages(
    xml: &mut Xml<'_>,
    workspace: &mut Workspace,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    let mut reader = PackageReader::new(xml, workspace, visitor);
    let mut packages = 0_u32;
    loop {
        match reader.xml.next_behind_space()? {
            Token::Start(tag) if tag.local() == "STIX_Package" => {
                let start = PackageTag::of(&tag)?;
                reader.package(&start)?;
                packages += 1;
            }
            Token::Start(tag) => {
                let found = tag.local().chars().take(64).collect();
                return Err(ReadPackageError::NotStix { found });
            }
            Token::Text(_) => {}
            Token::End | Token::Eof if packages == 0 => return Err(ReadPackageError::NoElement),
            Token::End | Token::Eof => return Ok(()),
        }
    }
}

/// Reads the package whose start tag has just been read.
pub fn read_package(
    xml: &mut Xml<'_>,
    start: &PackageTag,
    workspace: &mut Workspace,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    PackageReader::new(xml, workspace, visitor).package(start)
}

/// What is used for one package after the other, whatever they hold.
pub struct Workspace {
    /// The most properties that an observable may have.
    max_properties: u32,
    /// The observable that is being read.
    frame: observable::Frame,
    /// The text that is being folded.
    text: String,
}

impl Workspace {
    /// For observables of at most so many properties.
    #[must_use]
    pub fn new(max_properties: u32) -> Self {
        Self {
            max_properties,
            frame: observable::Frame::new(max_properties),
            text: String::new(),
        }
    }

    /// Nothing stays of what was read before, which may have been given up in the middle of an observable.
    fn clear(&mut self) {
        self.frame.clear(MAX_KEPT_BYTES);
        self.text.clear();
        self.text.shrink_to(MAX_KEPT_BYTES);
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("max_properties", &self.max_properties)
            .finish_non_exhaustive()
    }
}

struct PackageReader<'p, 'r> {
    xml: &'p mut Xml<'r>,
    visitor: &'p mut dyn Visitor,
    max_properties: u32,
    frame: &'p mut observable::Frame,
    text: &'p mut String,
    /// Bytes that are kept for the elements that are open.
    kept: u64,
    /// The markings of packages and reports inside this one, and those that stand nowhere else.
    inner_marking: Marking,
    within: Within,
    /// Whether an observable around what is read is negated.
    is_negated: bool,
}

impl<'p, 'r> PackageReader<'p, 'r> {
    fn new(
        xml: &'p mut Xml<'r>,
        workspace: &'p mut Workspace,
        visitor: &'p mut dyn Visitor,
    ) -> Self {
        workspace.clear();
        let Workspace {
            max_properties,
            frame,
            text,
        } = workspace;
        Self {
            xml,
            visitor,
            max_properties: *max_properties,
            frame,
            text,
            kept: 0,
            inner_marking: Marking::default(),
            within: in_package(""),
            is_negated: false,
        }
    }

    fn package(&mut self, start: &PackageTag) -> Result<()> {
        self.visitor.package_started(PackageStart {
            id: start.id.as_deref(),
            timestamp: start.timestamp.as_deref(),
        })?;
        self.kept = 0;
        self.inner_marking = Marking::default();
        self.within = in_package("");
        self.is_negated = false;
        let mut header = Header::default();
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == "STIX_Header" => self.header(&mut header)?,
                Token::Start(tag) => {
                    self.within = in_package(tag.local());
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => {
                    header.marking.add(&self.inner_marking);
                    return self.visitor.package_ended(header);
                }
            }
        }
    }

    fn header(&mut self, header: &mut Header) -> Result<()> {
        loop {
            self.within = in_header("");
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Title" => self.folded_text_into(&mut header.titles)?,
                    "Package_Intent" => self.folded_text_into(&mut header.intents)?,
                    "Information_Source" => self.header_source(header)?,
                    "Handling" => self.handling(&mut header.marking)?,
                    name => {
                        self.within = in_header(name);
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn header_source(&mut self, header: &mut Header) -> Result<()> {
        self.within = in_header("Information_Source");
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == "Identity" => {
                    if let Some(id) = tag.owned("id")?.filter(|id| !id.is_empty()) {
                        self.keep(id.len())?;
                        header.identities.push(id);
                    }
                    self.children_text("Name", &mut header.sources)?;
                }
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Walks through the element that has just started.
    fn walk(&mut self, operator: Option<&str>) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, operator)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn element(&mut self, element: Element, operator: Option<&str>) -> Result<()> {
        let kept_before = self.kept;
        let around = self.within;
        let is_other = matches!(element, Element::Other);
        self.keep(element.text_bytes())?;
        match element {
            Element::Incident { id, url } => self.incident(IncidentStart {
                id: id.as_deref(),
                url: url.as_deref(),
            })?,
            Element::Indicator { id, is_negated } => self.indicator(id.as_deref(), is_negated)?,
            Element::Observable { id, is_negated } => {
                let around = self.is_negated;
                self.is_negated |= is_negated;
                self.observable(id.as_deref(), operator)?;
                self.is_negated = around;
            }
            Element::Reference { kind, id } => {
                let id = &id;
                self.visitor.reference(Reference { kind, id, operator })?;
                self.walk(operator)?;
            }
            Element::Composition { operator } => self.walk(operator.as_deref())?,
            Element::Definition { kind, ids } => {
                let named = self.named(kind, ids)?;
                // Without an id nothing can name it.
                if kind != DefinitionKind::Tool && matches!(named, Some(Named::Inline(_))) {
                    self.visitor.passed_over(PassedOver::Unnamed(kind));
                }
            }
            Element::InnerHeader => self.inner_header()?,
            Element::Handling => self.inner_handling()?,
            Element::PackageReference => {
                self.visitor.passed_over(PassedOver::RelatedPackage);
                self.walk(None)?;
            }
            Element::Report => {
                self.visitor.passed_over(PassedOver::Report);
                self.within = Within::new(PassedOver::in_part(Owner::Report, ""));
                self.walk(None)?;
            }
            Element::Other => self.walk(operator)?,
        }
        if !is_other {
            self.within = around;
        }
        self.kept = kept_before;
        Ok(())
    }

    /// What a package inside this one holds counts as this one's, so its marking holds for all.
    fn inner_header(&mut self) -> Result<()> {
        let mut header = Header::default();
        self.header(&mut header)?;
        self.inner_marking.add(&header.marking);
        Ok(())
    }

    /// A report's marking holds for all of the package, which is more than what it lists; so does
    /// one of whatever else there is.
    fn inner_handling(&mut self) -> Result<()> {
        let mut marking = std::mem::take(&mut self.inner_marking);
        self.handling(&mut marking)?;
        self.inner_marking = marking;
        Ok(())
    }

    /// The texts of the children of this name.
    fn children_text(&mut self, name: &str, texts: &mut Vec<String>) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == name => self.folded_text_into(texts)?,
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Appends the text of the element that has just started, folded, unless it is empty.
    fn folded_text_into(&mut self, texts: &mut Vec<String>) -> Result<()> {
        let text = self.folded_text()?;
        if !text.is_empty() {
            self.keep(text.len())?;
            texts.push(text);
        }
        Ok(())
    }

    fn folded_text(&mut self) -> Result<String> {
        self.text.clear();
        let Self {
            xml, within, text, ..
        } = self;
        xml.text_into_or(text, |left_out| within.text(left_out, self.visitor))?;
        Ok(fold(text))
    }

    /// As [`PackageReader::folded_text_into`], cut where it is too long for every event.
    fn description_into(&mut self, texts: &mut Vec<String>) -> Result<()> {
        let mut text = self.folded_text()?;
        if text.len() > MAX_DESCRIPTION_BYTES {
            let is_whole = |at: &usize| text.is_char_boundary(*at);
            let end = (0..=MAX_DESCRIPTION_BYTES).rev().find(is_whole);
            text.truncate(end.unwrap_or_default());
            text.push('…');
        }
        if !text.is_empty() {
            self.keep(text.len())?;
            texts.push(text);
        }
        Ok(())
    }

    /// Counts a text that is kept as long as the element around it is open.
    fn keep(&mut self, text_bytes: usize) -> Result<()> {
        /// What a text takes in memory beside its bytes.
        const OVERHEAD: usize = 32;
        let limit = self.xml.limits().max_text_bytes;
        self.kept += (text_bytes + OVERHEAD) as u64;
        if self.kept > limit {
            let what = "bytes of ids, titles and names around one element";
            return Err(ReadPackageError::Limit { what, limit });
        }
        Ok(())
    }
}

fn in_package(name: &str) -> Within {
    Within::new(PassedOver::in_part(Owner::Package, name))
}

fn in_header(name: &str) -> Within {
    Within::new(PassedOver::in_part(Owner::Header, name))
}

/// Runs of white space become one space, none is left at the ends.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}
