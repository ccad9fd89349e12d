//! What the feeds hold, and what of it lies in a window.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

use super::grammar::Label;
use super::rules::VendorFeed;
use super::status::Status;
use crate::event::EventId;
use crate::simulator::content::Publication;

/// A feed with its content.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) name: String,
    pub(super) description: String,
    /// By label, no two of which are the same.
    content: Vec<Arc<Publication>>,
    /// No label up to this one is given any more.
    closed: DateTime<Utc>,
}

/// What a poll brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// As it was asked for.
    pub(super) begin: Option<String>,
    pub(super) end: String,
    pub(super) content: Vec<Arc<Publication>>,
}

impl From<&VendorFeed> for Feed {
    fn from(feed: &VendorFeed) -> Self {
        Self {
            name: feed.name.clone(),
            description: feed.description.clone(),
            content: Vec::new(),
            closed: DateTime::<Utc>::MIN_UTC,
        }
    }
}

impl Feed {
    pub(super) fn find<'a>(feeds: &'a mut [Self], name: &str) -> Result<&'a mut Self, Status> {
        let feed = feeds.iter_mut().find(|feed| feed.name == name);
        feed.ok_or_else(|| Status::not_found("feed", name))
    }

    /// Adds content. Its label is its stamp, or the next one that is free.
    pub(super) fn publish(&mut self, mut publication: Publication) -> Arc<Publication> {
        let stamp = publication.published.trunc_subsecs(6);
        publication.published = stamp.max(after(self.closed));
        self.closed = publication.published;
        let publication = Arc::new(publication);
        self.content.push(Arc::clone(&publication));
        publication
    }

    /// The label up to which everything is there.
    pub(super) fn close(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.closed = self.closed.max(now.trunc_subsecs(6));
        self.closed
    }

    /// What lies between the bounds; an end that is not reached yet is made earlier.
    pub(super) fn window(
        &mut self,
        begin: Option<&Label>,
        end: Option<&Label>,
        now: DateTime<Utc>,
    ) -> Window {
        let reached = self.close(now);
        let stated = end.filter(|end| end.time <= reached);
        let until = stated.map_or(reached, |end| end.time);
        let after_begin = |time| begin.is_none_or(|begin| time > begin.time);
        let content = self.content.iter();
        Window {
            begin: begin.map(|begin| begin.text.clone()),
            end: stated.map_or_else(|| timestamp(reached), |end| end.text.clone()),
            content: content
                .filter(|found| after_begin(found.published) && found.published <= until)
                .cloned()
                .collect(),
        }
    }

    /// The ids of all its events.
    pub(super) fn event_ids(&self) -> Vec<EventId> {
        let events = self.content.iter().flat_map(|found| &found.events);
        events.copied().collect()
    }
}

/// The first label after another one.
pub(super) fn after(label: DateTime<Utc>) -> DateTime<Utc> {
    let next = label.checked_add_signed(TimeDelta::microseconds(1));
    next.unwrap_or(label)
}

/// A label as messages state it.
pub(super) fn timestamp(label: DateTime<Utc>) -> String {
    label.to_rfc3339_opts(SecondsFormat::Micros, true)
}
