//! Observables: an object each, or several, and what they have to do with each other.

use super::{PackageReader, Result, Within};
use crate::stix::element::{Element, Ids};
use crate::stix::{
    ObjectKind, Observable, Owner, PassedOver, Properties, Reference, ReferenceKind, Relation,
    Relations, objects,
};
use crate::xml::{Tag, Token};

/// The observable that is being read. Its buffers are used again for every one.
#[derive(Default)]
pub(super) struct Frame {
    /// Properties/@custom_name, or the type of another object.
    pub(super) kind: String,
    is_standard: bool,
    pub(super) properties: Properties,
    last_tag: PropertiesTag,
    /// Whether what it tells stands in other observables or objects.
    is_container: bool,
    object: OpenObject,
    /// How many objects are open.
    objects: u32,
    /// Texts of Relationship, in a Related_Object.
    relationship: Option<Vec<String>>,
    /// Where the reader is in a standard object.
    pub(super) path: String,
    /// The text of the elements of a standard object that are open.
    pub(super) text: String,
    /// One more than an observable may have, so that a list without an end is found out.
    pub(super) max_members: usize,
}

/// What a start tag of Properties says.
#[derive(Default)]
struct PropertiesTag {
    content: String,
    kind: String,
    is_standard: bool,
}

/// The object that is being read.
#[derive(Default)]
struct OpenObject {
    id: String,
    relations: Relations,
    /// Whether one of its relations is told nowhere else.
    names_others: bool,
    /// Whether the visitor heard of it.
    is_told: bool,
    /// Whether the visitor waits for its relations.
    is_waited_for: bool,
}

impl OpenObject {
    fn has_more_to_tell(&self) -> bool {
        self.names_others && !self.is_told
    }
}

impl Frame {
    pub(super) fn new(max_properties: u32) -> Self {
        Self {
            max_members: max_properties as usize + 1,
            ..Self::default()
        }
    }

    /// Takes all away, and keeps at most so much memory in one place.
    pub(super) fn clear(&mut self, max_bytes: usize) {
        self.reset(false);
        self.properties.shrink_to(max_bytes);
        if self.last_tag.content.len() > max_bytes {
            self.last_tag = PropertiesTag::default();
        }
        for text in [&mut self.kind, &mut self.path, &mut self.text] {
            text.clear();
            text.shrink_to(max_bytes);
        }
    }

    fn reset(&mut self, is_container: bool) {
        self.kind.clear();
        self.is_standard = false;
        self.properties.clear();
        self.is_container = is_container;
        self.object = OpenObject::default();
        self.objects = 0;
        self.relationship = None;
    }

    /// Takes what the start tag of Properties says; whether it is a standard object.
    fn start_properties(&mut self, tag: &Tag<'_>) -> Result<bool> {
        // Most are written as the one before.
        if self.last_tag.content != tag.content() {
            self.last_tag = PropertiesTag::of(tag)?;
        }
        let PropertiesTag {
            kind, is_standard, ..
        } = &self.last_tag;
        if self.kind.is_empty() {
            self.kind.push_str(kind);
            self.is_standard = *is_standard;
        }
        Ok(*is_standard)
    }

    fn kind(&self) -> ObjectKind<'_> {
        if self.is_standard {
            ObjectKind::Standard(&self.kind)
        } else {
            ObjectKind::Custom(&self.kind)
        }
    }
}

impl PropertiesTag {
    fn of(tag: &Tag<'_>) -> Result<Self> {
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
        let kind = if is_custom {
            custom_name.as_deref()
        } else {
            object_type
        };
        Ok(Self {
            kind: kind.unwrap_or_default().to_owned(),
            is_standard: !is_custom,
            content: tag.content().to_owned(),
        })
    }
}

impl PackageReader<'_, '_> {
    /// An observable holds either an object or other observables. Both at once is outside of the
    /// schema; then what was read of the object so far is an observable of its own.
    pub(super) fn observable(&mut self, id: Option<&str>, operator: Option<&str>) -> Result<()> {
        if !self.frame.properties.is_empty() {
            self.object_ended(operator, false)?;
        }
        self.within = Within::new(PassedOver::in_part(Owner::Observable, ""));
        self.frame.reset(false);
        let id = id.filter(|id| !id.is_empty());
        self.visitor.observable_started(id)?;
        self.observable_children(operator)?;
        let has_more = !self.frame.properties.is_empty() || self.frame.object.has_more_to_tell();
        if !self.frame.is_container || has_more {
            self.object_ended(operator, false)?;
        }
        self.frame.reset(true);
        self.visitor.observable_ended()
    }

