//! Reads requests: the headers as the HTTP binding has them, the messages as the schemas have them.

use hyper::HeaderMap;

use super::grammar::{Children, Label, attribute, label, text};
use super::status::Status;
use super::subscription::{Delivery, ResponseType, Terms};
use super::version::{PROTOCOL_BINDING, TaxiiVersion};
use crate::tree::Element;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Services,
    Feeds,
    Subscription(SubscriptionRequest),
    Poll(PollRequest),
    Part { result_id: String },
}

/// A Subscription_Management_Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubscriptionRequest {
    pub(super) action: Action,
    pub(super) feed: String,
    /// Where the action is about one, and not ignored by it.
    pub(super) id: Option<String>,
    pub(super) terms: Terms,
    pub(super) delivery: Option<Delivery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Subscribe,
    Unsubscribe,
    Pause,
    Resume,
    Status,
}

/// A Poll_Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PollRequest {
    pub(super) feed: String,
    pub(super) subscription_id: Option<String>,
    pub(super) begin: Option<Label>,
    pub(super) end: Option<Label>,
    pub(super) bindings: Vec<String>,
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

/// The version that the headers speak, if the vendor speaks it.
pub(super) fn version_of(
    headers: &HeaderMap,
    spoken: &[TaxiiVersion],
) -> Result<TaxiiVersion, Refusal> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = |name| value(name)?.split(';').next().map(str::trim);
    if media_type("Content-Type") != Some("application/xml") {
        return Err(Refusal::Http(415));
    }
    if media_type("Accept").is_some_and(|accepted| accepted != "application/xml") {
        return Err(Refusal::Http(406));
    }
    let required = |name| {
        let missing = || Status::bad_message(format!("the header {name} is missing"));
        value(name).ok_or_else(missing)
    };
    let content_type = required("X-TAXII-Content-Type")?;
    let bindings: Vec<&str> = spoken
        .iter()
        .map(|version| version.message_binding())
        .collect();
    let unsupported = |found| Status::unsupported("UNSUPPORTED_MESSAGE", found, &bindings);
    let version = TaxiiVersion::of_message_binding(content_type)
        .filter(|version| spoken.contains(version))
        .ok_or_else(|| unsupported(content_type))?;
    if let Some(accepted) = value("X-TAXII-Accept")
        && accepted
            .split(' ')
            .all(|binding| binding != version.message_binding())
    {
        return Err(unsupported(accepted).into());
    }
    let protocol = required("X-TAXII-Protocol")?;
    if protocol != PROTOCOL_BINDING {
        let supported = [PROTOCOL_BINDING];
        return Err(Status::unsupported("UNSUPPORTED_PROTOCOL", protocol, &supported).into());
    }
    let services = required("X-TAXII-Services")?;
    if services != version.services() {
        let message = format!("X-TAXII-Services is {services}, with {content_type}");
        return Err(Status::bad_message(message).into());
    }
    Ok(version)
}

/// Judges a message in the version that the headers speak.
pub(super) fn read(root: &Element, version: TaxiiVersion) -> Result<Asked, Status> {
    use TaxiiVersion::{V1_0, V1_1};
    if root.namespace != version.namespace() {
        return Err(Status::bad_message(format!(
            "{} is in the namespace {:?}, and X-TAXII-Content-Type is {}",
            root.name,
            root.namespace,
            version.message_binding()
        )));
    }
    let id = attribute(root, "message_id")?;
    if version == V1_0 && !id.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("message_id is {id:?} and must be digits");
        return Err(Status::bad_message(message));
    }
    match (root.name.as_str(), version) {
        ("Discovery_Request", _) => nothing_in(root).map(|()| Asked::Services),
        ("Feed_Information_Request", V1_0) | ("Collection_Information_Request", V1_1) => {
            nothing_in(root).map(|()| Asked::Feeds)
        }
        ("Subscription_Management_Request", _) => {
            subscription(root, version).map(Asked::Subscription)
        }
        ("Poll_Request", V1_0) => poll_1_0(root).map(Asked::Poll),
        ("Poll_Request", V1_1) => poll_1_1(root).map(Asked::Poll),
        ("Poll_Fulfillment", V1_1) => fulfillment(root),
        (name, _) => Err(Status::bad_message(format!("{name} is not taken here"))),
    }
}

