//! Faults that are switched on for a while.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A fault with the requests that it is for.
///
/// As JSON the fields of the fault stand beside `on` and `times`:
/// `{"fault": "http_status", "status": 503, "on": "poll", "times": 3}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedFault<F, K> {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: F,
    /// On which requests.
    #[serde(default)]
    pub on: K,
    /// How often; without a number until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl<F, K: Default> ArmedFault<F, K> {
    /// For one request.
    pub fn once(fault: F) -> Self {
        Self::times(1, fault)
    }

    /// For the next `times` requests.
    pub fn times(times: u32, fault: F) -> Self {
        Self {
            fault,
            on: K::default(),
            times: Some(times),
        }
    }

    /// Until it is cleared.
    pub fn until_cleared(fault: F) -> Self {
        Self {
            fault,
            on: K::default(),
            times: None,
        }
    }

    /// Only on such requests.
    #[must_use]
    pub fn on(mut self, on: K) -> Self {
        self.on = on;
        self
    }
}

/// The faults that are armed: the first that fits a request is used up by it.
#[derive(Debug)]
pub(crate) struct FaultPlan<F, K> {
    state: Mutex<State<F, K>>,
}

#[derive(Debug)]
struct State<F, K> {
    armed: VecDeque<ArmedFault<F, K>>,
    shown: u64,
}

impl<F: Clone, K: Clone> FaultPlan<F, K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                armed: VecDeque::new(),
                shown: 0,
            }),
        }
    }

    /// Arms a fault behind those that are armed.
    pub(crate) fn arm(&self, fault: ArmedFault<F, K>) {
        if fault.times != Some(0) {
            self.lock().armed.push_back(fault);
        }
    }

    /// Disarms all.
    pub(crate) fn clear(&self) {
        self.lock().armed.clear();
    }

    /// The fault for a request that `fits` judges.
    pub(crate) fn take(&self, fits: impl Fn(&K) -> bool) -> Option<F> {
        let mut state = self.lock();
        let place = state.armed.iter().position(|armed| fits(&armed.on))?;
        let armed = state.armed.get_mut(place)?;
        let fault = armed.fault.clone();
        match &mut armed.times {
            None => {}
            Some(1) => drop(state.armed.remove(place)),
            Some(times) => *times -= 1,
        }
        state.shown += 1;
        Some(fault)
    }

    /// The faults that are armed.
    pub(crate) fn armed(&self) -> Vec<ArmedFault<F, K>> {
        self.lock().armed.iter().cloned().collect()
    }

    /// How many requests met a fault.
    pub(crate) fn shown(&self) -> u64 {
        self.lock().shown
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<F, K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plan = FaultPlan<&'static str, char>;

    fn taken(plan: &Plan, kind: char) -> Option<&'static str> {
        plan.take(|&on| on == kind)
    }

    #[test]
    fn each_is_used_up_in_turn_by_the_requests_that_it_is_for() {
        let plan = Plan::new();
        plan.arm(ArmedFault::times(2, "first").on('p'));
        plan.arm(ArmedFault::once("second").on('p'));
        plan.arm(ArmedFault::once("other").on('f'));
        let polls: Vec<_> = (0..4).map(|_| taken(&plan, 'p')).collect();
        assert_eq!(polls, [Some("first"), Some("first"), Some("second"), None]);
        assert_eq!(taken(&plan, 'f'), Some("other"));
        assert_eq!(plan.shown(), 4);
    }

    #[test]
    fn stays_until_cleared() {
        let plan = Plan::new();
        plan.arm(ArmedFault::until_cleared("outage").on('p'));
        assert!((0..100).all(|_| taken(&plan, 'p').is_some()));
        plan.clear();
        assert_eq!(taken(&plan, 'p'), None);
    }

    #[test]
    fn of_no_times_is_no_fault() {
        let plan = Plan::new();
        plan.arm(ArmedFault::times(0, "never").on('p'));
        assert_eq!(taken(&plan, 'p'), None);
    }
}
