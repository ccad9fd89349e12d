//! The columns of an account: what became of the events that an output was to get.

use super::terminal::Style;
use crate::audit::Account;

pub(super) const TITLES: [&str; 10] = [
    "OUTPUT",
    "FETCHED",
    "DELIVERED",
    "DEAD LETTERS",
    "DISCARDED",
    "ABANDONED",
    "REPAIRED",
    "LOST",
    "PENDING",
    "REPAIRING",
];

/// One for each of the [`TITLES`].
pub(super) fn cells(account: &Account) -> [String; TITLES.len()] {
    let Account {
        output,
        fetched,
        delivered,
        dead_letters,
        discarded,
        abandoned,
        repaired,
        lost,
        pending,
        repairing,
        ..
    } = account;
    [
        output.clone(),
        fetched.to_string(),
        delivered.to_string(),
        dead_letters.to_string(),
        discarded.to_string(),
        abandoned.to_string(),
        repaired.to_string(),
        lost.to_string(),
        pending.to_string(),
        repairing.to_string(),
    ]
}

/// What does not add up stands out.
pub(super) fn style(account: &Account) -> Style {
    if account.fetched == account.total() {
        Style::Plain
    } else {
        Style::Bad
    }
}
