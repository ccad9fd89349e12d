//! What is not well, and what a person can do about it. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::observe::board::{Hold, PeerActivity, PeerState, ReloadActivity};
use crate::observe::status::{CollectionStatus, InboxStatus, OutputStatus, SpoolStatus, Status};

/// What fails for longer, and more often in a row than [`MANY`], is no hiccup.
pub(super) const LONG: Duration = Duration::from_secs(300);
/// See [`LONG`].
const MANY: u32 = 3;
/// A spool that is fuller than this is told of.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) severity: Severity,
    pub(super) kind: Kind,
    /// Whose it is.
    pub(super) name: String,
    /// What happened.
    pub(super) reason: String,
    /// What to do about it; none where waiting may help.
    pub(super) mend: Option<String>,
    pub(super) since: Option<DateTime<Utc>>,
    /// Whether the agent is not ready because of it.
    pub(super) is_in_the_way: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// It waits for a person.
    Held,
    /// It fails, and is tried again by itself.
    Failing,
    /// Nothing fails, but somebody should look.
    Remark,
}

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Agent,
    Collection,
    Output,
    Peer,
    Inbox,
    Spool,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Collection => "collection",
            Self::Output => "output",
            Self::Peer => "peer",
            Self::Inbox => "inbox",
            Self::Spool => "spool",
        }
    }
}

/// All that is not well, the worst first.
pub(super) fn find(status: &Status, standstill: Option<&str>) -> Vec<Trouble> {
    let mut found = Vec::new();
    if let Some(reason) = standstill {
        found.push(Trouble {
            mend: Some("look at the log, then restart the agent".to_owned()),
            is_in_the_way: true,
            ..Trouble::new(Severity::Held, Kind::Agent, "cta-forwarder", reason)
        });
    }
    found.extend(of_reload(&status.reload));
    for collection in &status.collections {
        found.extend(of_collection(collection, status.at));
    }
    found.extend(status.inbox.as_ref().and_then(of_inbox));
    for output in &status.outputs {
        of_output(output, status.at, &mut found);
    }
    of_spool(&status.spool, &mut found);
    found.sort_by_key(|trouble| trouble.severity);
    found
}

impl Trouble {
    fn new(severity: Severity, kind: Kind, name: &str, reason: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            name: name.to_owned(),
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
            ..Self::new(Severity::Held, kind, name, hold.reason.clone())
        }
    }
}

/// The agent is ready, but not as the configuration says.
fn of_reload(reload: &ReloadActivity) -> Option<Trouble> {
    let reason = reload.last_refusal.clone()?;
    Some(Trouble {
        mend: Some("mend the configuration, then `cta-forwarder reload`".to_owned()),
        since: reload.last_refusal_at,
        ..Trouble::new(Severity::Remark, Kind::Agent, "reload", reason)
    })
}

fn of_collection(known: &CollectionStatus, now: DateTime<Utc>) -> Option<Trouble> {
    let name = format!("{}/{}", known.service, known.collection);
    let activity = &known.activity;
    if let Some(hold) = &activity.hold {
        return Some(Trouble::of_hold(Kind::Collection, &name, hold));
    }
    let since = activity.failing_since?;
    let reason = activity.last_result.clone().unwrap_or_default();
    Some(Trouble {
        since: Some(since),
        is_in_the_way: is_long(activity.failures, Some(since), now),
        ..Trouble::new(Severity::Failing, Kind::Collection, &name, reason)
    })
}

fn of_inbox(inbox: &InboxStatus) -> Option<Trouble> {
    let hold = inbox.activity.hold.as_ref()?;
    Some(Trouble::of_hold(Kind::Inbox, &inbox.name, hold))
}

fn of_output(output: &OutputStatus, now: DateTime<Utc>, found: &mut Vec<Trouble>) {
    let (name, activity) = (&output.name, &output.activity);
    if output.kind.is_none() {
        let mend = format!("configure it again, or `cta-forwarder output forget {name}`");
        found.push(Trouble {
            mend: Some(mend),
            ..Trouble::new(
                Severity::Remark,
                Kind::Output,
                name,
                "it is no longer configured",
            )
        });
    }
    if output.missing_batches > 0 {
        let reason = format!(
            "{} batches that it owes are not in the spool",
            output.missing_batches
        );
        found.push(Trouble {
            mend: Some("`cta-forwarder audit` names them and says what can be done".to_owned()),
            ..Trouble::new(Severity::Remark, Kind::Output, name, reason)
        });
    }
    if let Some(hold) = &activity.hold {
        found.push(Trouble::of_hold(Kind::Output, name, hold));
        return;
    }
    let is_ready = |peer: &PeerActivity| peer.state == PeerState::Ready;
    if activity.failures > 0 && !activity.peers.iter().any(is_ready) {
        let since = activity.peers.iter().filter_map(|peer| peer.since).min();
        found.push(Trouble {
            since,
            is_in_the_way: is_long(activity.failures, since, now),
            ..Trouble::new(
                Severity::Failing,
                Kind::Output,
                name,
                activity.last_failure.clone().unwrap_or_default(),
            )
        });
    }
    for peer in activity.peers.iter().filter(|peer| !is_ready(peer)) {
        let severity = match peer.state {
            PeerState::Held => Severity::Held,
            PeerState::Failing | PeerState::Ready => Severity::Failing,
        };
        // An output with one peer has its trouble told already.
        if activity.peers.len() > 1 || severity == Severity::Held {
            let name = format!("{name} {}", peer.name);
            found.push(Trouble {
                mend: peer.mend.clone(),
                since: peer.since,
                ..Trouble::new(
                    severity,
                    Kind::Peer,
                    &name,
                    peer.reason.clone().unwrap_or_default(),
                )
            });
        }
    }
}

