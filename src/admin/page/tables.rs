//! What there is to know of collections, outputs, the ledger and dead letters, in tables. Pure.

use bytesize::ByteSize;
use chrono::{DateTime, TimeDelta, Utc};

use super::html::Html;
use super::words::{Count, ago, ahead, counted, length, moment, stamp};
use crate::admin::view::View;
use crate::observe::board::{PeerActivity, PeerState};
use crate::observe::status::{CollectionStatus, InboxStatus, OutputStatus};
use crate::spool::{About, LetterHead};
use crate::state::DiaryEntry;

const NONE: &str = "–";
/// Records of the ledger that are on the page; `/status` has more.
const SHOWN_RECORDS: usize = 20;

pub(super) fn tables(html: &mut Html, view: &View) {
    if !view.status.collections.is_empty() {
        collections(html, view);
    }
    if let Some(of) = &view.status.inbox {
        inbox(html, view, of);
    }
    outputs(html, view);
    records(html, view);
    letters(html, view);
}

fn collections(html: &mut Html, view: &View) {
    begin(html, "collections", "Collections");
    html.put(
        "<tr><th>Collection</th><th>Checkpoint</th><th class=\"n\">Behind</th>\
         <th class=\"n\">Next poll</th><th class=\"n\">Events</th><th class=\"n\">Gaps</th>\
         <th>Last poll</th></tr></thead><tbody>",
        &[],
    );
    for known in &view.status.collections {
        collection(html, known, view.status.at);
    }
    end(html);
}

fn collection(html: &mut Html, known: &CollectionStatus, now: DateTime<Utc>) {
    let activity = &known.activity;
    let next = activity.next_poll_at;
    html.put(
        "<tr><th scope=\"row\">{}/<wbr>{}</th><td class=\"stamp\" data-label=\"Checkpoint\">{}</td>\
         <td class=\"n\" data-label=\"Behind\">{}</td><td class=\"n\" data-label=\"Next poll\">{}</td>\
         <td class=\"n\" data-label=\"Events\">{}</td><td class=\"n\" data-label=\"Gaps\">{}</td>\
         <td data-label=\"Last poll\"><div>",
        &[
            &known.service,
            &known.collection,
            &known.checkpoint.as_deref().unwrap_or(NONE),
            &known
                .lag_s
                .map_or_else(|| NONE.to_owned(), |lag| length(TimeDelta::seconds(lag))),
            &next.map_or_else(|| NONE.to_owned(), |at| ahead(at, now)),
            &Count(known.events),
            &Count(known.gaps),
        ],
    );
    match (activity.last_result_at, &activity.last_result) {
        (Some(at), Some(result)) => {
            time_ago(html, at, now);
            html.put(": {}", &[result]);
        }
        _ => html.put("{}", &[&NONE]),
    }
    html.put("</div></td></tr>", &[]);
}

fn inbox(html: &mut Html, view: &View, inbox: &InboxStatus) {
    let (now, activity) = (view.status.at, &inbox.activity);
    html.put(
        "<section aria-labelledby=\"inbox\"><h2 id=\"inbox\">Inbox</h2><div class=\"card\"><dl>",
        &[],
    );
    let listens = activity.url.as_deref().unwrap_or("it does not listen");
    html.put("<div><dt>Listens at</dt><dd>{}</dd></div>", &[&listens]);
    for (title, count, at, last) in [
        (
            "Messages taken",
            activity.messages,
            activity.last_message_at,
            &activity.last_message,
        ),
        (
            "Messages refused",
            activity.refused,
            activity.last_refusal_at,
            &activity.last_refusal,
        ),
        (
            "Requests of strangers",
            activity.strangers,
            activity.last_stranger_at,
            &activity.last_stranger,
        ),
    ] {
        let count = Count(count);
        html.put("<div><dt>{}</dt><dd><b>{}</b>", &[&title, &count]);
        if let (Some(at), Some(last)) = (at, last) {
            html.put(", the last ", &[]);
            time_ago(html, at, now);
            html.put(": {}", &[last]);
        }
        html.put("</dd></div>", &[]);
    }
    html.put("</dl></div></section>", &[]);
}

