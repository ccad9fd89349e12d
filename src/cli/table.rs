//! A table for a person.

use std::io;

use chrono::TimeDelta;

use super::terminal::{Paint, Style};
use super::{CommandError, print_line};

/// Columns as wide as they must be, numbers to the right.
pub(super) struct Table {
    /// The titles.
    pub(super) titles: String,
    /// A line for each row.
    pub(super) rows: Vec<String>,
}

struct Column {
    width: usize,
    is_number: bool,
}

impl Table {
    pub(super) fn new<R: AsRef<[String]>>(head: &[&str], rows: &[R]) -> Self {
        let mut widths: Vec<usize> = head.iter().map(|title| title.len()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let is_number = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit());
        let column = |(index, width)| {
            let mut cells = rows.iter().filter_map(|row| row.as_ref().get(index));
            let is_number = cells.all(is_number);
            Column { width, is_number }
        };
        let columns: Vec<Column> = widths.into_iter().enumerate().map(column).collect();
        let row = |row: &R| {
            let cells: Vec<&str> = row.as_ref().iter().map(String::as_str).collect();
            line(&cells, &columns)
        };
        Self {
            titles: line(head, &columns),
            rows: rows.iter().map(row).collect(),
        }
    }
}

impl Table {
    /// On standard output, its titles in bold.
    pub(super) fn print(&self) -> Result<(), CommandError> {
        let paint = Paint::of(&io::stdout());
        print_line(paint.paint(Style::Bold, &self.titles))?;
        self.rows.iter().try_for_each(print_line)
    }
}

fn line(cells: &[&str], columns: &[Column]) -> String {
    let cells = cells.iter().zip(columns);
    let cells: Vec<String> = cells
        .map(|(cell, &Column { width, is_number })| {
            if is_number {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        })
        .collect();
    cells.join("  ").trim_end().to_owned()
}

/// A time span in its two largest units.
pub(super) fn age(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (seconds, expect) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3599, "59m 59s"),
            (7260, "2h 1m"),
            (86_399, "23h 59m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(age(TimeDelta::seconds(seconds)), expect);
        }
    }
}
