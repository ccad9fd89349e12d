//! Pushes what is owed, in order, until each inbox has it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Certificate, Client, Identity};
use rustls::crypto::ring;
use serde::Serialize;
use tokio::time::Instant;

use super::Shared;
use super::answer::inbox_message;
use super::grammar::{Children, attribute, text};
use super::rules::VendorRules;
use super::subscription::DuePush;
use super::version::{PROTOCOL_BINDING, TaxiiVersion};
use crate::tree::Element;

/// How long an inbox may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait that an inbox may ask for.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What was pushed, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct VendorPush {
    /// Of which subscription.
    pub subscription_id: String,
    /// In which version.
    pub version: TaxiiVersion,
    /// The id of the message, another one for each try.
    pub message_id: String,
    /// How many packages were in it.
    pub publications: usize,
    /// Whether the inbox has it.
    pub outcome: PushOutcome,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// The inbox has said so.
    Taken,
    /// The inbox has answered another Status_Message.
    Refused {
        /// Its type.
        status_type: String,
        /// What it says to people.
        message: Option<String>,
        /// For how long it asks to wait.
        wait: Option<Duration>,
    },
    /// The answer is not what the specification says.
    Wrong {
        /// What is wrong with it.
        reason: String,
    },
    /// There was no answer.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The task that pushes.
pub(super) struct Pusher {
    client: Client,
    destinations: Vec<String>,
    again_after: Duration,
    shared: Arc<Shared>,
}

