//! The properties of Custom objects.

use super::{PackageReader, Result};
use crate::stix::properties::StartedProperty;
use crate::stix::{PassedOver, ReadPackageError};
use crate::xml::Token;

impl PackageReader<'_, '_> {
    /// Of a Custom object only its Custom_Properties are told.
    pub(super) fn custom_object(&mut self) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == "Custom_Properties" => {
                    self.custom_properties()?;
                }
                Token::Start(_) => {
                    self.visitor.passed_over(PassedOver::OfCustomObject);
                    self.custom_object()?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    pub(super) fn custom_properties(&mut self) -> Result<()> {
        loop {
            self.plain_properties()?;
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == "Property" => {
                    let name = tag.attribute("name")?.unwrap_or_default();
                    let started = self.frame.properties.start(&name);
                    drop(name);
                    self.property(started)?;
                }
                Token::Start(_) => {
                    self.visitor.passed_over(PassedOver::OfCustomObject);
                    self.xml.skip()?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Those that need no closer look.
    fn plain_properties(&mut self) -> Result<()> {
        loop {
            self.xml.pass_over_space()?;
            let Some(property) = self.xml.plain_element("Property", "name") else {
                return Ok(());
            };
            let properties = &mut self.frame.properties;
            match property.text() {
                Some(value) => properties.push(property.attribute, value),
                None => {
                    let started = properties.start(property.attribute);
                    properties.finish(started, |value| {
                        property.text_pieces(|piece| value.extend_from_slice(piece.as_bytes()));
                        Ok::<(), ReadPackageError>(())
                    })?;
                }
            }
            self.check_properties()?;
        }
    }

    fn property(&mut self, started: StartedProperty) -> Result<()> {
        let Self {
            xml, frame, within, ..
        } = self;
        frame.properties.finish(started, |value| {
            let keep = |piece: &str| value.extend_from_slice(piece.as_bytes());
            xml.text_pieces(keep, |left_out| within.text(left_out, self.visitor))
        })?;
        self.check_properties()
    }

    pub(super) fn check_properties(&self) -> Result<()> {
        let properties = &self.frame.properties;
        let limit_reached = |what, limit| Err(ReadPackageError::Limit { what, limit });
        if properties.len() > self.max_properties as usize {
            return limit_reached("properties in one observable", self.max_properties.into());
        }
        let max_bytes = self.xml.limits().max_text_bytes;
        let text_bytes = properties.text_bytes().max(self.frame.text.len());
        if text_bytes as u64 > max_bytes {
            return limit_reached("bytes of properties in one observable", max_bytes);
        }
        Ok(())
    }
}
