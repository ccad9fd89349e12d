//! Events that are under way to one peer.

use std::time::Duration;

use uuid::Uuid;

use super::queue::{Item, Place};
use crate::output::Outgoing;

/// One call of `launch`.
#[derive(Debug)]
pub(super) struct Flight {
    /// When it began, on the monotonic clock.
    pub(super) launched: Duration,
    /// The channel that it went to, where the peer acknowledges.
    pub(super) channel: Option<Uuid>,
    /// Its bytes as they travel.
    pub(super) bytes: u64,
    places: Vec<(Place, usize)>,
    events: Vec<Outgoing>,
}

impl Flight {
    pub(super) fn new(items: Vec<(Place, Item)>, launched: Duration) -> Self {
        let mut places = Vec::with_capacity(items.len());
        let mut events = Vec::with_capacity(items.len());
        for (place, item) in items {
            places.push((place, item.bytes));
            events.push(item.outgoing);
        }
        Self {
            launched,
            channel: None,
            bytes: 0,
            places,
            events,
        }
    }

    pub(super) fn events(&self) -> &[Outgoing] {
        &self.events
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Where the events come from, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.places.iter().map(|(place, _)| *place)
    }

    /// Its events, in order.
    pub(super) fn into_items(self) -> Vec<(Place, Item)> {
        let items = self.places.into_iter().zip(self.events);
        items
            .map(|((place, bytes), outgoing)| (place, Item { outgoing, bytes }))
            .collect()
    }
}
