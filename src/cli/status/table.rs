//! The status for a person.

use std::fmt::{self, Write as _};

use bytesize::ByteSize;
use chrono::{DateTime, TimeDelta, Utc};

use super::rates::{Rates, shown};
use super::verdict::Verdict;
use crate::cli::table::{Table, age};
use crate::cli::terminal::{Paint, Style, printable};
use crate::observe::board::{Hold, PeerActivity};
use crate::observe::status::{CollectionStatus, InboxStatus, OutputStatus, SpoolStatus, Status};

/// How a status is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// With how fast events come and go.
    pub(super) rates: Option<&'a Rates>,
    /// What else is to be said of it.
    pub(super) note: Option<&'a (Style, String)>,
    /// Columns of the terminal: remarks go on in the next line.
    pub(super) width: Option<usize>,
    /// Whether it is as of now.
    pub(super) is_live: bool,
}

impl Default for View<'_> {
    fn default() -> Self {
        Self {
            rates: None,
            note: None,
            width: None,
            is_live: true,
        }
    }
}

/// The whole status as text.
pub(super) fn text(status: &Status, paint: Paint, view: &View<'_>) -> String {
    let mut page = Page {
        text: String::new(),
        now: status.at,
        paint,
        view: *view,
    };
    page.head(status);
    if !status.collections.is_empty() {
        page.collections(&status.collections);
    }
    if let Some(inbox) = &status.inbox {
        page.inbox(inbox);
    }
    page.outputs(&status.outputs);
    page.spool(&status.spool);
    page.text
}

struct Page<'a> {
    text: String,
    now: DateTime<Utc>,
    paint: Paint,
    view: View<'a>,
}

