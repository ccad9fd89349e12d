//! Several indexers behind a load balancer, as a sender sees them.

use super::*;

fn two_indexers(sticky: Sticky) -> HecServer {
    server(|rules| {
        rules.acknowledgement = Some(AckPolicy::AtOnce);
        rules.indexers = 2;
        rules.sticky = sticky;
    })
}

/// A sender that keeps its cookie.
struct Sender<'a> {
    server: &'a HecServer,
    cookie: String,
}

impl<'a> Sender<'a> {
    fn new(server: &'a HecServer) -> Self {
        let cookie = String::new();
        Self { server, cookie }
    }

    async fn send(&mut self, path: &str, body: &str) -> serde_json::Value {
        let cookie = ("Cookie", self.cookie.as_str());
        let headers = [&CHANNELLED[..], &[JSON, cookie]].concat();
        let answer = try_post(self.server, path, &headers, body.as_bytes()).await;
        let answer = answer.unwrap();
        if let Some(cookie) = answer.header("set-cookie") {
            let (cookie, _) = cookie.split_once(';').unwrap();
            cookie.clone_into(&mut self.cookie);
        }
        answer.json()
    }

    async fn ack_id(&mut self) -> u64 {
        self.send(EVENTS, &events(1)).await["ackId"]
            .as_u64()
            .unwrap()
    }

    async fn is_done(&mut self, id: u64) -> bool {
        let body = json!({"acks": [id]}).to_string();
        let acks = self.send(ACK, &body).await;
        acks["acks"][id.to_string()].as_bool().unwrap()
    }
}

fn reached(server: &HecServer) -> Vec<usize> {
    let requests = server.requests().into_iter();
    requests.map(|request| request.indexer).collect()
}

#[tokio::test]
async fn a_cookie_keeps_a_sender_at_its_indexer() {
    let server = two_indexers(Sticky::Cookie);
    let (mut first, mut second) = (Sender::new(&server), Sender::new(&server));
    assert_eq!((first.ack_id().await, second.ack_id().await), (0, 0));
    assert_eq!(first.ack_id().await, 1);
    assert!(first.is_done(1).await);
    assert!(second.is_done(0).await);
    assert!(!second.is_done(1).await);
    assert_eq!(reached(&server), [0, 1, 0, 0, 1, 1]);
    assert_ne!(first.cookie, second.cookie);
}

#[tokio::test]
async fn without_stickiness_half_of_the_polls_go_to_the_wrong_one() {
    let server = two_indexers(Sticky::None);
    let mut sender = Sender::new(&server);
    assert_eq!((sender.ack_id().await, sender.ack_id().await), (0, 0));
    assert_eq!(sender.ack_id().await, 1);
    assert!(!sender.is_done(1).await);
    assert!(sender.is_done(1).await);
    assert_eq!(reached(&server), [0, 1, 0, 1, 0]);
    assert_eq!(sender.cookie, "");
}

#[tokio::test]
async fn a_sender_that_was_moved_gets_a_new_cookie_and_no_acks() {
    let server = two_indexers(Sticky::Cookie);
    let mut sender = Sender::new(&server);
    sender.ack_id().await;
    let before = sender.cookie.clone();
    server.move_clients();
    assert!(!sender.is_done(0).await);
    assert_ne!(sender.cookie, before);
    assert_eq!(sender.ack_id().await, 0);
    assert_eq!(reached(&server), [0, 1, 1]);
}

#[tokio::test]
async fn a_restart_forgets_the_ids_of_one_indexer_and_what_it_took_is_there() {
    let server = two_indexers(Sticky::Cookie);
    let (mut first, mut second) = (Sender::new(&server), Sender::new(&server));
    first.ack_id().await;
    second.ack_id().await;
    server.restart_indexer(0).unwrap();
    assert!(!first.is_done(0).await);
    assert!(second.is_done(0).await);
    assert_eq!(first.ack_id().await, 0);
    assert_eq!((server.events_taken(), server.lost().len()), (3, 0));
    let error = server.restart_indexer(2).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no indexer 2: they are numbered from 0 to 1"
    );
}

#[tokio::test]
async fn a_restart_may_lose_what_is_not_acknowledged() {
    let server = two_indexers(Sticky::Cookie);
    server.change_rules(|rules| {
        rules.acknowledgement = Some(AckPolicy::Held);
        rules.loses_unacknowledged = true;
    });
    let (mut first, mut second) = (Sender::new(&server), Sender::new(&server));
    first.ack_id().await;
    second.ack_id().await;
    server.release_acks();
    assert_eq!(server.events_taken(), 2);
    first.send(EVENTS, &events(3)).await;
    second.send(EVENTS, &events(2)).await;
    assert_eq!(server.events_taken(), 2);
    assert_eq!(server.requests()[2].taken, 3);
    server.restart_indexer(0).unwrap();
    assert_eq!(server.lost().len(), 3);
    server.change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AfterAsked(1)));
    assert!(!second.is_done(1).await);
    assert_eq!(server.events_taken(), 2);
    assert!(second.is_done(1).await);
    assert_eq!((server.events_taken(), server.lost().len()), (4, 3));
}
