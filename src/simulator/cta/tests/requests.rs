//! Who may ask, how, and what is remembered of it.

use super::*;

#[tokio::test]
async fn who_may_not_ask_is_told_as_the_document_says() {
    let scene = scene(|rules| {
        rules.accounts.push(Account {
            username: "other".to_owned(),
            password: "word".to_owned(),
            collections: vec!["secret".to_owned()],
        });
    });
    let with = |authorization: Option<&'static str>| {
        let mut headers = HEADERS.to_vec();
        headers.retain(|(name, _)| *name != "Authorization");
        headers.extend(authorization.map(|value| ("Authorization", value)));
        headers
    };
    let body = poll_xml("c", None, None);
    // Wrong user, wrong password, other scheme, nothing.
    for wrong in [
        Some("Basic eDpwYXNz"),
        Some("Basic dXNlcjp4"),
        Some("Bearer dXNlcjpwYXNz"),
        None,
    ] {
        let answer = send(
            scene.address(),
            "POST",
            POLL_PATH,
            &with(wrong),
            body.as_bytes(),
        )
        .await;
        assert_eq!(answer.unwrap().status, 404, "{wrong:?}");
    }
    let denied = scene.post(&poll_xml("secret", None, None)).await;
    assert_eq!(denied.status, 401);
    assert_eq!(status_type(&Element::parse(denied.text())), "DENIED");
    let unknown = Element::parse(scene.post(&poll_xml("none", None, None)).await.text());
    assert_eq!(status_type(&unknown), "NOT_FOUND");
    assert_eq!(detail(&unknown, "ITEM").as_deref(), Some("none"));
    // None of them counted.
    assert_eq!(scene.post(&body).await.status, 200);
    assert!(scene.last_answer().starts_with("part 1"));
}

#[tokio::test]
async fn requests_that_are_wrong_are_refused_and_do_not_count() {
    let scene = scene(|_| {});
    let body = poll_xml("c", None, None);
    let get = send(scene.address(), "GET", POLL_PATH, HEADERS, b"")
        .await
        .unwrap();
    assert_eq!(get.status, 405);
    let elsewhere = send(scene.address(), "POST", "/", HEADERS, body.as_bytes())
        .await
        .unwrap();
    assert_eq!(elsewhere.status, 404);
    let long = vec![b' '; MAX_REQUEST_BYTES + 1];
    let long = send(scene.address(), "POST", POLL_PATH, HEADERS, &long)
        .await
        .unwrap();
    assert_eq!(long.status, 413);
    let plain: Vec<_> = HEADERS
        .iter()
        .copied()
        .filter(|(name, _)| *name != "Content-Type")
        .collect();
    let plain = send(scene.address(), "POST", POLL_PATH, &plain, body.as_bytes())
        .await
        .unwrap();
    assert_eq!(plain.status, 415);
    for bad in [
        "",
        "<Poll_Request",
        "<Poll_Request xmlns='x' message_id='m9'/>",
        "<!DOCTYPE a><a/>",
    ] {
        let answer = Element::parse(scene.post(bad).await.text());
        assert_eq!(status_type(&answer), "BAD_MESSAGE", "{bad}");
        let expected = if bad.contains("m9") { "m9" } else { "0" };
        assert_eq!(answer.attribute("in_response_to"), Some(expected));
    }
    assert_eq!(scene.post(&body).await.status, 200);
    assert!(scene.last_answer().starts_with("part 1"));
}

#[tokio::test]
async fn headers_are_those_of_the_specification_or_of_the_document() {
    let scene = scene(|_| {});
    let body = poll_xml("c", None, None);
    let answer = scene.post(&body).await;
    assert_eq!(
        answer.header("x-taxii-content-type"),
        Some(request::MESSAGE_BINDING)
    );
    assert_eq!(
        answer.header("x-taxii-protocol"),
        Some(request::PROTOCOL_BINDING)
    );
    scene
        .service
        .change_rules(|rules| rules.header_style = HeaderStyle::Swapped);
    let answer = scene.post(&body).await;
    assert_eq!(
        answer.header("x-taxii-content-type"),
        Some(request::PROTOCOL_BINDING)
    );
    assert_eq!(
        answer.header("x-taxii-protocol"),
        Some(request::MESSAGE_BINDING)
    );
    assert_eq!(
        Element::parse(answer.text()).namespace,
        request::NAMESPACE_1_0
    );
}

#[tokio::test]
async fn the_log_tells_what_was_asked() {
    let scene = scene(|_| {});
    let waiting = scene.service.wait_for_requests(2);
    scene.poll(Some(noon()), None).await;
    scene.fulfil("r", 7).await;
    waiting.await;
    let requests = scene.service.requests();
    assert_eq!(requests[0].kind, CtaRequestKind::Poll);
    assert_eq!(requests[0].collection.as_deref(), Some("c"));
    assert_eq!(
        requests[0].begin.as_deref(),
        Some("2026-03-10T12:00:00+00:00")
    );
    assert_eq!(requests[0].at, noon() + TimeDelta::minutes(10));
    assert_eq!(
        (requests[0].status, requests[0].accepted),
        (Some(200), true)
    );
    assert!(requests[0].body.contains("Poll_Request"));
    assert_eq!(requests[1].kind, CtaRequestKind::Fulfillment);
    assert_eq!(
        (
            requests[1].result_id.as_deref(),
            requests[1].part.as_deref()
        ),
        (Some("r"), Some("7"))
    );
    let shown = serde_json::to_string(&requests).unwrap();
    assert!(!shown.contains("dXNlcjpwYXNz"), "{shown}");
}
