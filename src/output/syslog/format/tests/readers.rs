//! Readers of each format, written from its specification. What breaks a rule panics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what cannot be read has failed the test"
)]

/// RFC 5424, section 6.
#[derive(Debug)]
pub(crate) struct Rfc5424 {
    pub(crate) priority: u8,
    pub(crate) timestamp: String,
    pub(crate) host: String,
    pub(crate) app_name: String,
    pub(crate) process: String,
    pub(crate) msgid: String,
    pub(crate) structured_data: Vec<Element>,
    pub(crate) msg: String,
}

/// SD-ELEMENT: the id, names and values.
pub(crate) type Element = (String, Pairs);

/// Keys and values, in order.
pub(crate) type Pairs = Vec<(String, String)>;

pub(crate) fn rfc5424(message: &str) -> Rfc5424 {
    let (priority, rest) = priority(message);
    let rest = rest.strip_prefix("1 ").expect("VERSION is 1");
    let (timestamp, rest) = rest.split_once(' ').unwrap();
    let (host, rest) = word(rest, 255);
    let (app_name, rest) = word(rest, 48);
    let (process, rest) = word(rest, 128);
    let (msgid, rest) = word(rest, 32);
    let (structured_data, rest) = structured_data(rest);
    let msg = match rest.strip_prefix(' ') {
        Some(msg) => msg.to_owned(),
        None => {
            assert_eq!(rest, "");
            String::new()
        }
    };
    check_timestamp(timestamp);
    Rfc5424 {
        priority,
        timestamp: timestamp.into(),
        host,
        app_name,
        process,
        msgid,
        structured_data,
        msg,
    }
}

/// RFC 3164, section 4.1.
#[derive(Debug)]
pub(crate) struct Rfc3164 {
    pub(crate) priority: u8,
    pub(crate) timestamp: String,
    pub(crate) host: String,
    pub(crate) tag: String,
    /// What stands behind the tag, its colon and the space, if there is one.
    pub(crate) content: String,
}

pub(crate) fn rfc3164(message: &str) -> Rfc3164 {
    let (priority, rest) = priority(message);
    let (timestamp, rest) = rest.split_at("Jan 18 23:31:22".len());
    let shape: String = timestamp
        .chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            other => other,
        })
        .collect();
    assert!(
        ["Aaa 00 00:00:00", "Aaa  0 00:00:00"].contains(&shape.as_str()),
        "{timestamp}"
    );
    let (host, rest) = rest.strip_prefix(' ').unwrap().split_once(' ').unwrap();
    let tag: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    assert!((1..=32).contains(&tag.len()), "{tag}");
    let content = rest[tag.len()..].strip_prefix(':').unwrap();
    Rfc3164 {
        priority,
        timestamp: timestamp.into(),
        host: host.into(),
        tag,
        content: content.strip_prefix(' ').unwrap_or(content).into(),
    }
}

/// The header's seven fields and the extension.
#[derive(Debug)]
pub(crate) struct Cef {
    pub(crate) header: Vec<String>,
    pub(crate) extension: Pairs,
}

pub(crate) fn cef(body: &str) -> Cef {
    let mut header = vec![String::new()];
    let mut chars = body.char_indices();
    let extension = loop {
        let (place, c) = chars.next().expect("seven pipes");
        match c {
            '|' if header.len() == 7 => break &body[place + 1..],
            '|' => header.push(String::new()),
            '\\' => {
                let (_, escaped) = chars.next().unwrap();
                assert!(matches!(escaped, '\\' | '|'), "\\{escaped} in {body}");
                header.last_mut().unwrap().push(escaped);
            }
            other => header.last_mut().unwrap().push(other),
        }
    };
    Cef {
        header,
        extension: cef_extension(extension),
    }
}