fn start<'a>(root: &'a Element, attributes: &[&str]) -> Result<Children<'a>, Status> {
    let attributes = [&["message_id"], attributes].concat();
    let mut children = Children::of(root, &attributes)?;
    children.optional("Extended_Headers");
    Ok(children)
}

fn nothing_in(root: &Element) -> Result<(), Status> {
    start(root, &[])?.end_of_message()
}

fn subscription(root: &Element, version: TaxiiVersion) -> Result<SubscriptionRequest, Status> {
    let is_1_0 = version == TaxiiVersion::V1_0;
    let known: &[&str] = match version {
        TaxiiVersion::V1_0 => &["action", "feed_name", "subscription_id"],
        TaxiiVersion::V1_1 => &["action", "collection_name"],
    };
    let mut children = start(root, known)?;
    let action = match attribute(root, "action")?.as_str() {
        "SUBSCRIBE" => Action::Subscribe,
        "UNSUBSCRIBE" => Action::Unsubscribe,
        "STATUS" => Action::Status,
        "PAUSE" if !is_1_0 => Action::Pause,
        "RESUME" if !is_1_0 => Action::Resume,
        other => return Err(Status::bad_message(format!("there is no action {other}"))),
    };
    let id = if is_1_0 {
        root.attribute("subscription_id").map(str::to_owned)
    } else {
        children.optional("Subscription_ID").map(text).transpose()?
    };
    let id = match action {
        Action::Subscribe => None,
        // Of all subscriptions, in 1.0.
        Action::Status => id.filter(|_| !is_1_0),
        Action::Unsubscribe | Action::Pause | Action::Resume => {
            let missing = || Status::bad_message("the action needs a subscription");
            Some(id.ok_or_else(missing)?)
        }
    };
    let mut terms = match children.optional("Subscription_Parameters") {
        Some(parameters) if !is_1_0 => subscription_parameters(parameters)?,
        None if !is_1_0 && action == Action::Subscribe => {
            let message = "SUBSCRIBE needs Subscription_Parameters";
            return Err(Status::bad_message(message));
        }
        _ => Terms::default(),
    };
    let delivery = children.optional("Push_Parameters");
    let delivery = delivery.map(|push| push_parameters(push, version));
    children.end_of_message()?;
    let delivery = delivery.transpose()?.map(|(delivery, bindings)| {
        terms.bindings.extend(bindings);
        delivery
    });
    Ok(SubscriptionRequest {
        action,
        feed: attribute(root, version.feed_attribute())?,
        id,
        terms,
        delivery,
    })
}

fn subscription_parameters(parameters: &Element) -> Result<Terms, Status> {
    let mut children = Children::of(parameters, &[])?;
    let response_type = children.optional("Response_Type");
    let terms = Terms {
        response_type: response_type.map(self::response_type).transpose()?,
        bindings: bindings_1_1(&mut children)?,
    };
    no_query(&mut children)?;
    children.end()?;
    Ok(terms)
}

/// In 1.0 with the bindings of the content.
fn push_parameters(
    push: &Element,
    version: TaxiiVersion,
) -> Result<(Delivery, Vec<String>), Status> {
    let mut children = Children::of(push, &[])?;
    let delivery = Delivery {
        protocol: text(children.required("Protocol_Binding")?)?,
        address: text(children.required("Address")?)?,
        message_binding: text(children.required("Message_Binding")?)?,
    };
    let bindings = match version {
        TaxiiVersion::V1_0 => bindings_1_0(&mut children)?,
        TaxiiVersion::V1_1 => Vec::new(),
    };
    children.end()?;
    Ok((delivery, bindings))
}

