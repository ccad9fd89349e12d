//! `flatten`: good input, bad input, and what becomes of each.

use std::fs;
use std::io::Read;

use cta_forwarder::simulator::content::{ContentGenerator, PackageSize, Publication};
use serde_json::Value;

use crate::program::{Ended, command, run, run_with_input};

fn publication(seed: u64) -> Publication {
    let published = "2026-03-10T12:00:00Z".parse().unwrap();
    ContentGenerator::new(seed).publication(published)
}

fn ids(publications: &[&Publication]) -> Vec<String> {
    let events = publications.iter().flat_map(|one| &one.events);
    events.map(ToString::to_string).collect()
}

/// A Poll_Response with a block for each content.
fn response(contents: &[&str]) -> String {
    let blocks: Vec<String> = contents
        .iter()
        .map(|content| {
            format!(
                "<t:Content_Block><t:Content_Binding binding_id=\"urn:stix.mitre.org:xml:1.1\"/>\
                 <t:Content>{content}</t:Content></t:Content_Block>"
            )
        })
        .collect();
    format!(
        "<t:Poll_Response xmlns:t=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
         message_id=\"1\" in_response_to=\"2\" collection_name=\"flows\">\
         <t:Inclusive_End_Timestamp>2026-03-10T12:00:00Z</t:Inclusive_End_Timestamp>{}\
         </t:Poll_Response>",
        blocks.concat()
    )
}

fn flatten(input: &str) -> Ended {
    run_with_input(&["flatten", "-"], input.as_bytes())
}

fn events(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn event_ids(ended: &Ended) -> Vec<String> {
    let events = events(ended);
    let ids = events.iter().map(|event| event["eventId"].as_str());
    ids.map(|id| id.unwrap().to_owned()).collect()
}

/// What is said but for what a package holds that no event tells.
fn problems(stderr: &str) -> Vec<&str> {
    let is_note = |line: &&str| line.contains(": note: not forwarded: ");
    stderr.lines().filter(|line| !is_note(line)).collect()
}

#[test]
fn what_is_not_forwarded_is_told_in_one_line() {
    let package = "<STIX_Package><TTP id='t'/><TTP id='u'/><Incident><History/>\
                   <Observable idref='nowhere'/></Incident></STIX_Package>";
    let ended = flatten(package);
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stderr,
        "-: note: not forwarded: 1 references to indicators, observables and objects that the \
         package does not define; 2 TTPs that nothing names; 1 History elements of incidents\n"
    );
    assert_eq!(events(&ended)[0]["recordType"], "incident");
}

#[test]
fn a_bare_package_gives_its_events_in_order() {
    let one = publication(1);
    let ended = flatten(&one.package_xml);
    assert_eq!((ended.code, problems(&ended.stderr)), (Some(0), vec![]));
    assert_eq!(event_ids(&ended), ids(&[&one]));
    let first = &events(&ended)[0];
    assert_eq!((&first["service"], &first["collection"]), NOTHING);
}

const NOTHING: (&Value, &Value) = (&Value::Null, &Value::Null);

#[test]
fn a_poll_response_names_its_collection() {
    let (one, two) = (publication(1), publication(2));
    let text = response(&[&one.package_xml, &two.package_xml]);
    let ended = flatten(&text);
    assert_eq!((ended.code, problems(&ended.stderr)), (Some(0), vec![]));
    assert_eq!(event_ids(&ended), ids(&[&one, &two]));
    let first = &events(&ended)[0];
    assert_eq!(first["collection"], "flows");
    assert_eq!(first["service"], Value::Null);

    let ended = run_with_input(&["flatten", "--service", "cta", "-"], text.as_bytes());
    assert_eq!(events(&ended)[0]["service"], "cta");
}

