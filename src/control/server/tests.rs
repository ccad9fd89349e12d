//! Who asks and goes, or asks and takes nothing, keeps nobody else from an answer.

use std::sync::Arc;

use tokio::io::Lines;
use tokio::net::unix::OwnedReadHalf;
use tokio::task::JoinHandle;

use super::*;
use crate::batches::ExportChoice;
use crate::control::Current;
use crate::world::{Setup, World};

/// What does not come in this time does not come: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);
/// More than a socket and all that is between it and the batch can hold.
const MANY_EVENTS: usize = 1200;

#[test]
fn the_owner_and_root_may_ask() {
    for (user, own_user, expect) in [
        (990, 990, true),
        (0, 990, true),
        (0, 0, true),
        (990, 0, false),
        (1000, 990, false),
        (u32::MAX, 990, false),
    ] {
        assert_eq!(may_ask(user, own_user), expect, "{user} asks {own_user}");
    }
}

/// A control socket with no patience, of an agent that has one large batch.
struct Served {
    path: PathBuf,
    events: usize,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    _world: World,
}

type Answer = Lines<BufReader<OwnedReadHalf>>;

impl Served {
    async fn start() -> Self {
        let mut world = World::new(Setup {
            service: "initial_lookback = \"1h\"\n".to_owned(),
            ..Setup::default()
        });
        while world.cta.published_ids().len() < MANY_EVENTS {
            world.publish();
        }
        world.clock.advance(Duration::from_secs(600));
        let poller = &mut world.agent.pollers()[0];
        poller.tick();
        poller.turn().await;
        let path = world.folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (stop, stopped) = watch::channel(false);
        let house = world.agent.house().clone();
        let current = Current {
            config: world.config().clone(),
            pollers: Arc::default(),
        };
        let control = Control::new(house, current);
        let patience = Patience {
            request: LIMIT,
            reply: Duration::ZERO,
        };
        let server = accept(listener, path.clone(), control, stopped, patience);
        Self {
            path,
            events: world.cta.published_ids().len(),
            stop,
            server: tokio::spawn(server),
            _world: world,
        }
    }

    async fn ask(&self, request: &Request) -> Answer {
        let stream = UnixStream::connect(&self.path).await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        write.write_all(&line).await.unwrap();
        // The other half may go: the server has what it needs.
        let mut answer = BufReader::new(read).lines();
        let heard = answer.next_line().await.unwrap().unwrap();
        assert!(heard.contains("heard"), "{heard}");
        answer
    }

    /// Asks for all events, and sees the first: the rest is on its way.
    async fn ask_for_much(&self) -> Answer {
        let choice = ExportChoice::default();
        let mut answer = self.ask(&Request::ExportBatch { seq: 1, choice }).await;
        let first = answer.next_line().await.unwrap().unwrap();
        assert!(first.contains("eventId"), "{first}");
        answer
    }

    /// Others are answered.
    async fn answers(&self) {
        let answered = async {
            let mut answer = self.ask(&Request::Status).await;
            let status = answer.next_line().await.unwrap().unwrap();
            assert!(status.contains("status"), "{status}");
        };
        tokio::time::timeout(LIMIT, answered).await.unwrap();
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.server.await.unwrap();
    }
}

/// The lines that still come, and whether the last reply is among them.
async fn rest(mut answer: Answer) -> (usize, bool) {
    let (mut lines, mut is_whole) = (0, false);
    while let Some(line) = answer.next_line().await.unwrap() {
        lines += 1;
        is_whole = line.contains("\"reply\":\"done\"");
    }
    (lines, is_whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_goes_gives_his_place_back() {
    let served = Served::start().await;
    for _ in 0..MAX_CONNECTIONS {
        drop(served.ask_for_much().await);
    }
    served.answers().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_reply_gives_his_place_to_others() {
    let served = Served::start().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(served.ask_for_much().await);
    }
    served.answers().await;
    let mut let_go = 0;
    for answer in idle {
        let (_, is_whole) = rest(answer).await;
        let_go += usize::from(!is_whole);
    }
    assert!(let_go > 0, "all places were taken");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_his_time_gets_everything_where_nobody_waits() {
    let served = Served::start().await;
    let slow = served.ask_for_much().await;
    let quick = served.ask_for_much().await;
    for answer in [quick, slow] {
        assert_eq!(rest(answer).await, (served.events, true));
    }
    served.stop().await;
}
