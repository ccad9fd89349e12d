//! Publishes: a past to catch up with, and something new every so often.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::content::ContentGenerator;
use super::cta::CtaService;

/// Publishes one package after another; it stops when dropped.
#[derive(Debug)]
pub struct Publisher {
    published: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Publishes to `collection` every so often, the first one after that time.
    ///
    /// The interval is real time, whatever clock the service has; the stamps are the service's.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        service: Arc<CtaService>,
        collection: &str,
        mut generator: ContentGenerator,
        every: Duration,
    ) -> Self {
        let collection = collection.to_owned();
        let (count, published) = watch::channel(0);
        let task = tokio::spawn(async move {
            // A timer of no time at all panics.
            let every = every.max(Duration::from_millis(1));
            let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                service.publish_to(&collection, generator.publication(service.now()));
                count.send_modify(|count| *count += 1);
            }
        });
        Self { published, task }
    }

    /// How many packages it has published.
    #[must_use]
    pub fn published(&self) -> usize {
        *self.published.borrow()
    }

    /// Ends it, and gives the number of packages that it has published: none follows.
    pub async fn stop(mut self) -> usize {
        self.task.abort();
        // The error says that it was ended, as it should be.
        let _ = (&mut self.task).await;
        self.published()
    }

    /// Waits until it has published so many packages.
    pub async fn wait_for(&self, count: usize) {
        let mut published = self.published.clone();
        // It fails only when the task is gone, and that is `self`'s.
        let _ = published.wait_for(|published| *published >= count).await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes a past of so many days, `per_day` packages evenly on each, the last of them less
/// than a day's share before the service's present time.
pub fn publish_backlog(
    service: &CtaService,
    collection: &str,
    generator: &mut ContentGenerator,
    days: u16,
    per_day: u16,
) {
    let day_us: i64 = 24 * 60 * 60 * 1_000_000;
    let step_us = day_us / i64::from(per_day.max(1));
    let now = service.now();
    for steps in (1..=i64::from(days) * i64::from(per_day)).rev() {
        let published = now - TimeDelta::microseconds(step_us * steps);
        service.publish_to(collection, generator.publication(published));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SimulatedClock};
    use crate::simulator::cta::CtaRules;

    fn service() -> (Arc<CtaService>, Arc<SimulatedClock>) {
        let clock = Arc::new(SimulatedClock::at("2026-03-10T12:00:00Z".parse().unwrap()));
        let service = CtaService::start(CtaRules::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        (Arc::new(service.unwrap()), clock)
    }

    fn published_ids(service: &CtaService) -> Vec<crate::event::EventId> {
        service.published_ids_of(CtaRules::COLLECTION)
    }

    #[tokio::test]
    async fn publishes_one_after_another_until_dropped() {
        let (service, _) = service();
        let every = Duration::from_millis(1);
        let publisher = Publisher::start(
            Arc::clone(&service),
            CtaRules::COLLECTION,
            ContentGenerator::new(1),
            every,
        );
        publisher.wait_for(5).await;
        let mut generator = ContentGenerator::new(1);
        let expected: Vec<_> = (0..5)
            .flat_map(|_| generator.publication(service.now()).events)
            .collect();
        assert!(published_ids(&service).starts_with(&expected));
        let task = publisher.task.abort_handle();
        drop(publisher);
        let ended = async {
            while !task.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, ended)
            .await
            .expect("it goes on");
    }

    #[tokio::test]
    async fn nothing_follows_a_stop() {
        let (service, _) = service();
        let publisher = Publisher::start(
            Arc::clone(&service),
            CtaRules::COLLECTION,
            ContentGenerator::new(1),
            Duration::from_millis(1),
        );
        publisher.wait_for(2).await;
        let task = publisher.task.abort_handle();
        let count = publisher.stop().await;
        assert!(task.is_finished());
        let mut generator = ContentGenerator::new(1);
        let expected: Vec<_> = (0..count)
            .flat_map(|_| generator.publication(service.now()).events)
            .collect();
        assert_eq!(published_ids(&service), expected);
    }

    #[tokio::test]
    async fn a_backlog_lies_evenly_in_the_days_before_now() {
        let (service, _clock) = service();
        let mut generator = ContentGenerator::new(2);
        publish_backlog(&service, CtaRules::COLLECTION, &mut generator, 3, 4);
        let mut again = ContentGenerator::new(2);
        let now = service.now();
        let expected: Vec<_> = (1..=12)
            .rev()
            .flat_map(|step| again.publication(now - TimeDelta::hours(6 * step)).events)
            .collect();
        assert_eq!(published_ids(&service), expected);
    }
}
