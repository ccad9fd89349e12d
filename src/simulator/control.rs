//! Switches faults over HTTP, for those who run the simulated services from a shell.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body;
use super::cta::CtaService;
use super::hec::{AckPolicy, HecRules, HecServer, Sticky};
use super::server::{Answer, LoopbackServer};

const MAX_REQUEST_BYTES: usize = 64 * 1024;

const DESCRIPTION: &str = include_str!("control.txt");

/// The port on which the faults of both simulated services are set; it ends when dropped.
#[derive(Debug)]
pub struct SimulatorControl {
    server: LoopbackServer,
}

#[derive(Debug)]
struct Controlled {
    cta: Arc<CtaService>,
    hec: Arc<HecServer>,
}

impl SimulatorControl {
    /// Listens on `port` of 127.0.0.1, or for 0 on one that the system chooses.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(port: u16, cta: Arc<CtaService>, hec: Arc<HecServer>) -> io::Result<Self> {
        let controlled = Arc::new(Controlled { cta, hec });
        let server = LoopbackServer::start(port, move |request| {
            answer(Arc::clone(&controlled), request)
        })?;
        Ok(Self { server })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }
}

/// Rules of the HEC that take the place of those that it has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHecRules {
    enabled: Option<bool>,
    indexers: Option<usize>,
    sticky: Option<Sticky>,
    acknowledgement: Option<Acknowledgement>,
    loses_unacknowledged: Option<bool>,
    refusals_use_ack_ids: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Acknowledgement {
    Off,
    #[serde(untagged)]
    When(AckPolicy),
}

impl NewHecRules {
    fn replace(self, rules: &mut HecRules) {
        fn put<T>(new: Option<T>, rule: &mut T) {
            if let Some(new) = new {
                *rule = new;
            }
        }
        put(self.enabled, &mut rules.enabled);
        put(self.indexers, &mut rules.indexers);
        put(self.sticky, &mut rules.sticky);
        let acknowledgement = self.acknowledgement.map(|new| match new {
            Acknowledgement::Off => None,
            Acknowledgement::When(policy) => Some(policy),
        });
        put(acknowledgement, &mut rules.acknowledgement);
        put(self.loses_unacknowledged, &mut rules.loses_unacknowledged);
        put(self.refusals_use_ack_ids, &mut rules.refusals_use_ack_ids);
    }
}

/// What a request to the control port comes to.
enum Outcome {
    Text(&'static str),
    Json(serde_json::Value),
    Done,
    Wrong(StatusCode, String),
}

async fn answer(controlled: Arc<Controlled>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let outcome = match body::read(body, MAX_REQUEST_BYTES).await {
        Ok(body) => {
            controlled
                .outcome(&head.method, head.uri.path(), &body)
                .await
        }
        Err(error) => Outcome::Wrong(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let (status, content_type, body) = match outcome {
        Outcome::Text(text) => (StatusCode::OK, "text/plain; charset=utf-8", text.to_owned()),
        Outcome::Json(value) => (StatusCode::OK, "application/json", format!("{value}\n")),
        Outcome::Done => (StatusCode::NO_CONTENT, "text/plain", String::new()),
        Outcome::Wrong(status, message) => (status, "text/plain; charset=utf-8", message),
    };
    let mut response = Response::new(body::whole(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

impl Controlled {
    async fn outcome(&self, method: &Method, path: &str, body: &[u8]) -> Outcome {
        let Self { cta, hec } = self;
        match (method.as_str(), path) {
            ("GET", "/") => Outcome::Text(DESCRIPTION),
            ("GET", "/cta/requests") => json(&cta.requests()),
            ("GET", "/cta/published") => json(&cta.published_ids()),
            ("GET", "/cta/fault") => json(&cta.faults()),
            ("PUT", "/cta/fault") => with(body, "fault", |fault| cta.set_fault(fault)),
            ("DELETE", "/cta/fault") => done(|| cta.clear_faults()),
            ("PUT", "/cta/outage") => switched(cta.refuse_connections().await),
            ("DELETE", "/cta/outage") => switched(cta.accept_connections().await),
            ("GET", "/hec/requests") => json(&hec.requests()),
            ("GET", "/hec/events") => json(&hec.events()),
            ("GET", "/hec/lost") => json(&hec.lost()),
            ("GET", "/hec/fault") => json(&hec.faults()),
            ("PUT", "/hec/fault") => with(body, "fault", |fault| hec.set_fault(fault)),
            ("DELETE", "/hec/fault") => done(|| hec.clear_faults()),
            ("PUT", "/hec/outage") => switched(hec.refuse_connections().await),
            ("DELETE", "/hec/outage") => switched(hec.accept_connections().await),
            ("PUT", "/hec/rules") => with(body, "rule", |new: NewHecRules| {
                hec.change_rules(|rules| new.replace(rules));
            }),
            ("PUT", "/hec/clients/move") => done(|| hec.move_clients()),
            ("PUT", path) if path.starts_with("/hec/restart/") => restarted(hec, path),
            ("PUT", "/hec/acks/release") => done(|| hec.release_acks()),
            ("PUT", "/hec/acks/forget") => done(|| hec.forget_acks()),
            _ => {
                let message = format!("there is no {method} {path}; GET / tells what there is\n");
                Outcome::Wrong(StatusCode::NOT_FOUND, message)
            }
        }
    }
}

fn json(value: &impl Serialize) -> Outcome {
    match serde_json::to_value(value) {
        Ok(value) => Outcome::Json(value),
        Err(error) => Outcome::Wrong(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Does something with what the body says.
fn with<T: DeserializeOwned>(body: &[u8], what: &str, act: impl FnOnce(T)) -> Outcome {
    match serde_json::from_slice(body) {
        Ok(said) => {
            act(said);
            Outcome::Done
        }
        Err(error) => {
            let message = format!("this is no {what}: {error}; GET / tells what there is\n");
            Outcome::Wrong(StatusCode::BAD_REQUEST, message)
        }
    }
}

fn restarted(hec: &HecServer, path: &str) -> Outcome {
    let wrong = |message| Outcome::Wrong(StatusCode::NOT_FOUND, message);
    match path.rsplit('/').next().unwrap_or_default().parse() {
        Err(error) => wrong(format!("{path} does not end in a number: {error}\n")),
        Ok(number) => match hec.restart_indexer(number) {
            Ok(()) => Outcome::Done,
            Err(error) => wrong(format!("{error}\n")),
        },
    }
}

fn done(act: impl FnOnce()) -> Outcome {
    act();
    Outcome::Done
}

fn switched(result: io::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Wrong(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests;
