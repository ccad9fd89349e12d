//! The way of the events as a picture: what brings them, the spool, what takes them. Pure.

use bytesize::ByteSize;
use chrono::TimeDelta;

use super::html::Html;
use super::words::{Count, ago, ahead, counted, length};
use crate::admin::view::View;
use crate::observe::status::{CollectionStatus, InboxCollection, InboxStatus, OutputStatus};
use crate::observe::troubles::{Kind, Severity, Trouble};

pub(super) fn flow(html: &mut Html, view: &View) {
    html.put(
        "<section aria-labelledby=\"way\"><h2 id=\"way\">The way of the events</h2>\
         <div class=\"flow\"><ul class=\"sources\">",
        &[],
    );
    for known in &view.status.collections {
        collection(html, view, known);
    }
    if let Some(inbox) = &view.status.inbox {
        for known in &inbox.collections {
            pushed(html, view, inbox, known);
        }
    }
    html.put("</ul>", &[]);
    spool(html, view);
    html.put("<ul class=\"sinks\">", &[]);
    for output in &view.status.outputs {
        sink(html, view, output);
    }
    html.put("</ul></div></section>", &[]);
}

fn collection(html: &mut Html, view: &View, known: &CollectionStatus) {
    let name = format!("{}/{}", known.service, known.collection);
    let state = State::of(view, Kind::Collection, &name);
    let lag = known.lag_s.map_or_else(
        || "not polled yet".to_owned(),
        |lag| format!("{} behind", length(TimeDelta::seconds(lag))),
    );
    let next = known.activity.next_poll_at;
    let next = next.map_or_else(String::new, |at| {
        format!(", next poll {}", ahead(at, view.status.at))
    });
    begin_node(html, &state);
    html.put(
        "<p class=\"kind\">{}</p><h3>{}</h3><p class=\"figure\"><b>{}</b> events</p>\
         <p class=\"note\">{}{}</p>",
        &[
            &known.service,
            &known.collection,
            &Count(known.events),
            &lag,
            &next,
        ],
    );
    end_node(html, &state);
}

fn pushed(html: &mut Html, view: &View, inbox: &InboxStatus, known: &InboxCollection) {
    let state = State::of(view, Kind::Inbox, &inbox.name);
    let last = known.pushed_at.map_or_else(
        || "nothing pushed yet".to_owned(),
        |at| format!("pushed {}", ago(at, view.status.at)),
    );
    begin_node(html, &state);
    html.put(
        "<p class=\"kind\">{} (inbox)</p><h3>{}</h3><p class=\"figure\"><b>{}</b> events</p>\
         <p class=\"note\">{}</p>",
        &[&inbox.name, &known.collection, &Count(known.events), &last],
    );
    end_node(html, &state);
}

fn spool(html: &mut Html, view: &View) {
    let spool = &view.status.spool;
    let state = State::of(view, Kind::Spool, "spool");
    let oldest = spool.oldest_at.map_or_else(String::new, |at| {
        format!(", the oldest from {}", ago(at, view.status.at))
    });
    html.put(
        "<div class=\"spool node {}\"><span class=\"enters\"></span>",
        &[&state.class],
    );
    html.put(
        "<p class=\"kind\">spool</p><h3>{}</h3>\
         <meter min=\"0\" max=\"{}\" high=\"{}\" value=\"{}\" aria-label=\"how full the spool is\">\
         </meter><p class=\"note\">{} of {}{}</p>",
        &[
            &counted(spool.batches, "batch waits", "batches wait"),
            &spool.max_bytes,
            &(spool.max_bytes / 10 * 8),
            &spool.bytes,
            &ByteSize(spool.bytes),
            &ByteSize(spool.max_bytes),
            &oldest,
        ],
    );
    if spool.dead_letters > 0 {
        let letters = counted(spool.dead_letters, "dead letter", "dead letters");
        html.put(
            "<p class=\"note\"><a href=\"#letters\">{}</a></p>",
            &[&letters],
        );
    }
    if spool.quarantine_bytes > 0 {
        let bytes = ByteSize(spool.quarantine_bytes);
        html.put("<p class=\"note\">quarantine: {}</p>", &[&bytes]);
    }
    html.put("</div>", &[]);
}

fn sink(html: &mut Html, view: &View, output: &OutputStatus) {
    let state = State::of(view, Kind::Output, &output.name);
    let kind = output.kind.as_deref().unwrap_or("no longer configured");
    let pending = match output.pending_events {
        0 => "nothing pending".to_owned(),
        pending => format!("{} pending", Count(pending)),
    };
    let at = output.activity.delivered_at;
    let last = at.map_or_else(String::new, |at| {
        format!(", delivered {}", ago(at, view.status.at))
    });
    begin_node(html, &state);
    html.put(
        "<p class=\"kind\">{}</p><h3>{}</h3><p class=\"figure\"><b>{}</b> delivered</p>\
         <p class=\"note\">{}{}</p>",
        &[
            &kind,
            &output.name,
            &Count(output.finished.delivered),
            &pending,
            &last,
        ],
    );
    end_node(html, &state);
}

/// How something is, in a class and in a word.
struct State {
    class: &'static str,
    word: &'static str,
}

impl State {
    fn of(view: &View, kind: Kind, name: &str) -> Self {
        let own = |trouble: &&Trouble| trouble.kind == kind && trouble.name == name;
        let worst = view.troubles.iter().filter(own);
        let worst = worst.map(|trouble| trouble.severity).min();
        let (class, word) = match worst {
            None => ("good", "well"),
            Some(Severity::Remark) => ("note-state", "see above"),
            Some(Severity::Failing) => ("failing", "failing"),
            Some(Severity::Held) => ("held", "held"),
        };
        Self { class, word }
    }
}

fn begin_node(html: &mut Html, state: &State) {
    html.put(
        "<li class=\"node {}\"><span class=\"enters\"></span>",
        &[&state.class],
    );
}

fn end_node(html: &mut Html, state: &State) {
    html.put("<p class=\"state\">{}</p></li>", &[&state.word]);
}