impl Pusher {
    pub(super) fn new(rules: &VendorRules, shared: Arc<Shared>) -> io::Result<Self> {
        // The second call's error only says that there was a first.
        let _ = ring::default_provider().install_default();
        let tls = &rules.pushes_as;
        let authorities = Certificate::from_pem_bundle(tls.ca_pem.as_bytes());
        let identity = format!("{}\n{}", tls.certificate_pem, tls.key_pem);
        let client = Client::builder()
            .user_agent("vendor-pusher")
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIMEOUT)
            .tls_certs_only(authorities.map_err(io::Error::other)?)
            .identity(Identity::from_pem(identity.as_bytes()).map_err(io::Error::other)?)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            client,
            destinations: rules.destinations.clone(),
            again_after: rules.push_again_after,
            shared,
        })
    }

    pub(super) async fn run(self) {
        loop {
            let (due, next) = {
                let state = self.shared.state();
                let due = state.subscriptions.due(Instant::now());
                (due, state.subscriptions.next_due())
            };
            if due.is_empty() {
                self.wait_until(next).await;
            }
            for push in due {
                self.push(&push).await;
            }
        }
    }

    async fn wait_until(&self, next: Option<Instant>) {
        let looks_again = self.shared.look_again.notified();
        match next {
            Some(next) => {
                tokio::select! {
                    () = looks_again => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            None => looks_again.await,
        }
    }

    async fn push(&self, push: &DuePush) {
        let message_id = self.shared.new_message_id();
        let xml = inbox_message(message_id, push, &self.destinations);
        let outcome = match self.send(&push.address, push.version, xml).await {
            Ok(reply) => {
                let now = self.shared.clock.now().utc;
                let read = reply.read(push.version, message_id, now);
                read.unwrap_or_else(|reason| PushOutcome::Wrong { reason })
            }
            Err(error) => PushOutcome::Failed {
                reason: causes(&error),
            },
        };
        let mut state = self.shared.state();
        match &outcome {
            PushOutcome::Taken => state.subscriptions.taken(&push.subscription_id),
            PushOutcome::Refused { wait, .. } => {
                let again_at = Instant::now() + wait.unwrap_or(self.again_after).min(MAX_WAIT);
                state
                    .subscriptions
                    .push_again(&push.subscription_id, again_at);
            }
            PushOutcome::Wrong { .. } | PushOutcome::Failed { .. } => {
                let again_at = Instant::now() + self.again_after;
                state
                    .subscriptions
                    .push_again(&push.subscription_id, again_at);
            }
        }
        self.shared.pushes.push(VendorPush {
            subscription_id: push.subscription_id.clone(),
            version: push.version,
            message_id: message_id.to_string(),
            publications: push.owed.content.len(),
            outcome,
        });
        self.shared.count_owed(&state);
    }

    async fn send(
        &self,
        address: &str,
        version: TaxiiVersion,
        xml: String,
    ) -> Result<Reply, reqwest::Error> {
        let binding = version.message_binding();
        let request = self
            .client
            .post(address)
            .header("Content-Type", "application/xml")
            .header("Accept", "application/xml")
            .header("X-TAXII-Content-Type", binding)
            .header("X-TAXII-Accept", binding)
            .header("X-TAXII-Protocol", PROTOCOL_BINDING)
            .header("X-TAXII-Services", version.services());
        let response = request.body(xml).send().await?;
        Ok(Reply {
            http: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }
}

/// What an inbox has answered.
struct Reply {
    http: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Reply {
    /// As strictly as the specification has it.
    fn read(
        &self,
        version: TaxiiVersion,
        message_id: u64,
        now: DateTime<Utc>,
    ) -> Result<PushOutcome, String> {
        if self.http != 200 {
            return Err(format!("HTTP {}", self.http));
        }
        for (name, wanted) in [
            ("Content-Type", "application/xml"),
            ("X-TAXII-Content-Type", version.message_binding()),
            ("X-TAXII-Protocol", PROTOCOL_BINDING),
            ("X-TAXII-Services", version.services()),
        ] {
            let value = self.headers.get(name).and_then(|value| value.to_str().ok());
            let value = value.and_then(|value| value.split(';').next());
            if value != Some(wanted) {
                return Err(format!("{name} is {value:?} and not {wanted}"));
            }
        }
        let root = Element::read(&self.body).map_err(|error| error.to_string())?;
        if root.name != "Status_Message" || root.namespace != version.namespace() {
            return Err(format!("it is {} of {:?}", root.name, root.namespace));
        }
        let read = || {
            let known = ["message_id", "in_response_to", "status_type"];
            let mut children = Children::of(&root, &known)?;
            children.optional("Extended_Headers");
            let detail = children.optional("Status_Detail");
            let message = children.optional("Message").map(text).transpose()?;
            children.end_of_message()?;
            attribute(&root, "message_id")?;
            let in_response_to = attribute(&root, "in_response_to")?;
            Ok((
                attribute(&root, "status_type")?,
                in_response_to,
                detail,
                message,
            ))
        };
        let (status_type, in_response_to, detail, message) =
            read().map_err(|wrong: super::status::Status| wrong.message)?;
        if in_response_to != message_id.to_string() {
            return Err(format!("it is in response to {in_response_to:?}"));
        }
        if status_type == "SUCCESS" {
            return Ok(PushOutcome::Taken);
        }
        let wait = detail
            .filter(|_| status_type == "RETRY")
            .map(|detail| stated_wait(detail, version, now));
        Ok(PushOutcome::Refused {
            status_type,
            message,
            wait: wait.transpose()?,
        })
    }
}

/// In 1.0 the moment until which to wait, in 1.1 a number of seconds.
fn stated_wait(
    detail: &Element,
    version: TaxiiVersion,
    now: DateTime<Utc>,
) -> Result<Duration, String> {
    match version {
        TaxiiVersion::V1_0 => {
            let stated = text(detail).map_err(|wrong| wrong.message)?;
            let until = DateTime::parse_from_rfc3339(&stated);
            let until = until.map_err(|_| format!("Status_Detail is {stated:?}"))?;
            Ok((until.to_utc() - now).to_std().unwrap_or_default())
        }
        TaxiiVersion::V1_1 => {
            let mut details = detail.elements();
            let stated = details
                .find(|detail| detail.attribute("name") == Some("ESTIMATED_WAIT"))
                .map(Element::text)
                .unwrap_or_default();
            match stated.trim().parse() {
                Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
                _ => Err(format!("ESTIMATED_WAIT is {stated:?}")),
            }
        }
    }
}

fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
