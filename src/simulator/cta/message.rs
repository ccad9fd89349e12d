//! Writes the service's messages.

use std::fmt::Write;
use std::sync::Arc;

use super::fault::{BadBlock, CtaFault};
use super::request::{NAMESPACE_1_0, NAMESPACE_1_1};
use super::rules::{ContentStyle, CtaRules, HeaderStyle};
use super::status::Status;
use crate::simulator::content::Publication;
use crate::simulator::content::{attribute, cdata, escaped};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>";

/// What stands behind the blocks.
pub(super) const BLOCKS_END: &str = "</t:Poll_Response>\n";

/// A Poll_Response.
#[derive(Debug, Clone)]
pub(super) struct PollResponse {
    pub(super) collection: String,
    pub(super) begin: Option<String>,
    pub(super) end: Option<String>,
    /// The result id and whether there are more parts.
    pub(super) result: Option<(String, bool)>,
    pub(super) part: String,
    /// Stated where only the count was asked for.
    pub(super) count: Option<usize>,
    pub(super) publications: Vec<Arc<Publication>>,
    pub(super) bad_block: Option<BadBlock>,
}

impl PollResponse {
    /// Makes the answer wrong where the fault is one of what it says.
    pub(super) fn spoil(&mut self, fault: &CtaFault) {
        match fault {
            CtaFault::NoProgress => self.end.clone_from(&self.begin),
            CtaFault::GroupedPartNumber => "1,000".clone_into(&mut self.part),
            CtaFault::BadBlock { block } => self.bad_block = Some(*block),
            _ => {}
        }
    }

    /// The message as XML.
    pub(super) fn to_xml(&self, message_id: u64, in_response_to: &str, rules: &CtaRules) -> String {
        let mut xml = self.head_to_xml(message_id, in_response_to);
        let blocks = self
            .publications
            .chunks(rules.publications_per_block.max(1));
        let mut blocks: Vec<String> = blocks
            .map(|publications| good_block(publications, rules.content_style))
            .collect();
        if let Some(bad) = self.bad_block {
            // Among the good ones.
            blocks.insert(blocks.len().min(1), bad_block(bad));
        }
        xml += &blocks.concat();
        xml + BLOCKS_END
    }

    /// All that stands before the blocks.
    pub(super) fn head_to_xml(&self, message_id: u64, in_response_to: &str) -> String {
        let mut xml = format!(
            "{DECLARATION}\n<t:Poll_Response xmlns:t=\"{NAMESPACE_1_1}\" collection_name=\"{}\" \
             in_response_to=\"{}\" message_id=\"{message_id}\"",
            attribute(&self.collection),
            attribute(in_response_to),
        );
        if let Some((result_id, more)) = &self.result {
            let part = &self.part;
            append(
                &mut xml,
                format_args!(
                    " more=\"{more}\" result_id=\"{result_id}\" result_part_number=\"{part}\""
                ),
            );
        } else if self.part != "1" {
            append(
                &mut xml,
                format_args!(" result_part_number=\"{}\"", self.part),
            );
        }
        xml.push_str(">\n");
        for (name, bound) in [
            ("Exclusive_Begin_Timestamp", &self.begin),
            ("Inclusive_End_Timestamp", &self.end),
        ] {
            if let Some(bound) = bound {
                append(&mut xml, format_args!("<t:{name}>{bound}</t:{name}>\n"));
            }
        }
        if let Some(count) = self.count {
            append(
                &mut xml,
                format_args!("<t:Record_Count>{count}</t:Record_Count>\n"),
            );
        }
        xml
    }
}

pub(super) fn good_block(publications: &[Arc<Publication>], style: ContentStyle) -> String {
    let packages = publications
        .iter()
        .map(|publication| publication.package_xml.as_str());
    let packages = packages.collect::<Vec<_>>().join("\n");
    let content = match style {
        ContentStyle::Element => packages,
        ContentStyle::Escaped => escaped(&packages),
        ContentStyle::Cdata => cdata(&packages),
    };
    block("STIX_XML_1.1", &content)
}

fn bad_block(kind: BadBlock) -> String {
    match kind {
        BadBlock::NotStix => block(
            "urn:example:note",
            "<note xmlns=\"urn:example:note\">no STIX here</note>",
        ),
        BadBlock::Broken => {
            let start = "<s:STIX_Package xmlns:s=\"http://stix.mitre.org/stix-1\"><s:Incidents><s:Incident id=\"bro";
            block("STIX_XML_1.1", &cdata(start))
        }
        BadBlock::Encrypted => {
            let inner = block("application/pkcs7-mime", "TUlJQg==");
            block("STIX_XML_1.1|application/pkcs7-mime", &inner)
        }
    }
}

fn block(binding: &str, content: &str) -> String {
    format!(
        "<t:Content_Block>\n<t:Content_Binding binding_id=\"{binding}\"/>\n\
         <t:Content>{content}</t:Content>\n</t:Content_Block>\n"
    )
}

impl Status {
    /// The message as XML.
    pub(super) fn to_xml(&self, message_id: u64, in_response_to: &str, rules: &CtaRules) -> String {
        let namespace = match rules.header_style {
            HeaderStyle::Specification => NAMESPACE_1_1,
            HeaderStyle::Swapped => NAMESPACE_1_0,
        };
        let mut xml = format!(
            "{DECLARATION}\n<t:Status_Message xmlns:t=\"{namespace}\" status_type=\"{}\" \
             in_response_to=\"{}\" message_id=\"{message_id}\">\n",
            attribute(&self.kind),
            attribute(in_response_to),
        );
        if !self.details.is_empty() {
            xml += "<t:Status_Detail>";
            for (name, value) in &self.details {
                let (name, value) = (attribute(name), escaped(value));
                append(
                    &mut xml,
                    format_args!("<t:Detail name=\"{name}\">{value}</t:Detail>"),
                );
            }
            xml += "</t:Status_Detail>\n";
        }
        if !self.message.is_empty() {
            append(
                &mut xml,
                format_args!("<t:Message>{}</t:Message>\n", escaped(&self.message)),
            );
        }
        xml + "</t:Status_Message>\n"
    }
}

fn append(xml: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = xml.write_fmt(text);
}
