//! TAXII services.

use std::fmt::Write as _;
use std::time::Duration;

use crate::agent::Agent;
use crate::server::{FOR_EVER, Speech, gzip_bomb, http, serve};

/// What the binary may take at most, whatever one service sends: see `docs/reliability.md`.
const MAX_PEAK_MEBIBYTES: u64 = 160;

struct Case {
    name: &'static str,
    scheme: &'static str,
    speech: Speech,
    /// Keys of the service, in TOML.
    keys: &'static str,
    /// Words of the line that tells of it.
    told: &'static [&'static str],
}

/// One agent that polls all of them; each failure is told in the words that it should be.
async fn check(cases: Vec<Case>) -> u64 {
    let mut sections = String::new();
    let mut expected = Vec::new();
    for case in cases {
        let address = serve(case.speech).await;
        let (name, scheme, keys) = (case.name, case.scheme, case.keys);
        write!(
            sections,
            "[[service]]\nname = {name:?}\npoll_url = \"{scheme}://{address}/\"\n\
             collections = [\"c\"]\nschedule = \"* * * * * *\"\nmin_poll_interval = \"1h\"\n\
             {keys}\n"
        )
        .unwrap();
        let words = case.told.iter().map(|word| (*word).to_owned());
        expected.push(words.chain([format!("{name}/c")]).collect());
    }
    sections.push_str("[[output]]\nname = \"o\"\ntype = \"file\"\npath = \"{folder}/events\"\n");
    let mut agent = Agent::start(&sections);
    agent.says(&expected).await;
    let peak = agent.peak_mebibytes();
    assert!(peak <= MAX_PEAK_MEBIBYTES, "{peak} MiB");
    peak
}

fn repeated(before: &str, again: &str, mebibytes: u64, after: &str) -> Speech {
    // As much as goes out at once.
    let once = again.repeat(1 + (64 << 10) / again.len());
    Speech {
        times: (mebibytes << 20) / once.len() as u64,
        again: once.into_bytes(),
        end: after.as_bytes().to_vec(),
        ..http("", before)
    }
}

const BLOCK: &str = "<Poll_Response><Content_Block><Content><STIX_Package>";
const TOO_LONG: &str = "a text or tag is longer than 4194304 bytes";
const USELESS: &str = "the answer is useless";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn entities_depth_and_what_is_gigantic() {
    let laughs = (0..30).fold(String::new(), |mut entities, n| {
        write!(
            entities,
            "<!ENTITY l{} \"{}\">",
            n + 1,
            format!("&l{n};").repeat(10)
        )
        .unwrap();
        entities
    });
    let case = |name, speech, told| Case {
        name,
        scheme: "http",
        speech,
        keys: "limits = { max_refused_blocks = 50 }",
        told,
    };
    check(vec![
        case(
            "billion-laughs",
            http(
                "",
                format!("<!DOCTYPE l [{laughs}]><Poll_Response>&l30;</Poll_Response>"),
            ),
            &[USELESS, "a DOCTYPE is not allowed"],
        ),
        case(
            "entity-from-outside",
            http(
                "",
                "<!DOCTYPE l SYSTEM \"http://127.0.0.1:1/\"><Poll_Response/>",
            ),
            &[USELESS, "a DOCTYPE is not allowed"],
        ),
        case(
            "hundred-thousand-deep",
            http("", BLOCK.to_owned() + &"<a>".repeat(100_000)),
            &[USELESS, "elements are nested more than 100 deep"],
        ),
        case(
            "gigantic-name",
            repeated("<Poll_Response><", "n", 8, "/></Poll_Response>"),
            &[USELESS, "a text or tag is longer than 1024 bytes"],
        ),
        case(
            "gigantic-names-in-the-deep",
            repeated(
                &format!("{BLOCK}{}", "<a>".repeat(101)),
                &format!("<{}>", "n".repeat(2000)),
                8,
                "",
            ),
            &[USELESS, "a text or tag is longer than 1024 bytes"],
        ),
        case(
            "gigantic-attribute",
            repeated("<Poll_Response a='", "v", 64, "'/>"),
            &[USELESS, TOO_LONG],
        ),
        case(
            "gigantic-id",
            repeated("<Poll_Response message_id='", "v", 1, "'/>"),
            &[
                USELESS,
                "message_id of the answer is longer than 1024 bytes",
            ],
        ),
        case(
            "gigantic-text",
            repeated(
                "<Poll_Response><Message>",
                "text ",
                64,
                "</Message></Poll_Response>",
            ),
            &[USELESS, TOO_LONG],
        ),
        case(
            "gigantic-status",
            repeated(
                "<Status_Message status_type='FAILURE'><Message>",
                "text ",
                3,
                "</Message></Status_Message>",
            ),
            &["the service answers FAILURE: text text"],
        ),
        case(
            "million-details",
            repeated(
                "<Status_Message status_type='DENIED'><Status_Detail>",
                "<Detail name='n'>v</Detail>",
                27,
                "</Status_Detail></Status_Message>",
            ),
            &["the service answers DENIED (n: v) (n: v) (n: v)"],
        ),
        case(
            "million-attributes",
            repeated("<Poll_Response", " a='b'", 6, "/>"),
            &[USELESS, TOO_LONG],
        ),
        case(
            "million-namespaces",
            repeated("<Poll_Response", " xmlns:a='b'", 12, "/>"),
            &[USELESS, TOO_LONG],
        ),
        case(
            "million-bad-blocks",
            repeated(
                "<Poll_Response>",
                "<Content_Block/>",
                16,
                "</Poll_Response>",
            ),
            &[
                USELESS,
                "more than 50 content blocks",
                "limits.max_refused_blocks",
            ],
        ),
    ])
    .await;
}

