//! Messages that are sent, exactly as TAXII 1.0 and 1.1 have them: [`Ask`] is what is meant,
//! [`Request`] what is written in one of the two bindings.

mod status;
#[cfg(test)]
mod tests;
mod writer;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Timestamp;
use super::version::Version;
use super::window::PollWindow;
pub use status::StatusReply;
use writer::Writer;

/// The media type of a TAXII message.
pub const CONTENT_TYPE: &str = "application/xml";

/// A request with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `@message_id`
    pub message_id: String,
    /// The version that it is written in.
    pub version: Version,
    /// The whole message.
    pub xml: String,
}

/// What a client can ask for.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// Which services there are. It spends no poll, and its answer tells the service's time.
    Discovery,
    /// Which collections there are (TAXII 1.0: feeds).
    Collections,
    /// To begin, end, pause, resume or show a subscription.
    Subscription(&'a SubscriptionAsk),
    /// The content of a window.
    Poll(&'a PollAsk),
    /// A part of a result.
    Fulfillment {
        /// The collection.
        collection: &'a str,
        /// Poll_Response/@result_id
        result_id: &'a str,
        /// From 1.
        part_number: u32,
    },
    /// To take content.
    Inbox(&'a InboxAsk),
}

/// A Poll_Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollAsk {
    /// The collection.
    pub collection: String,
    /// The times that its content lies between; a Data Set has none.
    pub window: PollWindow,
    /// What is asked for of it.
    pub terms: PollTerms,
}

/// What is asked for of a collection: what was agreed with a subscription, or what stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollTerms {
    /// As the subscription says.
    Subscription(String),
    /// As these say.
    Parameters {
        /// Whether the answer may come later, by Poll_Fulfillment.
        allow_asynch: bool,
        /// In full, or how much there is.
        response_type: ResponseType,
        /// Content in these bindings alone; none are all.
        bindings: Vec<ContentBinding>,
    },
}

impl Default for PollTerms {
    /// Everything, in full, at once.
    fn default() -> Self {
        Self::Parameters {
            allow_asynch: false,
            response_type: ResponseType::Full,
            bindings: Vec::new(),
        }
    }
}

/// Response_Type
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResponseType {
    /// With the content.
    Full,
    /// Only its count.
    CountOnly,
}

impl ResponseType {
    /// The specification's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::CountOnly => "COUNT_ONLY",
        }
    }
}

/// A format of content, such as `urn:stix.mitre.org:xml:1.1.1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ContentBinding {
    /// `@binding_id`
    pub id: String,
    /// Subtype/@subtype_id; TAXII 1.0 has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subtypes: Vec<String>,
}

impl From<&str> for ContentBinding {
    fn from(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            subtypes: Vec::new(),
        }
    }
}

/// A Subscription_Management_Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionAsk {
    /// What is to be done.
    pub action: SubscriptionAction,
    /// The collection.
    pub collection: String,
    /// The subscription that it is about; none for a new one, and for the status of all.
    pub subscription_id: Option<String>,
    /// Of a new one: in full, or counts.
    pub response_type: ResponseType,
    /// Of a new one: the formats; none are all.
    pub bindings: Vec<ContentBinding>,
    /// Of a new one: where its content is pushed to; none is polled.
    pub push: Option<PushParameters>,
}

/// `@action`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum SubscriptionAction {
    Subscribe,
    Unsubscribe,
    Pause,
    Resume,
    Status,
}

impl SubscriptionAction {
    /// The specification's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Status => "STATUS",
        }
    }
}

/// Push_Parameters: where a service pushes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushParameters {
    /// Protocol_Binding
    pub protocol: String,
    /// Address
    pub address: String,
    /// Message_Binding
    pub message_binding: String,
}

/// An Inbox_Message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxAsk {
    /// Destination_Collection_Name; TAXII 1.0 has none.
    pub destinations: Vec<String>,
    /// The content.
    pub blocks: Vec<ContentBlock>,
}

/// A Content_Block that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentBlock {
    /// Its format.
    pub binding: String,
    /// An XML element, as it is.
    pub xml: String,
    /// Timestamp_Label
    pub at: Option<DateTime<Utc>>,
}

/// A version of TAXII has no way to say something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TAXII {version} has no {what}")]
pub struct NotInVersion {
    /// The version.
    pub version: Version,
    /// What it lacks.
    pub what: &'static str,
}

impl Request {
    /// Writes what is asked for in one version.
    pub fn new(ask: Ask<'_>, version: Version, message_id: String) -> Result<Self, NotInVersion> {
        let is_1_0 = version == Version::V1_0;
        let lacks = |what| NotInVersion { version, what };
        let root = match ask {
            Ask::Discovery => "Discovery_Request",
            Ask::Collections if is_1_0 => "Feed_Information_Request",
            Ask::Collections => "Collection_Information_Request",
            Ask::Subscription(_) => "Subscription_Management_Request",
            Ask::Poll(_) => "Poll_Request",
            Ask::Fulfillment { .. } if is_1_0 => return Err(lacks("Poll_Fulfillment")),
            Ask::Fulfillment { .. } => "Poll_Fulfillment",
            Ask::Inbox(_) => "Inbox_Message",
        };
        let mut message = Message {
            out: Writer::new(root, version.namespace()),
            version,
        };
        message.out.attribute("message_id", &message_id);
        match ask {
            Ask::Discovery | Ask::Collections => {}
            Ask::Subscription(ask) => message.subscription(ask)?,
            Ask::Poll(ask) => message.poll(ask)?,
            Ask::Fulfillment {
                collection,
                result_id,
                part_number,
            } => {
                message.collection(collection);
                message.out.attribute("result_id", result_id);
                let part = part_number.to_string();
                message.out.attribute("result_part_number", &part);
            }
            Ask::Inbox(ask) => message.inbox(ask)?,
        }
        Ok(Self {
            message_id,
            version,
            xml: message.out.finish(),
        })
    }
}

