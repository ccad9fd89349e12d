//! The tasks of an agent: what each poller and each forwarder does between its turns.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin;
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::poller::{Asked, Place, Places, Poller, Questions};
use crate::repair;
use crate::wake::{Wake, told_to_stop};

/// What is checked behind a start, which may be thousands of batches, does not stand in the way of the first
/// polls.
const CHECKS_DELAY: Duration = Duration::from_secs(5);
/// How often the archive is looked through for what is too old.
const JANITOR_INTERVAL: Duration = Duration::from_secs(3600);
/// So many heads of batches are checked before it is seen whether the agent is to stop.
const HEADS_AT_ONCE: usize = 256;

/// The poller is boxed: a task has room for each place through which it comes, and thousands wait.
pub(super) async fn run_poller(
    mut poller: Box<Poller>,
    ticks: Option<watch::Receiver<u64>>,
    mut asked: Questions,
    (mut spool, mut news): (watch::Receiver<u64>, watch::Receiver<u64>),
    mut leave: watch::Receiver<bool>,
    mut stopped: watch::Receiver<bool>,
) -> Box<Poller> {
    let splay = poller.service().splay;
    let mut ticks = ticks;
    let mut splayed = None;
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
        let places = poller.places();
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => return poller,
            // A batch that the ledger does not know is for this poller alone.
            () = told_to_stop(&mut leave), if !poller.owes_record() => return poller,
            Some(asked) = asked.next(), if person.is_none() => {
                if asked.may_wait {
                    person = Some(asked);
                } else {
                    Box::pin(poll_by_hand(&mut poller, *asked)).await;
                }
            }
            () = scheduled(ticks.as_mut(), splay, &mut splayed) => poller.tick(),
            place = wanted(wake, places, &mut spool, &mut news) => {
                if let Some(place) = place {
                    poller.has_place(place);
                }
            }
        }
    }
}

pub(super) async fn poll_when_asked(mut poller: Poller, mut asked: Questions) {
    while let Some(asked) = asked.next().await {
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
    tidy(&house);
    tokio::select! {
        () = told_to_stop(&mut stopped) => return,
        () = tokio::time::sleep(CHECKS_DELAY) => {}
    }
    tokio::task::block_in_place(|| house.state.compare_stored_batches());
    loop {
        for numbers in house.spool.numbers().chunks(HEADS_AT_ONCE) {
            if *stopped.borrow() {
                return;
            }
            let checked = tokio::task::block_in_place(|| repair::check_heads(&house, numbers));
            if let Err(error) = checked {
                tracing::warn!(
                    %error,
                    "whether the heads of all batches are whole is not known: that is tried again in \
                     an hour. Look at the disk"
                );
            }
        }
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(JANITOR_INTERVAL) => {}
        }
        tidy(&house);
    }
}

fn tidy(house: &House) {
    tokio::task::block_in_place(|| {
        house.spool.evict_archive(house.clock.now().utc);
        repair::tidy_quarantine(house);
    });
}

