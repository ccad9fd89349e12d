//! What a plan says and refuses.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::plan::{Plan, Surroundings};
use super::shown;
use crate::config::InitialLookback;
use crate::state::CollectionKey;
use crate::taxii::Timestamp;
use crate::taxii::window::WindowRules;

const DAY: Duration = Duration::from_secs(86_400);

fn stamp(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn now() -> DateTime<Utc> {
    stamp("2026-03-31T00:01:00Z").time()
}

fn around() -> Surroundings {
    Surroundings {
        server_now: now(),
        rules: WindowRules {
            max_window: Some(3 * DAY),
            retention: 30 * DAY,
            settle: Duration::from_secs(60),
            initial_lookback: InitialLookback::Since(30 * DAY),
        },
        interval: Duration::from_secs(601),
        sharing: 1,
    }
}

fn plan(from: Option<&str>, to: Option<&str>, around: &Surroundings) -> Result<Plan, String> {
    let key = CollectionKey {
        service: "s".into(),
        collection: "c".into(),
    };
    Plan::new(&key, from.map(stamp), to.map(stamp), around).map_err(|error| error.to_string())
}

#[track_caller]
fn check(from: Option<&str>, to: Option<&str>, expect: &[&str]) {
    let plan = plan(from, to, &around()).unwrap();
    assert_eq!(plan.effects, expect);
    assert_eq!(plan.is_change, from != to);
}

#[test]
fn a_step_back_says_what_comes_again_and_how_long_it_takes() {
    check(
        Some("2026-03-30T00:00:00Z"),
        Some("2026-03-29T12:00:00Z"),
        &[
            "content between 2026-03-29T12:00:00Z and 2026-03-30T00:00:00Z is fetched again: 1 day \
             12h, in 1 poll; events that were delivered come again, with the same eventId",
        ],
    );
    check(
        Some("2026-03-30T00:00:00Z"),
        Some("2026-03-20T00:00:00Z"),
        &[
            "content between 2026-03-20T00:00:00Z and 2026-03-30T00:00:00Z is fetched again: 11 \
             days to the present, in 4 polls; at one poll in 10m 1s that takes 30m 3s; events that \
             were delivered come again, with the same eventId",
        ],
    );
    let shared = Surroundings {
        sharing: 2,
        ..around()
    };
    let from = Some("2026-03-30T00:00:00Z");
    let told = plan(from, Some("2026-03-20T00:00:00Z"), &shared).unwrap();
    let time = "at one poll in 10m 1s for 2 collections that takes 1h 6s";
    assert!(told.effects[0].contains(time), "{told:?}");
}

#[test]
fn a_step_ahead_says_what_is_never_fetched() {
    check(
        Some("2026-03-20T00:00:00Z"),
        Some("2026-03-30T00:00:00Z"),
        &[
            "content between 2026-03-20T00:00:00Z and 2026-03-30T00:00:00Z is never fetched, unless \
             by hand with `cta-forwarder poll`",
        ],
    );
    check(
        None,
        Some("2026-03-30T00:00:00Z"),
        &[
            "content between 2026-03-01T00:01:00Z and 2026-03-30T00:00:00Z is never fetched, unless \
             by hand with `cta-forwarder poll`",
        ],
    );
    let same = Some("2026-03-30T00:00:00Z");
    check(
        same,
        same,
        &["the next window begins where it would have begun"],
    );
}

#[test]
fn what_the_service_has_no_more_is_said() {
    let gap = "the service keeps its content for 30 days: what lies between 2026-02-01T00:00:00Z and \
               2026-03-01T00:01:00Z is not there any more, and the next poll reports it as a gap";
    check(None, Some("2026-02-01T00:00:00Z"), &[gap]);
    let back = plan(
        Some("2026-03-30T00:00:00Z"),
        Some("2026-02-01T00:00:00Z"),
        &around(),
    );
    let effects = back.unwrap().effects;
    assert_eq!(effects[0], gap);
    let again = "content between 2026-03-01T00:01:00Z and 2026-03-30T00:00:00Z is fetched again";
    assert!(effects[1].starts_with(again), "{effects:?}");
}

#[test]
fn to_begin_anew_is_to_begin_as_at_first() {
    let first = "the next poll begins as the first one did (initial_lookback)";
    check(None, None, &[first]);
    let plan = plan(Some("2026-03-30T00:00:00Z"), None, &around()).unwrap();
    assert_eq!(plan.effects[0], first);
    assert!(plan.effects[1].starts_with("content between 2026-03-01T00:01:00Z and "));
    let all = Surroundings {
        rules: WindowRules {
            initial_lookback: InitialLookback::All,
            max_window: None,
            ..around().rules
        },
        ..around()
    };
    let plan = self::plan(Some("2026-03-30T00:00:00Z"), None, &all).unwrap();
    assert_eq!(
        plan.effects[1],
        "content between the beginning and 2026-03-30T00:00:00Z is fetched again; events that were \
         delivered come again, with the same eventId"
    );
}

#[test]
fn the_future_and_what_is_no_time_are_refused() {
    let refused = |to| plan(None, Some(to), &around()).unwrap_err();
    let future = refused("2026-03-31T00:01:01Z");
    assert!(
        future.starts_with(
            "2026-03-31T00:01:01Z lies in the future, it is 2026-03-31T00:01:00Z by the service's clock"
        ),
        "{future}"
    );
    assert!(plan(None, Some("2026-03-31T00:01:00Z"), &around()).is_ok());
    assert!(refused("1969-12-31T23:59:59Z").contains("checkpoint clear"));
}

#[test]
fn spans_are_shown_in_days() {
    for (seconds, expect) in [
        (0, "0s"),
        (59, "59s"),
        (86_400, "1 day"),
        (90_061, "1 day 1h 1m"),
        (2 * 86_400, "2 days"),
        (2 * 86_400 + 7200, "2 days 2h"),
    ] {
        assert_eq!(shown(Duration::from_secs(seconds)), expect);
    }
}
