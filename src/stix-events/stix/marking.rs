//! Data markings. The more restrictive one always stays, and what nobody knows is more restrictive
//! than all.

use serde::{Deserialize, Serialize};

/// The most restrictive colour that is known.
const RED: &str = "RED";
/// Stands for the colour of a marking that nobody can look up.
const UNKNOWN: &str = "UNKNOWN";

/// The data markings of one Handling.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marking {
    /// The most restrictive `@color`, in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<String>,
    /// Statement
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// Terms_Of_Use
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// Ids of markings that are told elsewhere in the package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

impl Marking {
    /// Whether nothing is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of its texts, with what each takes in memory beside them, roughly.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        const EACH: usize = 32;
        let texts = [&self.statements, &self.terms, &self.references];
        let texts = texts.into_iter().flatten().chain(&self.tlp);
        texts.map(|text| text.len() + EACH).sum()
    }

    /// How many texts it has.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.statements.len() + self.terms.len() + self.references.len()
    }

    /// Takes what another one says; of two colours the more restrictive one stays.
    pub fn add(&mut self, other: &Self) {
        if let Some(color) = &other.tlp {
            self.add_color(color);
        }
        for (texts, more) in [
            (&mut self.statements, &other.statements),
            (&mut self.terms, &other.terms),
            (&mut self.references, &other.references),
        ] {
            for text in more {
                if !texts.contains(text) {
                    texts.push(text.clone());
                }
            }
        }
    }

    /// Takes a colour; the more restrictive one stays.
    pub fn add_color(&mut self, color: &str) {
        let color = color.trim().to_ascii_uppercase();
        if color.is_empty() {
            return;
        }
        let current = self.tlp.as_deref().map(restriction);
        if current < Some(restriction(&color)) {
            self.tlp = Some(color);
        }
    }

    /// Something is marked in a way that cannot be known: a colour that is known may be too low.
    pub fn add_unknown(&mut self) {
        let current = self.tlp.as_deref().map(restriction);
        if current < Some(restriction(RED)) {
            self.tlp = Some(UNKNOWN.to_owned());
        }
    }
}

/// How much a colour of the Traffic Light Protocol restricts. What nobody knows may forbid
/// anything.
fn restriction(color: &str) -> u8 {
    match color {
        "WHITE" | "CLEAR" => 0,
        "GREEN" => 1,
        "AMBER" => 2,
        "AMBER+STRICT" => 3,
        RED => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(colors: &[&str], expect: Option<&str>) {
        let mut marking = Marking::default();
        for color in colors {
            let mut other = Marking::default();
            other.add_color(color);
            marking.add(&other);
        }
        assert_eq!(marking.tlp.as_deref(), expect, "{colors:?}");
    }

    #[test]
    fn the_most_restrictive_colour_stays() {
        check(&[], None);
        check(&[""], None);
        check(&["white"], Some("WHITE"));
        check(&["GREEN", "white"], Some("GREEN"));
        check(&["AMBER", "AMBER+STRICT", "GREEN"], Some("AMBER+STRICT"));
        check(&["RED", "AMBER"], Some("RED"));
        check(&["RED", "ULTRAVIOLET", "CLEAR"], Some("ULTRAVIOLET"));
    }

    #[test]
    fn what_cannot_be_known_is_more_than_all_but_red() {
        for (color, expect) in [
            ("", "UNKNOWN"),
            ("GREEN", "UNKNOWN"),
            ("AMBER+STRICT", "UNKNOWN"),
            ("RED", "RED"),
            ("ULTRAVIOLET", "ULTRAVIOLET"),
        ] {
            let mut marking = Marking::default();
            marking.add_color(color);
            marking.add_unknown();
            assert_eq!(marking.tlp.as_deref(), Some(expect), "{color}");
            marking.add_color("WHITE");
            assert_eq!(marking.tlp.as_deref(), Some(expect), "{color}");
        }
    }
}
