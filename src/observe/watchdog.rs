//! The watchdog: whether every part of the agent goes on.
//!
//! A part says what it does: it works, for so long at most without a sign of life, or it waits, for
//! so long at most. Who is late at both stands still, whatever it believes of itself: systemd is told
//! no more that the service lives, and starts it anew.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// A turn that waits for nobody but our own disk may take this long.
pub const DISK_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// A part that waits is this late at most: the machine may be busy.
const SLACK: Duration = Duration::from_secs(60);

/// All parts that live.
#[derive(Debug, Default)]
pub struct Watchdog {
    parts: Mutex<Vec<Part>>,
}

#[derive(Debug)]
struct Part {
    name: String,
    doing: Weak<Mutex<Doing>>,
}

/// By which a part gives its signs of life; it is watched as long as this lives.
#[derive(Debug)]
pub struct Pulse {
    doing: Arc<Mutex<Doing>>,
}

/// What a part does. Times are those of the monotonic clock.
#[derive(Debug, Clone, Copy)]
enum Doing {
    /// It works, and gives a sign of life at least this often.
    Working { sign: Duration, patience: Duration },
    /// It waits until then, or until something is asked of it.
    Waiting { until: Option<Duration> },
    /// It waits for nothing while there is something to do.
    Stuck { since: Duration },
}

/// A part that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Its name.
    pub part: String,
    /// How it stands still.
    pub how: HowStalled,
}

/// How a part stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowStalled {
    /// It works, and there was no sign of life for this long.
    Silent(Duration),
    /// It waited for its time, which was this long ago.
    Overslept(Duration),
    /// It has had something to do and done nothing for this long.
    Idle(Duration),
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, how } = self;
        match how {
            HowStalled::Silent(time) => {
                write!(f, "{part} gave no sign of life for {} s", time.as_secs())
            }
            HowStalled::Overslept(time) => {
                write!(f, "{part} should have gone on {} s ago", time.as_secs())
            }
            HowStalled::Idle(time) => {
                write!(
                    f,
                    "{part} has had something to do for {} s and does nothing",
                    time.as_secs()
                )
            }
        }
    }
}

impl Watchdog {
    /// Watches a part from now on.
    #[must_use]
    pub fn watch(&self, name: impl Into<String>) -> Pulse {
        let doing = Arc::new(Mutex::new(Doing::Waiting { until: None }));
        let part = Part {
            name: name.into(),
            doing: Arc::downgrade(&doing),
        };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(part);
        Pulse { doing }
    }

    /// The first part that stands still.
    #[must_use]
    pub fn stall(&self, monotonic: Duration) -> Option<Stall> {
        self.find(|part, doing| {
            Some(Stall {
                part: part.to_owned(),
                how: doing.stalled(monotonic)?,
            })
        })
    }

    /// The first part that has something to do and waits for nothing that would let it, however long
    /// it has done so.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        self.find(|part, doing| matches!(doing, Doing::Stuck { .. }).then(|| part.to_owned()))
    }

    fn find<T>(&self, what: impl Fn(&str, Doing) -> Option<T>) -> Option<T> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| part.doing.strong_count() > 0);
        parts.iter().find_map(|part| {
            let doing = part.doing.upgrade()?;
            let doing = *doing.lock().unwrap_or_else(PoisonError::into_inner);
            what(&part.name, doing)
        })
    }
}

impl Doing {
    fn stalled(self, now: Duration) -> Option<HowStalled> {
        match self {
            Self::Working { sign, patience } => {
                let silent = now.saturating_sub(sign);
                (silent > patience).then_some(HowStalled::Silent(silent))
            }
            Self::Waiting { until } => {
                let late = now.saturating_sub(until?);
                (late > SLACK).then_some(HowStalled::Overslept(late))
            }
            Self::Stuck { since } => {
                let idle = now.saturating_sub(since);
                (idle > DISK_PATIENCE).then_some(HowStalled::Idle(idle))
            }
        }
    }
}

impl Pulse {
    /// It works, and will give another sign of life within this.
    pub fn works(&self, patience: Duration, monotonic: Duration) {
        self.write(Doing::Working {
            sign: monotonic,
            patience,
        });
    }

    /// A sign of life of a part that works; one that waits goes on waiting.
    pub fn beat(&self, monotonic: Duration) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Doing::Working { sign, .. } = &mut *doing {
            *sign = monotonic;
        }
    }

    /// It waits, this long at most: none is until something is asked of it.
    pub fn waits(&self, at_most: Option<Duration>, monotonic: Duration) {
        let until = at_most.and_then(|wait| monotonic.checked_add(wait));
        self.write(Doing::Waiting { until });
    }

    /// There is something to do, and it waits for nothing that would let it.
    pub fn is_stuck(&self, monotonic: Duration) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*doing, Doing::Stuck { .. }) {
            *doing = Doing::Stuck { since: monotonic };
        }
    }

    fn write(&self, new: Doing) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_works_gives_signs_of_life() {
        let watchdog = Watchdog::default();
        let pulse = watchdog.watch("a poller");
        pulse.works(10 * SECOND, 100 * SECOND);
        assert_eq!(watchdog.stall(110 * SECOND), None);
        let stall = watchdog.stall(111 * SECOND).unwrap();
        assert_eq!(stall.to_string(), "a poller gave no sign of life for 11 s");
        pulse.beat(105 * SECOND);
        assert_eq!(watchdog.stall(111 * SECOND), None);
    }

    #[test]
    fn who_waits_is_not_much_late() {
        let watchdog = Watchdog::default();
        let pulse = watchdog.watch("a forwarder");
        assert_eq!(watchdog.stall(1_000_000 * SECOND), None, "it has not begun");
        pulse.waits(Some(5 * SECOND), 100 * SECOND);
        // No sign of life: it does nothing.
        pulse.beat(200 * SECOND);
        assert_eq!(watchdog.stall(105 * SECOND + SLACK), None);
        let stall = watchdog.stall(106 * SECOND + SLACK).unwrap();
        assert_eq!(stall.how, HowStalled::Overslept(SECOND + SLACK));
        for endless in [None, Some(Duration::MAX)] {
            pulse.waits(endless, 100 * SECOND);
            assert_eq!(watchdog.stall(1_000_000 * SECOND), None);
        }
    }

    #[test]
    fn who_has_something_to_do_does_not_wait_for_ever() {
        let watchdog = Watchdog::default();
        let pulse = watchdog.watch("a forwarder");
        pulse.is_stuck(100 * SECOND);
        // Still: the time is that of the first.
        pulse.is_stuck(200 * SECOND);
        assert_eq!(watchdog.stall(100 * SECOND + DISK_PATIENCE), None);
        let stall = watchdog.stall(101 * SECOND + DISK_PATIENCE).unwrap();
        assert_eq!(stall.how, HowStalled::Idle(SECOND + DISK_PATIENCE));
        pulse.waits(None, 300 * SECOND);
        assert_eq!(watchdog.stall(1000 * SECOND), None);
    }

    #[test]
    fn a_part_that_is_gone_is_not_watched() {
        let watchdog = Watchdog::default();
        let (gone, other) = (watchdog.watch("gone"), watchdog.watch("other"));
        gone.works(SECOND, SECOND);
        drop(gone);
        assert_eq!(watchdog.stall(100 * SECOND), None);
        other.works(SECOND, SECOND);
        assert_eq!(watchdog.stall(100 * SECOND).unwrap().part, "other");
    }
}
