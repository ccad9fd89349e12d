//! What a service tells of itself: its services, its collections, its subscriptions.

use serde::Serialize;

use super::ReadResponseError;
use super::record::{self, Budget, Record};
use crate::taxii::message::{ContentBinding, PushParameters};
use crate::xml::{Tag, Token, Xml};

/// Discovery_Response
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Discovery {
    /// Service_Instance
    pub services: Vec<ServiceInstance>,
}

/// A service that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceInstance {
    /// `@service_type`
    pub kind: ServiceKind,
    /// `@available`
    pub is_available: Option<bool>,
    /// Where it is.
    #[serde(flatten)]
    pub contact: Contact,
    /// Content_Binding: the formats that an inbox takes; none are all.
    pub content_bindings: Vec<ContentBinding>,
    /// Message
    pub message: Option<String>,
}

/// `@service_type`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceKind {
    /// What there is.
    Discovery,
    /// Collections and subscriptions; of TAXII 1.0 `FEED_MANAGEMENT`.
    CollectionManagement,
    /// Takes content.
    Inbox,
    /// Gives content.
    Poll,
    /// Something that the specification does not know.
    #[serde(untagged)]
    Other(String),
}

/// Where something is offered, and how it is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Protocol_Binding
    pub protocol: String,
    /// Address, as written: it may be relative to that of the service that told it.
    pub address: String,
    /// Message_Binding
    pub message_bindings: Vec<String>,
}

/// Collection_Information_Response, of TAXII 1.0 Feed_Information_Response
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collections {
    /// Collection, of TAXII 1.0 Feed
    pub collections: Vec<CollectionInformation>,
}

/// A collection that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionInformation {
    /// `@collection_name`, of TAXII 1.0 `@feed_name`
    pub name: String,
    /// `@collection_type`
    pub kind: CollectionKind,
    /// `@available`
    pub is_available: Option<bool>,
    /// Description
    pub description: String,
    /// Collection_Volume: items a day.
    pub volume: Option<u64>,
    /// Content_Binding: its formats; none are any.
    pub content_bindings: Vec<ContentBinding>,
    /// Push_Method: how it can be pushed.
    pub push_methods: Vec<PushMethod>,
    /// Polling_Service
    pub polling: Vec<Contact>,
    /// Subscription_Service
    pub subscription: Vec<Contact>,
    /// Receiving_Inbox_Service
    pub inboxes: Vec<Contact>,
}

/// `@collection_type`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CollectionKind {
    /// Content has a time, and a poll asks for a range of it.
    #[default]
    DataFeed,
    /// Content has none: a poll brings all of it.
    DataSet,
}

/// Push_Method
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PushMethod {
    /// Protocol_Binding
    pub protocol: String,
    /// Message_Binding
    pub message_bindings: Vec<String>,
}

/// Subscription_Management_Response
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subscriptions {
    /// `@collection_name`
    pub collection: Option<String>,
    /// Message
    pub message: Option<String>,
    /// Subscription
    pub subscriptions: Vec<Subscription>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Subscription_ID
    pub id: String,
    /// `@status`: `ACTIVE`, `PAUSED` or `UNSUBSCRIBED`; TAXII 1.0 does not tell.
    pub status: Option<String>,
    /// Response_Type
    pub response_type: Option<String>,
    /// The formats; none are any.
    pub content_bindings: Vec<ContentBinding>,
    /// Push_Parameters: where its content is pushed to.
    pub push: Option<PushParameters>,
    /// Poll_Instance: where it is polled.
    pub polling: Vec<Contact>,
}

impl Discovery {
    pub(super) fn read(xml: &mut Xml<'_>) -> Result<Self, ReadResponseError> {
        let services = children(xml, |child| {
            (child.name() == "Service_Instance").then(|| ServiceInstance::of(child))
        })?;
        Ok(Self { services })
    }
}

impl Collections {
    pub(super) fn read(xml: &mut Xml<'_>) -> Result<Self, ReadResponseError> {
        let collections = children(xml, |child| {
            let is_one = ["Collection", "Feed"].contains(&child.name());
            is_one.then(|| CollectionInformation::of(child))
        })?;
        Ok(Self { collections })
    }
}

impl Subscriptions {
    pub(super) fn start(tag: &Tag<'_>) -> Result<Self, ReadResponseError> {
        let collection = match tag.owned("collection_name")? {
            Some(name) => Some(name),
            None => tag.owned("feed_name")?,
        };
        Ok(Self {
            collection,
            ..Self::default()
        })
    }