/// A key is the word before an equals sign that is not escaped; its value ends before the space in
/// front of the next key.
fn cef_extension(text: &str) -> Pairs {
    let mut signs = Vec::new();
    let mut is_escaped = false;
    for (place, c) in text.char_indices() {
        if c == '=' && !is_escaped {
            signs.push(place);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    let key_start = |sign: usize| text[..sign].rfind(' ').map_or(0, |space| space + 1);
    let mut pairs = Vec::new();
    for (number, &sign) in signs.iter().enumerate() {
        let key = &text[key_start(sign)..sign];
        assert!(
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric()),
            "key {key:?} in {text}"
        );
        let end = match signs.get(number + 1) {
            Some(&next) => key_start(next) - 1,
            None => text.len(),
        };
        pairs.push((key.into(), unescaped(&text[sign + 1..end], "\\=")));
    }
    assert!(pairs.is_empty() || key_start(signs[0]) == 0, "{text}");
    pairs
}

/// The header's five fields behind `LEEF:2.0`, and the attributes.
#[derive(Debug)]
pub(crate) struct Leef {
    pub(crate) header: Vec<String>,
    pub(crate) attributes: Pairs,
}

pub(crate) fn leef(body: &str) -> Leef {
    let mut parts = body.splitn(7, '|');
    assert_eq!(parts.next(), Some("LEEF:2.0"));
    let header: Vec<String> = parts.by_ref().take(5).map(str::to_owned).collect();
    let delimiter = header[4].strip_prefix('x').expect("a delimiter in hex");
    let delimiter = char::from(u8::from_str_radix(delimiter, 16).unwrap());
    let attributes = parts.next().unwrap();
    let pairs = attributes.split(delimiter).map(|pair| {
        let (key, value) = pair.split_once('=').expect("key=value");
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(!key.is_empty() && key.chars().all(is_word), "key {key:?}");
        (key.to_owned(), value.to_owned())
    });
    Leef {
        attributes: pairs.collect(),
        header,
    }
}

pub(crate) fn key_value(body: &str) -> Pairs {
    let mut pairs = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        if !pairs.is_empty() {
            rest = rest.strip_prefix(' ').expect("a space between pairs");
        }
        let (key, quoted) = rest.split_once("=\"").expect("key=\"");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(
            !key.is_empty() && key.chars().all(is_allowed),
            "key {key:?}"
        );
        let mut is_escaped = false;
        let end = quoted.char_indices().find(|&(_, c)| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let (end, _) = end.expect("a closing quote");
        pairs.push((key.to_owned(), unescaped(&quoted[..end], "\\\"")));
        rest = &quoted[end + 1..];
    }
    pairs
}

/// `\n`, `\r` and a backslash before one of `escapable`.
fn unescaped(text: &str, escapable: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next().expect("something behind a backslash") {
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            c if escapable.contains(c) => plain.push(c),
            other => panic!("\\{other} is no escape: {text}"),
        }
    }
    plain
}

fn priority(message: &str) -> (u8, &str) {
    let (priority, rest) = message.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert!(priority == "0" || !priority.starts_with('0'), "{priority}");
    let priority = priority.parse().unwrap();
    assert!(priority <= 191, "{priority}");
    (priority, rest)
}

fn word(rest: &str, max_bytes: usize) -> (String, &str) {
    let (word, rest) = rest.split_once(' ').unwrap();
    assert!((1..=max_bytes).contains(&word.len()), "{word:?}");
    assert!(word.bytes().all(|b| (33..=126).contains(&b)), "{word:?}");
    (word.to_owned(), rest)
}

/// FULL-DATE "T" FULL-TIME, with one to six digits in the fraction, or nil.
fn check_timestamp(timestamp: &str) {
    if timestamp == "-" {
        return;
    }
    let date = chrono::DateTime::parse_from_rfc3339(timestamp);
    assert!(date.is_ok(), "{timestamp}");
    assert_eq!(timestamp.find('T'), Some("2015-01-18".len()), "{timestamp}");
    if let Some((_, fraction)) = timestamp.split_once('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        assert!((1..=6).contains(&digits), "{timestamp}");
    }
}

fn structured_data(text: &str) -> (Vec<Element>, &str) {
    if let Some(rest) = text.strip_prefix('-') {
        return (Vec::new(), rest);
    }
    let mut elements: Vec<Element> = Vec::new();
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix('[') {
        let (id, inside) = sd_name(inside);
        assert!(elements.iter().all(|(known, _)| *known != id), "{id} twice");
        let mut params = Pairs::new();
        rest = inside;
        while let Some(param) = rest.strip_prefix(' ') {
            let (name, after) = sd_name(param);
            let (value, after) = param_value(after.strip_prefix("=\"").unwrap());
            params.push((name, value));
            rest = after;
        }
        rest = rest.strip_prefix(']').expect("the end of an element");
        elements.push((id, params));
    }
    assert!(!elements.is_empty(), "structured data in {text:?}");
    (elements, rest)
}

fn sd_name(text: &str) -> (String, &str) {
    let is_name = |c: char| c.is_ascii_graphic() && !"=]\"".contains(c);
    let end = text.find(|c| !is_name(c)).unwrap();
    assert!((1..=32).contains(&end), "{text}");
    (text[..end].to_owned(), &text[end..])
}

/// A backslash before anything else is only a backslash.
fn param_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => return (value, &text[place + 1..]),
            ']' => panic!("] must be escaped: {text}"),
            '\\' => match chars.next_if(|&(_, c)| matches!(c, '"' | '\\' | ']')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}");
}