fn poll_1_0(root: &Element) -> Result<PollRequest, Status> {
    let mut children = start(root, &["feed_name", "subscription_id"])?;
    let (begin, end) = window(&mut children)?;
    let poll = PollRequest {
        feed: attribute(root, "feed_name")?,
        subscription_id: root.attribute("subscription_id").map(str::to_owned),
        begin,
        end,
        bindings: bindings_1_0(&mut children)?,
    };
    children.end_of_message()?;
    Ok(poll)
}

fn poll_1_1(root: &Element) -> Result<PollRequest, Status> {
    let mut children = start(root, &["collection_name"])?;
    let (begin, end) = window(&mut children)?;
    let subscription_id = children.optional("Subscription_ID");
    let subscription_id = subscription_id.map(text).transpose()?;
    let bindings = match subscription_id {
        Some(_) => Vec::new(),
        None => poll_parameters(children.required("Poll_Parameters")?)?,
    };
    children.end_of_message()?;
    Ok(PollRequest {
        feed: attribute(root, "collection_name")?,
        subscription_id,
        begin,
        end,
        bindings,
    })
}

fn poll_parameters(parameters: &Element) -> Result<Vec<String>, Status> {
    let mut children = Children::of(parameters, &["allow_asynch"])?;
    if let Some(stated) = parameters.attribute("allow_asynch")
        && !["true", "false", "1", "0"].contains(&stated)
    {
        return Err(Status::bad_message(format!("allow_asynch is {stated:?}")));
    }
    let stated = children.optional("Response_Type");
    stated.map(response_type).transpose()?;
    let bindings = bindings_1_1(&mut children)?;
    no_query(&mut children)?;
    if let Some(push) = children.optional("Delivery_Parameters") {
        push_parameters(push, TaxiiVersion::V1_1)?;
    }
    children.end()?;
    Ok(bindings)
}

fn fulfillment(root: &Element) -> Result<Asked, Status> {
    let known = ["collection_name", "result_id", "result_part_number"];
    start(root, &known)?.end_of_message()?;
    attribute(root, "collection_name")?;
    let result_id = attribute(root, "result_id")?;
    Ok(Asked::Part { result_id })
}

fn window(children: &mut Children<'_>) -> Result<(Option<Label>, Option<Label>), Status> {
    let mut bound = |name| children.optional(name).map(label).transpose();
    let (begin, end) = (
        bound("Exclusive_Begin_Timestamp")?,
        bound("Inclusive_End_Timestamp")?,
    );
    if let (Some(begin), Some(end)) = (&begin, &end)
        && begin.time >= end.time
    {
        let message = format!("nothing lies between {} and {}", begin.text, end.text);
        return Err(Status::bad_message(message));
    }
    Ok((begin, end))
}

fn response_type(element: &Element) -> Result<ResponseType, Status> {
    match text(element)?.as_str() {
        "FULL" => Ok(ResponseType::Full),
        "COUNT_ONLY" => Ok(ResponseType::CountOnly),
        other => Err(Status::bad_message(format!("Response_Type is {other}"))),
    }
}

fn bindings_1_0(children: &mut Children<'_>) -> Result<Vec<String>, Status> {
    let bindings = children.several("Content_Binding").into_iter();
    bindings.map(text).collect()
}

fn bindings_1_1(children: &mut Children<'_>) -> Result<Vec<String>, Status> {
    let bindings = children.several("Content_Binding").into_iter();
    let binding = |binding| {
        let mut subtypes = Children::of(binding, &["binding_id"])?;
        for subtype in subtypes.several("Subtype") {
            Children::of(subtype, &["subtype_id"])?.end()?;
        }
        subtypes.end()?;
        attribute(binding, "binding_id")
    };
    bindings.map(binding).collect()
}

fn no_query(children: &mut Children<'_>) -> Result<(), Status> {
    match children.optional("Query") {
        None => Ok(()),
        Some(_) => Err(Status::new(
            "UNSUPPORTED_QUERY",
            "there are no queries here",
        )),
    }
}
