//! Impact_Assessment of an incident.

use super::{PackageReader, Result};
use crate::stix::element::{Element, present};
use crate::stix::{Impact, Loss};
use crate::xml::{Tag, Token};

impl PackageReader<'_, '_> {
    /// Reads the Impact_Assessment, or a summary in it, that has just started.
    pub(super) fn impact(&mut self, impact: &mut Impact) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => {
                    let texts = match tag.local() {
                        "Impact_Qualification" => &mut impact.qualifications,
                        "Effect" => &mut impact.effects,
                        "Asset_Losses" => &mut impact.asset_losses,
                        "Business-Mission_Disruption" => &mut impact.disruptions,
                        "Response_And_Recovery_Costs" => &mut impact.recovery_costs,
                        "Loss_Of_Competitive_Advantage" => &mut impact.competitive_losses,
                        "Brand_And_Market_Damage" => &mut impact.brand_damages,
                        "Increased_Operating_Costs" => &mut impact.operating_costs,
                        "Legal_And_Regulatory_Costs" => &mut impact.legal_costs,
                        "Direct_Impact_Summary"
                        | "Indirect_Impact_Summary"
                        | "Effects"
                        | "Total_Loss_Estimation" => {
                            self.impact(impact)?;
                            continue;
                        }
                        "Initial_Reported_Total_Loss_Estimation" => {
                            impact.initial_loss = Loss::of(&tag)?;
                            self.walk(None)?;
                            continue;
                        }
                        "Actual_Total_Loss_Estimation" => {
                            impact.actual_loss = Loss::of(&tag)?;
                            self.walk(None)?;
                            continue;
                        }
                        _ => {
                            let element = Element::of(&tag)?;
                            self.element(element, None)?;
                            continue;
                        }
                    };
                    self.folded_text_into(texts)?;
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }
}

impl Loss {
    fn of(tag: &Tag<'_>) -> Result<Self> {
        Ok(Self {
            amount: present(tag, "amount")?,
            currency: present(tag, "iso_currency_code")?,
        })
    }
}