impl Page<'_> {
    fn line(&mut self, what: impl fmt::Display) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{what}");
    }

    fn head(&mut self, status: &Status) {
        let version = &status.version;
        match status.pid {
            Some(pid) if self.view.is_live => {
                self.line(format_args!(
                    "cta-forwarder {version} runs as process {pid}"
                ));
            }
            Some(pid) => {
                let ran = format!("cta-forwarder {version} ran as process {pid}");
                let ran = self.paint.paint(Style::Faint, ran).to_string();
                self.line(ran);
            }
            None => {
                let stopped = self.paint.paint(Style::Bad, "no agent runs").to_string();
                self.line(format_args!("{stopped}; this is where it would go on from"));
            }
        }
        if let Some((style, note)) = self.view.note {
            self.indented(*style, "", note);
        }
        for (style, line) in Verdict::of(status).lines() {
            let is_praise = style == Style::Good;
            // Of one that does not run, or not as far as is known, nobody knows that it is well.
            if !is_praise || status.pid.is_some() && self.view.is_live {
                self.indented(style, "", &line);
            }
        }
    }

    fn collections(&mut self, collections: &[CollectionStatus]) {
        let mut head = vec![
            "COLLECTION",
            "CHECKPOINT",
            "LAG",
            "NEXT POLL",
            "EVENTS",
            "GAPS",
        ];
        let rates = self.view.rates;
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
                    next.map_or_else(none, |next| self.ahead(next)),
                    collection.events.to_string(),
                    collection.gaps.to_string(),
                ];
                row.extend(rate);
                row
            })
            .collect();
        self.table(&head, &rows, |page, index| {
            if let Some(collection) = collections.get(index) {
                page.collection_remarks(collection);
            }
        });
    }

    fn collection_remarks(&mut self, collection: &CollectionStatus) {
        let activity = &collection.activity;
        if let Some(hold) = &activity.hold {
            self.hold(hold);
        } else if let Some(result) = &activity.last_result {
            let when = activity.last_result_at.map_or_else(none, |at| self.ago(at));
            self.remark(Style::Faint, format_args!("{when}: {result}"));
        }
    }

    fn inbox(&mut self, inbox: &InboxStatus) {
        let head = ["INBOX", "LAST MESSAGE", "EVENTS"];
        let collections = inbox.collections.iter();
        let rows: Vec<Vec<String>> = collections
            .map(|known| {
                vec![
                    format!("{}/{}", inbox.name, known.collection),
                    known.pushed_at.map_or_else(none, |at| self.ago(at)),
                    known.events.to_string(),
                ]
            })
            .collect();
        self.table(&head, &rows, |_, _| {});
        let activity = &inbox.activity;
        let Some(url) = &activity.url else {
            return;
        };
        let messages = activity.messages;
        self.remark(
            Style::Faint,
            format_args!("listens at {url}; messages taken since the start: {messages}"),
        );
        let (at, why) = (activity.last_refusal_at, &activity.last_refusal);
        if let (Some(at), Some(why)) = (at, why) {
            let (refused, ago) = (activity.refused, self.ago(at));
            self.remark(
                Style::Doubtful,
                format_args!("messages refused: {refused}; {ago}: {why}"),
            );
        }
        let (at, who) = (activity.last_stranger_at, &activity.last_stranger);
        if let (Some(at), Some(who)) = (at, who) {
            let (strangers, ago) = (activity.strangers, self.ago(at));
            self.remark(
                Style::Doubtful,
                format_args!("requests of who may not push: {strangers}; {ago}: {who}"),
            );
        }
    }

    fn outputs(&mut self, outputs: &[OutputStatus]) {
        let mut head = vec![
            "OUTPUT",
            "TYPE",
            "PENDING",
            "DELIVERED",
            "DEAD LETTERS",
            "GIVEN UP",
        ];
        let rates = self.view.rates;
        if rates.is_some() {
            head.push("NOW");
        }
        let rows: Vec<Vec<String>> = outputs
            .iter()
            .map(|output| {
                let finished = &output.finished;
                let rate = rates.map(|rates| shown(rates.of_output(&output.name)));
                let mut row = vec![
                    output.name.clone(),
                    output.kind.clone().unwrap_or_else(none),
                    output.pending_events.to_string(),
                    finished.delivered.to_string(),
                    finished.dead_letters.to_string(),
                    (finished.discarded + finished.abandoned + finished.lost).to_string(),
                ];
                row.extend(rate);
                row
            })
            .collect();
        self.table(&head, &rows, |page, index| {
            if let Some(output) = outputs.get(index) {
                page.output_remarks(output);
            }
        });
    }

    fn output_remarks(&mut self, output: &OutputStatus) {
        let activity = &output.activity;
        if output.kind.is_none() {
            let name = &output.name;
            self.remark(
                Style::Doubtful,
                format_args!(
                    "no longer configured: configure it again, or `cta-forwarder output forget \
                     {name}`"
                ),
            );
        }
        if output.missing_batches > 0 {
            let missing = output.missing_batches;
            self.remark(
                Style::Bad,
                format_args!(
                    "batches that it owes and that are not in the spool: {missing}; `cta-forwarder \
                     audit` names them and says what can be done"
                ),
            );
        }
        if output.repairing_events > 0 {
            let events = output.repairing_events;
            self.remark(
                Style::Doubtful,
                format_args!(
                    "events of damaged files: {events}; their window is polled again as long as its \
                     collection is configured, `cta-forwarder spool check` names it"
                ),
            );
        }
        if output.finished.lost > 0 {
            let events = output.finished.lost;
            self.remark(
                Style::Bad,
                format_args!(
                    "events that damage to the spool has cost, since they could not be had again: \
                     {events}"
                ),
            );
        }
        if let Some(hold) = &activity.hold {
            self.hold(hold);
        } else if let Some(failure) = activity
            .last_failure
            .as_ref()
            .filter(|_| activity.failures > 0)
        {
            let times = activity.failures;
            self.remark(
                Style::Doubtful,
                format_args!("failed {times} times in a row, it is tried again: {failure}"),
            );
        } else {
            for peer in &activity.peers {
                self.peer_remark(peer);
            }
        }
        if activity.awaiting_acknowledgement > 0 {
            let events = activity.awaiting_acknowledgement;
            self.remark(
                Style::Faint,
                format_args!("accepted and not yet acknowledged: {events}"),
            );
        }
    }

    /// A peer that is not well, while others are.
    fn peer_remark(&mut self, peer: &PeerActivity) {
        let (Some(reason), Some(since)) = (&peer.reason, peer.since) else {
            return;
        };
        let (name, since) = (&peer.name, age(self.now - since));
        match &peer.mend {
            None => self.remark(
                Style::Doubtful,
                format_args!("{name} fails for {since}, others take its part: {reason}"),
            ),
            Some(mend) => {
                self.remark(
                    Style::Bad,
                    format_args!("{name} is held for {since}, others take its part: {reason}"),
                );
                self.remark(Style::Bad, format_args!("to mend it: {mend}"));
            }
        }
    }

    fn spool(&mut self, spool: &SpoolStatus) {
        let oldest = spool
            .oldest_at
            .map_or_else(String::new, |at| format!(", the oldest {}", self.ago(at)));
        let (bytes, max) = (ByteSize(spool.bytes), ByteSize(spool.max_bytes));
        let letters = spool.dead_letters;
        let aside = match spool.quarantine_bytes {
            0 => String::new(),
            bytes => format!("; quarantine: {}, for you to look at", ByteSize(bytes)),
        };
        let title = self.paint.paint(Style::Bold, "SPOOL").to_string();
        self.line(format_args!(
            "\n{title}  waiting batches: {}, {bytes} of {max}{oldest}; dead letters: {letters}{aside}",
            spool.batches
        ));
    }

    fn hold(&mut self, hold: &Hold) {
        let since = age(self.now - hold.since);
        self.remark(
            Style::Bad,
            format_args!("held for {since}: {}", hold.reason),
        );
        self.remark(Style::Bad, format_args!("to mend it: {}", hold.mend));
    }

    fn remark(&mut self, style: Style, what: impl fmt::Display) {
        self.indented(style, "  ", &what.to_string());
    }

    /// A text of which parts may be somebody else's, on as many lines as it needs.
    fn indented(&mut self, style: Style, indent: &str, what: &str) {
        let what = printable(what);
        let width = self.view.width.unwrap_or(usize::MAX);
        for line in wrap(&what, width.saturating_sub(indent.len())) {
            let line = self
                .paint
                .paint(style, format!("{indent}{line}"))
                .to_string();
            self.line(line);
        }
    }

    /// Columns as wide as they must be; numbers to the right. `after` a row its remarks follow.
    fn table(
        &mut self,
        head: &[&str],
        rows: &[Vec<String>],
        mut after: impl FnMut(&mut Self, usize),
    ) {
        let printable =
            |row: &Vec<String>| -> Vec<String> { row.iter().map(|cell| printable(cell)).collect() };
        let rows: Vec<Vec<String>> = rows.iter().map(printable).collect();
        let table = Table::new(head, &rows);
        let titles = self.paint.paint(Style::Bold, table.titles).to_string();
        self.line(format_args!("\n{titles}"));
        for (index, row) in table.rows.into_iter().enumerate() {
            self.line(row);
            after(self, index);
        }
    }

    fn ago(&self, at: DateTime<Utc>) -> String {
        format!("{} ago", age(self.now - at))
    }

    fn ahead(&self, at: DateTime<Utc>) -> String {
        if at <= self.now {
            return "now".to_owned();
        }
        format!("in {}", age(at - self.now))
    }
}

