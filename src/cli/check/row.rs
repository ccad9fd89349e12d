//! What was tried, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::table::Table;
use crate::cli::terminal::{Paint, Style, printable};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// Of what: a service, an output, the state.
    subject: String,
    /// What, in a word.
    check: &'static str,
    /// What came of it.
    pub(super) result: Outcome,
    /// The same in words.
    what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
    /// Numbers with their unit in the name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<&'static str, i64>,
}

/// What came of it, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It could not be tried, or need not be.
    Skipped,
    /// It is as it must be.
    Ok,
    /// It works, and deserves a look.
    Warning,
    /// The agent cannot do its work there.
    Failed,
}

/// The rows of one subject.
#[derive(Debug)]
pub(super) struct Rows {
    subject: String,
    rows: Vec<Row>,
}

impl Rows {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            rows: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.push(check, Outcome::Ok, what.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(check, Outcome::Warning, what.into(), Some(mend.into()));
    }

    pub(super) fn failed(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(check, Outcome::Failed, what.into(), Some(mend.into()));
    }

    pub(super) fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.push(check, Outcome::Skipped, why.into(), None);
    }

    /// A number of the last row.
    pub(super) fn figure(&mut self, name: &'static str, value: impl TryInto<i64>) {
        if let Some(row) = self.rows.last_mut() {
            let value = value.try_into().unwrap_or(i64::MAX);
            row.figures.insert(name, value);
        }
    }

    /// How long the last one took.
    pub(super) fn took(&mut self, time: Duration) {
        self.figure("ms", time.as_millis());
        if let Some(row) = self.rows.last_mut() {
            // Writing to a text does not fail.
            let _ = write!(row.what, " ({} ms)", time.as_millis());
        }
    }

    pub(super) fn into_all(self) -> Vec<Row> {
        self.rows
    }

    fn push(&mut self, check: &'static str, result: Outcome, what: String, mend: Option<String>) {
        self.rows.push(Row {
            subject: self.subject.clone(),
            check,
            result,
            what,
            mend,
            figures: BTreeMap::new(),
        });
    }
}

impl Row {
    /// Whether it was more than reading the configuration.
    pub(super) fn is_online(&self) -> bool {
        self.subject != "configuration"
    }
}

/// All of it for a person: a row each, what to do about it beneath, and the sums.
pub(super) fn table(rows: &[Row], paint: Paint) -> String {
    let cells: Vec<[String; 4]> = rows.iter().map(cells).collect();
    let table = Table::new(&["SUBJECT", "CHECK", "RESULT", "WHAT"], &cells);
    let mut text = format!("\n{}\n", paint.paint(Style::Bold, table.titles));
    for (row, line) in rows.iter().zip(table.rows) {
        let style = row.result.style();
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}", paint.paint(style, line));
        if let Some(mend) = &row.mend {
            let mend = format!("  to mend it: {}", printable(mend));
            let _ = writeln!(text, "{}", paint.paint(style, mend));
        }
    }
    let _ = write!(text, "\n{}", sums(rows));
    text
}

fn cells(row: &Row) -> [String; 4] {
    [
        printable(&row.subject),
        row.check.to_owned(),
        row.result.word().to_owned(),
        printable(&row.what),
    ]
}

fn sums(rows: &[Row]) -> String {
    let all = [
        Outcome::Ok,
        Outcome::Warning,
        Outcome::Failed,
        Outcome::Skipped,
    ];
    let sums = all.map(|outcome| {
        let count = rows.iter().filter(|row| row.result == outcome).count();
        format!("{}: {count}", outcome.word())
    });
    sums.join(", ")
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Skipped => Style::Faint,
            Self::Ok => Style::Plain,
            Self::Warning => Style::Doubtful,
            Self::Failed => Style::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_each_row_and_what_to_do() {
        let mut rows = Rows::new("service cta");
        rows.ok("dns", "one address");
        rows.took(Duration::from_millis(7));
        rows.failed("tcp", "refused \u{1b}[2J", "start it");
        rows.skipped("tls", "no connection");
        let rows = rows.into_all();
        let expect = "
SUBJECT      CHECK  RESULT   WHAT
service cta  dns    ok       one address (7 ms)
service cta  tcp    failed   refused \\u{1b}[2J
  to mend it: start it
service cta  tls    skipped  no connection

ok: 1, warning: 0, failed: 1, skipped: 1";
        assert_eq!(table(&rows, Paint::none()), expect);
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json[0]["figures"]["ms"], 7);
        assert_eq!(json[1]["result"], "failed");
    }

    #[test]
    fn a_failure_is_the_worst() {
        assert!(Outcome::Failed > Outcome::Warning);
        assert!(Outcome::Warning > Outcome::Ok);
        assert!(Outcome::Ok > Outcome::Skipped);
    }
}
