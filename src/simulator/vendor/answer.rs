//! Writes what the vendor answers, in the bindings of both versions.

use super::contract::Contract;
use super::feed::{Feed, Window, after, timestamp};
use super::request::Action;
use super::subscription::{
    CONTENT_BINDING, Delivery, DuePush, ResponseType, Subscription, SubscriptionState, Terms,
};
use super::version::{PROTOCOL_BINDING, TaxiiVersion};
use super::xml::{Xml, message};
use super::{DISCOVERY_PATH, FEEDS_PATH};
use crate::simulator::content::Publication;

/// To whom, and about what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answerer<'a> {
    pub(super) version: TaxiiVersion,
    pub(super) id: u64,
    pub(super) in_response_to: &'a str,
    /// `https://` and where it listens.
    pub(super) base: &'a str,
    pub(super) spoken: &'a [TaxiiVersion],
}

impl Answerer<'_> {
    /// A Discovery_Response.
    pub(super) fn services(&self, contract: Option<&Contract>) -> String {
        let mut body = Xml::default();
        let available = |is: bool| if is { "true" } else { "false" };
        for &spoken in self.spoken {
            for (kind, path, is_available, said) in [
                (
                    "DISCOVERY",
                    DISCOVERY_PATH,
                    true,
                    "Which services there are.",
                ),
                (
                    self.management(),
                    FEEDS_PATH,
                    true,
                    "Used for for-pay data feeds. To purchase a subscription, see our web site.",
                ),
                (
                    "POLL",
                    FEEDS_PATH,
                    contract.is_some(),
                    "To support polling of for-pay data feeds.",
                ),
            ] {
                let attributes = [
                    ("service_type", kind),
                    ("service_version", spoken.services()),
                    ("available", available(is_available)),
                ];
                body.nest("Service_Instance", &attributes, |service| {
                    self.contact(service, path, &[spoken]);
                    service.text("Message", said);
                });
            }
        }
        self.message("Discovery_Response", &[], &body)
    }

    /// A Feed_Information_Response or Collection_Information_Response.
    pub(super) fn feeds(&self, feeds: &[Feed], contract: Option<&Contract>) -> String {
        let (answer, item) = match self.version {
            TaxiiVersion::V1_0 => ("Feed_Information_Response", "Feed"),
            TaxiiVersion::V1_1 => ("Collection_Information_Response", "Collection"),
        };
        let mut body = Xml::default();
        for feed in feeds {
            let is_bought = contract.is_some_and(|contract| contract.has(&feed.name));
            let attributes = [
                (self.version.feed_attribute(), feed.name.as_str()),
                ("available", if is_bought { "true" } else { "false" }),
            ];
            body.nest(item, &attributes, |item| {
                item.text("Description", &feed.description);
                self.binding(item, CONTENT_BINDING);
                item.nest("Push_Method", &[], |push| {
                    push.text("Protocol_Binding", PROTOCOL_BINDING);
                    message_bindings(push, self.spoken);
                });
                for service in ["Polling_Service", "Subscription_Service"] {
                    item.nest(service, &[], |service| {
                        self.contact(service, FEEDS_PATH, self.spoken);
                    });
                }
            });
        }
        self.message(answer, &[], &body)
    }

    /// A Subscription_Management_Response.
    pub(super) fn subscriptions(
        &self,
        feed: &str,
        action: Action,
        subscriptions: &[Subscription],
    ) -> String {
        let mut body = Xml::default();
        match action {
            Action::Subscribe => body.text("Message", "Thank you for your business."),
            Action::Unsubscribe => body.text("Message", "We are sorry to see you go."),
            _ => {}
        }
        for known in subscriptions {
            match self.version {
                TaxiiVersion::V1_0 => self.subscription_1_0(&mut body, action, known),
                TaxiiVersion::V1_1 => self.subscription_1_1(&mut body, known),
            }
        }
        let feed = [(self.version.feed_attribute(), feed)];
        self.message("Subscription_Management_Response", &feed, &body)
    }

    fn subscription_1_0(&self, body: &mut Xml, action: Action, known: &Subscription) {
        let id = [("subscription_id", known.id.as_str())];
        body.nest("Subscription", &id, |body| {
            if let Some(delivery) = known.delivery.as_ref().filter(|_| action == Action::Status) {
                self.push_parameters(body, delivery, &known.terms);
            }
            self.poll_instance(body, known);
        });
    }

    fn subscription_1_1(&self, body: &mut Xml, known: &Subscription) {
        let state = match known.state {
            SubscriptionState::Active => "ACTIVE",
            SubscriptionState::Paused => "PAUSED",
            SubscriptionState::Unsubscribed => "UNSUBSCRIBED",
        };
        body.nest("Subscription", &[("status", state)], |body| {
            body.text("Subscription_ID", &known.id);
            body.nest("Subscription_Parameters", &[], |parameters| {
                match known.terms.response_type {
                    None => {}
                    Some(ResponseType::Full) => parameters.text("Response_Type", "FULL"),
                    Some(ResponseType::CountOnly) => {
                        parameters.text("Response_Type", "COUNT_ONLY");
                    }
                }
                for binding in &known.terms.bindings {
                    self.binding(parameters, binding);
                }
            });
            if let Some(delivery) = &known.delivery {
                self.push_parameters(body, delivery, &known.terms);
            }
            self.poll_instance(body, known);
        });
    }

    fn push_parameters(&self, body: &mut Xml, delivery: &Delivery, terms: &Terms) {
        body.nest("Push_Parameters", &[], |push| {
            push.text("Protocol_Binding", &delivery.protocol);
            push.text("Address", &delivery.address);
            push.text("Message_Binding", &delivery.message_binding);
            if self.version == TaxiiVersion::V1_0 {
                for binding in &terms.bindings {
                    self.binding(push, binding);
                }
            }
        });
    }

    fn poll_instance(&self, body: &mut Xml, known: &Subscription) {
        if known.state != SubscriptionState::Unsubscribed {
            body.nest("Poll_Instance", &[], |poll| {
                self.contact(poll, FEEDS_PATH, self.spoken);
            });
        }
    }

    /// A Poll_Response.
    pub(super) fn poll(&self, subscription: &Subscription, window: &Window) -> String {
        let mut body = Xml::default();
        let feed = (self.version.feed_attribute(), subscription.feed.as_str());
        match self.version {
            TaxiiVersion::V1_0 => {
                if let Some(begin) = &window.begin {
                    body.text("Inclusive_Begin_Timestamp", begin);
                }
                body.text("Inclusive_End_Timestamp", &window.end);
                content_blocks(&mut body, self.version, &window.content);
                let id = ("subscription_id", subscription.id.as_str());
                self.message("Poll_Response", &[feed, id], &body)
            }
            TaxiiVersion::V1_1 => {
                body.text("Subscription_ID", &subscription.id);
                if let Some(begin) = &window.begin {
                    body.text("Exclusive_Begin_Timestamp", begin);
                }
                body.text("Inclusive_End_Timestamp", &window.end);
                body.text("Record_Count", &window.content.len().to_string());
                if !subscription.terms.is_count_only() {
                    content_blocks(&mut body, self.version, &window.content);
                }
                self.message("Poll_Response", &[feed], &body)
            }
        }
    }

    fn management(&self) -> &'static str {
        match self.version {
            TaxiiVersion::V1_0 => "FEED_MANAGEMENT",
            TaxiiVersion::V1_1 => "COLLECTION_MANAGEMENT",
        }
    }

    fn contact(&self, body: &mut Xml, path: &str, versions: &[TaxiiVersion]) {
        body.text("Protocol_Binding", PROTOCOL_BINDING);
        body.text("Address", &format!("{}{path}", self.base));
        message_bindings(body, versions);
    }

    fn binding(&self, body: &mut Xml, id: &str) {
        content_binding(body, self.version, id);
    }

    fn message(&self, name: &str, attributes: &[(&str, &str)], body: &Xml) -> String {
        let in_response_to = ("in_response_to", self.in_response_to);
        let attributes = [&[in_response_to], attributes].concat();
        message(name, self.version, self.id, &attributes, body)
    }
}