fn outputs(html: &mut Html, view: &View) {
    begin(html, "outputs", "Outputs");
    html.put(
        "<tr><th>Output</th><th class=\"n\">Pending</th><th class=\"n\">Delivered</th>\
         <th class=\"n\">Dead letters</th><th class=\"n\">Given up</th><th class=\"n\">Sent</th>\
         <th>Goes to</th></tr></thead><tbody>",
        &[],
    );
    for output in &view.status.outputs {
        self::output(html, view, output);
    }
    end(html);
}

fn output(html: &mut Html, view: &View, output: &OutputStatus) {
    let (finished, activity) = (&output.finished, &output.activity);
    let own = view.figures.outputs.get(&output.name);
    let sent = own.map_or_else(|| NONE.to_owned(), |own| ByteSize(own.bytes).to_string());
    html.put(
        "<tr><th scope=\"row\">{} <span class=\"kind\">{}</span></th>\
         <td class=\"n\" data-label=\"Pending\">{}</td><td class=\"n\" data-label=\"Delivered\">{}</td>\
         <td class=\"n\" data-label=\"Dead letters\">{}</td>\
         <td class=\"n\" data-label=\"Given up\">{}</td><td class=\"n\" data-label=\"Sent\">{}</td>\
         <td data-label=\"Goes to\"><div><ul class=\"peers\">",
        &[
            &output.name,
            &output.kind.as_deref().unwrap_or("no longer configured"),
            &Count(output.pending_events),
            &Count(finished.delivered),
            &Count(finished.dead_letters),
            &Count(finished.discarded + finished.abandoned + finished.lost),
            &sent,
        ],
    );
    for peer in &activity.peers {
        self::peer(html, peer, view.status.at);
    }
    html.put("</ul>", &[]);
    if let Some(bound) = own.and_then(|own| own.latency.median_bound_s()) {
        html.put(
            "<p class=\"note\">half of the requests took at most {} s</p>",
            &[&bound],
        );
    }
    if activity.awaiting_acknowledgement > 0 {
        let waiting = Count(activity.awaiting_acknowledgement);
        html.put(
            "<p class=\"note\">accepted and not yet acknowledged: {}</p>",
            &[&waiting],
        );
    }
    if output.repairing_events > 0 {
        let events = Count(output.repairing_events);
        html.put(
            "<p class=\"note\">events of damaged files, polled again: {}</p>",
            &[&events],
        );
    }
    html.put("</div></td></tr>", &[]);
}

fn peer(html: &mut Html, peer: &PeerActivity, now: DateTime<Utc>) {
    let (class, word) = match peer.state {
        PeerState::Ready => ("good", "ready"),
        PeerState::Failing => ("failing", "fails"),
        PeerState::Held => ("held", "held"),
    };
    html.put(
        "<li class=\"{}\"><span class=\"url\">{}</span> ",
        &[&class, &peer.name],
    );
    match peer.since {
        Some(since) if peer.state != PeerState::Ready => {
            let since = length(now - since);
            html.put(
                "<span class=\"word\">{} for {}</span></li>",
                &[&word, &since],
            );
        }
        _ => html.put("<span class=\"word\">{}</span></li>", &[&word]),
    }
}

fn records(html: &mut Html, view: &View) {
    html.put(
        "<section aria-labelledby=\"ledger\"><h2 id=\"ledger\">What the ledger says</h2>\
         <div class=\"card\"><table class=\"ledger\"><thead>\
         <tr><th class=\"n\">Record</th><th>When</th><th>What</th><th>Of</th>\
         <th class=\"n\">Events</th><th>Window and remark</th></tr></thead><tbody>",
        &[],
    );
    for entry in view.records.iter().take(SHOWN_RECORDS) {
        record(html, entry, view.status.at);
    }
    if view.records.is_empty() {
        html.put(
            "<tr><td colspan=\"6\">nothing has happened yet</td></tr>",
            &[],
        );
    }
    end(html);
}

