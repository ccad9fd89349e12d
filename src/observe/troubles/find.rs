//! The rules: what of a status is not well.

use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Kind, Status, Trouble, What};
use crate::observe::board::{Hold, PeerActivity, PeerState, ReloadActivity};
use crate::observe::status::{
    CertificateStatus, CollectionStatus, InboxStatus, OutputStatus, SpoolStatus,
};

/// What fails for longer, and more often in a row than [`MANY`], is no hiccup.
const LONG: Duration = Duration::from_secs(300);
/// See [`LONG`].
const MANY: u32 = 3;
/// A certificate that expires within this time is told of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// A spool that is fuller than this is told of.
const NEARLY_FULL_PERCENT: u64 = 80;

const POLL_BY_HAND: &str =
    "the log names the window: poll it by hand, the provider may still have it";

/// All that is not well, the worst first.
#[must_use]
pub fn find(status: &Status) -> Vec<Trouble> {
    let mut found = Vec::new();
    if let Some(reason) = &status.standstill {
        found.push(Trouble {
            mend: Some("look at the log, then restart the agent".to_owned()),
            is_in_the_way: true,
            ..Trouble::new(What::Standstill, Kind::Agent, "cta-forwarder", reason)
        });
    }
    found.extend(of_reload(&status.reload));
    for collection in &status.collections {
        of_collection(collection, status.at, &mut found);
    }
    if let Some(inbox) = &status.inbox {
        of_inbox(inbox, &mut found);
    }
    for output in &status.outputs {
        of_output(output, status.at, &mut found);
    }
    of_spool(&status.spool, &mut found);
    let certificates = status.certificates.iter();
    found.extend(certificates.filter_map(|known| of_certificate(known, status.at)));
    found.sort_by_key(|trouble| trouble.severity);
    found
}

/// The name of the troubles of an output's peer.
#[must_use]
pub fn peer_name(output: &str, peer: &str) -> String {
    format!("{output} {peer}")
}

impl Trouble {
    fn new(what: What, kind: Kind, name: &str, reason: impl Into<String>) -> Self {
        Self {
            severity: what.severity(),
            kind,
            name: name.to_owned(),
            what,
            reason: reason.into(),
            mend: None,
            since: None,
            is_in_the_way: false,
        }
    }

    fn of_hold(kind: Kind, name: &str, hold: &Hold) -> Self {
        Self {
            mend: Some(hold.mend.clone()),
            since: Some(hold.since),
            is_in_the_way: true,
            ..Self::new(What::Hold, kind, name, hold.reason.clone())
        }
    }

    fn mended_by(self, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into());
        Self { mend, ..self }
    }
}

/// The agent is ready, but not as the configuration says.
fn of_reload(reload: &ReloadActivity) -> Option<Trouble> {
    let reason = reload.last_refusal.clone()?;
    let trouble = Trouble::new(What::RefusedReload, Kind::Agent, "reload", reason);
    Some(Trouble {
        since: reload.last_refusal_at,
        ..trouble.mended_by("mend the configuration, then `cta-forwarder reload`")
    })
}

fn of_collection(known: &CollectionStatus, now: DateTime<Utc>, found: &mut Vec<Trouble>) {
    let name = format!("{}/{}", known.service, known.collection);
    let activity = &known.activity;
    if let Some(hold) = &activity.hold {
        found.push(Trouble::of_hold(Kind::Collection, &name, hold));
    } else if let Some(since) = activity.failing_since {
        let reason = activity.last_result.clone().unwrap_or_default();
        found.push(Trouble {
            since: Some(since),
            is_in_the_way: is_long(activity.failures, Some(since), now),
            ..Trouble::new(What::Failure, Kind::Collection, &name, reason)
        });
    }
    found.extend(of_gaps(&name, known.gaps));
}

fn of_inbox(inbox: &InboxStatus, found: &mut Vec<Trouble>) {
    let hold = inbox.activity.hold.as_ref();
    found.extend(hold.map(|hold| Trouble::of_hold(Kind::Inbox, &inbox.name, hold)));
    for known in &inbox.collections {
        let name = format!("{}/{}", inbox.name, known.collection);
        found.extend(of_gaps(&name, known.gaps));
    }
}

fn of_gaps(name: &str, gaps: u64) -> Option<Trouble> {
    let reason = format!("gaps so far: {gaps}");
    let trouble = Trouble::new(What::Gaps, Kind::Collection, name, reason);
    (gaps > 0).then(|| trouble.mended_by(POLL_BY_HAND))
}

