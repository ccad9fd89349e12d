//! Where events come from: collections and the inbox.

use chrono::TimeDelta;

use super::layout::{Page, none};
use crate::cli::status::rates::shown;
use crate::cli::table::age;
use crate::cli::terminal::Style;
use crate::observe::status::{CollectionStatus, InboxStatus};
use crate::observe::troubles::Kind;

pub(super) fn collections(page: &mut Page<'_>, collections: &[CollectionStatus]) {
    let mut head = vec![
        "COLLECTION",
        "CHECKPOINT",
        "LAG",
        "NEXT POLL",
        "EVENTS",
        "GAPS",
    ];
    let rates = page.view().rates;
    if rates.is_some() {
        head.push("NOW");
    }
    let rows: Vec<Vec<String>> = collections
        .iter()
        .map(|collection| {
            let next = collection.activity.next_poll_at;
            let rate = rates.map(|rates| {
                shown(rates.of_collection(&collection.service, &collection.collection))
            });
            let mut row = vec![
                format!("{}/{}", collection.service, collection.collection),
                collection.checkpoint.clone().unwrap_or_else(none),
                collection
                    .lag_s
                    .map_or_else(none, |lag| age(TimeDelta::seconds(lag))),
                next.map_or_else(none, |next| page.ahead(next)),
                collection.events.to_string(),
                collection.gaps.to_string(),
            ];
            row.extend(rate);
            row
        })
        .collect();
    page.table(&head, &rows, |page, index| {
        if let Some(collection) = collections.get(index) {
            collection_remarks(page, collection);
        }
    });
}

fn collection_remarks(page: &mut Page<'_>, known: &CollectionStatus) {
    let activity = &known.activity;
    if activity.hold.is_none()
        && activity.failing_since.is_none()
        && let Some(result) = &activity.last_result
    {
        let when = activity.last_result_at.map_or_else(none, |at| page.ago(at));
        page.remark(Style::Faint, format_args!("{when}: {result}"));
    }
    page.troubles_of(
        Kind::Collection,
        &format!("{}/{}", known.service, known.collection),
    );
}

pub(super) fn inbox(page: &mut Page<'_>, inbox: &InboxStatus) {
    let head = ["INBOX", "LAST MESSAGE", "EVENTS"];
    let collections = inbox.collections.iter();
    let rows: Vec<Vec<String>> = collections
        .map(|known| {
            vec![
                format!("{}/{}", inbox.name, known.collection),
                known.pushed_at.map_or_else(none, |at| page.ago(at)),
                known.events.to_string(),
            ]
        })
        .collect();
    page.table(&head, &rows, |page, index| {
        if let Some(known) = inbox.collections.get(index) {
            let name = format!("{}/{}", inbox.name, known.collection);
            page.troubles_of(Kind::Collection, &name);
        }
    });
    page.troubles_of(Kind::Inbox, &inbox.name);
    let activity = &inbox.activity;
    let Some(url) = &activity.url else {
        return;
    };
    let messages = activity.messages;
    page.remark(
        Style::Faint,
        format_args!("listens at {url}; messages taken since the start: {messages}"),
    );
    let (at, why) = (activity.last_refusal_at, &activity.last_refusal);
    if let (Some(at), Some(why)) = (at, why) {
        let (refused, ago) = (activity.refused, page.ago(at));
        page.remark(
            Style::Doubtful,
            format_args!("messages refused: {refused}; {ago}: {why}"),
        );
    }
    let (at, who) = (activity.last_stranger_at, &activity.last_stranger);
    if let (Some(at), Some(who)) = (at, who) {
        let (strangers, ago) = (activity.strangers, page.ago(at));
        page.remark(
            Style::Doubtful,
            format_args!("requests of who may not push: {strangers}; {ago}: {who}"),
        );
    }
}