    pub(super) fn finish(mut self, xml: &mut Xml<'_>) -> Result<Self, ReadResponseError> {
        let mut message = None;
        self.subscriptions = children(xml, |child| match child.name() {
            "Subscription" => Some(Subscription::of(child)),
            "Message" => {
                message = Some(child.text());
                None
            }
            _ => None,
        })?;
        self.message = message.filter(|text| !text.is_empty());
        Ok(self)
    }
}

impl ServiceInstance {
    fn of(record: &Record) -> Self {
        Self {
            kind: match record
                .attribute("service_type")
                .unwrap_or_default()
                .as_str()
            {
                "DISCOVERY" => ServiceKind::Discovery,
                "COLLECTION_MANAGEMENT" | "FEED_MANAGEMENT" => ServiceKind::CollectionManagement,
                "INBOX" => ServiceKind::Inbox,
                "POLL" => ServiceKind::Poll,
                other => ServiceKind::Other(other.to_owned()),
            },
            is_available: boolean(record, "available"),
            contact: Contact::of(record),
            content_bindings: bindings(record),
            message: record.text_of("Message"),
        }
    }
}

impl Contact {
    fn of(record: &Record) -> Self {
        Self {
            protocol: record.text_of("Protocol_Binding").unwrap_or_default(),
            address: record.text_of("Address").unwrap_or_default(),
            message_bindings: record.texts_of("Message_Binding"),
        }
    }

    fn all(record: &Record, name: &str) -> Vec<Self> {
        record.all(name).map(Self::of).collect()
    }
}

impl CollectionInformation {
    fn of(record: &Record) -> Self {
        let name = record.attribute("collection_name");
        Self {
            name: name
                .or_else(|| record.attribute("feed_name"))
                .unwrap_or_default(),
            kind: match record.attribute("collection_type").as_deref() {
                Some("DATA_SET") => CollectionKind::DataSet,
                _ => CollectionKind::DataFeed,
            },
            is_available: boolean(record, "available"),
            description: record.text_of("Description").unwrap_or_default(),
            volume: record
                .text_of("Collection_Volume")
                .and_then(|volume| volume.parse().ok()),
            content_bindings: bindings(record),
            push_methods: record
                .all("Push_Method")
                .map(|method| PushMethod {
                    protocol: method.text_of("Protocol_Binding").unwrap_or_default(),
                    message_bindings: method.texts_of("Message_Binding"),
                })
                .collect(),
            polling: Contact::all(record, "Polling_Service"),
            subscription: Contact::all(record, "Subscription_Service"),
            inboxes: Contact::all(record, "Receiving_Inbox_Service"),
        }
    }
}

impl Subscription {
    fn of(record: &Record) -> Self {
        // TAXII 1.0 has the id as an attribute, and the formats with the address.
        let id = record.text_of("Subscription_ID");
        let push = record.all("Push_Parameters").next();
        let parameters = record.all("Subscription_Parameters").next();
        Self {
            id: id
                .or_else(|| record.attribute("subscription_id"))
                .unwrap_or_default(),
            status: record.attribute("status"),
            response_type: parameters.and_then(|record| record.text_of("Response_Type")),
            content_bindings: parameters.or(push).map(bindings).unwrap_or_default(),
            push: push.map(|record| {
                let contact = Contact::of(record);
                PushParameters {
                    protocol: contact.protocol,
                    address: contact.address,
                    message_binding: contact.message_bindings.join(" "),
                }
            }),
            polling: Contact::all(record, "Poll_Instance"),
        }
    }
}

/// Reads all that is inside the message, one record after the other.
fn children<T>(
    xml: &mut Xml<'_>,
    mut take: impl FnMut(&Record) -> Option<T>,
) -> Result<Vec<T>, ReadResponseError> {
    let mut budget = Budget::default();
    let mut taken = Vec::new();
    loop {
        match xml.next()? {
            Token::Start(tag) => {
                let start = record::start(&tag, &mut budget)?;
                let record = start.read(xml, &mut budget)?;
                taken.extend(take(&record));
            }
            Token::Text(_) => {}
            Token::End | Token::Eof => return Ok(taken),
        }
    }
}

