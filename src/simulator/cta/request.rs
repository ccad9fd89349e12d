//! Reads requests as strictly as the specification allows.

use chrono::{DateTime, Utc};
use hyper::HeaderMap;

use super::status::Status;
use crate::tree::Element;

pub(super) const NAMESPACE_1_1: &str = "http://taxii.mitre.org/messages/taxii_xml_binding-1.1";
pub(super) const NAMESPACE_1_0: &str = "http://taxii.mitre.org/messages/taxii_xml_binding-1";
pub(super) const MESSAGE_BINDING: &str = "urn:taxii.mitre.org:message:xml:1.1";
pub(super) const PROTOCOL_BINDING: &str = "urn:taxii.mitre.org:protocol:http:1.0";
pub(super) const SERVICES: &str = "urn:taxii.mitre.org:services:1.1";

const CONTENT_BINDINGS: &[&str] = &[
    "urn:stix.mitre.org:xml:1.0",
    "urn:stix.mitre.org:xml:1.0.1",
    "urn:stix.mitre.org:xml:1.1",
    "urn:stix.mitre.org:xml:1.1.1",
    "urn:stix.mitre.org:xml:1.2",
    "STIX_XML_1.1",
];

/// A request that is as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaxiiRequest {
    pub(super) message_id: String,
    pub(super) collection: String,
    pub(super) asked: Asked,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Poll {
        begin: Option<Timestamp>,
        end: Option<Timestamp>,
        parameters: Parameters,
    },
    Fulfillment {
        result_id: String,
        part: u64,
    },
}

/// Poll_Parameters
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) count_only: bool,
    pub(super) allow_asynch: bool,
}

/// A timestamp with the text that stated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timestamp {
    pub(super) text: String,
    pub(super) time: DateTime<Utc>,
}

/// A request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// By an HTTP status alone.
    Http(u16),
    /// By a Status_Message.
    Status(Status),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// The root of the body and its message id, however wrong the rest may be.
pub(super) fn document(body: &[u8]) -> Result<Element, Status> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Status::bad_message(format!("the request is not UTF-8: {error}")))?;
    Element::read(text).map_err(|error| Status::bad_message(format!("the request is {error}")))
}

/// Judges the headers of a request.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = |name| {
        let value: &str = value(name)?;
        Some(value.split(';').next().unwrap_or_default().trim())
    };
    if media_type("content-type") != Some("application/xml") {
        return Err(Refusal::Http(415));
    }
    if media_type("accept") != Some("application/xml") {
        return Err(Refusal::Http(406));
    }
    let required = |name| {
        let missing = || Status::bad_message(format!("the header {name} is missing"));
        value(name).ok_or_else(missing)
    };
    required("User-Agent")?;
    for name in ["X-TAXII-Content-Type", "X-TAXII-Accept"] {
        let found = required(name)?;
        if !found.split(' ').any(|binding| binding == MESSAGE_BINDING) {
            let message = format!("{name} is {found}");
            let status = Status::new("UNSUPPORTED_MESSAGE", message);
            return Err(status.detail("SUPPORTED_BINDING", MESSAGE_BINDING).into());
        }
    }
    let protocol = required("X-TAXII-Protocol")?;
    if protocol != PROTOCOL_BINDING {
        let message = format!("X-TAXII-Protocol is {protocol}, over plain HTTP");
        let status = Status::new("UNSUPPORTED_PROTOCOL", message);
        return Err(status.detail("SUPPORTED_PROTOCOL", PROTOCOL_BINDING).into());
    }
    let services = required("X-TAXII-Services")?;
    if services != SERVICES {
        return Err(Status::bad_message(format!("X-TAXII-Services is {services}")).into());
    }
    Ok(())
}

/// Judges the message of a request.
pub(super) fn read(root: &Element) -> Result<TaxiiRequest, Status> {
    if root.namespace != NAMESPACE_1_1 {
        let message = format!("{} is in the namespace {:?}", root.name, root.namespace);
        return Err(Status::bad_message(message));
    }
    let asked = match root.name.as_str() {
        "Poll_Request" => poll,
        "Poll_Fulfillment" => fulfillment,
        name => {
            let message = format!("a poll service does not take {name}");
            return Err(Status::bad_message(message));
        }
    };
    Ok(TaxiiRequest {
        message_id: required(root, "message_id")?,
        collection: required(root, "collection_name")?,
        asked: asked(root)?,
    })
}