fn of_output(output: &OutputStatus, now: DateTime<Utc>, found: &mut Vec<Trouble>) {
    of_debts(output, found);
    let (name, activity) = (&output.name, &output.activity);
    if let Some(hold) = &activity.hold {
        found.push(Trouble::of_hold(Kind::Output, name, hold));
        return;
    }
    let is_ready = |peer: &PeerActivity| peer.state == PeerState::Ready;
    if activity.failures > 0 && !activity.peers.iter().any(is_ready) {
        let since = activity.peers.iter().filter_map(|peer| peer.since).min();
        let reason = activity.last_failure.clone().unwrap_or_default();
        found.push(Trouble {
            since,
            is_in_the_way: is_long(activity.failures, since, now),
            ..Trouble::new(What::Failure, Kind::Output, name, reason)
        });
    }
    for peer in activity.peers.iter().filter(|peer| !is_ready(peer)) {
        let what = match peer.state {
            PeerState::Held => What::Hold,
            PeerState::Failing | PeerState::Ready => What::Failure,
        };
        // An output with one peer has its trouble told already.
        if activity.peers.len() > 1 || what == What::Hold {
            let name = peer_name(name, &peer.name);
            let reason = peer.reason.clone().unwrap_or_default();
            found.push(Trouble {
                mend: peer.mend.clone(),
                since: peer.since,
                ..Trouble::new(what, Kind::Peer, &name, reason)
            });
        }
    }
}

/// What it owes, and is not as it should be.
fn of_debts(output: &OutputStatus, found: &mut Vec<Trouble>) {
    let name = &output.name;
    let trouble = |what, reason: String| Trouble::new(what, Kind::Output, name, reason);
    if output.kind.is_none() {
        let trouble = trouble(What::Unconfigured, "it is no longer configured".to_owned());
        let mend = format!("configure it again, or `cta-forwarder output forget {name}`");
        found.push(trouble.mended_by(mend));
    }
    let count = output.missing_batches;
    if count > 0 {
        let reason = format!("batches that it owes and that are not in the spool: {count}");
        let mend = "`cta-forwarder audit` names them and says what can be done";
        found.push(trouble(What::MissingBatches, reason).mended_by(mend));
    }
    let count = output.repairing_events;
    if count > 0 {
        let reason = format!("events of damaged files: {count}");
        let mend = "their window is polled again as long as its collection is configured, \
                    `cta-forwarder spool check` names it";
        found.push(trouble(What::Repair, reason).mended_by(mend));
    }
    let count = output.finished.lost;
    if count > 0 {
        let reason = format!("events that damage to the spool has cost so far: {count}");
        found.push(trouble(What::Loss, reason).mended_by(POLL_BY_HAND));
    }
}

fn of_spool(spool: &SpoolStatus, found: &mut Vec<Trouble>) {
    let trouble = |what, name, reason: String| Trouble::new(what, Kind::Spool, name, reason);
    let make_room = "mend the outputs that do not deliver, or raise state.max_spool_bytes";
    let percent = spool.bytes.saturating_mul(100) / spool.max_bytes.max(1);
    if spool.bytes >= spool.max_bytes {
        let full = trouble(What::Full, "spool", "it is full".to_owned());
        found.push(Trouble {
            is_in_the_way: true,
            ..full.mended_by(make_room)
        });
    } else if percent >= NEARLY_FULL_PERCENT {
        let reason = format!("it is {percent} % full");
        found.push(trouble(What::NearlyFull, "spool", reason).mended_by(make_room));
    }
    let reason = match spool.dead_letters {
        0 => None,
        1 => Some("1 dead letter waits for a decision".to_owned()),
        more => Some(format!("{more} dead letters wait for a decision")),
    };
    if let Some(reason) = reason {
        let mend = "look at them with `cta-forwarder dead-letters list`, then retry or drop them";
        found.push(trouble(What::DeadLetters, "dead letters", reason).mended_by(mend));
    }
    if spool.quarantine_bytes > 0 {
        let reason = format!("{} lie in quarantine/", ByteSize(spool.quarantine_bytes));
        let mend = "look at what it is (the log says why it was set aside), then remove it";
        found.push(trouble(What::Quarantine, "quarantine", reason).mended_by(mend));
    }
}

fn of_certificate(known: &CertificateStatus, now: DateTime<Utc>) -> Option<Trouble> {
    let (part, expiry) = (&known.part, &known.expiry);
    let soon = TimeDelta::from_std(SOON).unwrap_or(TimeDelta::MAX);
    let left = expiry.expires_at - now;
    if left > soon {
        return None;
    }
    let key = &expiry.key;
    let at = expiry.expires_at.format("%F %T");
    let (what, reason) = if left <= TimeDelta::zero() {
        (
            What::Expired,
            format!("{key} of {part} expired at {at} UTC"),
        )
    } else {
        (
            What::Expires,
            format!("{key} of {part} expires at {at} UTC"),
        )
    };
    let mend = "put a renewed one there, then `cta-forwarder reload`";
    Some(Trouble::new(what, Kind::Certificate, &expiry.file, reason).mended_by(mend))
}

fn is_long(failures: u32, since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let long = TimeDelta::from_std(LONG).unwrap_or(TimeDelta::MAX);
    failures >= MANY && since.is_some_and(|since| now - since >= long)
}
