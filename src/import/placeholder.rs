//! `${NAME}` and `ENC(…)`: values that do not stand where they are used.

/// A default may hold placeholders, and what they stand for too.
const MAX_DEPTH: usize = 8;

/// A text whose placeholders are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// Those that were taken from outside the file.
    pub(super) from_outside: Vec<String>,
    /// Those of which the default was taken, which something may overrule where the adapter runs.
    pub(super) by_default: Vec<String>,
}

/// Why a text is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("${{{name}}} is not known here")]
    Placeholder { name: String },
    #[error("it is encrypted ({kind})")]
    Encrypted { kind: &'static str },
}

/// Where placeholders are looked up.
pub(super) struct Lookup<'a> {
    /// The variables of this process.
    pub(super) outside: &'a dyn Fn(&str) -> Option<String>,
    /// The file's own properties.
    pub(super) file: &'a dyn Fn(&str) -> Option<String>,
}

impl Lookup<'_> {
    /// Puts what they stand for in the place of all placeholders. What is left of Spring's syntax is text.
    pub(super) fn resolve(&self, text: &str) -> Result<Resolved, Unresolved> {
        let mut resolved = Resolved::default();
        resolved.text = self.text(text, &mut resolved, 0)?;
        Ok(resolved)
    }

    fn text(&self, text: &str, found: &mut Resolved, depth: usize) -> Result<String, Unresolved> {
        if let Some(kind) = encryption(text) {
            return Err(Unresolved::Encrypted { kind });
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, inner, after)) = placeholder(rest) {
            out.push_str(before);
            out.push_str(&self.one(inner, found, depth)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands between the braces.
    fn one(&self, inner: &str, found: &mut Resolved, depth: usize) -> Result<String, Unresolved> {
        let (name, default) = match inner.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let unknown = || Unresolved::Placeholder {
            name: name.to_owned(),
        };
        if depth == MAX_DEPTH {
            return Err(unknown());
        }
        if let Some(value) = (self.outside)(name).or_else(|| (self.outside)(&variable(name))) {
            found.from_outside.push(name.to_owned());
            return Ok(value);
        }
        if let Some(value) = (self.file)(name) {
            return self.text(&value, found, depth + 1);
        }
        let default = default.ok_or_else(unknown)?;
        found.by_default.push(name.to_owned());
        self.text(default, found, depth + 1)
    }
}

/// The first placeholder of a text, with what stands before and behind it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, behind) = text.split_once("${")?;
    let mut depth = 1_usize;
    let mut open = false;
    for (place, c) in behind.char_indices() {
        match c {
            '{' if open => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        open = c == '$';
        if depth == 0 {
            let (inner, after) = behind.split_at(place);
            return Some((before, inner, after.strip_prefix('}').unwrap_or(after)));
        }
    }
    None
}

/// How the environment spells the name of a property.
fn variable(name: &str) -> String {
    name.replace(['.', '-'], "_").to_ascii_uppercase()
}

fn encryption(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if text.starts_with("ENC(") && text.ends_with(')') {
        Some("ENC(…), by jasypt")
    } else if text.starts_with("{cipher}") {
        Some("{cipher}…, by Spring Cloud")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(text: &str) -> Result<Resolved, Unresolved> {
        let outside = |name: &str| match name {
            "HOST" => Some("splunk".to_owned()),
            "TAXII_USER_NAME" => Some("me".to_owned()),
            _ => None,
        };
        let file = |name: &str| match name {
            "my.feed" => Some("flows-${HOST}".to_owned()),
            "round" => Some("${round}".to_owned()),
            "secret" => Some("ENC(abc)".to_owned()),
            _ => None,
        };
        let lookup = Lookup {
            outside: &outside,
            file: &file,
        };
        lookup.resolve(text)
    }

    #[test]
    fn what_is_known_takes_the_place_of_its_name() {
        for (text, expect) in [
            ("plain", "plain"),
            ("https://${HOST}/${HOST}", "https://splunk/splunk"),
            ("${taxii.user-name}", "me"),
            ("${my.feed}", "flows-splunk"),
            ("${NONE:a:b}", "a:b"),
            ("${NONE:}", ""),
            ("${NONE:${HOST}}!", "splunk!"),
            ("${NONE:${NOR:c}}", "c"),
            ("a${b", "a${b"),
            ("$HOST {HOST} }", "$HOST {HOST} }"),
            ("{cipher", "{cipher"),
        ] {
            assert_eq!(resolved(text).unwrap().text, expect, "{text}");
        }
        let found = resolved("${HOST} ${NONE:x}").unwrap();
        assert_eq!(found.from_outside, ["HOST"]);
        assert_eq!(found.by_default, ["NONE"]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (text, expect) in [
            ("x ${NONE}", "${NONE} is not known here"),
            ("${round}", "${round} is not known here"),
            ("${NONE:${NOR}}", "${NOR} is not known here"),
            ("ENC(abc=)", "encrypted (ENC(…), by jasypt)"),
            ("${secret}", "encrypted (ENC(…), by jasypt)"),
            ("{cipher}abc", "by Spring Cloud"),
        ] {
            let error = resolved(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[${}:a\u{e9}]{0,40}") {
            let _ = resolved(&text);
        }
    }
}