    fn observable_children(&mut self, operator: Option<&str>) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
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
                    "Object" | "Associated_Object" => match tag.owned("idref")? {
                        Some(id) => self.object_reference(&id, operator)?,
                        None => {
                            let id = tag.owned("id")?.unwrap_or_default();
                            self.object(id, operator)?;
                        }
                    },
                    "Related_Object" => {
                        let ids = Ids::of(&tag)?;
                        self.related_object(ids, operator)?;
                    }
                    "Relationship" if self.frame.relationship.is_some() => {
                        let mut texts = self.frame.relationship.take().unwrap_or_default();
                        self.folded_text_into(&mut texts)?;
                        self.frame.relationship = Some(texts);
                    }
                    name => match Element::of(&tag)? {
                        Element::Other => {
                            let around = self.within;
                            self.within = around.closer(name);
                            self.observable_children(operator)?;
                            self.within = self.within.back_to(around);
                        }
                        composition @ Element::Composition { .. } => {
                            self.element(composition, operator)?;
                            self.frame.is_container = true;
                        }
                        element => self.element(element, operator)?,
                    },
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
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

    /// An observable's objects, those inside others and those of an event's actions, are one after
    /// the other what it tells.
    fn object(&mut self, id: String, operator: Option<&str>) -> Result<()> {
        let kept_before = self.kept;
        self.keep(id.len())?;
        let (around, depth) = self.start_object(id, operator)?;
        self.observable_children(operator)?;
        self.end_object(around, depth, operator)?;
        self.kept = kept_before;
        Ok(())
    }

    /// A relation to an object that stands elsewhere, or here.
    fn related_object(&mut self, ids: Ids, operator: Option<&str>) -> Result<()> {
        let relationship = self.frame.relationship.replace(Vec::new());
        match ids {
            Ids {
                idref: Some(idref), ..
            } => {
                self.observable_children(operator)?;
                self.relate(idref, true)?;
            }
            Ids { id, .. } => {
                let id = id.unwrap_or_default();
                let parent = self.frame.object.id.clone();
                let kept_before = self.kept;
                self.keep(id.len() + parent.len())?;
                let (around, depth) = self.start_object(id.clone(), operator)?;
                self.frame.object.relations.parent = Some(Relation::new(parent, Vec::new()));
                self.observable_children(operator)?;
                let texts = self.frame.relationship.clone().unwrap_or_default();
                if let Some(parent) = &mut self.frame.object.relations.parent {
                    let id = std::mem::take(&mut parent.id);
                    *parent = Relation::new(id, texts);
                }
                let is_told = self.end_object(around, depth, operator)?;
                self.kept = kept_before;
                self.relate(id, !is_told)?;
            }
        }
        self.frame.relationship = relationship;
        Ok(())
    }

    /// The object that is being read has this relation.
    fn relate(&mut self, id: String, is_told_nowhere_else: bool) -> Result<()> {
        let texts = self.frame.relationship.take().unwrap_or_default();
        if !id.is_empty() {
            self.keep(id.len())?;
            let object = &mut self.frame.object;
            object.relations.related.push(Relation::new(id, texts));
            object.names_others |= is_told_nowhere_else;
        } else if is_told_nowhere_else {
            let what = PassedOver::of(Owner::Observable, "Related_Objects");
            self.visitor.passed_over(what);
        }
        Ok(())
    }

    fn start_object(&mut self, id: String, operator: Option<&str>) -> Result<(OpenObject, u32)> {
        let depth = self.frame.objects;
        self.next_object(operator, depth > 0)?;
        let started = OpenObject {
            id,
            ..OpenObject::default()
        };
        let around = std::mem::replace(&mut self.frame.object, started);
        self.frame.objects = depth + 1;
        Ok((around, depth))
    }

    /// Whether the visitor heard of it.
    fn end_object(
        &mut self,
        around: OpenObject,
        depth: u32,
        operator: Option<&str>,
    ) -> Result<bool> {
        self.frame.objects = depth;
        if self.frame.object.is_waited_for {
            self.frame.object.is_waited_for = false;
            let relations = std::mem::take(&mut self.frame.object.relations);
            self.visitor.related(&relations)?;
        }
        // The outermost one stays until the observable ends, or another object starts.
        if depth > 0 {
            self.next_object(operator, false)?;
            let ended = std::mem::replace(&mut self.frame.object, around);
            return Ok(ended.is_told);
        }
        Ok(true)
    }

    /// What was read of an object so far is all of its own.
    fn next_object(&mut self, operator: Option<&str>, is_open: bool) -> Result<()> {
        let has_more = !is_open && self.frame.object.has_more_to_tell();
        if !self.frame.properties.is_empty() || has_more {
            self.object_ended(operator, is_open)?;
            self.frame.properties.clear();
            self.frame.kind.clear();
            self.frame.is_container = true;
        }
        Ok(())
    }

    fn object_ended(&mut self, operator: Option<&str>, is_open: bool) -> Result<()> {
        let object = &mut self.frame.object;
        object.is_told = true;
        object.is_waited_for = is_open;
        let relations = std::mem::take(&mut object.relations);
        let frame = &self.frame;
        self.visitor.observable(Observable {
            kind: frame.kind(),
            object_id: &frame.object.id,
            operator,
            is_negated: self.is_negated,
            is_related: is_open || !relations.is_empty(),
            properties: &frame.properties,
        })?;
        if is_open {
            self.frame.object.relations = relations;
        } else if !relations.is_empty() {
            self.visitor.related(&relations)?;
        }
        Ok(())
    }
}
