//! Each fault, as a client sees it.

use tokio::io::AsyncReadExt;

use super::*;

fn once(fault: CtaFault) -> ArmedFault<CtaFault, CtaFaultOn> {
    ArmedFault::once(fault)
}

/// A scene whose next answer has a fault, with three publications behind it.
fn faulty(fault: CtaFault) -> Scene {
    let mut scene = scene(|_| {});
    scene.publish(&[30, 20, 10]);
    scene.service.set_fault(once(fault));
    scene
}

#[tokio::test]
async fn http_status_with_and_without_a_message() {
    let scene = faulty(CtaFault::HttpStatus {
        status: 503,
        status_type: None,
    });
    scene.service.set_fault(once(CtaFault::HttpStatus {
        status: 500,
        status_type: Some("FAILURE".to_owned()),
    }));
    let body = poll_xml("c", None, None);
    let bare = scene.post(&body).await;
    assert_eq!((bare.status, bare.body.len()), (503, 0));
    let message = scene.post(&body).await;
    assert_eq!(message.status, 500);
    assert_eq!(status_type(&Element::parse(message.text())), "FAILURE");
    // Neither was a poll that counts, and the third is answered as it should.
    assert!(scene.post(&body).await.text().contains("Poll_Response"));
    assert_eq!(scene.service.faults_shown(), 2);
}

#[tokio::test]
async fn any_status_message_with_details() {
    let scene = faulty(CtaFault::StatusMessage {
        status_type: "RETRY".to_owned(),
        message: "later & <more>".to_owned(),
        details: vec![("ESTIMATED_WAIT".to_owned(), "60".to_owned())],
    });
    let answer = scene.poll_all().await;
    assert_eq!(status_type(&answer), "RETRY");
    assert_eq!(detail(&answer, "ESTIMATED_WAIT").as_deref(), Some("60"));
    assert_eq!(
        stated(&answer, "Message").as_deref(),
        Some("later & <more>")
    );
}

#[tokio::test]
async fn a_login_page() {
    let scene = faulty(CtaFault::HtmlPage);
    let answer = scene.post(&poll_xml("c", None, None)).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html"))
    );
    assert!(answer.text().contains("<html>"));
}

#[tokio::test]
async fn connections_that_are_closed_before_or_within_the_answer() {
    let scene = faulty(CtaFault::HangUp);
    scene.service.set_fault(once(CtaFault::CutAnswer));
    let body = poll_xml("c", None, None);
    assert_eq!(
        scene.try_post(&body).await.unwrap_err(),
        Failure::Closed { received: 0 }
    );
    match scene.try_post(&body).await.unwrap_err() {
        Failure::Closed { received } => assert!(received > 200, "{received}"),
        other => panic!("{other:?}"),
    }
    // The cut one was of a poll that counts.
    assert_eq!(
        status_type(&Element::parse(scene.post(&body).await.text())),
        "FAILURE"
    );
}

