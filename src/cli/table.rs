//! A table for a person.

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
    pub(super) fn new<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Self {
        let mut widths = head.map(str::len);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let is_number = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit());
        let columns = std::array::from_fn::<_, N, _>(|column| Column {
            width: widths.get(column).copied().unwrap_or_default(),
            is_number: rows.iter().filter_map(|row| row.get(column)).all(is_number),
        });
        let row = |row: &[String; N]| {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            line(&cells, &columns)
        };
        Self {
            titles: line(&head, &columns),
            rows: rows.iter().map(row).collect(),
        }
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
