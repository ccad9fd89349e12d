//! Reads packages: one function for each element that means something, everything else is walked
//! through in search of them.

use super::{
    Definition, DefinitionKind, Header, Incident, IncidentStart, Indicator, Named, Observable,
    PackageStart, PassedOver, Properties, ReadPackageError, Visitor,
};
use crate::xml::{Tag, Token, Xml, XmlError};

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

/// The start tag of a package.
#[derive(Debug)]
pub struct PackageTag {
    id: Option<String>,
    timestamp: Option<String>,
}

impl PackageTag {
    /// What matters of the tag.
    pub fn of(tag: &Tag<'_>) -> std::result::Result<Self, XmlError> {
        Ok(Self {
            id: tag.owned("id")?,
            timestamp: tag.owned("timestamp")?,
        })
    }
}

struct PackageReader<'p, 'r> {
    xml: &'p mut Xml<'r>,
    visitor: &'p mut dyn Visitor,
    max_properties: u32,
    /// How many incidents are open.
    incidents: u32,
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

/// An element that may stand anywhere, with the attributes that matter.
enum Element {
    Incident {
        id: Option<String>,
        url: Option<String>,
    },
    Indicator {
        id: Option<String>,
    },
    Observable,
    Composition {
        operator: Option<String>,
    },
    Definition {
        kind: DefinitionKind,
        reference: Reference,
    },
    Other,
}

/// `@id` and `@idref`.
struct Reference {
    id: Option<String>,
    idref: Option<String>,
}

impl Reference {
    fn of(tag: &Tag<'_>) -> std::result::Result<Self, XmlError> {
        Ok(Self {
            id: tag.owned("id")?,
            idref: tag.owned("idref")?,
        })
    }
}

impl Element {
    fn of(tag: &Tag<'_>) -> std::result::Result<Self, XmlError> {
        let definition = |kind| {
            Ok(Self::Definition {
                kind,
                reference: Reference::of(tag)?,
            })
        };
        match tag.local() {
            "Observable" => Ok(Self::Observable),
            "Observable_Composition" => Ok(Self::Composition {
                operator: tag.owned("operator")?,
            }),
            // An incident or indicator that only names another one is no incident or indicator.
            "Incident" | "Indicator" if tag.attribute("idref")?.is_some() => Ok(Self::Other),
            "Incident" => Ok(Self::Incident {
                id: tag.owned("id")?,
                url: tag.owned("URL")?,
            }),
            "Indicator" => Ok(Self::Indicator {
                id: tag.owned("id")?,
            }),
            "TTP" => definition(DefinitionKind::Ttp),
            "Campaign" => definition(DefinitionKind::Campaign),
            "Tool" => definition(DefinitionKind::Tool),
            _ => Ok(Self::Other),
        }
    }
}

impl<'p, 'r> PackageReader<'p, 'r> {
    fn new(xml: &'p mut Xml<'r>, max_properties: u32, visitor: &'p mut dyn Visitor) -> Self {
        Self {
            xml,
            visitor,
            max_properties,
            incidents: 0,
            frame: Frame::default(),
        }
    }

    fn package(&mut self, start: &PackageTag) -> Result<()> {
        self.visitor.package_started(PackageStart {
            id: start.id.as_deref(),
            timestamp: start.timestamp.as_deref(),
        })?;
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "STIX_Header" => self.header()?,
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
                Token::Text(_) => {}
                Token::End | Token::Eof => return self.visitor.package_ended(),
            }
        }
    }

    fn header(&mut self) -> Result<()> {
        let mut header = Header::default();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Package_Intent" => self.folded_text_into(&mut header.intents)?,
                    "Information_Source" => self.header_source(&mut header)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return self.visitor.header(header),
            }
        }
    }

    fn header_source(&mut self, header: &mut Header) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Identity" => {
                    header
                        .identities
                        .extend(tag.owned("id")?.filter(|id| !id.is_empty()));
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
        match element {
            Element::Incident { id, url } => self.incident(IncidentStart {
                id: id.as_deref(),
                url: url.as_deref(),
            }),
            Element::Indicator { id } if self.incidents > 0 => self.indicator(id.as_deref()),
            Element::Indicator { .. } => {
                self.visitor.passed_over(PassedOver::Indicator);
                self.walk(None)
            }
            Element::Observable => self.observable(operator),
            Element::Composition { operator } => self.walk(operator.as_deref()),
            Element::Definition { kind, reference } => self.named(kind, reference).map(drop),
            Element::Other => self.walk(operator),
        }
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
                        self.children_named(DefinitionKind::Tool, &mut incident.tools)?;
                    }
                    "Related_Campaign" | "Related_Campaigns" => {
                        let idref = tag.owned("idref")?;
                        incident.campaigns.extend(idref.map(Named::Id));
                        self.children_named(DefinitionKind::Campaign, &mut incident.campaigns)?;
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
                Token::Start(tag) if tag.local() == "Indicated_TTP" => {
                    self.children_named(DefinitionKind::Ttp, &mut indicator.ttps)?;
                }
                Token::Start(tag) => {
                    let element = Element::of(&tag)?;
                    self.element(element, None)?;
                }
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
                        Element::Composition { operator } => {
                            self.observable_children(operator.as_deref())?;
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
        let Self { xml, frame, .. } = self;
        loop {
            match xml.next()? {
                Token::Start(tag) if tag.local() == "Property" => {
                    if frame.properties.len() >= self.max_properties as usize {
                        return Err(ReadPackageError::Limit {
                            what: "properties in one observable",
                            limit: self.max_properties.into(),
                        });
                    }
                    let name = tag.attribute("name")?.unwrap_or_default();
                    let started = frame.properties.start(&name);
                    drop(name);
                    frame
                        .properties
                        .finish(started, |value| xml.text_into(value))?;
                }
                Token::Start(_) => xml.skip()?,
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
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
    fn children_named(&mut self, kind: DefinitionKind, names: &mut Vec<Named>) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) => match Element::of(&tag)? {
                    Element::Definition {
                        kind: found,
                        reference,
                    } if found == kind => names.extend(self.named(kind, reference)?),
                    Element::Other => self.children_named(kind, names)?,
                    element => self.element(element, None)?,
                },
                Token::Text(_) => {}
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Reads a tool, TTP or campaign: a definition if it has an id, a reference, or a bare name.
    fn named(&mut self, kind: DefinitionKind, reference: Reference) -> Result<Option<Named>> {
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
        let mut found = if titles.is_empty() { names } else { titles }.into_iter();
        let name = found.next().unwrap_or_default();
        if let Some(id) = reference.id {
            self.visitor.definition(Definition {
                kind,
                id: id.clone(),
                name,
                vendor: vendors.into_iter().next().unwrap_or_default(),
            })?;
            return Ok(Some(Named::Id(id)));
        }
        let inline = || {
            Some(name)
                .filter(|name| !name.is_empty())
                .map(Named::Inline)
        };
        Ok(reference.idref.map(Named::Id).or_else(inline))
    }

    /// Appends the text of the element that has just started, folded, unless it is empty.
    fn folded_text_into(&mut self, texts: &mut Vec<String>) -> Result<()> {
        let text = fold(&self.xml.text()?);
        if text.is_empty() {
            return Ok(());
        }
        let kept: usize = texts.iter().map(String::len).sum();
        let limit = self.xml.limits().max_text_bytes;
        if (kept + text.len()) as u64 > limit {
            let recoverable = true;
            return Err(XmlError::TooLong { limit, recoverable }.into());
        }
        texts.push(text);
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
