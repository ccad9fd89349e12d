//! The time, as an argument.
//!
//! Pure rooms take [`Now`]; the edges ask a [`Clock`] for it. Tests give a [`SimulatedClock`].

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// One reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: it may jump, and it may be wrong.
    pub utc: DateTime<Utc>,
    /// Time since some moment in this process: it never goes back.
    pub monotonic: Duration,
}

/// Where the time comes from.
pub trait Clock: Debug + Send + Sync {
    /// Reads the clock.
    fn now(&self) -> Now;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            utc: Utc::now(),
            monotonic: self.started.elapsed(),
        }
    }
}

/// A clock that stands still until somebody moves it.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<Now>,
}

impl SimulatedClock {
    /// A clock that shows `utc`, with a monotonic time of zero.
    #[must_use]
    pub fn at(utc: DateTime<Utc>) -> Self {
        Self {
            now: Mutex::new(Now {
                utc,
                monotonic: Duration::ZERO,
            }),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.monotonic += by;
        now.utc += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    }

    /// Sets the wall clock, as an administrator or NTP does: no time passes.
    pub fn set_wall_clock(&self, utc: DateTime<Utc>) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).utc = utc;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Now {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