fn of_spool(spool: &SpoolStatus, found: &mut Vec<Trouble>) {
    let mend = "mend the outputs that do not deliver, or raise state.max_spool_bytes";
    let trouble = |severity, reason: String, is_in_the_way| Trouble {
        mend: Some(mend.to_owned()),
        is_in_the_way,
        ..Trouble::new(severity, Kind::Spool, "spool", reason)
    };
    let percent = spool.bytes.saturating_mul(100) / spool.max_bytes.max(1);
    if spool.bytes >= spool.max_bytes {
        found.push(trouble(Severity::Held, "it is full".to_owned(), true));
    } else if percent >= NEARLY_FULL_PERCENT {
        let reason = format!("it is {percent} % full");
        found.push(trouble(Severity::Remark, reason, false));
    }
    if spool.dead_letters > 0 {
        let reason = match spool.dead_letters {
            1 => "1 dead letter waits for a decision".to_owned(),
            more => format!("{more} dead letters wait for a decision"),
        };
        let mend = "look at them with `cta-forwarder dead-letters list`, then retry or drop them";
        found.push(Trouble {
            mend: Some(mend.to_owned()),
            ..Trouble::new(Severity::Remark, Kind::Spool, "dead letters", reason)
        });
    }
}

fn is_long(failures: u32, since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let long = TimeDelta::from_std(LONG).unwrap_or(TimeDelta::MAX);
    failures >= MANY && since.is_some_and(|since| now - since >= long)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admin::specimen::{hold, now, output, peer, well};

    /// What is found of a status with these changes, and whether each is in the way.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expect: &[(Severity, Kind, &str, bool)]) {
        let mut status = serde_json::to_value(well()).unwrap();
        change(&mut status);
        let status: Status = serde_json::from_value(status).unwrap();
        let found = find(&status, None);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.severity, one.kind, one.name.as_str(), one.is_in_the_way))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn of_an_agent_that_is_well_nothing() {
        check(|_| {}, &[]);
    }

    #[test]
    fn holds_are_in_the_way() {
        check(
            |status| {
                status["collections"][0]["hold"] = hold("DENIED", "ask");
                status["inbox"]["hold"] = hold("full", "make room");
                status["outputs"][1]["hold"] = hold("HTTP 403", "enable it");
                status["spool"]["bytes"] = json!(4_194_304);
            },
            &[
                (Severity::Held, Kind::Collection, "cta/flows", true),
                (Severity::Held, Kind::Inbox, "vendor", true),
                (Severity::Held, Kind::Output, "archive", true),
                (Severity::Held, Kind::Spool, "spool", true),
            ],
        );
        let standstill = find(&well(), Some("no turn for 5m"));
        assert_eq!(standstill[0].reason, "no turn for 5m");
        assert!(standstill[0].is_in_the_way && standstill[0].kind == Kind::Agent);
    }

    #[test]
    fn failing_is_in_the_way_when_it_lasts() {
        let since = |minutes| json!(now() - TimeDelta::minutes(minutes));
        for (failures, minutes, is_in_the_way) in [(1, 60, false), (3, 4, false), (3, 5, true)] {
            check(
                |status| {
                    status["collections"][0]["failures"] = json!(failures);
                    status["collections"][0]["failing_since"] = since(minutes);
                },
                &[(
                    Severity::Failing,
                    Kind::Collection,
                    "cta/flows",
                    is_in_the_way,
                )],
            );
            let mut failing = peer("https://a", "failing");
            failing["since"] = since(minutes);
            let values = json!({"failures": failures, "peers": [failing]});
            check(
                |status| status["outputs"][0] = output("splunk", &values),
                &[(Severity::Failing, Kind::Output, "splunk", is_in_the_way)],
            );
        }
    }

    #[test]
    fn as_long_as_a_peer_is_well_its_output_is() {
        let peers = json!([
            peer("https://a", "held"),
            peer("https://b", "failing"),
            peer("https://c", "ready"),
        ]);
        let values = json!({"peers": peers, "failures": 9});
        check(
            |status| status["outputs"][0] = output("splunk", &values),
            &[
                (Severity::Held, Kind::Peer, "splunk https://a", false),
                (Severity::Failing, Kind::Peer, "splunk https://b", false),
            ],
        );
    }

    #[test]
    fn remarks() {
        let values = json!({"type": null, "missing_batches": 2});
        check(
            |status| {
                status["outputs"][0] = output("gone", &values);
                status["spool"]["bytes"] = json!(3_400_000);
                status["spool"]["dead_letters"] = json!(1);
            },
            &[
                (Severity::Remark, Kind::Output, "gone", false),
                (Severity::Remark, Kind::Output, "gone", false),
                (Severity::Remark, Kind::Spool, "spool", false),
                (Severity::Remark, Kind::Spool, "dead letters", false),
            ],
        );
    }
}