/// The Inbox_Message of a push.
pub(super) fn inbox_message(id: u64, push: &DuePush, destinations: &[String]) -> String {
    let mut body = Xml::default();
    let (version, owed) = (push.version, &push.owed);
    let feed = (version.feed_attribute(), push.feed.as_str());
    let end = timestamp(owed.inclusive_end);
    match version {
        TaxiiVersion::V1_0 => {
            let attributes = [feed, ("subscription_id", push.subscription_id.as_str())];
            body.nest("Source_Subscription", &attributes, |source| {
                // The first label that was considered, since this bound is part of the range.
                let begin = timestamp(after(owed.exclusive_begin));
                source.text("Inclusive_Begin_Timestamp", &begin);
                source.text("Inclusive_End_Timestamp", &end);
            });
        }
        TaxiiVersion::V1_1 => {
            for name in destinations {
                body.text("Destination_Collection_Name", name);
            }
            body.nest("Source_Subscription", &[feed], |source| {
                source.text("Subscription_ID", &push.subscription_id);
                let begin = timestamp(owed.exclusive_begin);
                source.text("Exclusive_Begin_Timestamp", &begin);
                source.text("Inclusive_End_Timestamp", &end);
            });
            body.text("Record_Count", &owed.content.len().to_string());
        }
    }
    if !push.count_only {
        content_blocks(&mut body, version, &owed.content);
    }
    message("Inbox_Message", version, id, &[], &body)
}

fn content_blocks<P: AsRef<Publication>>(body: &mut Xml, version: TaxiiVersion, content: &[P]) {
    for publication in content {
        let publication = publication.as_ref();
        body.nest("Content_Block", &[], |block| {
            content_binding(block, version, CONTENT_BINDING);
            block.raw("Content", &[], &publication.package_xml);
            block.text("Timestamp_Label", &timestamp(publication.published));
        });
    }
}

fn content_binding(body: &mut Xml, version: TaxiiVersion, id: &str) {
    match version {
        TaxiiVersion::V1_0 => body.text("Content_Binding", id),
        TaxiiVersion::V1_1 => body.text_with("Content_Binding", &[("binding_id", id)], ""),
    }
}

fn message_bindings(body: &mut Xml, versions: &[TaxiiVersion]) {
    for version in versions {
        body.text("Message_Binding", version.message_binding());
    }
}