#[tokio::test]
async fn a_black_hole_ends_with_the_service() {
    let scene = faulty(CtaFault::BlackHole);
    let body = poll_xml("c", None, None);
    let mut stream = open(scene.address(), "POST", POLL_PATH, HEADERS, body.as_bytes())
        .await
        .unwrap();
    scene.service.wait_for_requests(1).await;
    assert_eq!(scene.service.requests()[0].status, None);
    scene.service.refuse_connections().await.unwrap();
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    assert!(end.is_err() || received.is_empty());
    scene.service.accept_connections().await.unwrap();
    assert_eq!(scene.post(&body).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_stalls_half_way() {
    let scene = faulty(CtaFault::StalledAnswer);
    let body = poll_xml("c", None, None);
    let mut stream = open(scene.address(), "POST", POLL_PATH, HEADERS, body.as_bytes())
        .await
        .unwrap();
    let mut start = vec![0; 500];
    stream.read_exact(&mut start).await.unwrap();
    assert!(String::from_utf8_lossy(&start).contains("Poll_Response"));
    scene.service.refuse_connections().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("</t:Poll_Response>"));
}

#[tokio::test]
async fn an_answer_without_end() {
    let scene = faulty(CtaFault::EndlessAnswer);
    let body = poll_xml("c", None, None);
    let mut stream = open(scene.address(), "POST", POLL_PATH, HEADERS, body.as_bytes())
        .await
        .unwrap();
    let mut much = vec![0; 4 * 1024 * 1024];
    stream.read_exact(&mut much).await.unwrap();
}

#[tokio::test]
async fn an_answer_in_pieces_is_whole_in_the_end() {
    let scene = faulty(CtaFault::SlowAnswer {
        piece_bytes: 1000,
        pause_ms: 0,
    });
    assert_eq!(packages(&scene.poll_all().await), 3);
}

#[tokio::test]
async fn xml_that_cannot_be_read() {
    for (fault, complaint) in [
        (CtaFault::MalformedXml, "not well-formed"),
        (CtaFault::Doctype, "DOCTYPE"),
    ] {
        let answer = faulty(fault).post(&poll_xml("c", None, None)).await;
        let error = Element::read(answer.text()).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
    let answer = faulty(CtaFault::InvalidUtf8)
        .post(&poll_xml("c", None, None))
        .await;
    assert!(std::str::from_utf8(&answer.body).is_err());
    let lossy = String::from_utf8_lossy(&answer.body);
    assert_eq!(packages(&Element::parse(&lossy)), 3);
}

#[tokio::test]
async fn answers_that_say_what_they_must_not() {
    let begin = Some(noon() - TimeDelta::minutes(25));
    let end = Some(noon());
    let answer = faulty(CtaFault::WrongInResponseTo).poll(begin, end).await;
    assert_eq!(answer.attribute("in_response_to"), Some("m1-other"));
    let answer = faulty(CtaFault::NoProgress).poll(begin, end).await;
    assert_eq!(
        stated(&answer, "Inclusive_End_Timestamp"),
        stated(&answer, "Exclusive_Begin_Timestamp")
    );
    let answer = faulty(CtaFault::LaterBegin { seconds: 600 })
        .poll(begin, end)
        .await;
    assert_eq!(
        stated(&answer, "Exclusive_Begin_Timestamp").unwrap(),
        "2026-03-10T11:45:00.000000Z"
    );
    assert_eq!(packages(&answer), 1);
    let answer = faulty(CtaFault::GroupedPartNumber).poll(begin, end).await;
    assert_eq!(answer.attribute("result_part_number"), Some("1,000"));
}

#[tokio::test]
async fn a_bad_block_stands_among_good_ones() {
    for block in [BadBlock::NotStix, BadBlock::Broken, BadBlock::Encrypted] {
        let answer = faulty(CtaFault::BadBlock { block }).poll_all().await;
        let blocks = answer.children("Content_Block");
        assert_eq!(blocks.len(), 4);
        assert_eq!(packages(blocks[1]), 0);
        assert_eq!(packages(&answer), 3);
    }
}

#[tokio::test]
async fn a_fulfillment_that_fails_once_or_has_expired() {
    let scene = faulty(CtaFault::HangUp);
    scene.service.clear_faults();
    scene
        .service
        .change_rules(|rules| rules.publications_per_part = 1);
    let failing = CtaFault::HttpStatus {
        status: 502,
        status_type: None,
    };
    let expired = CtaFault::ExpiredResult {
        status_type: "ASYNCHRONOUS_POLL_ERROR".to_owned(),
    };
    scene
        .service
        .set_fault(once(failing).on(CtaFaultOn::Fulfillment));
    scene
        .service
        .set_fault(once(expired).on(CtaFaultOn::Fulfillment));
    let first = scene.poll_all().await;
    let result_id = first.attribute("result_id").unwrap();
    assert_eq!(scene.post(&fulfillment_xml(result_id, 2)).await.status, 502);
    assert_eq!(
        status_type(&scene.fulfil(result_id, 2).await),
        "ASYNCHRONOUS_POLL_ERROR"
    );
    assert_eq!(status_type(&scene.fulfil(result_id, 2).await), "NOT_FOUND");
}

#[test]
fn json_names_them() {
    let armed: ArmedFault<CtaFault, CtaFaultOn> = serde_json::from_str(
        r#"{"fault": "status_message", "status_type": "RETRY",
            "details": [["ESTIMATED_WAIT", "5"]], "on": "poll", "times": 2}"#,
    )
    .unwrap();
    assert_eq!((armed.on, armed.times), (CtaFaultOn::Poll, Some(2)));
    assert_eq!(armed.fault.name(), "status_message");
    let bare: ArmedFault<CtaFault, CtaFaultOn> =
        serde_json::from_str(r#"{"fault": "hang_up"}"#).unwrap();
    assert_eq!(bare, ArmedFault::until_cleared(CtaFault::HangUp));
}
