//! The status for a person.

mod layout;
mod outputs;
mod sources;
#[cfg(test)]
mod tests;

use bytesize::ByteSize;

use super::rates::Rates;
use super::verdict;
use crate::cli::terminal::{Paint, Style};
use crate::observe::status::{SpoolStatus, Status};
use crate::observe::troubles::{self, Kind};
use layout::Page;

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
    let troubles = troubles::find(status);
    let mut page = Page::new(status.at, paint, *view, &troubles);
    head(&mut page, status);
    if !status.collections.is_empty() {
        sources::collections(&mut page, &status.collections);
    }
    if let Some(inbox) = &status.inbox {
        sources::inbox(&mut page, inbox);
    }
    outputs::outputs(&mut page, status);
    spool(&mut page, &status.spool);
    page.finish()
}

fn head(page: &mut Page<'_>, status: &Status) {
    let version = &status.version;
    let is_live = page.view().is_live;
    match status.pid {
        Some(pid) if is_live => {
            page.line(format_args!(
                "cta-forwarder {version} runs as process {pid}"
            ));
        }
        Some(pid) => {
            let ran = format!("cta-forwarder {version} ran as process {pid}");
            page.painted(Style::Faint, ran);
        }
        None => {
            let stopped = page.paint(Style::Bad, "no agent runs");
            page.line(format_args!("{stopped}; this is where it would go on from"));
        }
    }
    if let Some((style, note)) = page.view().note {
        page.note(*style, note);
    }
    for (style, line) in verdict::lines(page.troubles()) {
        let is_praise = style == Style::Good;
        // Of one that does not run, or not as far as is known, nobody knows that it is well.
        if !is_praise || status.pid.is_some() && is_live {
            page.note(style, &line);
        }
    }
    page.troubles_of_kind(Kind::Agent);
    page.troubles_of_kind(Kind::Certificate);
}

fn spool(page: &mut Page<'_>, spool: &SpoolStatus) {
    let oldest = spool
        .oldest_at
        .map_or_else(String::new, |at| format!(", the oldest {}", page.ago(at)));
    let (bytes, max) = (ByteSize(spool.bytes), ByteSize(spool.max_bytes));
    let letters = spool.dead_letters;
    let aside = match spool.quarantine_bytes {
        0 => String::new(),
        bytes => format!("; quarantine: {}", ByteSize(bytes)),
    };
    let title = page.paint(Style::Bold, "SPOOL");
    page.line(format_args!(
        "\n{title}  waiting batches: {}, {bytes} of {max}{oldest}; dead letters: {letters}{aside}",
        spool.batches
    ));
    page.troubles_of_kind(Kind::Spool);
}
