//! A TAXII service: the way to it, whether it takes the account, its clock, and where its collections
//! are polled. Nothing here spends a poll.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::certificate;
use super::row::{Row, Rows};
use super::way::{NO_WAY, Way};
use crate::config::{Authentication, ServiceAddress, ServiceConfig};
use crate::taxii::client::{Client, Connection};
use crate::taxii::directory::{Directory, Greeting, greet};
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::inquiry::{Inquired, inquire};
use crate::taxii::mend::{Configured, Mend};
use crate::taxii::message::Ask;
use crate::taxii::response::Answer;
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;

/// A clock that differs by more deserves a look: certificates and logs are judged by it.
const CLOCK_WARNING_S: i64 = 60;

const ACCOUNT: &str = "account";

pub(super) async fn check(service: &ServiceConfig, timeout: Duration) -> Vec<Row> {
    let mut rows = Rows::new(format!("service {}", service.name));
    certificate::of_client(&mut rows, &service.tls, Utc::now());
    let is_there = match Way::to_url(
        service.address.url(),
        &service.tls,
        service.proxy.as_ref(),
        timeout,
    ) {
        Some(way) => way.go(&mut rows).await,
        None => true,
    };
    if is_there {
        let mut asking = Asking {
            service,
            rows: &mut rows,
        };
        asking.ask(timeout).await;
    } else {
        rows.skipped(ACCOUNT, NO_WAY);
    }
    rows.into_all()
}

struct Asking<'a> {
    service: &'a ServiceConfig,
    rows: &'a mut Rows,
}

