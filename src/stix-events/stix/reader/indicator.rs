//! Indicators.

use super::{PackageReader, Result, Within};
use crate::stix::element::Element;
use crate::stix::{DefinitionKind, Indicator, Owner, PassedOver, ReferenceKind};
use crate::xml::Token;

impl PackageReader<'_, '_> {
    /// Reads the indicator that has just started.
    pub(super) fn indicator(&mut self, id: Option<&str>, is_negated: bool) -> Result<()> {
        self.visitor.indicator_started(id)?;
        let mut indicator = Indicator {
            is_negated,
            ..Indicator::default()
        };
        let around = Within::new(PassedOver::in_part(Owner::Indicator, ""));
        loop {
            self.within = around;
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    self.within = around.closer(tag.local());
                    match tag.local() {
                        "Indicated_TTP" => {
                            self.descendants_named(DefinitionKind::Ttp, &mut indicator.links.ttps)?;
                        }
                        "Related_Campaign" | "Related_Campaigns" => {
                            let idref = tag.owned("idref")?;
                            self.related_campaign(idref, &mut indicator.links.campaigns)?;
                        }
                        "Suggested_COAs" => {
                            let courses = &mut indicator.links.courses_of_action;
                            self.descendants_named(DefinitionKind::CourseOfAction, courses)?;
                        }
                        "Title" => self.folded_text_into(&mut indicator.titles)?,
                        "Type" => self.folded_text_into(&mut indicator.types)?,
                        "Short_Description" => {
                            self.description_into(&mut indicator.short_descriptions)?;
                        }
                        "Description" => self.description_into(&mut indicator.descriptions)?,
                        "Confidence" => self.children_text("Value", &mut indicator.confidences)?,
                        "Valid_Time_Position" => self.valid_time(&mut indicator)?,
                        "Kill_Chain_Phases" => self.kill_chain_phases(&mut indicator)?,
                        "Producer" => self.producer(&mut indicator)?,
                        "Handling" => self.handling(&mut indicator.links.marking)?,
                        "Related_Indicators" => self.related_indicators(&mut indicator)?,
                        name => {
                            if !matches!(
                                name,
                                "Observable"
                                    | "Observables"
                                    | "Composite_Indicator_Expression"
                                    | "Related_Observables"
                                    | "Related_Observable"
                            ) {
                                let what = PassedOver::of(Owner::Indicator, name);
                                self.within = Within::told(what, self.visitor);
                            }
                            let element = Element::of(&tag)?;
                            self.element(element, None)?;
                        }
                    }
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return self.visitor.indicator_ended(indicator),
            }
        }
    }

    fn valid_time(&mut self, indicator: &mut Indicator) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Start_Time" => self.folded_text_into(&mut indicator.valid_from)?,
                    "End_Time" => self.folded_text_into(&mut indicator.valid_until)?,
                    _ => self.walk(None)?,
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn kill_chain_phases(&mut self, indicator: &mut Indicator) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    let name = match tag.owned("name")? {
                        Some(name) => Some(name),
                        None => tag.owned("phase_id")?,
                    };
                    if let Some(name) = name.filter(|name| !name.is_empty()) {
                        self.keep(name.len())?;
                        indicator.kill_chain_phases.push(name);
                    }
                    self.walk(None)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn producer(&mut self, indicator: &mut Indicator) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) if tag.local() == "Identity" => {
                    self.children_text("Name", &mut indicator.producers)?;
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

    /// Related indicators name each other, often both ways: a name is told, and not followed.
    fn related_indicators(&mut self, indicator: &mut Indicator) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match Element::of(&tag)? {
                    Element::Reference {
                        kind: ReferenceKind::Indicator,
                        id,
                    } => {
                        self.keep(id.len())?;
                        indicator.related.push(id);
                        self.walk(None)?;
                    }
                    Element::Other => self.related_indicators(indicator)?,
                    element => self.element(element, None)?,
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }
}
