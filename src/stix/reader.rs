//! Reads packages: one function for each element that means something, everything else is walked
//! through in search of them.

use super::element::{Element, Ids, PackageTag};
use super::properties::StartedProperty;
use super::{
    Definition, DefinitionKind, Header, Incident, IncidentStart, Indicator, Named, Observable,
    PackageStart, PassedOver, Properties, ReadPackageError, Visitor,
};
use crate::xml::{Token, Xml};

type Result<T> = std::result::Result<T, ReadPackageError>;

/// Reads all packages up to the end of the element around them, or of the document.
///
/// After a recoverable error the caller goes on with [`Xml::skip_to_depth`].
pub fn read_packages(
    xml: &mut Xml<'_>,
    max_properties: u32,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    let mut reader = PackageReader::new(xml, max_properties, visitor);
    let mut packages = 0_u32;
    loop {
        match reader.xml.next()? {
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
    max_properties: u32,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    PackageReader::new(xml, max_properties, visitor).package(start)
}

struct PackageReader<'p, 'r> {
    xml: &'p mut Xml<'r>,
    visitor: &'p mut dyn Visitor,
    max_properties: u32,
    /// How many incidents are open.
    incidents: u32,
    /// Bytes that are kept for the elements that are open.
    kept: u64,
    frame: Frame,
}

/// The observable that is being read.
#[derive(Default)]
struct Frame {
    custom_name: Option<String>,
    properties: Properties,
    /// Whether other observables stand inside it.
    is_container: bool,
}

impl Frame {
    fn reset(&mut self, is_container: bool) {
        self.custom_name = None;
        self.properties.clear();
        self.is_container = is_container;
    }
}

impl<'p, 'r> PackageReader<'p, 'r> {
    fn new(xml: &'p mut Xml<'r>, max_properties: u32, visitor: &'p mut dyn Visitor) -> Self {
        Self {
            xml,
            visitor,
            max_properties,
            incidents: 0,
            kept: 0,
            frame: Frame::default(),
        }
    }

    fn package(&mut self, start: &PackageTag) -> Result<()> {
        self.visitor.package_started(PackageStart {
            id: start.id.as_deref(),
            timestamp: start.timestamp.as_deref(),
        })?;
        self.kept = 0;
        let mut header = Header::default();
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "STIX_Header" => self.header(&mut header)?,
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return self.visitor.package_ended(header),
            }
        }
    }

    fn header(&mut self, header: &mut Header) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Package_Intent" => self.folded_text_into(&mut header.intents)?,
                    "Information_Source" => self.header_source(header)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn header_source(&mut self, header: &mut Header) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Identity" => {
                    if let Some(id) = tag.owned("id")?.filter(|id| !id.is_empty()) {
                        self.keep(id.len())?;
                        header.identities.push(id);
                    }
                    self.walk(None)?;
                }
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Walks through the element that has just started.
    fn walk(&mut self, operator: Option<&str>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, operator)?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn element(&mut self, element: Element, operator: Option<&str>) -> Result<()> {
        let kept_before = self.kept;
        self.keep(element.text_bytes())?;
        match element {
            Element::Incident { id, url } => self.incident(IncidentStart {
                id: id.as_deref(),
                url: url.as_deref(),
            })?,
            Element::Indicator { id } if self.incidents > 0 => self.indicator(id.as_deref())?,
            Element::Indicator { .. } => {
                self.visitor.passed_over(PassedOver::Indicator);
                self.walk(None)?;
            }
            Element::Observable => self.observable(operator)?,
            Element::Reference => {
                if self.incidents > 0 {
                    self.visitor.passed_over(PassedOver::Reference);
                }
                self.walk(operator)?;
            }
            Element::Composition { operator } => self.walk(operator.as_deref())?,
            Element::Definition { kind, ids } => drop(self.named(kind, ids)?),
            Element::Other => self.walk(operator)?,
        }
        self.kept = kept_before;
        Ok(())
    }

    fn incident(&mut self, start: IncidentStart<'_>) -> Result<()> {
        self.visitor.incident_started(start)?;
        self.incidents += 1;
        let mut incident = Incident::default();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Title" => self.folded_text_into(&mut incident.titles)?,
                    "Discovery_Method" => self.folded_text_into(&mut incident.discovery_methods)?,
                    "Victim" => self.children_text("Name", &mut incident.victims)?,
                    "Confidence" => self.children_text("Value", &mut incident.confidences)?,
                    "Intended_Effect" => self.intended_effect(&mut incident)?,
                    "Information_Source" => {
                        self.descendants_named(DefinitionKind::Tool, &mut incident.tools)?;
                    }
                    "Related_Campaign" | "Related_Campaigns" => {
                        let idref = tag.owned("idref")?;
                        self.related_campaign(idref, &mut incident.campaigns)?;
                    }
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => {
                    self.incidents -= 1;
                    return self.visitor.incident_ended(incident);
                }
            }
        }
    }

    fn intended_effect(&mut self, incident: &mut Incident) -> Result<()> {
        let mut values = Vec::new();
        let mut descriptions = Vec::new();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Value" => self.folded_text_into(&mut values)?,
                    "Description" => self.folded_text_into(&mut descriptions)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => break,
            }
        }
        if descriptions.iter().any(|text| text == "Risk") {
            incident.risks.extend(values);
        } else if descriptions.iter().any(|text| text == "Risk category") {
            incident.risk_categories.extend(values);
        }
        Ok(())
    }

    fn indicator(&mut self, id: Option<&str>) -> Result<()> {
        self.visitor.indicator_started(id)?;
        let mut indicator = Indicator::default();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Indicated_TTP" => {
                        self.descendants_named(DefinitionKind::Ttp, &mut indicator.ttps)?;
                    }
                    "Related_Campaign" | "Related_Campaigns" => {
                        let idref = tag.owned("idref")?;
                        self.related_campaign(idref, &mut indicator.campaigns)?;
                    }
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return self.visitor.indicator_ended(indicator),
            }
        }
    }

    /// An observable holds either an object or other observables. Both at once is outside of the
    /// schema; then what was read of the object so far is an observable of its own.
    fn observable(&mut self, operator: Option<&str>) -> Result<()> {
        if !self.frame.properties.is_empty() {
            self.observable_ended(operator)?;
        }
        self.frame.reset(false);
        self.observable_children(operator)?;
        if !self.frame.is_container || !self.frame.properties.is_empty() {
            self.observable_ended(operator)?;
        }
        self.frame.reset(true);
        Ok(())
    }

    fn observable_ended(&mut self, operator: Option<&str>) -> Result<()> {
        if self.incidents == 0 {
            self.visitor.passed_over(PassedOver::Observable);
            return Ok(());
        }
        self.visitor.observable(Observable {
            custom_name: self.frame.custom_name.as_deref(),
            operator,
            properties: &self.frame.properties,
        })
    }

    fn observable_children(&mut self, operator: Option<&str>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Properties" => {
                        if self.frame.custom_name.is_none() {
                            self.frame.custom_name = tag.owned("custom_name")?;
                        }
                        self.observable_children(operator)?;
                    }
                    "Custom_Properties" => self.custom_properties()?,
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

    fn custom_properties(&mut self) -> Result<()> {
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
        let limit_reached = |what, limit| Err(ReadPackageError::Limit { what, limit });
        if frame.properties.len() > self.max_properties as usize {
            return limit_reached("properties in one observable", self.max_properties.into());
        }
        let max_bytes = xml.limits().max_text_bytes;
        if frame.properties.text_bytes() as u64 > max_bytes {
            return limit_reached("bytes of properties in one observable", max_bytes);
        }
        Ok(())
    }

    /// The texts of the children of this name.
    fn children_text(&mut self, name: &str, texts: &mut Vec<String>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == name => self.folded_text_into(texts)?,
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// What the descendants of this kind name, such as the tools in an Information_Source.
    fn descendants_named(&mut self, kind: DefinitionKind, names: &mut Vec<Named>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Related_Campaign" => {
                    let idref = tag.owned("idref")?;
                    self.related_campaign(idref, names)?;
                }
                Token::Start(tag) => match Element::of(&tag)? {
                    Element::Definition { kind: found, ids } if found == kind => {
                        names.extend(self.named(kind, ids)?);
                    }
                    Element::Other => self.descendants_named(kind, names)?,
                    element => self.element(element, None)?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Names a campaign by its own idref, or holds a Campaign that does.
    fn related_campaign(&mut self, idref: Option<String>, names: &mut Vec<Named>) -> Result<()> {
        if let Some(id) = idref {
            self.keep(id.len())?;
            names.push(Named::Id(id));
        }
        self.descendants_named(DefinitionKind::Campaign, names)
    }

    /// Reads a tool, TTP or campaign: a definition if it has an id, a reference, or a bare name.
    fn named(&mut self, kind: DefinitionKind, ids: Ids) -> Result<Option<Named>> {
        let kept_before = self.kept;
        let mut titles = Vec::new();
        let mut names = Vec::new();
        let mut vendors = Vec::new();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Title" => self.folded_text_into(&mut titles)?,
                    "Name" => self.folded_text_into(&mut names)?,
                    "Names" => self.children_text("Name", &mut names)?,
                    "Vendor" => self.folded_text_into(&mut vendors)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => break,
            }
        }
        self.kept = kept_before;
        let name = titles.into_iter().chain(names).next().unwrap_or_default();
        let vendor = vendors.into_iter().next().unwrap_or_default();
        let found = match ids {
            Ids { id: Some(id), .. } => {
                self.visitor.definition(Definition {
                    kind,
                    id: id.clone(),
                    name,
                    vendor,
                })?;
                Named::Id(id)
            }
            Ids {
                idref: Some(idref), ..
            } => Named::Id(idref),
            _ if name.is_empty() && vendor.is_empty() => return Ok(None),
            _ => Named::Inline { name, vendor },
        };
        self.keep(match &found {
            Named::Id(id) => id.len(),
            Named::Inline { name, vendor } => name.len() + vendor.len(),
        })?;
        Ok(Some(found))
    }

    /// Appends the text of the element that has just started, folded, unless it is empty.
    fn folded_text_into(&mut self, texts: &mut Vec<String>) -> Result<()> {
        let text = fold(&self.xml.text()?);
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
