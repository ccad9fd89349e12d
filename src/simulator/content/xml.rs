//! Writes a package as XML, plainly or in one of the many ways that mean the same.

use chrono::SecondsFormat;
use fastrand::Rng;

use super::model::{Composition, Definition, Flow, Incident, IndicatedTtp, Indicator, Package};
use super::style::{STYLE_OF_THE_SAMPLE, STYLES, Style};
use super::vocabulary::TOOLS;

/// `package` as an element that declares all its namespaces.
pub(super) fn write_any_way(package: &Package, random: &mut Rng) -> String {
    let style = STYLES
        .get(random.usize(..STYLES.len()))
        .unwrap_or(&STYLE_OF_THE_SAMPLE);
    let writer = Writer {
        style,
        random,
        is_plain: false,
    };
    writer.package(package)
}

/// The same as the vendor's sample is written.
pub(super) fn write_plainly(package: &Package, random: &mut Rng) -> String {
    let writer = Writer {
        style: &STYLE_OF_THE_SAMPLE,
        random,
        is_plain: true,
    };
    indented(&writer.package(package))
}

struct Writer<'a> {
    style: &'a Style,
    random: &'a mut Rng,
    /// Whether texts are written as they are, without comments among them.
    is_plain: bool,
}

impl Writer<'_> {
    fn package(mut self, package: &Package) -> String {
        let prefix = self.style.stix;
        let timestamp = package
            .timestamp
            .to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut children = vec![self.header(package)];
        if !package.incidents.is_empty() {
            let incidents = self.each(&package.incidents, Self::incident);
            children.push(element(prefix, "Incidents", &incidents));
        }
        let ttps = self.each(&package.ttps, Self::ttp);
        children.push(element(prefix, "TTPs", &ttps));
        let campaigns = self.each(&package.campaigns, Self::campaign);
        children.push(element(prefix, "Campaigns", &campaigns));
        self.random.shuffle(&mut children);
        format!(
            "<{prefix}STIX_Package{} id=\"{}\" timestamp=\"{timestamp}\" version=\"1.1.1\">\n{}\n</{prefix}STIX_Package>",
            self.style.namespaces(),
            package.id,
            children.join("\n"),
        )
    }

    fn header(&mut self, package: &Package) -> String {
        let Style {
            stix,
            common,
            cybox_common,
            ..
        } = self.style;
        let tools = self.each(TOOLS, |of, (id, name)| {
            let name = of.text_element(cybox_common, "Name", name);
            let vendor = of.text_element(cybox_common, "Vendor", "Cisco");
            format!("<{cybox_common}Tool id=\"{id}\">\n{name}{vendor}</{cybox_common}Tool>\n")
        });
        let identity = format!("<{common}Identity id=\"{}\"/>\n", package.customer);
        let tools = element(common, "Tools", &tools);
        let mut children = [
            self.text_element(stix, "Package_Intent", "Incident"),
            element(stix, "Information_Source", &(identity + &tools)),
        ];
        self.random.shuffle(&mut children);
        element(stix, "STIX_Header", &children.concat())
    }

    fn ttp(&mut self, ttp: &Definition) -> String {
        let Style {
            stix, ttp: prefix, ..
        } = self.style;
        let title = self.text_element(prefix, "Title", &ttp.title);
        format!(
            "<{stix}TTP id=\"{}\" xsi:type=\"{prefix}TTPType\">\n{title}</{stix}TTP>\n",
            ttp.id
        )
    }

    fn campaign(&mut self, campaign: &Definition) -> String {
        let Style {
            stix,
            campaign: prefix,
            ..
        } = self.style;
        let title = if self.random.bool() {
            self.text_element(prefix, "Title", &campaign.title)
        } else {
            let name = self.text_element(prefix, "Name", &campaign.title);
            element(prefix, "Names", &name)
        };
        format!(
            "<{stix}Campaign id=\"{}\" xsi:type=\"{prefix}CampaignType\">{title}</{stix}Campaign>\n",
            campaign.id
        )
    }

    fn incident(&mut self, incident: &Incident) -> String {
        let Style {
            stix,
            common,
            incident: prefix,
            cybox_common,
            ..
        } = self.style;
        let url = incident
            .url
            .iter()
            .map(|url| format!(" URL=\"{}\"", attribute(url)));
        let url: String = url.collect();
        let tools = incident.tools.iter();
        let tools: String = tools
            .map(|id| reference(cybox_common, "Tool", id))
            .collect();
        let campaigns = incident.campaigns.iter();
        let indicators: String = self.each(&incident.indicators, Self::indicator);
        // Several of one kind stay together, since their order counts.
        let mut children = vec![
            incident
                .title
                .iter()
                .map(|title| self.text_element(prefix, "Title", title))
                .collect(),
            self.each(&incident.victims, |of, name| {
                let name = of.text_element(common, "Name", name);
                element(prefix, "Victim", &name)
            }),
            self.each(incident.discovery_method.as_slice(), |of, method| {
                of.text_element(prefix, "Discovery_Method", method)
            }),
            self.each(incident.confidence.as_slice(), |of, confidence| {
                let value = of.text_element(common, "Value", confidence);
                element(prefix, "Confidence", &value)
            }),
            self.each(&incident.risks, |of, risk| of.intended_effect("Risk", risk)),
            self.each(&incident.risk_categories, |of, category| {
                of.intended_effect("Risk category", category)
            }),
            element(
                prefix,
                "Information_Source",
                &element(common, "Tools", &tools),
            ),
            campaigns
                .map(|id| reference(prefix, "Related_Campaign", id))
                .collect(),
            element(prefix, "Related_Indicators", &indicators),
            self.impact_assessment(),
        ];
        if incident.indicators.is_empty() && self.random.bool() {
            children.retain(|child| !child.contains("Related_Indicators"));
        }
        self.random.shuffle(&mut children);
        format!(
            "<{stix}Incident xsi:type=\"{prefix}IncidentType\" id=\"{}\"{url}>\n{}\n</{stix}Incident>\n",
            incident.id,
            children.join("\n")
        )
    }

    /// Something that was seen and that nobody asks for.
    fn impact_assessment(&mut self) -> String {
        let prefix = self.style.incident;
        let qualification = self.text_element(prefix, "Impact_Qualification", "Unknown");
        let assessment = element(prefix, "Impact_Assessment", &qualification);
        if self.is_plain {
            return assessment;
        }
        format!("<!-- as assessed & left -->{assessment}")
    }

    fn intended_effect(&mut self, description: &str, value: &str) -> String {
        let Style {
            common, incident, ..
        } = self.style;
        let mut children = [
            self.text_element(common, "Value", value),
            self.text_element(common, "Description", description),
        ];
        self.random.shuffle(&mut children);
        element(incident, "Intended_Effect", &children.concat())
    }

    fn indicator(&mut self, indicator: &Indicator) -> String {
        let Style {
            common,
            incident,
            indicator: prefix,
            ttp,
            ..
        } = self.style;
        let id = indicator.id.iter().map(|id| format!(" id=\"{id}\""));
        let id: String = id.collect();
        let activity = match &indicator.ttp {
            IndicatedTtp::Reference { id } => {
                format!("<{common}TTP idref=\"{id}\" xsi:type=\"{ttp}TTPType\"/>")
            }
            IndicatedTtp::Inline { title } => {
                let title = self.text_element(ttp, "Title", title);
                format!("<{common}TTP xsi:type=\"{ttp}TTPType\">{title}</{common}TTP>")
            }
        };
        let campaign = indicator.campaign.iter().map(|id| {
            let campaign = reference(common, "Campaign", id);
            element(
                prefix,
                "Related_Campaigns",
                &element(prefix, "Related_Campaign", &campaign),
            )
        });
        let mut children = [
            element(prefix, "Indicated_TTP", &activity),
            campaign.collect(),
            self.observables(indicator),
        ];
        self.random.shuffle(&mut children);
        let indicator = format!(
            "<{common}Indicator xsi:type=\"{prefix}IndicatorType\"{id}>\n{}\n</{common}Indicator>",
            children.join("\n")
        );
        element(incident, "Related_Indicator", &indicator)
    }

    fn observables(&mut self, indicator: &Indicator) -> String {
        let Style {
            indicator: prefix,
            cybox,
            ..
        } = self.style;
        let composition = |operator: &str, content: &str| {
            format!(
                "<{cybox}Observable_Composition operator=\"{operator}\">\n{content}</{cybox}Observable_Composition>\n"
            )
        };
        let mut observables: Vec<String> = indicator
            .flows
            .iter()
            .map(|flow| self.object(flow))
            .collect();
        if observables.is_empty() {
            return String::new();
        }
        let wrapped = |objects: &[String]| -> String {
            objects
                .iter()
                .map(|object| element(cybox, "Observable", object))
                .collect()
        };
        match indicator.composition {
            Composition::None => observables
                .iter()
                .map(|object| element(prefix, "Observable", object))
                .collect(),
            Composition::One(operator) => element(
                prefix,
                "Observable",
                &composition(operator, &wrapped(&observables)),
            ),
            Composition::Nested(outer, inner) => {
                let last_half = observables.split_off(observables.len() / 2);
                let inner = element(
                    cybox,
                    "Observable",
                    &composition(inner, &wrapped(&last_half)),
                );
                element(
                    prefix,
                    "Observable",
                    &composition(outer, &(wrapped(&observables) + &inner)),
                )
            }
        }
    }

    fn object(&mut self, flow: &Flow) -> String {
        let Style {
            cybox,
            cybox_common,
            ..
        } = self.style;
        let properties = self.each(&flow.properties, |of, (name, value)| {
            let value = of.text(value);
            format!("<{cybox_common}Property name=\"{name}\">{value}</{cybox_common}Property>\n")
        });
        let flow_type = flow
            .flow_type
            .iter()
            .map(|name| format!(" custom_name=\"{name}\""));
        let flow_type: String = flow_type.collect();
        let custom = element(cybox_common, "Custom_Properties", &properties);
        let properties = format!(
            "<{cybox}Properties xsi:type=\"co:CustomObjectType\"{flow_type}>\n{custom}</{cybox}Properties>\n"
        );
        element(cybox, "Object", &properties)
    }

    fn each<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T) -> String) -> String {
        items.iter().map(|item| write(self, item)).collect()
    }

    fn text_element(&mut self, prefix: &str, name: &str, text: &str) -> String {
        let text = self.text(text);
        format!("<{prefix}{name}>{text}</{prefix}{name}>\n")
    }

    /// `text` in one of the ways in which XML can write it.
    fn text(&mut self, text: &str) -> String {
        if self.is_plain {
            return escaped(text);
        }
        match self.random.u8(..10) {
            0 => cdata(text),
            1 => text.chars().map(character_reference).collect(),
            2 => {
                let middle = text
                    .char_indices()
                    .nth(text.chars().count() / 2)
                    .map_or(0, |(at, _)| at);
                let (start, end) = text.split_at(middle);
                format!("{}<!-- & here it goes on -->{}", escaped(start), cdata(end))
            }
            _ => escaped(text),
        }
    }
}

