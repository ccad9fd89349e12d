//! Handling: data markings. Controlled structures, which say by XPath what a marking holds for,
//! are not evaluated: a marking holds for the whole of what has the Handling.

use super::{PackageReader, Result};
use crate::stix::{Marking, PassedOver};
use crate::xml::Token;

impl PackageReader<'_, '_> {
    /// Reads the Handling, or a part of it, that has just started.
    pub(super) fn handling(&mut self, marking: &mut Marking) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Statement" => self.folded_text_into(&mut marking.statements)?,
                    "Terms_Of_Use" => self.folded_text_into(&mut marking.terms)?,
                    // A source is no marking, and its elements may have the same names.
                    "Information_Source" => self.walk(None)?,
                    name => {
                        if matches!(name, "Marking" | "Marking_Structure") {
                            if let Some(color) = tag.attribute("color")? {
                                marking.add_color(&color);
                            }
                            if tag.attribute("idref")?.is_some() {
                                self.visitor.passed_over(PassedOver::Marking);
                            }
                        }
                        self.handling(marking)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }
}
