//! The status page: HTML from what is so now. A little script asks for it again and takes over what has
//! changed; without one the browser loads it anew. Pure.

mod chart;
mod flow;
mod html;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use super::view::View;
use crate::observe::troubles::{Severity, Trouble, What};
use html::Html;
use words::{counted, moment, stamp};

/// Its looks.
pub(super) const STYLE: &str = include_str!("style.css");
/// What keeps it up to date.
pub(super) const SCRIPT: &str = include_str!("script.js");
/// Its picture in a tab.
pub(super) const ICON: &str = include_str!("icon.svg");

/// The page as it is now.
pub(super) fn html(view: &View) -> String {
    let verdict = Verdict::of(view);
    let mut html = Html::default();
    html.put(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{} – cta-forwarder</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"icon.svg\"><link rel=\"stylesheet\" href=\"style.css\">\
         <script src=\"script.js\" defer></script>\
         <noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript></head><body>",
        &[&verdict.title],
    );
    header(&mut html, view);
    html.put(
        "<p id=\"lost\" role=\"alert\" hidden></p><main id=\"now\">",
        &[],
    );
    verdict.put(&mut html, view);
    troubles(&mut html, view);
    flow::flow(&mut html, view);
    chart::chart(&mut html, view);
    tables::tables(&mut html, view);
    html.put(
        "</main><footer><p>For machines: <a href=\"metrics\">metrics</a>, \
         <a href=\"status\">status</a> (JSON), <a href=\"healthz\">healthz</a>, \
         <a href=\"readyz\">readyz</a>. On the command line: <code>cta-forwarder status</code>, \
         <code>cta-forwarder audit</code>.</p></footer></body></html>\n",
        &[],
    );
    html.finish()
}

fn header(html: &mut Html, view: &View) {
    let at = view.status.at;
    html.put(
        "<header><p class=\"brand\"><img src=\"icon.svg\" alt=\"\" width=\"22\" height=\"22\"> \
         cta-forwarder <span class=\"kind\">{}</span></p>\
         <p class=\"clock\" id=\"clock\">as of <time datetime=\"{}\">{}</time></p></header>",
        &[&view.status.version, &stamp(at), &moment(at)],
    );
}

/// What the first look tells.
struct Verdict {
    class: &'static str,
    title: String,
}

impl Verdict {
    fn of(view: &View) -> Self {
        let count = |severity| {
            let same = |trouble: &&Trouble| trouble.severity == severity;
            view.troubles.iter().filter(same).count() as u64
        };
        let is_in_the_way = view.troubles.iter().any(|trouble| trouble.is_in_the_way);
        let held = count(Severity::Held);
        let (failing, remarks) = (count(Severity::Failing), count(Severity::Remark));
        let (class, title) = match (held, failing, remarks) {
            (1.., ..) => ("held", counted(held, "thing needs you", "things need you")),
            (0, 1.., _) if is_in_the_way => ("failing", "Something fails for long".to_owned()),
            (0, 1.., _) => (
                "failing",
                "Something fails, and is tried again by itself".to_owned(),
            ),
            (0, 0, 1..) => (
                "remark",
                "All goes, and there is something to look at".to_owned(),
            ),
            (0, 0, 0) => ("good", "All is well".to_owned()),
        };
        Self { class, title }
    }

    fn put(&self, html: &mut Html, view: &View) {
        let status = &view.status;
        let pending: u64 = status.outputs.iter().map(|one| one.pending_events).sum();
        let has_nothing = status.collections.iter().all(|known| known.events == 0)
            && status
                .inbox
                .iter()
                .flat_map(|inbox| &inbox.collections)
                .all(|known| known.events == 0);
        let waits = match pending {
            0 if has_nothing => "Nothing was fetched yet".to_owned(),
            0 => "Everything that was fetched is delivered".to_owned(),
            1 => "1 delivery is pending".to_owned(),
            more => format!("{} deliveries are pending", words::Count(more)),
        };
        html.put(
            "<section class=\"verdict {}\"><h1 role=\"status\">{}</h1>\
             <p>{}. {}, {}; running for {} (since {}).</p></section>",
            &[
                &self.class,
                &self.title,
                &waits,
                &counted(
                    (status.collections.len()
                        + status
                            .inbox
                            .as_ref()
                            .map_or(0, |inbox| inbox.collections.len())) as u64,
                    "collection",
                    "collections",
                ),
                &counted(status.outputs.len() as u64, "output", "outputs"),
                &words::length(status.at - view.started_at),
                &moment(view.started_at),
            ],
        );
    }
}

fn troubles(html: &mut Html, view: &View) {
    if view.troubles.is_empty() {
        return;
    }
    html.put(
        "<section aria-label=\"What is not well\"><ul class=\"troubles\">",
        &[],
    );
    for trouble in &view.troubles {
        let class = match trouble.severity {
            Severity::Held => "held",
            Severity::Failing => "failing",
            Severity::Remark => "remark",
        };
        let word = match trouble.what {
            What::Hold => "is held",
            What::Failure => "fails",
            What::Standstill => "stands still",
            _ => "",
        };
        html.put(
            "<li class=\"card {}\"><h2>{} <b>{}</b> {}",
            &[&class, &trouble.kind.name(), &trouble.name, &word],
        );
        if let Some(since) = trouble.since {
            html.put(
                " <time datetime=\"{}\" title=\"{}\">for {}</time>",
                &[
                    &stamp(since),
                    &moment(since),
                    &words::length(view.status.at - since),
                ],
            );
        }
        html.put("</h2><p class=\"reason\">{}</p>", &[&trouble.reason]);
        match &trouble.mend {
            Some(mend) => html.put("<p class=\"mend\"><b>To mend it:</b> {}</p></li>", &[mend]),
            None => html.put(
                "<p class=\"mend\">It is tried again by itself, nothing is lost.</p></li>",
                &[],
            ),
        }
    }
    html.put("</ul></section>", &[]);
}
