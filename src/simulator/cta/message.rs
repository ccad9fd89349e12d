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

/// About what stands around the content of a block.
const BLOCK_BYTES: usize = 200;
const BLOCK_END: &str = "</t:Content>\n</t:Content_Block>\n";
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
        // In its place at once: an answer of many megabytes is not copied.
        let content = self.publications.iter().map(|one| one.package_xml.len());
        xml.reserve(content.sum::<usize>() + BLOCK_BYTES * (1 + self.publications.len()));
        let blocks = self
            .publications
            .chunks(rules.publications_per_block.max(1));
        // A bad one is among the good ones.
        let mut bad = self.bad_block.map(bad_block);
        for publications in blocks {
            push_good_block(&mut xml, publications, rules.content_style);
            xml.push_str(&bad.take().unwrap_or_default());
        }
        xml.push_str(&bad.unwrap_or_default());
        xml.push_str(BLOCKS_END);
        xml
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

pub(super) fn push_good_block(
    xml: &mut String,
    publications: &[Arc<Publication>],
    style: ContentStyle,
) {
    let packages = || publications.iter().map(|one| &*one.package_xml);
    let joined = || packages().collect::<Vec<_>>().join("\n");
    xml.push_str(&block_start("STIX_XML_1.1"));
    match style {
        ContentStyle::Element => {
            for (place, package) in packages().enumerate() {
                if place > 0 {
                    xml.push('\n');
                }
                xml.push_str(package);
            }
        }
        ContentStyle::Escaped => xml.push_str(&escaped(&joined())),
        ContentStyle::Cdata => xml.push_str(&cdata(&joined())),
    }
    xml.push_str(BLOCK_END);
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
    block_start(binding) + content + BLOCK_END
}

fn block_start(binding: &str) -> String {
    format!("<t:Content_Block>\n<t:Content_Binding binding_id=\"{binding}\"/>\n<t:Content>")
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
