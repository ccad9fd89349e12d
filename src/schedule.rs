//! When to poll: cron schedules become ticks. The only room that names tokio-cron-scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

use crate::clock::Clock;
use crate::observe::watchdog::{Pulse, Watchdog};

/// The scheduler gives a sign of life each minute.
const BEAT: &str = "0 * * * * *";
/// As long as it gives none of these, nothing is polled.
const PATIENCE: Duration = Duration::from_secs(3 * 60);

/// The running schedules: one job for each distinct one, however many collections share it.
pub struct Schedules {
    scheduler: JobScheduler,
    running: BTreeMap<String, Running>,
}

/// A schedule that ticks.
struct Running {
    job: Uuid,
    ticks: watch::Receiver<u64>,
}

/// The schedules cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the schedule {schedule:?} cannot be started: {source}")]
pub struct StartScheduleError {
    schedule: String,
    source: JobSchedulerError,
}

/// Whether this is a cron expression with seconds; if not, why.
pub fn check(schedule: &str) -> Result<(), String> {
    let fields = schedule.split_whitespace().count();
    if fields != 6 {
        return Err(format!(
            "it has {fields} fields, six are needed: second, minute, hour, day of month, month, \
             day of week"
        ));
    }
    Job::new(schedule, |_, _| {})
        .map(drop)
        .map_err(|error| error.to_string())
}

impl Schedules {
    /// Starts ticking, in UTC.
    pub async fn start(
        schedules: impl IntoIterator<Item = String>,
        watchdog: &Watchdog,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartScheduleError> {
        let mut all = Self {
            scheduler: JobScheduler::new().await.map_err(failed(""))?,
            running: BTreeMap::new(),
        };
        for schedule in schedules {
            all.add(schedule).await?;
        }
        all.give_signs_of_life(watchdog.watch("the scheduler"), clock)
            .await?;
        all.scheduler.start().await.map_err(failed(""))?;
        Ok(all)
    }

    /// One more; what runs already goes on.
    pub async fn add(&mut self, schedule: String) -> Result<(), StartScheduleError> {
        if self.running.contains_key(&schedule) {
            return Ok(());
        }
        let (sender, ticks) = watch::channel(0);
        let job = Job::new(schedule.as_str(), move |_, _| {
            sender.send_modify(|count| *count += 1);
        })
        .map_err(failed(&schedule))?;
        let job = self.scheduler.add(job).await.map_err(failed(&schedule))?;
        self.running.insert(schedule, Running { job, ticks });
        Ok(())
    }

    /// Those that nobody needs any more tick no more.
    pub async fn keep_only(&mut self, needed: &BTreeSet<String>) {
        let running = std::mem::take(&mut self.running).into_iter();
        let (kept, idle): (BTreeMap<_, _>, BTreeMap<_, _>) =
            running.partition(|(schedule, _)| needed.contains(schedule));
        self.running = kept;
        for (schedule, running) in idle {
            if let Err(error) = self.scheduler.remove(&running.job).await {
                tracing::debug!(%error, schedule, "a schedule that nobody needs goes on ticking");
            }
        }
    }

    /// Changes whenever the schedule says that it is time.
    #[must_use]
    pub fn ticks(&self, schedule: &str) -> Option<watch::Receiver<u64>> {
        let mut ticks = self.running.get(schedule)?.ticks.clone();
        // Those that were before are nobody's any more.
        ticks.mark_unchanged();
        Some(ticks)
    }

    /// Ticks no more.
    pub async fn stop(&mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the scheduler did not stop in order");
        }
    }

    async fn give_signs_of_life(
        &self,
        pulse: Pulse,
        clock: Arc<dyn Clock>,
    ) -> Result<(), StartScheduleError> {
        pulse.waits(Some(PATIENCE), clock.now().monotonic);
        let beat = Job::new(BEAT, move |_, _| {
            pulse.waits(Some(PATIENCE), clock.now().monotonic);
        });
        let beat = beat.map_err(failed(BEAT))?;
        self.scheduler.add(beat).await.map_err(failed(BEAT))?;
        Ok(())
    }
}

fn failed(schedule: &str) -> impl Fn(JobSchedulerError) -> StartScheduleError {
    let schedule = schedule.to_owned();
    move |source| StartScheduleError {
        schedule: schedule.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_is_a_schedule() {
        for good in ["0 */10 * * * *", "* * * * * *", "30 0 6 * * MON-FRI"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "*/10 * * * *", "0 61 * * * *", "a b c d e f"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    async fn start(schedules: impl IntoIterator<Item = String>) -> Schedules {
        let clock = Arc::new(SystemClock::new());
        let schedules = Schedules::start(schedules, &Watchdog::default(), clock).await;
        schedules.unwrap()
    }

    #[tokio::test]
    async fn it_ticks_and_collections_share() {
        let every_second = "* * * * * *".to_owned();
        let mut schedules = start([every_second.clone(), every_second.clone()]).await;
        assert_eq!(schedules.running.len(), 1);
        let mut first = schedules.ticks(&every_second).unwrap();
        let mut second = schedules.ticks(&every_second).unwrap();
        first.changed().await.unwrap();
        second.changed().await.unwrap();
        schedules.stop().await;
    }

    #[tokio::test]
    async fn schedules_come_and_go_while_others_tick() {
        let (every_second, never) = ("* * * * * *".to_owned(), "0 0 0 1 1 *".to_owned());
        let mut schedules = start([never.clone()]).await;
        schedules.add(every_second.clone()).await.unwrap();
        let mut ticks = schedules.ticks(&every_second).unwrap();
        ticks.changed().await.unwrap();
        schedules.keep_only(&BTreeSet::from([every_second])).await;
        assert!(schedules.ticks(&never).is_none());
        ticks.changed().await.unwrap();
        // Its job is gone too, and with it the last sender.
        schedules.keep_only(&BTreeSet::new()).await;
        while ticks.changed().await.is_ok() {}
        schedules.stop().await;
    }
}
