//! Whether all is well, at one glance. Pure.

use crate::cli::terminal::Style;
use crate::observe::troubles::{Severity, Trouble};

/// A line for what waits for a person and one for what deserves a look, or one that says that all is
/// well. The reasons stand beneath what they are about.
pub(super) fn lines(troubles: &[Trouble]) -> Vec<(Style, String)> {
    let (bad, doubtful): (Vec<&Trouble>, Vec<&Trouble>) = troubles
        .iter()
        .partition(|trouble| trouble.severity == Severity::Held);
    let mut lines = Vec::new();
    for (style, words, alike) in [
        (Style::Bad, "needs you", bad),
        (Style::Doubtful, "have a look", doubtful),
    ] {
        let headlines: Vec<String> = alike.into_iter().map(Trouble::headline).collect();
        if !headlines.is_empty() {
            lines.push((style, format!("{words}: {}", headlines.join(", "))));
        }
    }
    if lines.is_empty() {
        lines.push((Style::Good, "all is well".to_owned()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::specimen::{hold, well};
    use crate::observe::troubles::find;

    #[test]
    fn what_is_well_is_said_and_everything_else_is_named() {
        let mut status = well();
        let said = lines(&find(&status));
        assert_eq!(said, [(Style::Good, "all is well".to_owned())]);
        let held = serde_json::from_value(hold("full", "make room")).unwrap();
        status.inbox.as_mut().unwrap().activity.hold = Some(held);
        status.spool.bytes = status.spool.max_bytes;
        status.collections[0].activity.failing_since = Some(status.at);
        status.collections[0].gaps = 2;
        status.spool.dead_letters = 3;
        let expect = [
            (
                Style::Bad,
                "needs you: inbox vendor is held, the spool is full",
            ),
            (
                Style::Doubtful,
                "have a look: cta/flows fails, gaps of cta/flows, dead letters",
            ),
        ];
        let expect = expect.map(|(style, line)| (style, line.to_owned()));
        assert_eq!(lines(&find(&status)), expect);
    }
}
