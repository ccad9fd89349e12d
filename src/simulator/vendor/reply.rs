//! Makes the reply to a request.

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::answer::Answerer;
use super::contract::Contract;
use super::feed::Feed;
use super::request::{self, Asked, PollRequest, Refusal, SubscriptionRequest};
use super::status::Status;
use super::subscription::check_bindings;
use super::version::{PROTOCOL_BINDING, TaxiiVersion};
use super::{DISCOVERY_PATH, FEEDS_PATH, Shared, State, VendorRequest};
use crate::simulator::body::{Body, whole};
use crate::simulator::connection::PeerCertificate;
use crate::tree::Element;

/// Makes the reply and the entry of the journal; no `body` is one that was too long.
pub(super) fn make(
    shared: &Shared,
    head: &Parts,
    body: Option<&[u8]>,
) -> (VendorRequest, Response<Body>) {
    let version = request::version_of(&head.headers, &shared.versions);
    let document = body.map(document);
    let root = document
        .as_ref()
        .and_then(|document| document.as_ref().ok());
    let mut state = shared.state();
    let certificate = head.extensions.get::<PeerCertificate>();
    let contract = state
        .contracts
        .of(certificate.map(|shown| &*shown.0))
        .cloned();
    let newest = shared.versions.iter().max();
    let answer_in = version.clone().ok().or(newest.copied());
    let answer_in = answer_in.unwrap_or(TaxiiVersion::V1_1);
    let id = root.and_then(|root| root.attribute("message_id"));
    let service = Service {
        shared,
        contract: contract.as_ref(),
        answerer: Answerer {
            version: answer_in,
            id: shared.new_message_id(),
            in_response_to: id.unwrap_or("0"),
            base: shared.base(),
            spoken: &shared.versions,
        },
    };
    let served = version.clone().and_then(|version| {
        let document = document.as_ref().ok_or(Refusal::Http(413))?;
        service.serve(&mut state, head, version, document)
    });
    shared.count_owed(&state);
    drop(state);
    shared.look_again.notify_one();
    let (http, answer, xml) = match served {
        Ok(xml) => (200, "SUCCESS".to_owned(), xml),
        Err(Refusal::Http(http)) => (http, format!("HTTP {http}"), String::new()),
        Err(Refusal::Status(status)) => {
            let Answerer {
                id, in_response_to, ..
            } = service.answerer;
            let xml = status.to_xml(answer_in, id, in_response_to);
            (200, format!("{}: {}", status.kind, status.message), xml)
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter();
    let entry = VendorRequest {
        version: version.ok(),
        message: root.map(|root| root.name.clone()).unwrap_or_default(),
        customer: contract.map(|contract| contract.customer),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect(),
        body: text(body.unwrap_or_default()),
        status: http,
        answer,
    };
    (entry, response(shared, http, answer_in, xml))
}

struct Service<'a> {
    shared: &'a Shared,
    contract: Option<&'a Contract>,
    answerer: Answerer<'a>,
}

impl Service<'_> {
    fn serve(
        &self,
        state: &mut State,
        head: &Parts,
        version: TaxiiVersion,
        document: &Result<Element, Status>,
    ) -> Result<String, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::Http(405));
        }
        let path = head.uri.path();
        let is_discovery = path == DISCOVERY_PATH;
        if !is_discovery && path != FEEDS_PATH {
            return Err(Refusal::Http(404));
        }
        let root = document.as_ref().map_err(Clone::clone)?;
        let asked = request::read(root, version)?;
        if is_discovery != (asked == Asked::Services) {
            let message = format!("{} is not for the service at {path}", root.name);
            return Err(Status::bad_message(message).into());
        }
        Ok(match asked {
            Asked::Services => self.answerer.services(self.contract),
            Asked::Feeds => self.answerer.feeds(&state.feeds, self.contract),
            Asked::Subscription(asked) => self.subscription(state, &asked)?,
            Asked::Poll(asked) => self.poll(state, &asked)?,
            Asked::Part { result_id } => {
                self.contract()?;
                return Err(Status::not_found("result", &result_id).into());
            }
        })
    }

    fn subscription(
        &self,
        state: &mut State,
        asked: &SubscriptionRequest,
    ) -> Result<String, Status> {
        let (contract, feed) = self.bought(&mut state.feeds, &asked.feed)?;
        let covered = feed.close(self.shared.clock.now().utc);
        let spoken = &self.shared.versions;
        let told = state
            .subscriptions
            .manage(contract, asked, spoken, covered)?;
        Ok(self
            .answerer
            .subscriptions(&asked.feed, asked.action, &told))
    }

    fn poll(&self, state: &mut State, asked: &PollRequest) -> Result<String, Status> {
        let (contract, feed) = self.bought(&mut state.feeds, &asked.feed)?;
        let Some(id) = &asked.subscription_id else {
            return Err(Status::new("DENIED", "only subscribers may poll"));
        };
        let subscription = state
            .subscriptions
            .of(&contract.customer, &asked.feed, id)?;
        check_bindings(&asked.bindings)?;
        let now = self.shared.clock.now().utc;
        let window = feed.window(asked.begin.as_ref(), asked.end.as_ref(), now);
        Ok(self.answerer.poll(subscription, &window))
    }

    fn contract(&self) -> Result<&Contract, Status> {
        let message = "there is no contract for this certificate";
        self.contract
            .ok_or_else(|| Status::new("UNAUTHORIZED", message))
    }

    /// Who has no contract does not learn which feeds there are not.
    fn bought<'f>(
        &self,
        feeds: &'f mut [Feed],
        name: &str,
    ) -> Result<(&Contract, &'f mut Feed), Status> {
        let contract = self.contract()?;
        let feed = Feed::find(feeds, name)?;
        if !contract.has(name) {
            let message = format!("{} has not bought {name}", contract.customer);
            return Err(Status::new("UNAUTHORIZED", message));
        }
        Ok((contract, feed))
    }
}

fn document(body: &[u8]) -> Result<Element, Status> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Status::bad_message(format!("the request is not UTF-8: {error}")))?;
    Element::read(text).map_err(|error| Status::bad_message(format!("the request is {error}")))
}

fn response(shared: &Shared, http: u16, version: TaxiiVersion, xml: String) -> Response<Body> {
    let is_message = !xml.is_empty();
    let mut response = Response::new(whole(xml));
    *response.status_mut() =
        StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let date = shared.clock.now().utc;
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(header::DATE, date);
    }
    if is_message {
        for (name, value) in [
            ("content-type", "application/xml"),
            ("x-taxii-content-type", version.message_binding()),
            ("x-taxii-protocol", PROTOCOL_BINDING),
            ("x-taxii-services", version.services()),
        ] {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