fn poll(root: &Element) -> Result<Asked, Status> {
    known_attributes(root, &["message_id", "collection_name"])?;
    let mut children = root.elements().peekable();
    children.next_if(|child| child.name == "Extended_Headers");
    let mut timestamp = |name| {
        let stated = children.next_if(|child| child.name == name);
        stated.map(timestamp).transpose()
    };
    let begin = timestamp("Exclusive_Begin_Timestamp")?;
    let end = timestamp("Inclusive_End_Timestamp")?;
    if let (Some(begin), Some(end)) = (&begin, &end)
        && begin.time >= end.time
    {
        let message = format!("the window from {} to {} is empty", begin.text, end.text);
        return Err(Status::bad_message(message));
    }
    let parameters = match children.next() {
        Some(child) if child.name == "Poll_Parameters" => child,
        Some(child) if child.name == "Subscription_ID" => {
            let status = Status::new("NOT_FOUND", "there is no such subscription");
            return Err(status.detail("ITEM", child.text().trim()));
        }
        other => return Err(unexpected(other, "Poll_Parameters")),
    };
    if let Some(child) = children.next() {
        return Err(unexpected(Some(child), "nothing more"));
    }
    Ok(Asked::Poll {
        begin,
        end,
        parameters: poll_parameters(parameters)?,
    })
}

fn poll_parameters(parameters: &Element) -> Result<Parameters, Status> {
    known_attributes(parameters, &["allow_asynch"])?;
    let allow_asynch = match parameters.attribute("allow_asynch") {
        Some("false" | "0") => false,
        Some("true" | "1") => true,
        _ => return Err(Status::bad_message("allow_asynch must be stated")),
    };
    let mut children = parameters.elements().peekable();
    let response_type = children.next_if(|child| child.name == "Response_Type");
    let count_only = match response_type.map(Element::text).as_deref() {
        None | Some("FULL") => false,
        Some("COUNT_ONLY") => true,
        Some(other) => return Err(Status::bad_message(format!("Response_Type is {other:?}"))),
    };
    let mut bindings = Vec::new();
    while let Some(binding) = children.next_if(|child| child.name == "Content_Binding") {
        bindings.push(required(binding, "binding_id")?);
    }
    let known = |binding: &String| CONTENT_BINDINGS.contains(&binding.as_str());
    if !bindings.is_empty() && !bindings.iter().any(known) {
        let message = format!(
            "there is no content with the binding {}",
            bindings.join(", ")
        );
        let status = Status::new("UNSUPPORTED_CONTENT", message);
        let supported = CONTENT_BINDINGS.iter();
        return Err(supported.fold(status, |status, binding| {
            status.detail("SUPPORTED_CONTENT", binding)
        }));
    }
    match children.next() {
        None => Ok(Parameters {
            count_only,
            allow_asynch,
        }),
        Some(child) if child.name == "Query" => Err(Status::new(
            "UNSUPPORTED_QUERY",
            "queries are not supported",
        )),
        other => Err(unexpected(other, "nothing more")),
    }
}

fn fulfillment(root: &Element) -> Result<Asked, Status> {
    let known = [
        "message_id",
        "collection_name",
        "result_id",
        "result_part_number",
    ];
    known_attributes(root, &known)?;
    let mut children = root.elements().peekable();
    children.next_if(|child| child.name == "Extended_Headers");
    if let Some(child) = children.next() {
        return Err(unexpected(Some(child), "nothing more"));
    }
    let part = required(root, "result_part_number")?;
    let part = part
        .parse()
        .ok()
        .filter(|&part| part > 0)
        .ok_or_else(|| Status::bad_message(format!("result_part_number is {part:?}")))?;
    Ok(Asked::Fulfillment {
        result_id: required(root, "result_id")?,
        part,
    })
}

/// A TimestampLabel: with a zone and at most six digits of a second's fraction.
fn timestamp(element: &Element) -> Result<Timestamp, Status> {
    let text = element.text().trim().to_owned();
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let time = DateTime::parse_from_rfc3339(&text);
    match time {
        Ok(time) if digits <= 6 && text.as_bytes().get(10) == Some(&b'T') => Ok(Timestamp {
            time: time.to_utc(),
            text,
        }),
        _ => Err(Status::bad_message(format!("{} is {text:?}", element.name))),
    }
}

fn required(element: &Element, name: &str) -> Result<String, Status> {
    match element.attribute(name).map(str::trim) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Status::bad_message(format!(
            "{} needs {name}",
            element.name
        ))),
    }
}

fn known_attributes(element: &Element, known: &[&str]) -> Result<(), Status> {
    let mut names = element.attributes.iter().map(|(name, _)| name.as_str());
    match names.find(|name| !name.contains(':') && !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Status::bad_message(format!(
            "{} has no attribute {name}",
            element.name
        ))),
    }
}

fn unexpected(found: Option<&Element>, wanted: &str) -> Status {
    let found = found.map_or("the end", |element| element.name.as_str());
    Status::bad_message(format!("there is {found} where {wanted} must be"))
}

#[cfg(test)]
mod tests;
