//! When to poll: cron schedules become ticks. The only room that names tokio-cron-scheduler.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// The running schedules: one job for each distinct one, however many collections share it.
pub struct Schedules {
    scheduler: JobScheduler,
    ticks: BTreeMap<String, watch::Receiver<u64>>,
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
    ) -> Result<Self, StartScheduleError> {
        let failed = |schedule: &str| {
            let schedule = schedule.to_owned();
            move |source| StartScheduleError { schedule, source }
        };
        let running = JobScheduler::new().await.map_err(failed(""))?;
        let mut ticks = BTreeMap::new();
        for schedule in schedules {
            if ticks.contains_key(&schedule) {
                continue;
            }
            let (sender, receiver) = watch::channel(0);
            let job = Job::new(schedule.as_str(), move |_, _| {
                sender.send_modify(|count| *count += 1);
            })
            .map_err(failed(&schedule))?;
            running.add(job).await.map_err(failed(&schedule))?;
            ticks.insert(schedule, receiver);
        }
        running.start().await.map_err(failed(""))?;
        Ok(Self {
            scheduler: running,
            ticks,
        })
    }

    /// Changes whenever the schedule says that it is time.
    #[must_use]
    pub fn ticks(&self, schedule: &str) -> Option<watch::Receiver<u64>> {
        self.ticks.get(schedule).cloned()
    }

    /// Ticks no more.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the scheduler did not stop in order");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_schedule() {
        for good in ["0 */10 * * * *", "* * * * * *", "30 0 6 * * MON-FRI"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "*/10 * * * *", "0 61 * * * *", "a b c d e f"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn it_ticks_and_collections_share() {
        let every_second = "* * * * * *".to_owned();
        let schedules = [every_second.clone(), every_second.clone()];
        let schedules = Schedules::start(schedules).await.unwrap();
        assert_eq!(schedules.ticks.len(), 1);
        let mut first = schedules.ticks(&every_second).unwrap();
        let mut second = schedules.ticks(&every_second).unwrap();
        first.changed().await.unwrap();
        second.changed().await.unwrap();
        schedules.stop().await;
    }
}