const SIXTEEN: &str = "limits = { max_response_bytes = \"16MiB\" }";
const TOO_LARGE: &[&str] = &[USELESS, "the document is larger than 16777216 bytes"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_an_end_and_bombs() {
    let case = |name, speech| Case {
        name,
        scheme: "http",
        speech,
        keys: SIXTEEN,
        told: TOO_LARGE,
    };
    let endless = |before, again| repeated(before, again, FOR_EVER >> 20, "");
    check(vec![
        case("endless-spaces", endless("<Poll_Response>", " ")),
        case("endless-elements", endless("<Poll_Response>", "<a>b</a>")),
        case("endless-block", endless(BLOCK, "<Title>t</Title>")),
        case("endless-comment", endless("<Poll_Response><!--", "-")),
        // Ten mebibytes that hold ten gibibytes.
        case("gzip-bomb", gzip_bomb("", b"<Poll_Response>", 10 << 10)),
    ])
    .await;
}

/// Each has the process to itself, so that its peak is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worst_of_them_alone() {
    let title = format!("<TTP id='i'><Title>{}</Title></TTP>", "t".repeat(4000));
    for case in [
        Case {
            name: "gzip-bomb-in-a-block",
            scheme: "http",
            speech: gzip_bomb("", BLOCK.as_bytes(), 10 << 10),
            keys: SIXTEEN,
            told: TOO_LARGE,
        },
        // Four mebibytes are allowed, and sixteen are read to find the end.
        Case {
            name: "gigantic-attribute",
            scheme: "http",
            speech: repeated("<Poll_Response a='", "v", 64, "'/>"),
            keys: "",
            told: &[USELESS, TOO_LONG],
        },
        // All definitions wait in memory, up to their limit.
        Case {
            name: "gigantic-definitions",
            scheme: "http",
            speech: repeated(&format!("{BLOCK}<TTPs>"), &title, FOR_EVER >> 20, ""),
            keys: "limits = { max_response_bytes = \"64MiB\" }",
            told: &[USELESS, "the document is larger than 67108864 bytes"],
        },
        Case {
            name: "thousands-of-long-names",
            scheme: "http",
            speech: repeated(BLOCK, &format!("<{}>", "n".repeat(1000)), 64, ""),
            keys: "",
            told: &[USELESS, "elements are nested more than 100 deep"],
        },
    ] {
        let name = case.name;
        let peak = check(vec![case]).await;
        println!("{name}: {peak} MiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encodings_that_are_not_what_they_say() {
    use std::io::Write as _;
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let answer = b"<Poll_Response></Poll_Response>";
    let once = packed(answer);
    let utf_16: Vec<u8> = "\u{feff}<Poll_Response/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let gzip = "Content-Encoding: gzip\r\n";
    let case = |name, speech, told| Case {
        name,
        scheme: "http",
        speech,
        keys: "",
        told,
    };
    check(vec![
        case(
            "gzip-in-gzip",
            http(gzip, packed(&once)),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "gzip-cut-off",
            http(gzip, &once[..once.len() - 9]),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "plain-as-gzip",
            http(gzip, answer),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "gzip-as-plain",
            http("", &once),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "an-unknown-encoding",
            http("Content-Encoding: br\r\n", b"\x0b\x02\x80abc\x03"),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "utf-16",
            http("", utf_16),
            &[USELESS, "the answer cannot be read"],
        ),
        case(
            "a-wrong-charset",
            http(
                "",
                "<?xml version='1.0' encoding='windows-1252'?><Poll_Response/>",
            ),
            &[USELESS, "the encoding \"windows-1252\" is not supported"],
        ),
        case(
            "nul-bytes",
            http("", b"\0\0\0\0<Poll_Response/>"),
            &[USELESS, "the answer cannot be read: no TAXII message"],
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_take_their_time() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    let drip = |start: &str, again: &str| Speech {
        start: start.as_bytes().to_vec(),
        again: again.as_bytes().to_vec(),
        times: FOR_EVER,
        pause: Duration::from_millis(50),
        ..Speech::default()
    };
    let flood = |start: &str, again: &str| Speech {
        pause: Duration::ZERO,
        ..drip(start, &again.repeat(1000))
    };
    let case = |name, speech, told| Case {
        name,
        scheme: "http",
        speech,
        keys: "request_timeout = \"2s\"",
        told,
    };
    let late = &["no answer came in time (request_timeout)"];
    check(vec![
        case(
            "head-byte-by-byte",
            drip(&format!("{HEAD}X-A: "), "a"),
            late,
        ),
        case(
            "body-byte-by-byte",
            drip(&format!("{HEAD}\r\n<Poll_Response>"), " "),
            &[USELESS, "the answer cannot be read", "timed out"],
        ),
        case(
            "informational-for-ever",
            drip("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
            late,
        ),
        case(
            "informational-flood",
            flood("", "HTTP/1.1 100 Continue\r\n\r\n"),
            &["in time (request_timeout)"],
        ),
        case(
            "headers-for-ever",
            flood(HEAD, "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
            &["the connection failed before the answer came"],
        ),
        case(
            "one-header-for-ever",
            flood(&format!("{HEAD}X-A: "), "aaaaaaaaaa"),
            &["the connection failed before the answer came"],
        ),
        case(
            "redirects-for-ever",
            Speech {
                start: b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
                ..Speech::default()
            },
            &["poll_url has moved"],
        ),
    ])
    .await;
}
