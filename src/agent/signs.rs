//! The signs of life for systemd, and what the agent does in one line.
//!
//! Two loops, and the one that says that the agent lives is given nothing that waits for the disk: a
//! disk may stand still for as long as the watchdog's parts may, and systemd hears of life meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::control::Current;
use crate::house::House;
use crate::observe::service_manager;
use crate::observe::status::Status;
use crate::observe::watchdog::Watchdog;
use crate::wake::told_to_stop;

/// Tells that the agent goes on, as long as every part of it does.
pub(super) async fn tell_that_it_lives(
    watchdog: Arc<Watchdog>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    alive: impl Fn() + Send,
    mut stopped: watch::Receiver<bool>,
) {
    let mut is_stalled = false;
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(interval) => {}
        }
        match watchdog.stall(clock.now().monotonic) {
            None => {
                is_stalled = false;
                alive();
            }
            Some(stall) if !is_stalled => {
                is_stalled = true;
                tracing::error!(
                    "{stall}: the agent is not said to be alive any more, so that systemd starts it \
                     anew; without systemd restart it, nothing is lost"
                );
            }
            Some(_) => {}
        }
    }
}

/// Tells what the agent does in one line, whenever that has changed. On a disk that stands still the
/// last line goes on.
pub(super) async fn tell_status(
    house: House,
    current: watch::Receiver<Arc<Current>>,
    interval: Duration,
    status: impl Fn(&str) + Send,
    news: Arc<Notify>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut last = String::new();
    loop {
        let now = Arc::clone(&current.borrow());
        let line = tokio::task::block_in_place(|| {
            service_manager::summary(&Status::take(&house, &now.config, true))
        });
        if line != last {
            status(&line);
            last = line;
        }
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = news.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::world::{Setup, World};

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Somebody has the state for as long as the disk makes something durable, and that is long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn on_a_disk_that_stands_still_it_is_said_to_live_and_the_status_follows() {
        let world = World::new(Setup::default());
        let house = world.agent.house().clone();
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let (has_it, who_has_it) = mpsc::channel();
        let state = Arc::clone(&house.state);
        let disk = thread::spawn(move || {
            state.look_at_work(|_, _| {
                has_it.send(()).unwrap();
                // Also where the test ends before its time.
                let _ = is_let_go.recv();
            });
        });
        who_has_it.recv().unwrap();
        let stopping = watch::Sender::new(false);
        let current = Arc::new(Current {
            config: world.config().clone(),
            pollers: Arc::default(),
        });
        let (sender, current) = watch::channel(current);
        let (tell, told) = mpsc::channel();
        let status = {
            let (tell, news) = (tell.clone(), Arc::new(Notify::new()));
            let status = move |line: &str| tell.send(line.to_owned()).unwrap();
            let (house, stopped) = (house.clone(), stopping.subscribe());
            tokio::spawn(tell_status(house, current, PATIENCE, status, news, stopped))
        };
        let living = tokio::spawn(tell_that_it_lives(
            house.watchdog,
            house.clock,
            Duration::from_millis(1),
            move || tell.send("alive".to_owned()).unwrap(),
            stopping.subscribe(),
        ));
        for _ in 0..3 {
            assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("alive"));
        }
        drop(let_go);
        disk.join().unwrap();
        let line = loop {
            match told.recv_timeout(PATIENCE).unwrap() {
                line if line == "alive" => {}
                line => break line,
            }
        };
        assert_eq!(line, "polls 1 collection, delivers to 1 output");
        stopping.send_replace(true);
        status.await.unwrap();
        living.await.unwrap();
        drop(sender);
    }
}