/// With each line that starts with a tag as far in as what is open around it; a text goes on as it is.
pub(super) fn indented(xml: &str) -> String {
    const STEP: usize = 2;
    let mut indented = String::with_capacity(2 * xml.len());
    let mut depth = 0_usize;
    for line in xml.lines() {
        let ends = line.matches("</").count();
        let starts = line.matches('<').count() - ends - line.matches("/>").count();
        let is_end = line.starts_with("</");
        if line.starts_with('<') {
            let around = depth.saturating_sub(usize::from(is_end));
            indented.extend(std::iter::repeat_n(' ', STEP * around));
        }
        indented.push_str(line);
        indented.push('\n');
        depth = (depth + starts).saturating_sub(ends);
    }
    indented
}

/// An element that only names another by its id.
fn reference(prefix: &str, name: &str, id: &str) -> String {
    format!("<{prefix}{name} idref=\"{id}\"/>\n")
}

fn character_reference(character: char) -> String {
    format!("&#x{:x};", u32::from(character))
}

/// An element around `content`.
fn element(prefix: &str, name: &str, content: &str) -> String {
    format!("<{prefix}{name}>\n{content}</{prefix}{name}>\n")
}

/// `text` as the content of an element.
pub(in crate::simulator) fn escaped(text: &str) -> String {
    // The `>` too, since `]]>` may not stand in a text.
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `text` as the value of an attribute in double quotes.
pub(in crate::simulator) fn attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;").replace('\n', "&#10;")
}

/// `text` as CDATA, in two sections where it contains the end of one.
pub(in crate::simulator) fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}
