use super::*;

const ASKED: Asked<'_> = Asked {
    events: 10,
    index: Some("security"),
    acknowledge: false,
    token_stays: false,
};

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer {
        status,
        retry_after: None,
        date: None,
        body: body.as_bytes(),
    }
}

fn judge(status: u16, body: &str) -> Verdict {
    super::judge(&answer(status, body), ASKED, DateTime::UNIX_EPOCH).verdict
}

fn code(status: u16, code: u64) -> Verdict {
    judge(status, &format!(r#"{{"text":"said","code":{code}}}"#))
}

fn at(code: u64, number: usize) -> Verdict {
    judge(
        400,
        &format!(r#"{{"text":"said","code":{code},"invalid-event-number":{number}}}"#),
    )
}

fn mend(verdict: Verdict) -> String {
    match verdict {
        Verdict::Hold {
            delivered: 0, mend, ..
        } => mend,
        other => panic!("{other:?}"),
    }
}

fn is_retry(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Retry {
            delivered: 0,
            after: None,
            ..
        }
    )
}

fn is_too_large(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::TooLarge { .. })
}

#[test]
fn accepted() {
    assert_eq!(code(200, 0), Verdict::Delivered { slow_down: false });
    assert_eq!(code(200, 24), Verdict::Delivered { slow_down: true });
    assert_eq!(code(200, 25), Verdict::Delivered { slow_down: true });
}

#[test]
fn passing() {
    for (status, number) in [
        (500, 8),
        (503, 9),
        (503, 18),
        (503, 19),
        (503, 20),
        (503, 23),
        (429, 26),
        (429, 27),
    ] {
        let verdict = code(status, number);
        assert!(is_retry(&verdict), "{status} {number}: {verdict:?}");
    }
    for status in [408, 429, 500, 502, 503, 504, 599] {
        let verdict = judge(status, "<html>Bad gateway</html>");
        assert!(is_retry(&verdict), "{status}: {verdict:?}");
    }
    assert_eq!(
        code(503, 9),
        Verdict::Retry {
            delivered: 0,
            reason: "HTTP 503, code 9: said".into(),
            after: None,
        }
    );
}

#[test]
fn configuration_holds_with_the_mend() {
    for (status, number, expected) in [
        (
            403,
            1,
            "the token is disabled: enable it in Settings > Data inputs > HTTP Event Collector",
        ),
        (401, 2, "Authorization header"),
        (401, 3, "wrong form"),
        (403, 4, "does not know the token"),
        (400, 7, "\"security\""),
        (400, 10, "Enable indexer acknowledgement"),
        (400, 11, "Enable indexer acknowledgement"),
        (400, 14, "acknowledgement is off"),
        (400, 16, "allowQueryStringAuth"),
        (200, 17, "health check"),
        (400, 21, "does not know the token"),
        (400, 22, "the token is disabled"),
        (400, 28, "settings"),
    ] {
        let mend = mend(code(status, number));
        assert!(mend.contains(expected), "{number}: {mend}");
    }
}

#[test]
fn a_wrong_index_names_the_event_after_it_and_holds_from_there() {
    for (number, taken) in [(0, 0), (1, 0), (2, 1), (10, 9), (11, 0), (500, 0)] {
        let Verdict::Hold {
            delivered, mend, ..
        } = at(7, number)
        else {
            panic!("{number}");
        };
        assert_eq!(delivered, taken, "{number}");
        assert!(mend.contains("\"security\""), "{mend}");
    }
}

#[test]
fn acknowledgement_is_a_promise_with_an_id() {
    let asked = Asked {
        acknowledge: true,
        ..ASKED
    };
    let judge =
        |status, body: &str| super::judge(&answer(status, body), asked, DateTime::UNIX_EPOCH);
    let taken = judge(200, r#"{"text":"Success","code":0,"ackId":3}"#);
    assert_eq!(taken.ack_id, Some(3));
    assert_eq!(taken.verdict, Verdict::Delivered { slow_down: false });
    let partly = judge(
        400,
        r#"{"text":"said","code":6,"invalid-event-number":4,"ackId":7}"#,
    );
    assert_eq!(partly.ack_id, Some(7));
    assert!(matches!(partly.verdict, Verdict::Refused { index: 4, .. }));
    let off = judge(200, r#"{"text":"Success","code":0}"#);
    assert_eq!(off.ack_id, None);
    assert!(mend(off.verdict).contains("acknowledgement is off"));
    for code in [10, 11] {
        let missing = judge(400, &format!(r#"{{"text":"said","code":{code}}}"#));
        assert!(mend(missing.verdict).contains("X-Splunk-Request-Channel"));
    }
}

#[test]
fn only_the_collectors_own_answer_acknowledges() {
    let answered = acknowledged(
        &answer(200, r#"{"acks":{"0":true,"12":false}}"#),
        DateTime::UNIX_EPOCH,
    )
    .unwrap();
    assert_eq!(answered, [(0, true), (12, false)].into());
    for (status, body, is_configuration) in [
        (200, "<html>Log in</html>", true),
        (200, "", true),
        (200, r#"{"acks":true}"#, true),
        (200, r#"{"acks":{"0":1}}"#, true),
        (201, r#"{"acks":{"0":true}}"#, true),
        (404, "", true),
        (400, r#"{"text":"ACK is disabled","code":14}"#, true),
        (403, r#"{"text":"Invalid token","code":4}"#, true),
        (503, r#"{"acks":{"0":true}}"#, false),
        (503, r#"{"text":"Server is busy","code":9}"#, false),
        (429, "", false),
    ] {
        let problem = acknowledged(&answer(status, body), DateTime::UNIX_EPOCH).unwrap_err();
        assert_eq!(problem.mend.is_some(), is_configuration, "{status} {body}");
    }
}

#[test]
fn what_is_not_a_collector_holds() {
    for (status, body, expected) in [
        (200, "<html><title>Log in</title>", "login page"),
        (200, "", "login page"),
        (200, r#"{"text":"Success"}"#, "login page"),
        (204, "", "login page"),
        (301, "", "redirects"),
        (302, r#"{"text":"said","code":0}"#, "redirects"),
        (400, "Bad request", "unknown"),
        (400, r#"{"text":"No data","code":5}"#, "unknown"),
        (400, r#"{"text":"new","code":99}"#, "unknown"),
        (401, "", "token"),
        (403, r#"{"text":"said","code":0}"#, "token"),
        (404, r#"{"text":"not found","code":404}"#, "no collector"),
        (407, "", "proxy"),
        (415, "", "gzip = false"),
        (418, "", "unknown"),
    ] {
        let mend = mend(judge(status, body));
        assert!(mend.contains(expected), "{status} {body}: {mend}");
    }
}

#[test]
fn one_events_data() {
    for number in [6, 12, 13, 15] {
        assert_eq!(
            at(number, 3),
            Verdict::Refused {
                index: 3,
                code: format!("hec-{number}"),
                reason: format!("HTTP 400, code {number}: said"),
                is_our_limit: false,
            }
        );
    }
    assert!(matches!(at(12, 0), Verdict::Refused { index: 0, .. }));
    assert!(matches!(at(6, 9), Verdict::Refused { index: 9, .. }));
}

#[test]
fn an_event_that_was_not_sent_holds() {
    assert!(mend(at(6, 10)).contains("not sent"));
}

#[test]
fn too_large_in_both_forms() {
    assert!(is_too_large(&judge(413, "Request entity too large")));
    assert!(is_too_large(&code(413, 27)));
    assert!(is_too_large(&at(6, 0)));
    assert!(is_too_large(&code(400, 6)));
}

#[test]
fn an_event_that_stands_alone_is_refused_itself() {
    let alone = Asked { events: 1, ..ASKED };
    for body in [
        r#"{"text":"said","code":6,"invalid-event-number":0}"#,
        r#"{"text":"said","code":6}"#,
    ] {
        let verdict = super::judge(&answer(400, body), alone, DateTime::UNIX_EPOCH).verdict;
        assert!(
            matches!(verdict, Verdict::Refused { index: 0, .. }),
            "{verdict:?}"
        );
    }
}

#[test]
fn retry_after_in_seconds_and_as_a_date() {
    let wait = |retry_after, date| {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:07Z")
            .unwrap()
            .to_utc();
        let busy = Answer {
            retry_after: Some(retry_after),
            date,
            ..answer(503, "")
        };
        match super::judge(&busy, ASKED, now).verdict {
            Verdict::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        }
    };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
    assert_eq!(wait(date, None), Some(Duration::from_secs(30)));
    assert_eq!(
        wait(date, Some("Sun, 06 Nov 1994 08:49:30 GMT")),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        wait("Sun, 06 Nov 1994 08:00:00 GMT", None),
        Some(Duration::ZERO)
    );
    assert_eq!(wait("soon", None), None);
}

#[test]
fn foreign_text_stays_short_and_on_one_line() {
    let page = format!("<html>\r\n\u{1b}[31m{}", "x".repeat(10_000));
    let Verdict::Retry { reason, .. } = judge(502, &page) else {
        panic!("not passing");
    };
    assert!(reason.starts_with("HTTP 502 with something that is not HEC's answer: <html> [31mx"));
    assert!(reason.len() < 300 && !reason.contains(char::is_control));
}

#[test]
fn a_collector_that_is_not_well_says_so() {
    let healthy = |status, body| healthy(&answer(status, body), DateTime::UNIX_EPOCH);
    healthy(200, r#"{"text":"HEC is healthy","code":17}"#).unwrap();
    healthy(404, "").unwrap();
    let full = healthy(503, r#"{"text":"queues are full","code":18}"#).unwrap_err();
    assert_eq!(full.mend, None);
    assert!(full.reason.contains("queues are full"), "{full}");
}

#[test]
fn a_probe_asks_for_the_token_alone() {
    for (status, body) in [
        (400, r#"{"text":"No data","code":5}"#),
        (
            400,
            r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
        ),
        (400, "no events"),
        (200, r#"{"text":"Success","code":0}"#),
    ] {
        probed(
            &answer(status, body),
            &Asked::default(),
            DateTime::UNIX_EPOCH,
        )
        .unwrap();
    }
    for (status, body) in [
        (403, r#"{"text":"Token disabled","code":1}"#),
        (400, r#"{"text":"Data channel is missing","code":10}"#),
        (503, r#"{"text":"Server is busy","code":9}"#),
        (200, "<html>"),
        (404, ""),
    ] {
        let problem = probed(
            &answer(status, body),
            &Asked::default(),
            DateTime::UNIX_EPOCH,
        )
        .unwrap_err();
        assert!(problem.reason.contains(&status.to_string()), "{problem}");
    }
}

#[test]
fn a_token_that_stays_until_a_restart_is_said_to() {
    let mend = |token_stays, code: u64| {
        let asked = Asked {
            token_stays,
            ..ASKED
        };
        mend_of_code(code, &asked).unwrap()
    };
    assert!(mend(true, 4).ends_with("it keeps what it was started with"));
    assert!(!mend(false, 4).contains("restart"));
    // What is mended in Splunk needs none.
    assert!(!mend(true, 1).contains("restart"));
}
