//! Incidents.

use super::{PackageReader, Result, Within};
use crate::stix::element::Element;
use crate::stix::{DefinitionKind, Incident, IncidentStart, Owner, PassedOver};
use crate::xml::Token;

/// Children of Time, the one that tells most of when an incident was first.
const MOMENTS: [&str; 9] = [
    "Incident_Discovery",
    "First_Malicious_Action",
    "Initial_Compromise",
    "First_Data_Exfiltration",
    "Incident_Opened",
    "Incident_Reported",
    "Containment_Achieved",
    "Restoration_Achieved",
    "Incident_Closed",
];

impl PackageReader<'_, '_> {
    /// Reads the incident that has just started.
    pub(super) fn incident(&mut self, start: IncidentStart<'_>) -> Result<()> {
        self.visitor.incident_started(start)?;
        let mut incident = Incident::default();
        let around = Within::new(PassedOver::in_part(Owner::Incident, ""));
        loop {
            self.within = around;
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    self.within = around.closer(tag.local());
                    match tag.local() {
                        "Title" => self.folded_text_into(&mut incident.titles)?,
                        "Discovery_Method" => {
                            self.folded_text_into(&mut incident.discovery_methods)?;
                        }
                        "Victim" => self.children_text("Name", &mut incident.victims)?,
                        "Confidence" => self.children_text("Value", &mut incident.confidences)?,
                        "Intended_Effect" => self.intended_effect(&mut incident)?,
                        "Information_Source" => {
                            self.descendants_named(DefinitionKind::Tool, &mut incident.tools)?;
                        }
                        "Related_Campaign" | "Related_Campaigns" => {
                            let idref = tag.owned("idref")?;
                            self.related_campaign(idref, &mut incident.links.campaigns)?;
                        }
                        "Leveraged_TTPs" => {
                            self.descendants_named(DefinitionKind::Ttp, &mut incident.links.ttps)?;
                        }
                        "Attributed_Threat_Actors" => {
                            let actors = &mut incident.links.threat_actors;
                            self.descendants_named(DefinitionKind::ThreatActor, actors)?;
                        }
                        "COA_Requested" | "COA_Taken" => {
                            let courses = &mut incident.links.courses_of_action;
                            self.descendants_named(DefinitionKind::CourseOfAction, courses)?;
                        }
                        "Time" => self.incident_time(&mut incident)?,
                        "Categories" => self.children_text("Category", &mut incident.categories)?,
                        "Status" => self.folded_text_into(&mut incident.statuses)?,
                        "Short_Description" => {
                            self.description_into(&mut incident.short_descriptions)?;
                        }
                        "Description" => self.description_into(&mut incident.descriptions)?,
                        "Handling" => self.handling(&mut incident.links.marking)?,
                        "Impact_Assessment" => self.impact(&mut incident.impact)?,
                        name => {
                            if !matches!(
                                name,
                                "Related_Indicators"
                                    | "Related_Observables"
                                    | "Related_Indicator"
                                    | "Related_Observable"
                                    | "Indicators"
                                    | "Indicator"
                                    | "Observables"
                                    | "Observable"
                            ) {
                                let what = PassedOver::of(Owner::Incident, name);
                                self.within = Within::told(what, self.visitor);
                            }
                            let element = Element::of(&tag)?;
                            self.element(element, None)?;
                        }
                    }
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return self.visitor.incident_ended(incident),
            }
        }
    }

    fn intended_effect(&mut self, incident: &mut Incident) -> Result<()> {
        let mut values = Vec::new();
        let mut descriptions = Vec::new();
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Value" => self.folded_text_into(&mut values)?,
                    "Description" => self.folded_text_into(&mut descriptions)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => break,
            }
        }
        if descriptions.iter().any(|text| text == "Risk") {
            incident.risks.extend(values);
        } else if descriptions.iter().any(|text| text == "Risk category") {
            incident.risk_categories.extend(values);
        } else {
            incident.intended_effects.extend(values);
            for text in &descriptions {
                self.within.text(text, self.visitor);
            }
        }
        Ok(())
    }

    fn incident_time(&mut self, incident: &mut Incident) -> Result<()> {
        let mut best = MOMENTS.len();
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    let rank = MOMENTS.iter().position(|moment| *moment == tag.local());
                    let mut texts = Vec::new();
                    self.folded_text_into(&mut texts)?;
                    let Some(mut text) = texts.pop() else {
                        continue;
                    };
                    if rank.is_some_and(|rank| rank < best) {
                        best = rank.unwrap_or(best);
                        let worse = incident.time.replace(text);
                        text = worse.unwrap_or_default();
                    }
                    self.within.text(&text, self.visitor);
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }
}