/// The text in lines of at most so many characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    const MIN_WIDTH: usize = 20;
    let width = width.max(MIN_WIDTH);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if used > 0 && used + length > width {
            lines.push(String::new());
            used = 0;
        }
        for character in word.chars() {
            if used == width && character != ' ' {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
            used += 1;
        }
    }
    let trim = |line: String| line.trim_end().to_owned();
    lines.into_iter().map(trim).collect()
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_know_is_there() {
        let status = serde_json::json!({
            "version": "1.2.3",
            "at": "2026-03-10T12:00:00Z",
            "pid": 77,
            "collections": [{
                "service": "cta", "collection": "flows", "checkpoint": "2026-03-10T11:50:00.5Z",
                "lag_s": 600, "polled_at": null, "events": 1234, "gaps": 1,
                "next_poll_at": "2026-03-10T12:00:30Z", "last_result": "a poll",
                "last_result_at": null,
                "hold": {"reason": "DENIED", "mend": "ask", "since": "2026-03-10T11:59:00Z"},
            }, {
                "service": "cta", "collection": "new", "checkpoint": null, "lag_s": null,
                "polled_at": null, "events": 0, "gaps": 0, "next_poll_at": null,
                "last_result": "5 events", "last_result_at": "2026-03-10T11:58:00Z", "hold": null,
            }],
            "inbox": {
                "name": "vendor", "collections": [
                    {"collection": "gold", "pushed_at": "2026-03-10T11:59:00Z", "events": 70},
                    {"collection": "tin", "pushed_at": null, "events": 0},
                ],
                "url": "https://0.0.0.0:9443/inbox", "messages": 3, "last_message": "7 events",
                "last_message_at": "2026-03-10T11:59:00Z", "refused": 2,
                "last_refusal": "RETRY: no room", "last_refusal_at": "2026-03-10T11:30:00Z",
                "strangers": 1, "last_stranger": "192.0.2.7:4711: no password",
                "last_stranger_at": "2026-03-10T11:00:00Z",
            },
            "outputs": [{
                "name": "gone", "type": null, "pending_batches": 2, "pending_events": 20,
                "missing_batches": 1, "repairing_events": 15,
                "finished": {"delivered": 5, "dead_letters": 1, "discarded": 2, "abandoned": 3,
                    "lost": 4},
                "delivered_at": null, "delivered": 0, "failures": 4, "last_failure": "refused",
                "hold": null,
            }, {
                "name": "splunk", "type": "splunk_hec", "pending_batches": 1, "pending_events": 9,
                "finished": {"delivered": 7, "dead_letters": 0, "discarded": 0, "abandoned": 0},
                "delivered_at": null, "delivered": 7, "failures": 0, "last_failure": null,
                "hold": null, "awaiting_acknowledgement": 6, "peers": [{
                    "name": "https://a", "state": "ready", "in_flight": 1, "limit": 2,
                    "failures": 0, "reason": null, "mend": null, "since": null,
                }, {
                    "name": "https://b", "state": "failing", "in_flight": 0, "limit": 1,
                    "failures": 3, "reason": "connection refused", "mend": null,
                    "since": "2026-03-10T11:59:00Z",
                }, {
                    "name": "https://c", "state": "held", "in_flight": 0, "limit": 1,
                    "failures": 1, "reason": "token disabled", "mend": "enable it",
                    "since": "2026-03-10T11:58:00Z",
                }],
            }],
            "spool": {"batches": 2, "bytes": 2048, "max_bytes": 4_194_304,
                "oldest_at": "2026-03-10T11:00:00Z", "dead_letters": 1,
                "quarantine_bytes": 3072},
        });
        let status = serde_json::from_value(status).unwrap();
        let expect = "\
cta-forwarder 1.2.3 runs as process 77
needs you: cta/flows is held, batches of gone are missing
have a look: gaps of cta/flows: 1, output gone fails, output gone is no longer configured, damage is repaired for gone, lost for gone: 4, peers of splunk that are not well: 2, dead letters: 1, quarantine

COLLECTION  CHECKPOINT              LAG     NEXT POLL  EVENTS  GAPS
cta/flows   2026-03-10T11:50:00.5Z  10m 0s  in 30s       1234     1
  held for 1m 0s: DENIED
  to mend it: ask
cta/new     -                       -       -               0     0
  2m 0s ago: 5 events

INBOX        LAST MESSAGE  EVENTS
vendor/gold  1m 0s ago         70
vendor/tin   -                  0
  listens at https://0.0.0.0:9443/inbox; messages taken since the start: 3
  messages refused: 2; 30m 0s ago: RETRY: no room
  requests of who may not push: 1; 1h 0m ago: 192.0.2.7:4711: no password

OUTPUT  TYPE        PENDING  DELIVERED  DEAD LETTERS  GIVEN UP
gone    -                20          5             1         9
  no longer configured: configure it again, or `cta-forwarder output forget gone`
  batches that it owes and that are not in the spool: 1; `cta-forwarder audit` names them and says what can be done
  events of damaged files: 15; their window is polled again as long as its collection is configured, `cta-forwarder spool check` names it
  events that damage to the spool has cost, since they could not be had again: 4
  failed 4 times in a row, it is tried again: refused
splunk  splunk_hec        9          7             0         0
  https://b fails for 1m 0s, others take its part: connection refused
  https://c is held for 2m 0s, others take its part: token disabled
  to mend it: enable it
  accepted and not yet acknowledged: 6

SPOOL  waiting batches: 2, 2.0 KiB of 4.0 MiB, the oldest 1h 0m ago; dead letters: 1; quarantine: 3.0 KiB, for you to look at
";
        assert_eq!(text(&status, Paint::none(), &View::default()), expect);
    }

    #[test]
    fn long_remarks_go_on_in_the_next_line() {
        let text = "one two three four five six seven";
        let lines = ["one two three four", "five six seven"];
        assert_eq!(wrap(text, 20), lines);
        assert_eq!(wrap(&"x".repeat(45), 20).len(), 3);
        assert_eq!(wrap("", 20), [""]);
        assert_eq!(wrap(text, usize::MAX), [text]);
    }
}
