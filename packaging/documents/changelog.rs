//! CHANGELOG.md in the form of Debian's changelogs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

/// Debian wants no longer lines.
const WIDTH: usize = 78;

const MAINTAINER: &str = "cta-forwarder maintainers <maintainers@cta-forwarder.example>";

/// A time as Debian writes it.
pub(crate) struct Moment(DateTime<Utc>);

impl Moment {
    /// Of seconds since 1970.
    pub(crate) fn of_epoch(seconds: &str) -> Option<Self> {
        DateTime::from_timestamp(seconds.trim().parse().ok()?, 0).map(Self)
    }

    /// Of the day of a release, such as `2026-11-26`.
    fn of_day(day: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(&format!("{day}T00:00:00Z")).ok()?;
        Some(Self(moment.to_utc()))
    }

    /// Such as `2026-11-26`.
    pub(crate) fn day(&self) -> String {
        self.0.format("%Y-%m-%d").to_string()
    }

    fn text(&self) -> String {
        self.0.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }
}

/// One entry for each `## [version] - day`. What is not released yet is the version that is built,
/// as of `now`.
pub(crate) fn debian(markdown: &str, now: &Moment) -> String {
    let mut text = String::new();
    for part in markdown.split("\n## [").skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let (version, day) = head.split_once(']').unwrap_or((head, ""));
        let (version, moment) = match Moment::of_day(day.trim_start_matches([' ', '-'])) {
            Some(moment) => (version, moment.text()),
            None => (env!("CARGO_PKG_VERSION"), now.text()),
        };
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "cta-forwarder ({version}-1) stable; urgency=medium\n\n{} -- {MAINTAINER}  {moment}\n\n",
            changes(body)
        );
    }
    text
}

/// `- …` becomes `  * …`, in lines of its width; headings stay as text.
fn changes(markdown: &str) -> String {
    let mut text = String::new();
    let mut change = String::new();
    // The heading without a text ends the last change.
    for line in markdown.lines().chain(["### "]) {
        if line.starts_with("- ") || line.starts_with("### ") {
            push_wrapped(&mut text, &change);
            change.clear();
        }
        if let Some(heading) = line.strip_prefix("### ").filter(|text| !text.is_empty()) {
            // Writing to a text does not fail.
            let _ = writeln!(text, "  [ {heading} ]");
        } else if let Some(begin) = line.strip_prefix("- ") {
            change.push_str(begin);
        } else {
            change.push(' ');
            change.push_str(line.trim());
        }
    }
    text.push('\n');
    text
}

fn push_wrapped(text: &mut String, change: &str) {
    let mut column = 0;
    for word in change.split_whitespace() {
        let width = word.chars().count();
        if column == 0 {
            text.push_str("  * ");
            column = 4;
        } else if column + 1 + width > WIDTH {
            text.push_str("\n    ");
            column = 4;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    if column > 0 {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_debian_wants() {
        let changes = changes(&format!("- {}\n", "word ".repeat(40)));
        let longest = changes.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(4 + 14 * 5 + 4));
        assert_eq!(changes.matches("word").count(), 40);
    }

    #[test]
    fn each_version_is_an_entry() {
        let markdown = "# Changelog\n\nText.\n\n## [Unreleased]\n\n### Added\n\n- One\n  more.\n\n\
                        ## [0.0.9] - 2026-01-02\n\n- Old.\n";
        let now = Moment::of_epoch("1764151200").unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            debian(markdown, &now),
            format!(
                "cta-forwarder ({version}-1) stable; urgency=medium\n\n  [ Added ]\n  * One \
                 more.\n\n -- {MAINTAINER}  Wed, 26 Nov 2025 10:00:00 +0000\n\n\
                 cta-forwarder (0.0.9-1) stable; urgency=medium\n\n  * Old.\n\n \
                 -- {MAINTAINER}  Fri, 02 Jan 2026 00:00:00 +0000\n\n"
            )
        );
    }
}
