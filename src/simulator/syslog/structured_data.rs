//! STRUCTURED-DATA of RFC 5424.

use serde::Serialize;

/// Names without an `@` are the registry's alone.
const REGISTERED: [&str; 3] = ["timeQuality", "origin", "meta"];

const MAX_NAME_BYTES: usize = 32;

/// An element of the structured data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyslogElement {
    /// SD-ID.
    pub id: String,
    /// Names and values, without escapes.
    pub params: Vec<(String, String)>,
}

/// The structured data is not as RFC 5424 asks for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StructuredDataError {
    #[error("structured data begins with - or [, and an element ends with ]: {found:?}")]
    Brackets { found: String },
    #[error("structured data has a name that is not one: {found:?}")]
    Name { found: String },
    #[error("structured data has {id:?}, which is neither registered nor name@number")]
    Id { id: String },
    #[error("structured data has {id:?} twice")]
    Twice { id: String },
    #[error("structured data has a value of {name} without its quotes")]
    Quotes { name: String },
    #[error("structured data has a value of {name} with a \\ or ] that is not escaped")]
    Escape { name: String },
    #[error("structured data has a sequenceId that is no number from 1: {found:?}")]
    SequenceId { found: String },
}

impl SyslogElement {
    /// The value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The elements, and what stands behind them.
pub(super) fn read(text: &str) -> Result<(Vec<SyslogElement>, &str), StructuredDataError> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok((Vec::new(), rest));
    }
    let (mut elements, mut rest) = (Vec::<SyslogElement>::new(), text);
    while let Some(inside) = rest.strip_prefix('[') {
        let (element, behind) = element(inside)?;
        if elements.iter().any(|other| other.id == element.id) {
            return Err(StructuredDataError::Twice { id: element.id });
        }
        elements.push(element);
        rest = behind;
    }
    if elements.is_empty() {
        return Err(brackets(text));
    }
    Ok((elements, rest))
}

fn element(text: &str) -> Result<(SyslogElement, &str), StructuredDataError> {
    let (id, mut rest) = name(text)?;
    check_id(id)?;
    let mut params = Vec::new();
    while let Some(param) = rest.strip_prefix(' ') {
        let (name, behind) = name(param)?;
        let without_quotes = || StructuredDataError::Quotes {
            name: name.to_owned(),
        };
        let behind = behind.strip_prefix("=\"").ok_or_else(without_quotes)?;
        let (value, behind) = value(behind, name)?;
        if (id, name) == ("meta", "sequenceId") {
            check_sequence_id(&value)?;
        }
        params.push((name.to_owned(), value));
        rest = behind;
    }
    let rest = rest.strip_prefix(']').ok_or_else(|| brackets(rest))?;
    let id = id.to_owned();
    Ok((SyslogElement { id, params }, rest))
}

/// SD-NAME: printable ASCII except for `=`, `]`, `"` and the space.
fn name(text: &str) -> Result<(&str, &str), StructuredDataError> {
    let end = text.find(['=', ' ', ']', '"']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let is_printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_printable {
        let found = begin(text);
        return Err(StructuredDataError::Name { found });
    }
    Ok((name, rest))
}

/// The value up to its closing quote, without its escapes.
fn value<'a>(text: &'a str, name: &str) -> Result<(String, &'a str), StructuredDataError> {
    let name = || name.to_owned();
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next() {
            Some('"') => return Ok((value, characters.as_str())),
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\' | ']')) => value.push(escaped),
                _ => return Err(StructuredDataError::Escape { name: name() }),
            },
            Some(']') => return Err(StructuredDataError::Escape { name: name() }),
            Some(character) => value.push(character),
            None => return Err(StructuredDataError::Quotes { name: name() }),
        }
    }
}

fn check_id(id: &str) -> Result<(), StructuredDataError> {
    let is_number = |number: &str| {
        let mut parts = number.split('.');
        parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_good = match id.split_once('@') {
        None => REGISTERED.contains(&id),
        Some((name, number)) => !name.is_empty() && is_number(number),
    };
    if is_good {
        Ok(())
    } else {
        Err(StructuredDataError::Id { id: id.to_owned() })
    }
}

fn check_sequence_id(value: &str) -> Result<(), StructuredDataError> {
    match value.parse::<i32>() {
        Ok(number) if number >= 1 && number.to_string() == value => Ok(()),
        _ => Err(StructuredDataError::SequenceId {
            found: value.to_owned(),
        }),
    }
}

fn brackets(text: &str) -> StructuredDataError {
    let found = begin(text);
    StructuredDataError::Brackets { found }
}

fn begin(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_their_values_without_escapes() {
        let text = r#"[a@32473.1 k="x \"y\" \\ \]" l=""][meta sequenceId="2147483647"] rest"#;
        let (elements, rest) = read(text).unwrap();
        assert_eq!(elements[0].param("k"), Some(r#"x "y" \ ]"#));
        assert_eq!(elements[0].param("l"), Some(""));
        assert_eq!(elements[0].param("m"), None);
        assert_eq!(elements[1].id, "meta");
        assert_eq!(rest, " rest");
        assert_eq!(read("-").unwrap(), (Vec::new(), ""));
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let long = format!("[{}@1]", "n".repeat(31));
        for (text, complaint) in [
            ("", "begins with -"),
            ("x", "begins with -"),
            ("[meta", "begins with -"),
            ("[meta]x[meta]", ""),
            ("[]", "a name that is not one"),
            (long.as_str(), "a name that is not one"),
            ("[m\u{e9}ta]", "a name that is not one"),
            ("[meta ]", "a name that is not one"),
            ("[cta]", "neither registered"),
            ("[cta@]", "neither registered"),
            ("[@1]", "neither registered"),
            ("[cta@1..2]", "neither registered"),
            ("[meta][meta]", "twice"),
            ("[meta a=b]", "without its quotes"),
            ("[meta a]", "without its quotes"),
            ("[meta a=\"b]", "not escaped"),
            ("[meta a=\"b", "without its quotes"),
            ("[meta a=\"b\\n\"]", "not escaped"),
            ("[meta a=\"b]\"]", "not escaped"),
            ("[meta sequenceId=\"0\"]", "no number from 1"),
            ("[meta sequenceId=\"01\"]", "no number from 1"),
            ("[meta sequenceId=\"2147483648\"]", "no number from 1"),
        ] {
            match read(text) {
                Ok((_, rest)) => assert_eq!((complaint, rest), ("", "x[meta]"), "{text}"),
                Err(error) => assert!(error.to_string().contains(complaint), "{text}: {error}"),
            }
        }
    }
}
