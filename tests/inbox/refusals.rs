//! Messages that are refused: with the right word, and without a trace.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::sender::{Inboxed, NAMESPACE_1_1, block, block_of, message_1_0, message_1_1, told};

const TO_GOLD: &str = "<t:Destination_Collection_Name>gold</t:Destination_Collection_Name>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_of_taxii_is_a_bad_one() {
    let mut inboxed = Inboxed::new("");
    let (package, _) = inboxed.package();
    let whole = message_1_1("9", TO_GOLD, &block(&package));
    let cut = whole[..whole.len() - 30].to_owned();
    for (message, says, id) in [
        (String::new(), "an empty body", "0"),
        ("hello".to_owned(), "no TAXII message", "0"),
        ("<html><body/></html>".to_owned(), "&lt;html&gt;", "0"),
        (cut, "cut off", "9"),
        (
            whole.replacen("</t:Content>", "</t:Kontent>", 1),
            "not well-formed",
            "9",
        ),
        (
            whole.replacen("<?xml version=\"1.0\"?>", "<!DOCTYPE a>", 1),
            "DOCTYPE",
            "0",
        ),
        (format!("{whole}<x/>"), "more than one document", "9"),
        (
            message_1_1(&"9".repeat(2000), TO_GOLD, ""),
            "longer than 1024 bytes",
            "0",
        ),
        (
            message_1_1(
                "9",
                &(0..101)
                    .map(|n| TO_GOLD.replace("gold", &n.to_string()))
                    .collect::<String>(),
                "",
            ),
            "more than 100 collections",
            "9",
        ),
    ] {
        let told = inboxed.post(message).await;
        told.is("BAD_MESSAGE").says(says);
        assert_eq!((told.http, told.in_response_to.as_str()), (200, id));
    }
    inboxed.assert_nothing_is_left();
    let activity = inboxed.world.agent.house().board.inbox_activity();
    assert_eq!((activity.messages, activity.refused), (0, 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_content_is_passed_over() {
    let mut inboxed = Inboxed::new("");
    let (package, events) = inboxed.package();
    let block = block(&package);
    let source = |inside: &str| {
        format!("<t:Source_Subscription collection_name=\"gold\">{inside}</t:Source_Subscription>")
    };
    for (before, says) in [
        (source(&block), "&lt;Content_Block&gt;"),
        (
            block.replace("Content_Block", "Kontent_Block"),
            "&lt;Kontent_Block&gt;",
        ),
    ] {
        let told = inboxed
            .post(message_1_1("4", &(TO_GOLD.to_owned() + &before), ""))
            .await;
        told.is("BAD_MESSAGE").says(says);
    }
    inboxed.assert_nothing_is_left();
    let usual = "<t:Message>m</t:Message><t:Record_Count>1</t:Record_Count>";
    let before = format!(
        "{TO_GOLD}{}<t:Extended_Headers/>{usual}",
        source(
            "<t:Subscription_ID>s</t:Subscription_ID><t:Inclusive_End_Timestamp>x</t:Inclusive_End_Timestamp>"
        )
    );
    inboxed
        .post(message_1_1("4", &before, &block))
        .await
        .is("SUCCESS");
    inboxed.taken = events;
    inboxed
        .world
        .run_for(std::time::Duration::from_secs(60))
        .await;
    inboxed.assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_writes_acts_on_no_terminal_and_breaks_no_answer() {
    let inboxed = Inboxed::new("");
    let to =
        "<t:Destination_Collection_Name>a&#x1b;]0;b&#7;&#x202e;</t:Destination_Collection_Name>";
    let told = inboxed.post(message_1_1("5&#1;&#10;6", to, "")).await;
    told.is("NOT_FOUND");
    assert_eq!(told.in_response_to, "5&#10;6");
    assert!(!told.xml.contains(['\u{1b}', '\u{7}', '\u{1}']), "{told:?}");
    let activity = inboxed.world.agent.house().board.inbox_activity();
    let why = activity.last_refusal.unwrap();
    assert!(
        !why.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{why:?}"
    );
    let long = "urn:".to_owned() + &"x".repeat(10_000);
    let post = reqwest::Client::new()
        .post(&inboxed.url)
        .header("X-TAXII-Content-Type", long);
    let told = crate::sender::told(post.body(message_1_1("5", TO_GOLD, ""))).await;
    told.is("UNSUPPORTED_MESSAGE");
    assert!(told.xml.len() < 2000, "{}", told.xml.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_messages_are_not_for_an_inbox() {
    let inboxed = Inboxed::new("");
    let discovery = format!("<t:Discovery_Request xmlns:t=\"{NAMESPACE_1_1}\" message_id=\"5\"/>");
    let answer = inboxed.post(discovery).await;
    answer.is("FAILURE").says("this is a Discovery_Request");
    assert_eq!(answer.in_response_to, "5");
    // Whoever pushes may ask first: that is no refusal to be told of.
    let activity = inboxed.world.agent.house().board.inbox_activity();
    assert_eq!(activity.refused, 0);
    let draft = "<Inbox_Message xmlns=\"http://taxii.mitre.org/messages/xml/1\" message-id=\"5\"/>";
    let answer = inboxed.post(draft).await;
    answer.is("UNSUPPORTED_MESSAGE").says("draft");
    for (name, value, says) in [
        (
            "X-TAXII-Content-Type",
            "urn:taxii.mitre.org:message:xml:2.0",
            "xml:2.0",
        ),
        (
            CONTENT_TYPE.as_str(),
            "application/json",
            "application/json",
        ),
    ] {
        let post = reqwest::Client::new()
            .post(&inboxed.url)
            .header(name, value);
        let answer = told(post.body(message_1_1("1", TO_GOLD, ""))).await;
        answer.is("UNSUPPORTED_MESSAGE").says(says);
        answer
            .says("<taxii:Detail name=\"SUPPORTED_BINDING\">urn:taxii.mitre.org:message:xml:1.0<");
    }
    let post = reqwest::Client::new()
        .post(&inboxed.url)
        .header(CONTENT_ENCODING, "gzip");
    told(post.body("x")).await.is("BAD_MESSAGE").says("gzip");
    inboxed.assert_nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_destinations_and_subscriptions_are_told_apart() {
    let mut inboxed = Inboxed::new("subscriptions = { gold = \"customer-1\" }");
    let (package, _) = inboxed.package();
    let blocks = block(&package);
    let told = inboxed
        .post(message_1_1("1", &TO_GOLD.replace("gold", "lead"), &blocks))
        .await;
    told.is("NOT_FOUND")
        .says("<taxii:Detail name=\"ITEM\">lead</taxii:Detail>");
    let told = inboxed.post(message_1_1("1", "", &blocks)).await;
    told.is("DESTINATION_COLLECTION_ERROR");
    for name in ["gold", "tin"] {
        told.says(&format!("name=\"ACCEPTABLE_DESTINATION\">{name}<"));
    }
    // TAXII 1.0 has no such word.
    let told = inboxed.post(message_1_0("1", "", "")).await;
    told.is("FAILURE")
        .says("gold tin")
        .says("name the collection");
    let told = inboxed.post(message_1_1("1", TO_GOLD, &blocks)).await;
    told.is("DENIED")
        .says("takes what is pushed for its subscription");
    let other = "<t:Source_Subscription collection_name=\"gold\">\
         <t:Subscription_ID>customer-2</t:Subscription_ID></t:Source_Subscription>";
    let told = inboxed.post(message_1_1("1", other, &blocks)).await;
    told.is("DENIED").says("customer-2");
    inboxed.assert_nothing_is_left();
    let own = other.replace("customer-2", "customer-1");
    inboxed
        .post(message_1_1("1", &own, &blocks))
        .await
        .is("SUCCESS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_no_stix_goes_back_if_there_is_nothing_else() {
    let mut inboxed = Inboxed::new("");
    let cap = block_of("urn:oasis:names:tc:emergency:cap:1.2", "<alert/>");
    let told = inboxed.post(message_1_1("1", TO_GOLD, &cap)).await;
    told.is("UNSUPPORTED_CONTENT").says("cap:1.2");
    told.says("<taxii:Detail name=\"SUPPORTED_CONTENT\">urn:stix.mitre.org:xml:1.2<");
    inboxed.assert_nothing_is_left();
    let (package, events) = inboxed.package();
    let both = message_1_1("1", TO_GOLD, &(cap + &block(&package)));
    inboxed.post(both).await.is("SUCCESS");
    inboxed.taken = events;
    inboxed
        .world
        .run_for(std::time::Duration::from_secs(60))
        .await;
    inboxed.assert_exactly_once();
    assert_eq!(inboxed.world.status().spool.dead_letters, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_is_too_large() {
    let mut inboxed = Inboxed::new(
        "[inbox.limits]\nmax_message_bytes = \"20KiB\"\nmax_refused_blocks = 2\nmax_text_bytes = \"1KiB\"",
    );
    let long = message_1_1("1", TO_GOLD, &block(&"x".repeat(30_000)));
    let told_of_length = inboxed.post(long.clone()).await;
    assert_eq!(told_of_length.in_response_to, "1");
    told_of_length
        .is("BAD_MESSAGE")
        .says("larger than 20480 bytes (inbox.limits.max_message_bytes)");
    // Nobody knows before how much it is.
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = long
        .as_bytes()
        .chunks(1000)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let post = reqwest::Client::new()
        .post(&inboxed.url)
        .header(CONTENT_TYPE, "application/xml");
    told(post.body(body))
        .await
        .is("BAD_MESSAGE")
        .says("larger than 20480 bytes");
    let useless = block("<a/>").repeat(3);
    let told = inboxed.post(message_1_1("1", TO_GOLD, &useless)).await;
    told.is("BAD_MESSAGE").says("more than 2 content blocks");
    let told = inboxed
        .post(message_1_1(
            "1",
            &format!("<t:Message a=\"{}\"/>", "x".repeat(2000)),
            "",
        ))
        .await;
    told.is("BAD_MESSAGE").says("1024 bytes");
    inboxed.assert_nothing_is_left();
    inboxed.push_to("gold").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_in_the_version_that_is_asked_for() {
    let inboxed = Inboxed::new("");
    let post = reqwest::Client::new()
        .post(&inboxed.url)
        .header("X-TAXII-Accept", "urn:taxii.mitre.org:message:xml:1.0")
        .header(
            "X-TAXII-Content-Type",
            "urn:taxii.mitre.org:message:xml:1.1",
        );
    let answer = told(post.body(message_1_1("1", TO_GOLD, ""))).await;
    answer.is("SUCCESS").says("taxii_xml_binding-1\"");
    let get = reqwest::Client::new()
        .get(&inboxed.url)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (get.status().as_u16(), &get.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let elsewhere = inboxed.url.replace("/inbox", "/elsewhere");
    let post = reqwest::Client::new()
        .post(elsewhere)
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(post.status().as_u16(), 404);
}