async fn after(wake: Wake) {
    match wake.after() {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// The next tick of the schedule, and a random wait of up to `splay` after it, until `splayed`, which is
/// kept by who is interrupted. Ticks that come during the wait are one with it.
async fn scheduled(
    ticks: Option<&mut watch::Receiver<u64>>,
    splay: Duration,
    splayed: &mut Option<Instant>,
) {
    let Some(ticks) = ticks else {
        return std::future::pending().await;
    };
    let until = match *splayed {
        Some(until) => until,
        None => {
            if ticks.changed().await.is_err() {
                // The schedule has stopped.
                return std::future::pending().await;
            }
            if splay.is_zero() {
                return;
            }
            let until = Instant::now() + splay.mul_f64(fastrand::f64());
            *splayed = Some(until);
            until
        }
    };
    tokio::time::sleep_until(until).await;
    ticks.mark_unchanged();
    *splayed = None;
}

/// What a poller wants its next turn for, with its place among the polls of its service if it waited for
/// one. One future for all of them, since thousands wait and each would have room for all.
async fn wanted(
    wake: Wake,
    places: Places,
    spool: &mut watch::Receiver<u64>,
    news: &mut watch::Receiver<u64>,
) -> Option<Place> {
    let change = match wake {
        Wake::Place => return Some(places.take().await),
        Wake::SpoolChange(_) => spool,
        Wake::News(_) => news,
        Wake::After(_) | Wake::Asked => {
            after(wake).await;
            return None;
        }
    };
    tokio::select! {
        _ = change.changed() => {}
        () = after(wake) => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_tick_waits_for_its_splay_whatever_interrupts_it() {
        let (schedule, mut ticks) = watch::channel(0);
        let mut splayed = None;
        let is_due = |ticks: &mut watch::Receiver<u64>, splayed: &mut Option<Instant>| {
            let due = scheduled(Some(ticks), HOUR, splayed).now_or_never();
            due.is_some()
        };
        assert!(!is_due(&mut ticks, &mut splayed));
        assert_eq!(splayed, None, "nothing has ticked");
        schedule.send_replace(1);
        assert!(!is_due(&mut ticks, &mut splayed));
        let until = splayed.unwrap();
        assert!(until <= Instant::now() + HOUR);
        // Another one in the meantime does not put it off.
        schedule.send_replace(2);
        assert!(!is_due(&mut ticks, &mut splayed));
        assert_eq!(splayed, Some(until));
        splayed = Some(Instant::now());
        scheduled(Some(&mut ticks), HOUR, &mut splayed).await;
        assert_eq!(splayed, None);
        assert!(!is_due(&mut ticks, &mut splayed));
        assert_eq!(splayed, None, "it was one with the first");
    }

    #[tokio::test]
    async fn without_a_splay_a_tick_comes_at_once() {
        let (schedule, mut ticks) = watch::channel(0);
        let mut splayed = None;
        schedule.send_replace(1);
        let due = scheduled(Some(&mut ticks), Duration::ZERO, &mut splayed).now_or_never();
        assert_eq!((due, splayed), (Some(()), None));
    }

    #[tokio::test]
    async fn without_a_schedule_nothing_ticks() {
        let (schedule, mut ticks) = watch::channel(0);
        drop(schedule);
        for ticks in [Some(&mut ticks), None] {
            let mut splayed = None;
            let due = scheduled(ticks, Duration::ZERO, &mut splayed).now_or_never();
            assert!(due.is_none());
        }
    }

    #[tokio::test]
    async fn a_turn_comes_with_what_it_waits_for_and_nothing_else() {
        for (wake, by_spool, by_news) in [
            (Wake::SpoolChange(HOUR), true, false),
            (Wake::News(HOUR), false, true),
            (Wake::After(HOUR), false, false),
            (Wake::Asked, false, false),
            (Wake::Place, false, false),
        ] {
            let comes = |spool_changes: bool, news_change: bool| {
                let (of_spool, mut spool) = watch::channel(0);
                let (of_news, mut news) = watch::channel(0);
                of_spool.send_if_modified(|_| spool_changes);
                of_news.send_if_modified(|_| news_change);
                let places = Places::default();
                let _taken: Vec<Place> = std::iter::from_fn(|| places.take_now()).collect();
                let wanted = wanted(wake, places, &mut spool, &mut news);
                wanted.now_or_never().is_some()
            };
            assert_eq!(
                (comes(true, false), comes(false, true)),
                (by_spool, by_news),
                "{wake:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_place_and_the_end_of_a_wait_bring_a_turn() {
        let (_of_spool, mut spool) = watch::channel(0);
        let (_of_news, mut news) = watch::channel(0);
        let places = Places::default();
        let place = wanted(Wake::Place, places.clone(), &mut spool, &mut news).await;
        assert!(place.is_some());
        for over in [Wake::SpoolChange, Wake::News, Wake::After] {
            let wake = over(Duration::ZERO);
            let place = wanted(wake, places.clone(), &mut spool, &mut news).await;
            assert!(place.is_none());
        }
    }
}
