//! The port, through a client that shows every byte.

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
    assert!(examples > 45, "{examples}");
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
    assert_eq!(names.len(), 28);
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
async fn rules_are_changed_and_indexers_restarted() {
    let scene = scene();
    let rules = |body| scene.ask("PUT", "/hec/rules", body);
    let sent = async || {
        let headers = [
            (
                "Authorization",
                "Splunk 11111111-2222-3333-4444-555555555555",
            ),
            (
                "X-Splunk-Request-Channel",
                "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba",
            ),
        ];
        let path = "/services/collector";
        let address = address(&scene.hec.url());
        let answer = send(address, "POST", path, &headers, br#"{"event":1}"#).await;
        let answer = answer.unwrap();
        let cookie = answer.header("set-cookie").map(str::to_owned);
        (answer.json()["ackId"].as_u64(), cookie)
    };
    rules(r#"{"indexers":2,"sticky":"cookie","acknowledgement":{"after_asked":1}}"#).await;
    rules(r#"{"loses_unacknowledged":true,"refusals_use_ack_ids":true}"#).await;
    let first = sent().await;
    assert_eq!(first, (Some(0), Some("indexer=0.0; Path=/".to_owned())));
    scene.ask("PUT", "/hec/clients/move", "").await;
    let moved = sent().await.1.unwrap();
    assert!(moved.starts_with("indexer=1.1;"), "{moved}");
    for (path, status) in [("0", 204), ("1", 204), ("2", 404), ("x", 404)] {
        let path = format!("/hec/restart/{path}");
        assert_eq!(scene.ask("PUT", &path, "").await.status, status, "{path}");
    }
    let lost = scene.ask("GET", "/hec/lost", "").await.json();
    assert_eq!(lost.as_array().unwrap().len(), 2);
    rules(r#"{"acknowledgement":"off"}"#).await;
    assert_eq!(sent().await.0, None);
    rules(r#"{"enabled":false}"#).await;
    sent().await;
    assert_eq!(scene.hec.events_taken(), 1);
    let unknown = rules(r#"{"colour":"red"}"#).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("no rule: unknown field `colour`"));
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
