//! What happened, in order, and a way to wait for more of it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serializer;
use tokio::sync::watch;

/// A bounded record of what happened: the oldest entries go first.
#[derive(Debug)]
pub(crate) struct Journal<T> {
    entries: Mutex<VecDeque<T>>,
    limit: usize,
    total: watch::Sender<usize>,
}

impl<T: Clone> Journal<T> {
    /// An empty journal that keeps the last `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
            total: watch::Sender::new(0),
        }
    }

    /// Adds entries.
    pub(crate) fn extend(&self, new: impl IntoIterator<Item = T>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut added = 0;
        for entry in new {
            entries.push_back(entry);
            if entries.len() > self.limit {
                entries.pop_front();
            }
            added += 1;
        }
        // Under the lock, so that who sees the number finds the entries.
        self.total.send_modify(|total| *total += added);
    }

    /// Adds one entry.
    pub(crate) fn push(&self, entry: T) {
        self.extend([entry]);
    }

    /// The entries that are kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<T> {
        self.map(Clone::clone)
    }

    /// Looks at the entries without a copy of them.
    pub(crate) fn map<U>(&self, look: impl FnMut(&T) -> U) -> Vec<U> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(look).collect()
    }

    /// How many entries there ever were.
    pub(crate) fn total(&self) -> usize {
        *self.total.borrow()
    }

    /// Waits until there ever were `count` entries.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut total = self.total.subscribe();
        // It fails only when the sender is gone, and that is `self`'s.
        let _ = total.wait_for(|total| *total >= count).await;
    }
}

/// Headers as they may be shown to others.
pub(crate) fn without_credentials<S: Serializer>(
    headers: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|(name, value)| match name.as_str() {
        "authorization" => (name, "(not shown)"),
        _ => (name, value.as_str()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_and_counts_all() {
        let journal = Journal::new(2);
        journal.extend([1, 2]);
        journal.push(3);
        assert_eq!(journal.entries(), [2, 3]);
        assert_eq!(journal.total(), 3);
    }

    #[tokio::test]
    async fn wakes_who_waits() {
        let journal = std::sync::Arc::new(Journal::new(10));
        let waiting = tokio::spawn({
            let journal = std::sync::Arc::clone(&journal);
            async move {
                journal.wait_for(2).await;
                journal.entries()
            }
        });
        journal.push("a");
        assert!(!waiting.is_finished());
        journal.push("b");
        assert_eq!(waiting.await.unwrap(), ["a", "b"]);
    }
}
