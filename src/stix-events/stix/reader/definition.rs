//! What can be named: tools, TTPs, campaigns, threat actors, exploit targets, courses of action.

use super::{PackageReader, Result, Within};
use crate::stix::element::{Element, Ids};
use crate::stix::{Definition, DefinitionKind, Details, Marking, Named, Owner, PassedOver};
use crate::xml::Token;

/// A definition as far as it is read.
#[derive(Default)]
struct Draft {
    titles: Vec<String>,
    names: Vec<String>,
    vendors: Vec<String>,
    malware: Vec<String>,
    exploit_targets: Vec<Named>,
    cves: Vec<String>,
    marking: Marking,
    /// What it is only an element around: a relation to a threat actor is a Threat_Actor too.
    inner: Option<Named>,
}

impl PackageReader<'_, '_> {
    /// What the descendants of this kind name, such as the tools in an Information_Source.
    pub(super) fn descendants_named(
        &mut self,
        kind: DefinitionKind,
        names: &mut Vec<Named>,
    ) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
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
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// Names a campaign by its own idref, or holds a Campaign that does.
    pub(super) fn related_campaign(
        &mut self,
        idref: Option<String>,
        names: &mut Vec<Named>,
    ) -> Result<()> {
        if let Some(id) = idref {
            self.keep(id.len())?;
            names.push(Named::Id(id));
        }
        self.descendants_named(DefinitionKind::Campaign, names)
    }

    /// Reads a definition if it has an id, a reference, or what is told in place.
    pub(super) fn named(&mut self, kind: DefinitionKind, ids: Ids) -> Result<Option<Named>> {
        let kept_before = self.kept;
        let around = self.within;
        let mut draft = Draft::default();
        self.definition_children(kind, &mut draft)?;
        self.kept = kept_before;
        self.within = around;
        // One name is told, and one vendor.
        if draft.titles.len() + draft.names.len() > 1 || draft.vendors.len() > 1 {
            let what = PassedOver::in_part(Owner::Definition(kind), "Names");
            self.visitor.passed_over(what);
        }
        let inner = draft.inner.take();
        let details = draft.details();
        let found = match ids {
            Ids { id: Some(id), .. } => {
                self.visitor.definition(Definition {
                    kind,
                    id: id.clone(),
                    details,
                })?;
                Named::Id(id)
            }
            Ids {
                idref: Some(idref), ..
            } => {
                // It should not tell anything itself.
                if !details.is_empty() {
                    let what = PassedOver::in_part(Owner::Definition(kind), "");
                    self.visitor.passed_over(what);
                }
                Named::Id(idref)
            }
            _ => match inner {
                Some(inner) => inner,
                None if details.is_empty() => return Ok(None),
                None => Named::Inline(details),
            },
        };
        self.keep(found.text_bytes())?;
        Ok(Some(found))
    }

    fn definition_children(&mut self, kind: DefinitionKind, draft: &mut Draft) -> Result<()> {
        let owner = Owner::Definition(kind);
        loop {
            self.within = Within::new(PassedOver::in_part(owner, ""));
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Title" => self.folded_text_into(&mut draft.titles)?,
                    "Name" => self.folded_text_into(&mut draft.names)?,
                    "Names" => self.children_text("Name", &mut draft.names)?,
                    "Vendor" => self.folded_text_into(&mut draft.vendors)?,
                    "Identity" if kind == DefinitionKind::ThreatActor => {
                        self.children_text("Name", &mut draft.names)?;
                    }
                    "Handling" => self.handling(&mut draft.marking)?,
                    name => match Element::of(&tag)? {
                        Element::Definition { kind: found, ids } if found == kind => {
                            let inner = self.named(kind, ids)?;
                            draft.inner = draft.inner.take().or(inner);
                        }
                        Element::Other => {
                            self.within = Within::new(PassedOver::in_part(owner, name));
                            self.definition_descendants(kind, draft)?;
                        }
                        element => self.element(element, None)?,
                    },
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    /// What matters wherever it stands in a definition.
    fn definition_descendants(&mut self, kind: DefinitionKind, draft: &mut Draft) -> Result<()> {
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match (kind, tag.local()) {
                    (DefinitionKind::Ttp, "Malware_Instance") => self.malware(draft)?,
                    (DefinitionKind::ExploitTarget, "CVE_ID") => {
                        self.folded_text_into(&mut draft.cves)?;
                    }
                    _ => match (kind, Element::of(&tag)?) {
                        (
                            DefinitionKind::Ttp,
                            Element::Definition {
                                kind: found @ DefinitionKind::ExploitTarget,
                                ids,
                            },
                        ) => draft.exploit_targets.extend(self.named(found, ids)?),
                        (_, Element::Other) => self.definition_descendants(kind, draft)?,
                        (_, element) => self.element(element, None)?,
                    },
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn malware(&mut self, draft: &mut Draft) -> Result<()> {
        let mut titles = Vec::new();
        let before = draft.malware.len();
        loop {
            match self.xml.next_behind_space()? {
                Token::Start(tag) => match tag.local() {
                    "Name" => self.folded_text_into(&mut draft.malware)?,
                    "Title" => self.folded_text_into(&mut titles)?,
                    _ => {
                        let element = Element::of(&tag)?;
                        self.element(element, None)?;
                    }
                },
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => break,
            }
        }
        if draft.malware.len() == before {
            draft.malware.extend(titles);
        } else {
            for title in &titles {
                self.within.text(title, self.visitor);
            }
        }
        Ok(())
    }
}

impl Draft {
    fn details(self) -> Details {
        let name = self.titles.into_iter().chain(self.names).next();
        Details {
            name: name.unwrap_or_default(),
            vendor: self.vendors.into_iter().next().unwrap_or_default(),
            malware: self.malware,
            exploit_targets: self.exploit_targets,
            cves: self.cves,
            marking: self.marking,
        }
    }
}