/// A message in one of the bindings.
struct Message {
    out: Writer,
    version: Version,
}

impl Message {
    fn is_1_0(&self) -> bool {
        self.version == Version::V1_0
    }

    fn lacks(&self, what: &'static str) -> NotInVersion {
        NotInVersion {
            version: self.version,
            what,
        }
    }

    fn collection(&mut self, name: &str) {
        let attribute = match self.version {
            Version::V1_0 => "feed_name",
            Version::V1_1 => "collection_name",
        };
        self.out.attribute(attribute, name);
    }

    fn poll(&mut self, ask: &PollAsk) -> Result<(), NotInVersion> {
        self.collection(&ask.collection);
        if let (PollTerms::Subscription(id), true) = (&ask.terms, self.is_1_0()) {
            self.out.attribute("subscription_id", id);
        }
        let window = &ask.window;
        for (name, stamp) in [
            ("Exclusive_Begin_Timestamp", &window.exclusive_begin),
            ("Inclusive_End_Timestamp", &window.inclusive_end),
        ] {
            if let Some(stamp) = stamp {
                self.out.text(name, stamp.text());
            }
        }
        match &ask.terms {
            PollTerms::Subscription(_) if self.is_1_0() => {}
            PollTerms::Subscription(id) => self.out.text("Subscription_ID", id),
            PollTerms::Parameters {
                response_type,
                bindings,
                ..
            } if self.is_1_0() => {
                if *response_type == ResponseType::CountOnly {
                    return Err(self.lacks("polls that ask for counts only"));
                }
                self.bindings(bindings)?;
            }
            PollTerms::Parameters {
                allow_asynch,
                response_type,
                bindings,
            } => {
                self.out.start("Poll_Parameters");
                let allow = if *allow_asynch { "true" } else { "false" };
                self.out.attribute("allow_asynch", allow);
                self.out.text("Response_Type", response_type.name());
                self.bindings(bindings)?;
                self.out.end();
            }
        }
        Ok(())
    }

    fn subscription(&mut self, ask: &SubscriptionAsk) -> Result<(), NotInVersion> {
        let is_new = ask.action == SubscriptionAction::Subscribe;
        if self.is_1_0() {
            match ask.action {
                SubscriptionAction::Pause | SubscriptionAction::Resume => {
                    return Err(self.lacks("subscriptions that can be paused"));
                }
                _ => {}
            }
            if ask.response_type == ResponseType::CountOnly {
                return Err(self.lacks("subscriptions to counts only"));
            }
            if ask.push.is_none() && !ask.bindings.is_empty() {
                return Err(self.lacks("content bindings of a subscription that is polled"));
            }
        }
        self.out.attribute("action", ask.action.name());
        self.collection(&ask.collection);
        match &ask.subscription_id {
            Some(id) if self.is_1_0() => self.out.attribute("subscription_id", id),
            Some(id) => self.out.text("Subscription_ID", id),
            None => {}
        }
        if is_new && !self.is_1_0() {
            self.out.start("Subscription_Parameters");
            self.out.text("Response_Type", ask.response_type.name());
            self.bindings(&ask.bindings)?;
            self.out.end();
        }
        if let Some(push) = ask.push.as_ref().filter(|_| is_new) {
            self.out.start("Push_Parameters");
            self.out.text("Protocol_Binding", &push.protocol);
            self.out.text("Address", &push.address);
            self.out.text("Message_Binding", &push.message_binding);
            if self.is_1_0() {
                self.bindings(&ask.bindings)?;
            }
            self.out.end();
        }
        Ok(())
    }

    fn inbox(&mut self, ask: &InboxAsk) -> Result<(), NotInVersion> {
        if self.is_1_0() && !ask.destinations.is_empty() {
            return Err(self.lacks("destination collections; its inbox takes what it is sent"));
        }
        for name in &ask.destinations {
            self.out.text("Destination_Collection_Name", name);
        }
        if !self.is_1_0() {
            let count = ask.blocks.len().to_string();
            self.out.text("Record_Count", &count);
        }
        for block in &ask.blocks {
            self.out.start("Content_Block");
            self.binding(&block.binding, &[])?;
            self.out.xml("Content", &block.xml);
            if let Some(at) = block.at {
                let at = Timestamp::from(at);
                self.out.text("Timestamp_Label", at.text());
            }
            self.out.end();
        }
        Ok(())
    }

    fn bindings(&mut self, bindings: &[ContentBinding]) -> Result<(), NotInVersion> {
        bindings
            .iter()
            .try_for_each(|binding| self.binding(&binding.id, &binding.subtypes))
    }

    fn binding(&mut self, id: &str, subtypes: &[String]) -> Result<(), NotInVersion> {
        if self.is_1_0() {
            if !subtypes.is_empty() {
                return Err(self.lacks("subtypes of content bindings"));
            }
            self.out.text("Content_Binding", id);
            return Ok(());
        }
        self.out.start("Content_Binding");
        self.out.attribute("binding_id", id);
        for subtype in subtypes {
            self.out.start("Subtype");
            self.out.attribute("subtype_id", subtype);
            self.out.end();
        }
        self.out.end();
        Ok(())
    }
}
