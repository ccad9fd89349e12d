//! Observables, and the properties of Custom objects.

use super::{PackageReader, Result};
use crate::stix::element::Element;
use crate::stix::properties::StartedProperty;
use crate::stix::{
    ObjectKind, Observable, PassedOver, Properties, ReadPackageError, Reference, ReferenceKind,
    objects,
};
use crate::xml::{Tag, Token};

/// The observable that is being read. Its buffers are used again for every one.
#[derive(Default)]
pub(super) struct Frame {
    /// Properties/@custom_name, or the type of another object.
    pub(super) kind: String,
    is_standard: bool,
    pub(super) properties: Properties,
    /// Whether what it tells stands in other observables or objects.
    is_container: bool,
    object_id: String,
    /// How many objects are open.
    objects: u32,
    /// Where the reader is in a standard object.
    pub(super) path: String,
    /// The text of the elements of a standard object that are open.
    pub(super) text: String,
    /// One more than an observable may have, so that a list without an end is found out.
    pub(super) max_members: usize,
}

impl Frame {
    pub(super) fn new(max_properties: u32) -> Self {
        Self {
            max_members: max_properties as usize + 1,
            ..Self::default()
        }
    }

    fn reset(&mut self, is_container: bool) {
        self.kind.clear();
        self.is_standard = false;
        self.properties.clear();
        self.is_container = is_container;
        self.object_id.clear();
        self.objects = 0;
    }

    /// Takes what the start tag of Properties says; whether it is a standard object.
    fn start_properties(&mut self, tag: &Tag<'_>) -> Result<bool> {
        let mut custom_name = None;
        let mut object_type = None;
        for attribute in tag.attributes() {
            let attribute = attribute?;
            match (attribute.prefix, attribute.local) {
                ("", "custom_name") => custom_name = Some(attribute.value),
                ("" | "xmlns", _) => {}
                (_, "type") => object_type = Some(attribute.value),
                _ => {}
            }
        }
        let object_type = object_type.as_deref().map(objects::object_type);
        let is_custom = custom_name.is_some() || object_type == Some("Custom");
        if self.kind.is_empty() {
            let kind = custom_name.as_deref().filter(|_| is_custom);
            let kind = kind.or(object_type.filter(|_| !is_custom));
            self.kind.push_str(kind.unwrap_or_default());
            self.is_standard = !is_custom;
        }
        Ok(!is_custom)
    }

    fn kind(&self) -> ObjectKind<'_> {
        if self.is_standard {
            ObjectKind::Standard(&self.kind)
        } else {
            ObjectKind::Custom(&self.kind)
        }
    }
}

impl PackageReader<'_, '_> {
    /// An observable holds either an object or other observables. Both at once is outside of the
    /// schema; then what was read of the object so far is an observable of its own.
    pub(super) fn observable(&mut self, id: Option<&str>, operator: Option<&str>) -> Result<()> {
        if !self.frame.properties.is_empty() {
            self.object_ended(operator)?;
        }
        self.frame.reset(false);
        let id = id.filter(|id| !id.is_empty());
        self.visitor.observable_started(id)?;
        self.observable_children(operator)?;
        if !self.frame.is_container || !self.frame.properties.is_empty() {
            self.object_ended(operator)?;
        }
        self.frame.reset(true);
        self.visitor.observable_ended()
    }

    fn observable_children(&mut self, operator: Option<&str>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Properties" => {
                        if self.frame.start_properties(&tag)? {
                            self.frame.push_attributes(&tag)?;
                            self.standard_properties()?;
                        } else {
                            self.custom_object()?;
                        }
                    }
                    "Custom_Properties" => self.custom_properties()?,
                    name @ ("Object" | "Related_Object" | "Associated_Object") => {
                        let is_related = name == "Related_Object";
                        match (tag.owned("idref")?, is_related) {
                            (Some(_), true) => {
                                self.visitor.passed_over(PassedOver::RelatedObject);
                                self.observable_children(operator)?;
                            }
                            (Some(id), false) => self.object_reference(&id, operator)?,
                            (None, _) => {
                                let id = tag.owned("id")?.unwrap_or_default();
                                self.object(id, operator)?;
                            }
                        }
                    }
                    _ => match Element::of(&tag)? {
                        Element::Other => self.observable_children(operator)?,
                        composition @ Element::Composition { .. } => {
                            self.element(composition, operator)?;
                            self.frame.is_container = true;
                        }
                        element => self.element(element, operator)?,
                    },
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn object_reference(&mut self, id: &str, operator: Option<&str>) -> Result<()> {
        self.visitor.reference(Reference {
            kind: ReferenceKind::Object,
            id,
            operator,
        })?;
        self.frame.is_container = true;
        self.observable_children(operator)
    }

    /// An observable's objects, related ones and those of an event's actions, are one after the
    /// other what it tells.
    fn object(&mut self, id: String, operator: Option<&str>) -> Result<()> {
        self.next_object(operator)?;
        let around = std::mem::replace(&mut self.frame.object_id, id);
        self.frame.objects += 1;
        self.observable_children(operator)?;
        self.frame.objects = self.frame.objects.saturating_sub(1);
        if self.frame.objects > 0 {
            self.next_object(operator)?;
            self.frame.object_id = around;
        }
        Ok(())
    }

    fn next_object(&mut self, operator: Option<&str>) -> Result<()> {
        if !self.frame.properties.is_empty() {
            self.object_ended(operator)?;
            self.frame.properties.clear();
            self.frame.kind.clear();
            self.frame.is_container = true;
        }
        Ok(())
    }

    fn object_ended(&mut self, operator: Option<&str>) -> Result<()> {
        self.visitor.observable(Observable {
            kind: self.frame.kind(),
            object_id: &self.frame.object_id,
            operator,
            properties: &self.frame.properties,
        })
    }

    /// Of a Custom object only its Custom_Properties are told.
    fn custom_object(&mut self) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Custom_Properties" => {
                    self.custom_properties()?;
                }
                Token::Start(_) => {
                    self.visitor.passed_over(PassedOver::OfCustomObject);
                    self.custom_object()?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    pub(super) fn custom_properties(&mut self) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Property" => {
                    let name = tag.attribute("name")?.unwrap_or_default();
                    let started = self.frame.properties.start(&name);
                    drop(name);
                    self.property(started)?;
                }
                Token::Start(_) => self.xml.skip()?,
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn property(&mut self, started: StartedProperty) -> Result<()> {
        let Self { xml, frame, .. } = self;
        frame
            .properties
            .finish(started, |value| xml.text_into(value))?;
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
