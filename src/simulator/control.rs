//! Switches faults over HTTP, for those who run the simulated services from a shell.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body;
use super::cta::CtaService;
use super::hec::HecServer;
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
            ("PUT", "/cta/fault") => armed(body, |fault| cta.set_fault(fault)),
            ("DELETE", "/cta/fault") => done(|| cta.clear_faults()),
            ("PUT", "/cta/outage") => switched(cta.refuse_connections().await),
            ("DELETE", "/cta/outage") => switched(cta.accept_connections().await),
            ("GET", "/hec/requests") => json(&hec.requests()),
            ("GET", "/hec/events") => json(&hec.events()),
            ("GET", "/hec/fault") => json(&hec.faults()),
            ("PUT", "/hec/fault") => armed(body, |fault| hec.set_fault(fault)),
            ("DELETE", "/hec/fault") => done(|| hec.clear_faults()),
            ("PUT", "/hec/outage") => switched(hec.refuse_connections().await),
            ("DELETE", "/hec/outage") => switched(hec.accept_connections().await),
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

fn armed<T: DeserializeOwned>(body: &[u8], arm: impl FnOnce(T)) -> Outcome {
    match serde_json::from_slice(body) {
        Ok(fault) => {
            arm(fault);
            Outcome::Done
        }
        Err(error) => {
            let message = format!("this is no fault: {error}; GET / tells what there is\n");
            Outcome::Wrong(StatusCode::BAD_REQUEST, message)
        }
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
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::simulator::content::ContentGenerator;
    use crate::simulator::cta::{CtaFault, CtaRules};
    use crate::simulator::hec::{HecFault, HecRules};
    use crate::simulator::raw_client::{Failure, RawAnswer, get, send};

    struct Scene {
        cta: Arc<CtaService>,
        hec: Arc<HecServer>,
        control: SimulatorControl,
    }

    fn scene() -> Scene {
        let cta = CtaService::start(CtaRules::default(), Arc::new(SystemClock::new()));
        let (cta, hec) = (
            Arc::new(cta.unwrap()),
            Arc::new(HecServer::start(HecRules::default()).unwrap()),
        );
        let control = SimulatorControl::start(0, Arc::clone(&cta), Arc::clone(&hec));
        Scene {
            cta,
            hec,
            control: control.unwrap(),
        }
    }

    impl Scene {
        async fn ask(&self, method: &str, path: &str, body: &str) -> RawAnswer {
            let answer = send(
                self.control.server.address(),
                method,
                path,
                &[],
                body.as_bytes(),
            );
            answer.await.unwrap()
        }
    }

    fn address(url: &str) -> std::net::SocketAddr {
        let rest = url.strip_prefix("http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn every_example_of_the_description_works() {
        let scene = scene();
        let description = scene.ask("GET", "/", "").await;
        let mut examples = 0;
        for line in description.text().lines() {
            let line = line.trim();
            let Some((method, rest)) = line
                .split_once(' ')
                .filter(|(method, _)| ["GET", "PUT", "DELETE"].contains(method))
            else {
                continue;
            };
            let mut words = rest.splitn(2, ' ');
            let path = words.next().unwrap();
            let body = words.next().map_or("", str::trim);
            let body = if body.starts_with('{') { body } else { "" };
            let answer = scene.ask(method, path, body).await;
            assert!(
                [200, 204].contains(&answer.status),
                "{line}: {}",
                answer.text()
            );
            examples += 1;
        }
        assert!(examples > 30, "{examples}");
    }

    #[tokio::test]
    async fn the_description_names_every_fault() {
        let unknown = serde_json::from_str::<CtaFault>(r#"{"fault":"?"}"#)
            .unwrap_err()
            .to_string()
            + &serde_json::from_str::<HecFault>(r#"{"fault":"?"}"#)
                .unwrap_err()
                .to_string();
        // "unknown variant `?`, expected one of `http_status`, `status_message`, …"
        let names: Vec<&str> = unknown
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| *name != "?")
            .collect();
        assert_eq!(names.len(), 26);
        for name in names {
            assert!(DESCRIPTION.contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[tokio::test]
    async fn faults_are_armed_and_disarmed() {
        let scene = scene();
        let fault = r#"{"fault":"http_status","status":503,"on":"poll","times":3}"#;
        assert_eq!(scene.ask("PUT", "/cta/fault", fault).await.status, 204);
        let armed = scene.cta.faults();
        assert_eq!(
            serde_json::to_value(&armed).unwrap(),
            scene.ask("GET", "/cta/fault", "").await.json()
        );
        assert_eq!(armed[0].times, Some(3));
        scene.ask("DELETE", "/cta/fault", "").await;
        assert_eq!(scene.cta.faults(), []);
        scene
            .ask("PUT", "/hec/fault", r#"{"fault":"code","code":9}"#)
            .await;
        assert_eq!(
            scene.hec.faults()[0].fault,
            HecFault::Code { code: 9, event: 0 }
        );
        scene.ask("DELETE", "/hec/fault", "").await;
        assert_eq!(scene.hec.faults(), []);
    }

    #[tokio::test]
    async fn outages_begin_and_end() {
        let scene = scene();
        for (name, url) in [("cta", scene.cta.poll_url()), ("hec", scene.hec.url())] {
            let path = format!("/{name}/outage");
            scene.ask("PUT", &path, "").await;
            assert_eq!(get(address(&url), "/").await.unwrap_err(), Failure::Refused);
            scene.ask("DELETE", &path, "").await;
            get(address(&url), "/").await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_happened_is_shown() {
        let scene = scene();
        let publication = ContentGenerator::new(1).publication(scene.cta.now());
        let id = publication.events[0];
        scene.cta.publish(publication);
        get(address(&scene.cta.poll_url()), "/x").await.unwrap();
        get(address(&scene.hec.url()), "/x").await.unwrap();
        let shown = async |path| scene.ask("GET", path, "").await.json();
        assert_eq!(shown("/cta/published").await[0], id.to_string());
        assert_eq!(shown("/cta/requests").await[0]["kind"], "other");
        assert_eq!(shown("/hec/requests").await[0]["path"], "/x");
        assert_eq!(shown("/hec/events").await, serde_json::json!([]));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        let scene = scene();
        let answer = scene.ask("PUT", "/cta/fault", r#"{"fault":"flood"}"#).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("`flood`"), "{}", answer.text());
        let answer = scene.ask("PUT", "/elsewhere", "").await;
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("PUT /elsewhere"));
    }
}
