//! What systemd is told: that the agent has started, goes on, reloads and stops. Without systemd
//! nobody is told.
//!
//! The protocol is that of `sd_notify(3)`: a datagram to `$NOTIFY_SOCKET`.

use std::time::Duration;

use sd_notify::NotifyState;

use super::status::Status;
use super::troubles::{self, Severity, What};

/// How often a start that takes its time asks for more of it.
pub const START_SIGN: Duration = Duration::from_secs(15);
/// How much more it asks for: several signs may be late.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// A stop may take this much longer than what is in flight.
const STOP_SLACK: Duration = Duration::from_secs(10);
/// Bytes of a status line: a person reads it in `systemctl status`.
const MAX_STATUS_BYTES: usize = 300;
/// How often the status line is looked at where no watchdog is wanted.
const STATUS_INTERVAL: Duration = Duration::from_secs(15);

/// The start is not done, and goes on.
pub fn starting(what: &str) {
    tell(&[
        NotifyState::Status(&one_line(what)),
        NotifyState::ExtendTimeoutUsec(microseconds(START_PATIENCE)),
    ]);
}

/// Everything runs; what it does is told by [`status`].
pub fn started() {
    tell(&[NotifyState::Ready, NotifyState::Status("started")]);
}

/// The reading of another configuration is over; the last status goes on until there is another.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// Another configuration is read; [`reloaded`] follows, whatever becomes of it.
pub fn reloading() {
    // systemd 253 and later tells by the time which reload is meant.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
    }
}

/// What is in flight is finished, for so long at most.
pub fn stopping(at_most: Duration) {
    let at_most = at_most.saturating_add(STOP_SLACK);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: what is in flight is finished"),
        NotifyState::ExtendTimeoutUsec(microseconds(at_most)),
    ]);
}

/// The agent goes on.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// What `systemctl status` shows.
pub fn status(what: &str) {
    tell(&[NotifyState::Status(&one_line(what))]);
}

/// How often to look whether the agent goes on: twice in the time after which systemd gives it up.
#[must_use]
pub fn interval() -> Duration {
    let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
    patience.map_or(STATUS_INTERVAL, |patience| patience / 2)
}

/// The agent in one line: what it waits for a person for, or that all is well.
#[must_use]
pub fn summary(status: &Status) -> String {
    let troubles = troubles::find(status);
    let refused = troubles
        .iter()
        .find(|trouble| trouble.what == What::RefusedReload);
    if let Some(refused) = refused {
        return refused.reason.clone();
    }
    for severity in [Severity::Held, Severity::Failing] {
        let alike = troubles
            .iter()
            .filter(|trouble| trouble.severity == severity);
        let told: Vec<String> = alike
            .map(|trouble| format!("{}: {}", trouble.headline(), trouble.reason))
            .collect();
        if let Some(told) = first_of(&told) {
            return told;
        }
    }
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let outputs = status.outputs.iter();
    let configured = outputs.filter(|output| output.kind.is_some()).count();
    format!(
        "polls {}, delivers to {}",
        count(status.collections.len(), "collection", "collections"),
        count(configured, "output", "outputs")
    )
}

/// The first of them, and how many there are.
fn first_of(troubles: &[String]) -> Option<String> {
    match troubles {
        [] => None,
        [one] => Some(one.clone()),
        [first, others @ ..] => Some(format!("{first}; and {} more", others.len())),
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A line break would begin another message, and what a peer wrote may hold one.
fn one_line(text: &str) -> String {
    let fits = |(at, char): &(usize, char)| at + char.len_utf8() <= MAX_STATUS_BYTES;
    let fitting = text.char_indices().take_while(fits);
    let printable = |(_, char): (usize, char)| if char.is_control() { ' ' } else { char };
    fitting.map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::specimen::{hold, output, peer, well};

    #[test]
    fn the_summary_says_what_needs_a_person_first() {
        let mut status = well();
        assert_eq!(
            summary(&status),
            "polls 1 collection, delivers to 2 outputs"
        );
        let failing = serde_json::json!({
            "failures": 1, "last_failure": "refused", "peers": [peer("https://a", "failing")],
        });
        status.outputs[0] = serde_json::from_value(output("splunk", &failing)).unwrap();
        assert_eq!(summary(&status), "output splunk fails: refused");
        let held = serde_json::from_value(hold("401", "")).unwrap();
        status.collections[0].activity.hold = Some(held);
        assert_eq!(summary(&status), "cta/flows is held: 401");
        status.reload.refused(status.at, "a mistake");
        assert_eq!(summary(&status), "a mistake");
    }

    #[test]
    fn what_a_peer_wrote_begins_no_message() {
        assert_eq!(one_line("a\nWATCHDOG=1\r\u{1b}[1m"), "a WATCHDOG=1  [1m");
        let long = "é".repeat(MAX_STATUS_BYTES);
        assert_eq!(one_line(&long).len(), MAX_STATUS_BYTES);
    }
}
