//! Handling: data markings. Controlled structures, which say by XPath what a marking holds for,
//! are not evaluated: a marking holds for the whole of what has the Handling.

use super::{PackageReader, Result};
use crate::stix::element::present;
use crate::stix::{Marking, ReadPackageError};
use crate::xml::{Tag, Token};

/// Statements, terms and references that hold together. Each is compared with each.
const MAX_TEXTS: usize = 1000;

impl PackageReader<'_, '_> {
    /// Reads the Handling that has just started.
    pub(super) fn handling(&mut self, marking: &mut Marking) -> Result<()> {
        let around = self.within;
        self.within = self.within.closer("Handling");
        self.marking_children(marking)?;
        self.within = around;
        Ok(())
    }

    fn marking_children(&mut self, marking: &mut Marking) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Statement" => self.folded_text_into(&mut marking.statements)?,
                    "Terms_Of_Use" => self.folded_text_into(&mut marking.terms)?,
                    // It cannot hold for more than the whole.
                    "Controlled_Structure" => self.xml.skip()?,
                    // A source is no marking, and its elements may have the same names.
                    "Information_Source" => self.walk(None)?,
                    _ => {
                        let start = MarkingStart::of(&tag)?;
                        self.one_marking(start, marking)?;
                    }
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// A Marking, a Marking_Structure, or what a structure of another kind consists of.
    fn one_marking(&mut self, start: MarkingStart, around: &mut Marking) -> Result<()> {
        let mut marking = Marking::default();
        if let Some(color) = start.color {
            marking.add_color(&color);
        }
        if let Some(idref) = start.idref {
            self.keep(idref.len())?;
            marking.references.push(idref);
        }
        self.marking_children(&mut marking)?;
        around.add(&marking);
        if around.texts() > MAX_TEXTS {
            return Err(ReadPackageError::Limit {
                what: "statements, terms and references of markings that hold together",
                limit: MAX_TEXTS as u64,
            });
        }
        if let Some(id) = start.id
            && !marking.is_empty()
        {
            self.visitor.marking(&id, marking)?;
        }
        Ok(())
    }
}

struct MarkingStart {
    id: Option<String>,
    idref: Option<String>,
    color: Option<String>,
}

impl MarkingStart {
    fn of(tag: &Tag<'_>) -> Result<Self> {
        Ok(Self {
            id: present(tag, "id")?,
            idref: present(tag, "idref")?,
            color: present(tag, "color")?,
        })
    }
}
