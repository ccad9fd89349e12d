//! Lines, tables, and what is remarked beneath.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};

use super::View;
use crate::cli::table::{Table, age};
use crate::cli::terminal::{Paint, Style, printable};
use crate::observe::troubles::{Kind, Severity, Trouble, What};

/// A status that is being put in words.
pub(super) struct Page<'a> {
    text: String,
    now: DateTime<Utc>,
    paint: Paint,
    view: View<'a>,
    troubles: &'a [Trouble],
}

impl<'a> Page<'a> {
    pub(super) fn new(
        now: DateTime<Utc>,
        paint: Paint,
        view: View<'a>,
        troubles: &'a [Trouble],
    ) -> Self {
        Self {
            text: String::new(),
            now,
            paint,
            view,
            troubles,
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn view(&self) -> View<'a> {
        self.view
    }

    pub(super) fn troubles(&self) -> &'a [Trouble] {
        self.troubles
    }

    pub(super) fn line(&mut self, what: impl fmt::Display) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{what}");
    }

    pub(super) fn paint(&self, style: Style, what: impl fmt::Display) -> String {
        self.paint.paint(style, what).to_string()
    }

    pub(super) fn painted(&mut self, style: Style, what: impl fmt::Display) {
        let painted = self.paint(style, what);
        self.line(painted);
    }

    /// Something about the whole.
    pub(super) fn note(&mut self, style: Style, what: &str) {
        self.indented(style, "", what);
    }

    /// Something about the row above.
    pub(super) fn remark(&mut self, style: Style, what: impl fmt::Display) {
        self.indented(style, "  ", &what.to_string());
    }

    /// What is not well with one thing, beneath it.
    pub(super) fn troubles_of(&mut self, kind: Kind, name: &str) {
        let own = |trouble: &&Trouble| trouble.kind == kind && trouble.name == name;
        for trouble in self.troubles.iter().filter(own) {
            self.trouble(trouble, "");
        }
    }

    /// The same of everything of a kind.
    pub(super) fn troubles_of_kind(&mut self, kind: Kind) {
        let own = |trouble: &&Trouble| trouble.kind == kind;
        for trouble in self.troubles.iter().filter(own) {
            self.trouble(trouble, "");
        }
    }

    /// What is not well with a peer, while its output is.
    pub(super) fn troubles_of_peer(&mut self, key: &str, peer: &str) {
        let own = |trouble: &&Trouble| trouble.kind == Kind::Peer && trouble.name == key;
        for trouble in self.troubles.iter().filter(own) {
            self.trouble(trouble, &format!("{peer}: "));
        }
    }

    fn trouble(&mut self, trouble: &Trouble, whose: &str) {
        let style = match trouble.severity {
            Severity::Held => Style::Bad,
            Severity::Failing | Severity::Remark => Style::Doubtful,
        };
        let since = trouble.since.map(|since| age(self.now - since));
        let since = since.map_or_else(String::new, |since| format!(" for {since}"));
        let reason = &trouble.reason;
        match trouble.what {
            What::Hold => self.remark(style, format_args!("{whose}held{since}: {reason}")),
            What::Failure => {
                let how = format!("{whose}fails{since}, it is tried again: {reason}");
                return self.remark(style, how);
            }
            What::Standstill | What::RefusedReload => {
                let what = trouble.headline();
                self.remark(style, format_args!("{what}{since}: {reason}"));
            }
            _ => {
                let mend = trouble.mend.as_ref();
                let mend = mend.map_or_else(String::new, |mend| format!("; {mend}"));
                return self.remark(style, format_args!("{reason}{mend}"));
            }
        }
        if let Some(mend) = &trouble.mend {
            self.remark(style, format_args!("to mend it: {mend}"));
        }
    }

    /// A text of which parts may be somebody else's, on as many lines as it needs.
    fn indented(&mut self, style: Style, indent: &str, what: &str) {
        let what = printable(what);
        let width = self.view.width.unwrap_or(usize::MAX);
        for line in wrap(&what, width.saturating_sub(indent.len())) {
            self.painted(style, format!("{indent}{line}"));
        }
    }

    /// Columns as wide as they must be; numbers to the right. `after` a row its remarks follow.
    pub(super) fn table(
        &mut self,
        head: &[&str],
        rows: &[Vec<String>],
        mut after: impl FnMut(&mut Self, usize),
    ) {
        let printable =
            |row: &Vec<String>| -> Vec<String> { row.iter().map(|cell| printable(cell)).collect() };
        let rows: Vec<Vec<String>> = rows.iter().map(printable).collect();
        let table = Table::new(head, &rows);
        let titles = self.paint(Style::Bold, table.titles);
        self.line(format_args!("\n{titles}"));
        for (index, row) in table.rows.into_iter().enumerate() {
            self.line(row);
            after(self, index);
        }
    }

    pub(super) fn ago(&self, at: DateTime<Utc>) -> String {
        format!("{} ago", age(self.now - at))
    }

    pub(super) fn ahead(&self, at: DateTime<Utc>) -> String {
        if at <= self.now {
            return "now".to_owned();
        }
        format!("in {}", age(at - self.now))
    }
}

/// What stands where there is nothing to say.
pub(super) fn none() -> String {
    "-".to_owned()
}

/// The text in lines of at most so many characters, broken at spaces where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
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