fn record(html: &mut Html, entry: &DiaryEntry, now: DateTime<Utc>) {
    html.put(
        "<tr><td class=\"n number\">{}</td><td class=\"when\">",
        &[&entry.number],
    );
    time_ago(html, entry.at, now);
    let of = entry.collection.as_deref().or(entry.output.as_deref());
    let batch = entry.batch;
    let batch = batch.map_or_else(String::new, |batch| format!("batch {batch}"));
    let events = entry.events.map(|events| Count(events).to_string());
    html.put(
        "</td><td class=\"what\">{}</td><td class=\"of\">{} <span class=\"kind\">{}</span></td>\
         <td class=\"n events\">{}</td><td class=\"rest\">",
        &[
            &entry.what.replace('_', " "),
            &of.unwrap_or(NONE),
            &batch,
            &events.as_deref().unwrap_or_default(),
        ],
    );
    if let Some(end) = &entry.end {
        let begin = entry.begin.as_deref().unwrap_or("the beginning");
        html.put(
            "<span class=\"stamp\">{}</span> to <span class=\"stamp\">{}</span> ",
            &[&begin, end],
        );
    }
    if let Some(remark) = &entry.remark {
        html.put("{}", &[remark]);
    }
    html.put("</td></tr>", &[]);
}

fn letters(html: &mut Html, view: &View) {
    if view.letters.is_empty() {
        return;
    }
    begin(html, "letters", "The newest dead letters");
    html.put(
        "<tr><th>When</th><th>Letter</th><th>From</th><th>Refused by</th><th>Reason</th></tr></thead><tbody>",
        &[],
    );
    for one in &view.letters {
        letter(html, one, view.status.at);
    }
    html.put("</tbody></table></div><p class=\"more\">", &[]);
    let all = counted(view.status.spool.dead_letters, "letter is", "letters are");
    html.put(
        "{} there. <code>cta-forwarder dead-letters list</code> shows all of them, \
         <code>dead-letters show</code> one with its event, <code>retry</code> sends them again and \
         <code>drop</code> gives them up.</p></section>",
        &[&all],
    );
}

fn letter(html: &mut Html, letter: &LetterHead, now: DateTime<Utc>) {
    let (by, code) = match &letter.about {
        About::Event { output, code, .. } => (output.as_str(), code.as_str()),
        About::Block { .. } => ("the reader", "content block"),
    };
    html.put("<tr><td data-label=\"When\">", &[]);
    time_ago(html, letter.at, now);
    let id: String = letter.id.chars().take(8).collect();
    html.put(
        "</td><td data-label=\"Letter\"><code>{}</code></td><td data-label=\"From\">{}/<wbr>{}</td>\
         <td data-label=\"Refused by\">{} <span class=\"kind\">{}</span></td>\
         <td data-label=\"Reason\">{}</td></tr>",
        &[
            &id,
            &letter.service,
            &letter.collection,
            &by,
            &code,
            &letter.reason(),
        ],
    );
}

fn time_ago(html: &mut Html, at: DateTime<Utc>, now: DateTime<Utc>) {
    html.put(
        "<time datetime=\"{}\" title=\"{}\">{}</time>",
        &[&stamp(at), &moment(at), &ago(at, now)],
    );
}

fn begin(html: &mut Html, id: &'static str, title: &'static str) {
    html.put(
        "<section aria-labelledby=\"{}\"><h2 id=\"{}\">{}</h2>\
         <div class=\"card\"><table><thead>",
        &[&id, &id, &title],
    );
}

fn end(html: &mut Html) {
    html.put("</tbody></table></div></section>", &[]);
}
