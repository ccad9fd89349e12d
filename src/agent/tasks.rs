//! The tasks of an agent: what each poller and each forwarder does between its turns.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::poller::{Asked, Poller};
use crate::repair;
use crate::wake::{Wake, told_to_stop};

/// How often the archive is looked through for what is too old.
const JANITOR_INTERVAL: Duration = Duration::from_secs(3600);

/// Who polls a collection, by service and collection. Boxed, since a channel has room for many from the
/// beginning.
pub(super) type Askable = BTreeMap<(String, String), mpsc::Sender<Box<Asked>>>;

pub(super) fn make_askable(poller: &Poller, askable: &mut Askable) -> mpsc::Receiver<Box<Asked>> {
    let (ask, asked) = mpsc::channel(1);
    for collection in &poller.service().collections {
        if poller.polls(collection) {
            let name = (poller.service().name.clone(), collection.clone());
            askable.insert(name, ask.clone());
        }
    }
    asked
}

/// The poller is boxed: a task has room for each place through which it comes, and thousands wait.
pub(super) async fn run_poller(
    mut poller: Box<Poller>,
    ticks: Option<watch::Receiver<u64>>,
    mut asked: mpsc::Receiver<Box<Asked>>,
    (mut spool, mut news): (watch::Receiver<u64>, watch::Receiver<u64>),
    mut leave: watch::Receiver<bool>,
    mut stopped: watch::Receiver<bool>,
) -> Box<Poller> {
    let splay = poller.service().splay;
    let mut ticks = ticks;
    let mut splayed: Option<tokio::time::Instant> = None;
    let mut person: Option<Box<Asked>> = None;
    loop {
        // Before the turn, so that what happens during it is not missed.
        spool.mark_unchanged();
        news.mark_unchanged();
        // The schedule has every opening of the gate: a person who waits for one goes first.
        let wake = match person.take() {
            Some(asked) if !asked.answer.is_closed() => {
                let closed = poller.closed_for(&asked.poll.collection);
                if closed.is_zero() {
                    Box::pin(poll_by_hand(&mut poller, *asked)).await;
                } else {
                    person = Some(asked);
                }
                Wake::After(closed)
            }
            // Boxed, since thousands that wait would have room for it.
            _ => Box::pin(poller.turn()).await,
        };
        poller.waits(wake);
        let place = poller.free_place();
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => return poller,
            // A batch that the ledger does not know is for this poller alone.
            () = told_to_stop(&mut leave), if !poller.owes_record() => return poller,
            Some(asked) = asked.recv(), if person.is_none() => {
                if asked.may_wait {
                    person = Some(asked);
                } else {
                    Box::pin(poll_by_hand(&mut poller, *asked)).await;
                }
            }
            () = changed(ticks.as_mut()) => {
                let wait = splay.mul_f64(fastrand::f64());
                splayed = Some(tokio::time::Instant::now() + wait);
                if splay.is_zero() {
                    splayed = None;
                    poller.tick();
                }
            }
            () = at(splayed) => {
                splayed = None;
                poller.tick();
            }
            _ = spool.changed(), if matches!(wake, Wake::SpoolChange(_)) => {}
            _ = news.changed(), if matches!(wake, Wake::News(_)) => {}
            place = place, if wake == Wake::Place => poller.has_place(place),
            () = after(wake) => {}
        }
    }
}

pub(super) async fn poll_when_asked(mut poller: Poller, mut asked: mpsc::Receiver<Box<Asked>>) {
    while let Some(asked) = asked.recv().await {
        if asked.may_wait {
            tokio::time::sleep(poller.closed_for(&asked.poll.collection)).await;
        }
        poll_by_hand(&mut poller, *asked).await;
    }
}

async fn poll_by_hand(poller: &mut Poller, asked: Asked) {
    let result = poller.poll_by_hand(&asked.poll).await;
    // Nobody waits for the answer if the person has gone.
    let _ = asked.answer.send(result);
}

pub(super) async fn run_forwarder(
    mut forwarder: Forwarder,
    mut spool: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        spool.mark_unchanged();
        let wake = forwarder.turn();
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => break,
            () = forwarder.landing() => {}
            _ = spool.changed(), if matches!(wake, Wake::SpoolChange(_)) => {}
            () = after(wake) => {}
        }
    }
    forwarder.close().await;
}

pub(super) async fn keep_house(house: House, is_watched: bool, mut stopped: watch::Receiver<bool>) {
    if is_watched {
        tokio::task::block_in_place(|| admin::remember(&house));
    }
    loop {
        let now = house.clock.now().utc;
        tokio::task::block_in_place(|| {
            house.spool.evict_archive(now);
            repair::tidy_quarantine(&house);
        });
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(JANITOR_INTERVAL) => {}
        }
    }
}

async fn after(wake: Wake) {
    match wake.after() {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn changed(ticks: Option<&mut watch::Receiver<u64>>) {
    match ticks {
        // Without a schedule, or when it has stopped, nothing ticks any more.
        Some(ticks) => match ticks.changed().await {
            Ok(()) => {}
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