#[test]
fn several_files_are_each_read_for_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (publication(1), publication(2));
    let good = file("good.xml", &one.package_xml);
    let bad = file("bad.xml", "<html><body>Please sign in</body></html>");
    let other = file("other.xml", &response(&[&two.package_xml]));
    let missing = folder.path().join("missing.xml");
    let ended = run(&["flatten", &good, &bad, missing.to_str().unwrap(), &other]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(event_ids(&ended), ids(&[&one, &two]));
    let problems = problems(&ended.stderr);
    let [html, absent] = problems.as_slice() else {
        panic!("{problems:#?}");
    };
    assert!(html.starts_with(&format!("{bad}: an HTML page")), "{html}");
    assert!(absent.contains("missing.xml: No such file"), "{absent}");
}

#[test]
fn a_block_that_cannot_be_read_takes_nothing_with_it() {
    let (one, two) = (publication(1), publication(2));
    // The events of its first package are there before its second one breaks off.
    let half = two.package_xml.find("</").unwrap();
    let spoilt = two.package_xml.to_string() + &two.package_xml[..half];
    let escaped = spoilt.replace('&', "&amp;").replace('<', "&lt;");
    let ended = flatten(&response(&[&escaped, &one.package_xml, "no STIX"]));
    assert_eq!(ended.code, Some(1));
    assert_eq!(event_ids(&ended), ids(&[&one]));
    let problems = problems(&ended.stderr);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    for (problem, block) in problems.iter().zip(["content block 1", "content block 3"]) {
        assert!(problem.starts_with(&format!("-: {block} ")), "{problem}");
        assert!(problem.contains("urn:stix.mitre.org:xml:1.1"), "{problem}");
    }
}

#[track_caller]
fn check_nothing(input: &str, expect: &str) {
    let ended = flatten(input);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.starts_with("-: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(expect), "{}", ended.stderr);
}

#[test]
fn what_is_no_content_gives_an_error_and_no_event() {
    check_nothing(
        "<Status_Message xmlns=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
         message_id=\"1\" in_response_to=\"2\" status_type=\"DENIED\"><Message>not \
         yours</Message></Status_Message>",
        "Status_Message, DENIED: not yours",
    );
    check_nothing("<!DOCTYPE html><html></html>", "HTML");
    check_nothing("", "empty");
    check_nothing("{\"json\": true}", "no TAXII message");
    check_nothing("<a/>", "<a>");
}

#[test]
fn a_file_that_breaks_off_gives_the_blocks_that_came_whole() {
    let (one, two) = (publication(1), publication(2));
    let whole = response(&[&one.package_xml, &two.package_xml]);
    let end = whole.len();
    let first_end = whole.find("</t:Content_Block>").unwrap() + "</t:Content_Block>".len();
    let last_end = end - "</t:Poll_Response>".len();
    assert!(!one.events.is_empty() && !two.events.is_empty());
    for (length, expect) in [
        (end - 1, ids(&[&one, &two])),
        (last_end, ids(&[&one, &two])),
        (last_end - 1, ids(&[&one])),
        (end - 200, ids(&[&one])),
        (first_end, ids(&[&one])),
        (first_end - 1, Vec::new()),
    ] {
        let length = (0..=length).rev().find(|at| whole.is_char_boundary(*at));
        let cut = &whole[..length.unwrap()];
        let ended = flatten(cut);
        let what = format!(
            "{} of {end} bytes, the first block ends at {first_end}",
            cut.len()
        );
        assert_eq!(ended.code, Some(1), "{what}");
        assert!(event_ids(&ended) == expect, "{what}");
        assert!(ended.stderr.contains("cut off"), "{what}: {}", ended.stderr);
    }
}

#[test]
fn who_closes_the_pipe_has_seen_enough() {
    let size = PackageSize {
        incidents: 20,
        indicators: 10,
        flows: 20,
        exact: true,
    };
    let published = "2026-03-10T12:00:00Z".parse().unwrap();
    let large = ContentGenerator::new(1)
        .with_size(size)
        .publication(published);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.xml");
    fs::write(&path, &*large.package_xml).unwrap();

    let mut child = command(&["flatten", path.to_str().unwrap()])
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    // More than a pipe holds is still to come.
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(problems(&stderr), [""; 0]);
    assert_eq!(&first, b"{\"eventId\"");
}