impl Asking<'_> {
    async fn ask(&mut self, timeout: Duration) {
        let mut connection = Connection::from(self.service);
        connection.connect_timeout = connection.connect_timeout.min(timeout);
        connection.request_timeout = connection.request_timeout.min(timeout);
        let client = match Client::new(connection) {
            Ok(client) => client,
            Err(error) => {
                return self
                    .rows
                    .failed(ACCOUNT, error.to_string(), "mend the file");
            }
        };
        match &self.service.address {
            ServiceAddress::Poll(url) => self.ask_poll_service(&client, url).await,
            ServiceAddress::Discovery(url) => self.ask_discovery(&client, url).await,
        }
    }

    /// The question what it offers, put to the poll service: who may not ask is refused before the
    /// message is looked at.
    async fn ask_poll_service(&mut self, client: &Client, url: &str) {
        let since = Instant::now();
        let version = self.service.version.unwrap_or(Version::PREFERRED);
        let mut answer = inquire(client, url, Ask::Discovery, version).await;
        if self.service.version.is_none() && is_of_another_version(&answer) {
            let older = inquire(client, url, Ask::Discovery, Version::V1_0).await;
            // The first refusal says more than a second.
            if is_answer(&older) {
                answer = older;
            }
        }
        let date = answer.as_ref().ok().and_then(|answer| answer.date);
        self.judge(answer, since);
        self.compare_clocks(date);
    }

    fn judge(&mut self, answer: Result<Inquired, Fault>, since: Instant) {
        match answer {
            Ok(Inquired { http, answer, .. }) => {
                let fault = refusal(http, &answer);
                let said = match answer {
                    Answer::Status(message) => message.to_string(),
                    other => other.name().to_owned(),
                };
                match fault {
                    Some(mend) => self.refused(format!("HTTP {http}, {said}"), mend),
                    None => {
                        let what = format!("{} is accepted: {said}", self.shown());
                        self.rows.ok(ACCOUNT, what);
                        self.rows.took(since.elapsed());
                    }
                }
            }
            Err(fault) => self.failed(&fault),
        }
    }

    fn failed(&mut self, fault: &Fault) {
        let said = fault.to_string();
        match (fault.reaction(), fault) {
            (Reaction::Hold { mend }, _) => self.refused(said, mend),
            (_, Fault::Unreadable { .. }) => self.rows.failed(
                ACCOUNT,
                format!("it answers, but not with TAXII: {said}"),
                format!(
                    "see that {} is that of the service, and whether a login page or a proxy answers \
                     instead",
                    self.service.address.url()
                ),
            ),
            _ => self.rows.failed(
                ACCOUNT,
                said,
                "the agent tries again by itself; if it goes on, ask the provider",
            ),
        }
    }

    fn refused(&mut self, said: String, mend: Mend) {
        let first = self.service.collections.first();
        let at = Configured::of(self.service, first.map_or("", String::as_str));
        self.rows.failed(ACCOUNT, said, mend.text(&at));
    }

    /// What a discovery service names, and what it says of each collection.
    async fn ask_discovery(&mut self, client: &Client, url: &str) {
        let since = Instant::now();
        let Greeting {
            version,
            date,
            offer,
            ..
        } = greet(client, url, self.service.version).await;
        let version = version.unwrap_or(Version::PREFERRED);
        match offer {
            Some(Ok(discovery)) => {
                let services = discovery.services.len();
                let what = format!(
                    "{} is accepted: TAXII {version}, services that it names: {services}",
                    self.shown()
                );
                self.rows.ok(ACCOUNT, what);
                self.rows.took(since.elapsed());
            }
            Some(Err(fault)) => return self.failed(&fault),
            None => {
                let mend = "the agent tries again by itself";
                return self.rows.failed(ACCOUNT, "no answer in time", mend);
            }
        }
        self.compare_clocks(date);
        let directory = Directory {
            client,
            url,
            version,
        };
        for collection in self.service.collections.iter() {
            match directory.poll_service(collection).await {
                Ok(found) => {
                    let what = format!("{collection} is polled at {}", found.url);
                    self.rows.ok("collection", what);
                }
                Err(fault) => {
                    let at = Configured::of(self.service, collection);
                    let mend = match fault.reaction() {
                        Reaction::Hold { mend } => mend.text(&at),
                        _ => "the agent tries again by itself".to_owned(),
                    };
                    self.rows
                        .failed("collection", format!("{collection}: {fault}"), mend);
                }
            }
        }
    }

    /// As whom the service was asked.
    fn shown(&self) -> String {
        let certificate = self.service.tls.client_cert_file.is_some();
        match &self.service.authentication {
            Authentication::Basic(known) => format!("the account {}", known.username),
            Authentication::Bearer(_) => "the bearer token".to_owned(),
            Authentication::None if !self.service.headers.is_empty() => {
                "what the headers hold".to_owned()
            }
            Authentication::None if certificate => "the client certificate".to_owned(),
            Authentication::None => "a request without an account".to_owned(),
        }
    }

    fn compare_clocks(&mut self, theirs: Option<DateTime<Utc>>) {
        let Some(theirs) = theirs else {
            return;
        };
        let ahead = (theirs - Utc::now()).num_seconds();
        // It is told in whole seconds.
        let what = match ahead {
            -1..=1 => "this machine's clock is the service's".to_owned(),
            2.. => format!("this machine's clock is {ahead} s behind the service's"),
            _ => format!(
                "this machine's clock is {} s ahead of the service's",
                -ahead
            ),
        };
        if ahead.abs() > CLOCK_WARNING_S {
            let mend = "set the clock of this machine by NTP; the agent goes by the service's clock \
                        for its windows, and by its own for certificates and logs";
            self.rows.warning("clock", what, mend);
        } else {
            self.rows.ok("clock", what);
        }
        self.rows.figure("service_ahead_s", ahead);
    }
}

fn is_answer(answer: &Result<Inquired, Fault>) -> bool {
    matches!(answer, Ok(Inquired { http, answer, .. }) if refusal(*http, answer).is_none())
}

fn is_of_another_version(answer: &Result<Inquired, Fault>) -> bool {
    match answer {
        Ok(Inquired {
            answer: Answer::Status(message),
            ..
        }) => matches!(
            message.status,
            StatusType::UnsupportedMessage | StatusType::UnsupportedProtocol
        ),
        Err(Fault::Http { status, .. }) => matches!(status, 406 | 415),
        _ => false,
    }
}

/// What a person must mend, where an answer says that we may not ask. Any other message shows that we
/// may, also one that says that this was the wrong question.
fn refusal(http: u16, answer: &Answer) -> Option<Mend> {
    let denies =
        |status: &StatusType| matches!(status, StatusType::Unauthorized | StatusType::Denied);
    match answer {
        Answer::Status(message) if denies(&message.status) => Some(Mend::Access),
        Answer::Status(_) if matches!(http, 401 | 403 | 404) => Some(Mend::AccessOrAddress),
        _ => None,
    }
}