fn boolean(record: &Record, name: &str) -> Option<bool> {
    match record.attribute(name)?.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// TAXII 1.1 has a format as an attribute, 1.0 as text.
fn bindings(record: &Record) -> Vec<ContentBinding> {
    let binding = |record: &Record| ContentBinding {
        id: record
            .attribute("binding_id")
            .unwrap_or_else(|| record.text()),
        subtypes: record
            .all("Subtype")
            .filter_map(|subtype| subtype.attribute("subtype_id"))
            .collect(),
    };
    record.all("Content_Binding").map(binding).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::config::Limits;
    use crate::tape::{MemoryScratch, Scratch};
    use crate::taxii::response::{Answer, RefusedBlock, ResponseSink, read_answer};

    /// Nobody may be given content here.
    struct NoContent;

    impl crate::flatten::EventSink for NoContent {
        fn event(&mut self, _: crate::flatten::FlatEvent<'_>) -> std::io::Result<()> {
            panic!("an event");
        }
    }

    impl ResponseSink for NoContent {
        fn block_read(&mut self) -> std::io::Result<()> {
            panic!("a block");
        }

        fn block_refused(&mut self, _: RefusedBlock<'_>) -> std::io::Result<()> {
            panic!("a block");
        }
    }

    fn read(version: &str, message: &str) -> Result<Value, String> {
        let namespace = format!("http://taxii.mitre.org/messages/{version}");
        let xml = message.replacen(' ', &format!(" xmlns:t=\"{namespace}\" "), 1);
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let limits = Limits::default();
        let answer = read_answer(&mut xml.as_bytes(), None, &limits, &scratch, NoContent);
        match answer.map_err(|error| error.to_string())? {
            Answer::Discovery(told) => Ok(json!(told)),
            Answer::Collections(told) => Ok(json!(told)),
            Answer::Subscriptions(told) => Ok(json!(told)),
            other => Err(format!("{other:?}")),
        }
    }

    const V1_0: &str = "taxii_xml_binding-1";
    const V1_1: &str = "taxii_xml_binding-1.1";

    #[test]
    fn services() {
        let told = read(
            V1_1,
            "<t:Discovery_Response message_id=\"1\">
               <t:Service_Instance service_type=\"INBOX\" available=\"1\" service_version=\"s\">
                 <t:Protocol_Binding>p</t:Protocol_Binding><t:Address> /inbox </t:Address>
                 <t:Message_Binding>m</t:Message_Binding><t:Message_Binding>n</t:Message_Binding>
                 <t:Supported_Query format_id=\"q\"><x/></t:Supported_Query>
                 <t:Content_Binding binding_id=\"b\"><t:Subtype subtype_id=\"s\"/></t:Content_Binding>
                 <t:Message>for
                    you</t:Message>
               </t:Service_Instance>
               <t:Service_Instance service_type=\"TEA\"/>
             </t:Discovery_Response>",
        );
        assert_eq!(
            told.unwrap(),
            json!({"services": [
                {"kind": "INBOX", "is_available": true, "protocol": "p", "address": "/inbox",
                 "message_bindings": ["m", "n"],
                 "content_bindings": [{"id": "b", "subtypes": ["s"]}], "message": "for you"},
                {"kind": "TEA", "is_available": null, "protocol": "", "address": "",
                 "message_bindings": [], "content_bindings": [], "message": null},
            ]})
        );
        let told = read(
            V1_0,
            "<t:Discovery_Response message_id=\"1\">
               <t:Service_Instance service_type=\"FEED_MANAGEMENT\" available=\"false\">
                 <t:Content_Binding>b</t:Content_Binding>
               </t:Service_Instance>
             </t:Discovery_Response>",
        );
        let service = &told.unwrap()["services"][0];
        assert_eq!(service["kind"], "COLLECTION_MANAGEMENT");
        assert_eq!(service["is_available"], false);
        assert_eq!(service["content_bindings"], json!([{"id": "b"}]));
    }

    #[test]
    fn collections() {
        let contact = json!({"protocol": "p", "address": "a", "message_bindings": ["m"]});
        let told = read(
            V1_1,
            "<t:Collection_Information_Response message_id=\"1\">
               <t:Collection collection_name=\"c\" collection_type=\"DATA_SET\" available=\"false\">
                 <t:Description>all of it</t:Description>
                 <t:Collection_Volume>70</t:Collection_Volume>
                 <t:Push_Method><t:Protocol_Binding>p</t:Protocol_Binding>
                   <t:Message_Binding>m</t:Message_Binding></t:Push_Method>
                 <t:Polling_Service><t:Protocol_Binding>p</t:Protocol_Binding>
                   <t:Address>a</t:Address><t:Message_Binding>m</t:Message_Binding>
                 </t:Polling_Service>
                 <t:Receiving_Inbox_Service><t:Protocol_Binding>p</t:Protocol_Binding>
                   <t:Address>a</t:Address><t:Message_Binding>m</t:Message_Binding>
                 </t:Receiving_Inbox_Service>
               </t:Collection>
             </t:Collection_Information_Response>",
        );
        assert_eq!(
            told.unwrap()["collections"][0],
            json!({"name": "c", "kind": "DATA_SET", "is_available": false,
                   "description": "all of it", "volume": 70, "content_bindings": [],
                   "push_methods": [{"protocol": "p", "message_bindings": ["m"]}],
                   "polling": [contact], "subscription": [], "inboxes": [contact]})
        );
        let told = read(
            V1_0,
            "<t:Feed_Information_Response message_id=\"1\"><t:Feed feed_name=\"f\">
               <t:Subscription_Service><t:Protocol_Binding>p</t:Protocol_Binding>
                 <t:Address>a</t:Address><t:Message_Binding>m</t:Message_Binding>
               </t:Subscription_Service>
             </t:Feed></t:Feed_Information_Response>",
        );
        let feed = &told.unwrap()["collections"][0];
        assert_eq!(
            (&feed["name"], &feed["kind"]),
            (&json!("f"), &json!("DATA_FEED"))
        );
        assert_eq!(feed["subscription"], json!([contact]));
    }

    #[test]
    fn subscriptions() {
        let told = read(
            V1_1,
            "<t:Subscription_Management_Response collection_name=\"c\">
               <t:Message>thank you</t:Message>
               <t:Subscription status=\"PAUSED\">
                 <t:Subscription_ID>s1</t:Subscription_ID>
                 <t:Subscription_Parameters><t:Response_Type>FULL</t:Response_Type>
                   <t:Content_Binding binding_id=\"b\"/></t:Subscription_Parameters>
                 <t:Push_Parameters><t:Protocol_Binding>p</t:Protocol_Binding>
                   <t:Address>a</t:Address><t:Message_Binding>m</t:Message_Binding>
                 </t:Push_Parameters>
               </t:Subscription>
             </t:Subscription_Management_Response>",
        );
        assert_eq!(
            told.unwrap(),
            json!({"collection": "c", "message": "thank you", "subscriptions": [
                {"id": "s1", "status": "PAUSED", "response_type": "FULL",
                 "content_bindings": [{"id": "b"}],
                 "push": {"protocol": "p", "address": "a", "message_binding": "m"},
                 "polling": []}]})
        );
        let told = read(
            V1_0,
            "<t:Subscription_Management_Response feed_name=\"f\">
               <t:Subscription subscription_id=\"s2\"><t:Push_Parameters>
                 <t:Protocol_Binding>p</t:Protocol_Binding><t:Address>a</t:Address>
                 <t:Message_Binding>m</t:Message_Binding><t:Content_Binding>b</t:Content_Binding>
               </t:Push_Parameters></t:Subscription>
             </t:Subscription_Management_Response>",
        );
        let told = told.unwrap();
        let subscription = &told["subscriptions"][0];
        assert_eq!(
            (&told["collection"], &subscription["id"]),
            (&json!("f"), &json!("s2"))
        );
        assert_eq!(subscription["content_bindings"], json!([{"id": "b"}]));
    }

    #[test]
    fn the_draft_has_a_name() {
        let error = read("xml/1", "<t:Discovery_Response message_id=\"1\"/>").unwrap_err();
        let expect = "a message of the draft of TAXII 1.0 (the namespace \
                      http://taxii.mitre.org/messages/xml/1), which is not understood: ask the \
                      provider for the address of a TAXII 1.0 or 1.1 service";
        assert_eq!(error, expect);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let service = format!(
            "<t:Service_Instance service_type=\"POLL\"><t:Message>{}</t:Message>\
             </t:Service_Instance>",
            "x".repeat(1 << 20)
        );
        let message = |count| {
            let services = service.repeat(count);
            format!("<t:Discovery_Response message_id=\"1\">{services}</t:Discovery_Response>")
        };
        assert!(read(V1_1, &message(15)).is_ok());
        let error = read(V1_1, &message(17)).unwrap_err();
        assert_eq!(error, "the document is larger than 16777216 bytes");
    }
}
