//! Which properties hold: Spring lays the documents of a file one over another, and some of them only where
//! a profile is active.

use super::properties::{Document, Property};

/// The adapter's own profile, by which `adapter.sh start` runs it.
const SCHEDULE: &str = "schedule";
/// On these a document says when it holds.
const CONDITIONS: [&str; 2] = ["spring.config.activate.onprofile", "spring.profiles"];
const CLOUD_CONDITION: &str = "spring.config.activate.oncloudplatform";
/// These have Spring read what is not read here.
const READS_MORE: [&str; 6] = [
    "spring.profiles.active",
    "spring.profiles.include",
    "spring.config.import",
    "spring.config.location",
    "spring.config.additionallocation",
    "spring.config.name",
];

/// The properties that hold, and what must be told of the others.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) properties: Vec<Property>,
    pub(super) remarks: Vec<String>,
}

/// Lays documents one over another. `profiles` are active besides the adapter's own.
pub(super) fn lay_over(documents: Vec<Document>, profiles: &[String]) -> Holding {
    let mut holding = Holding::default();
    for document in documents {
        match condition(&document, profiles) {
            Ok(()) => holding.add(document),
            Err(condition) => holding.leave_out(&document, &condition),
        }
    }
    holding
}

impl Holding {
    fn add(&mut self, document: Document) {
        let mut properties: Vec<Property> = Vec::new();
        for property in document.properties {
            let name = property.canonical();
            if CONDITIONS.contains(&name.as_str()) {
                continue;
            }
            if READS_MORE.contains(&name.as_str()) {
                self.remarks.push(format!(
                    "{} (line {}): what that names is not read here: compare it",
                    property.name(),
                    property.line
                ));
                continue;
            }
            let is_one = |known: &Property| known.canonical() == name && !property.is_item;
            if let Some(before) = properties.iter().position(is_one) {
                let before = properties.remove(before);
                self.remarks.push(format!(
                    "{} stands there twice (lines {} and {}): the last was taken",
                    property.name(),
                    before.line,
                    property.line
                ));
            }
            properties.push(property);
        }
        // A list takes the place of a list as a whole.
        let names: Vec<String> = properties.iter().map(Property::canonical).collect();
        self.properties
            .retain(|known| !names.contains(&known.canonical()));
        self.properties.extend(properties);
    }

    fn leave_out(&mut self, document: &Document, condition: &str) {
        let mut names: Vec<String> = Vec::new();
        for property in &document.properties {
            let name = property.name();
            if !is_condition(property) && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return;
        }
        self.remarks.push(format!(
            "not taken over, since it holds for {condition} alone (the document at line {}; --profile \
             names a profile that is active): {}",
            document.line,
            names.join(", ")
        ));
    }
}

fn is_condition(property: &Property) -> bool {
    let name = property.canonical();
    CONDITIONS.contains(&name.as_str()) || name == CLOUD_CONDITION
}

/// Whether a document holds, else what it wants.
fn condition(document: &Document, profiles: &[String]) -> Result<(), String> {
    let stated = |name: &str| {
        let found = document.properties.iter();
        let found =
            found.filter(move |one| one.canonical() == name && !one.value.trim().is_empty());
        found.map(|one| one.value.clone()).collect::<Vec<String>>()
    };
    let clouds = stated(CLOUD_CONDITION);
    if !clouds.is_empty() {
        return Err(format!("the cloud platform {:?}", clouds.join(", ")));
    }
    for name in CONDITIONS {
        let wanted = stated(name);
        let is_active =
            |profile: &str| profile == SCHEDULE || profiles.iter().any(|active| active == profile);
        let mut each = wanted
            .iter()
            .flat_map(|text| text.split(',').map(str::trim));
        // An expression with & | ( ) is none of these, and left to a person.
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let holds = each.any(|one| match one.strip_prefix('!') {
            Some(not) => not.chars().all(plain) && !is_active(not),
            None => is_active(one),
        });
        if !wanted.is_empty() && !holds {
            return Err(format!("the profile {:?}", wanted.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::properties::read;

    fn laid(text: &str, profiles: &[&str]) -> (Vec<(String, String)>, String) {
        let profiles: Vec<String> = profiles.iter().map(|&one| one.to_owned()).collect();
        let holding = lay_over(read(text).unwrap(), &profiles);
        let properties = holding.properties.into_iter();
        let properties = properties.map(|one| (one.name(), one.value)).collect();
        (properties, holding.remarks.join("\n"))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn later_documents_hold_over_earlier_ones() {
        let text = "a: {b: 1, list: [x, y]}\nc: 2\n---\na.b: 3\na: {list: [z]}\n";
        let (properties, remarks) = laid(text, &[]);
        let expect = [pair("c", "2"), pair("a.b", "3"), pair("a.list", "z")];
        assert_eq!(properties, expect);
        assert_eq!(remarks, "");
    }

    #[test]
    fn a_document_of_a_profile_holds_where_that_is_active() {
        for (condition, holds) in [
            ("spring.config.activate.on-profile: schedule", true),
            ("spring.config.activate.on-profile: test, schedule", true),
            (
                "spring:\n  config:\n    activate:\n      onProfile: [a, prod]",
                true,
            ),
            ("spring.profiles: prod", true),
            ("spring.profiles: '!test'", true),
            ("spring.profiles: test", false),
            ("spring.profiles: '!schedule'", false),
            ("spring.config.activate.on-profile: prod & test", false),
            ("spring.config.activate.on-profile: '!(a | b)'", false),
            (
                "spring.config.activate.on-cloud-platform: kubernetes",
                false,
            ),
        ] {
            let text = format!("a: 1\n---\n{condition}\na: 2\n");
            let (properties, remarks) = laid(&text, &["prod"]);
            let expect = if holds { "2" } else { "1" };
            assert_eq!(properties, [pair("a", expect)], "{condition}");
            assert_eq!(remarks.contains("not taken over"), !holds, "{remarks}");
            assert_eq!(remarks.ends_with(": a"), !holds, "{remarks}");
        }
    }

    #[test]
    fn what_else_spring_reads_and_what_stands_twice_is_told() {
        let text = "spring.config.import: http://svc:pw@more/\na: 1\nb: {c: 1}\nb.c: 2\n";
        let (properties, remarks) = laid(text, &[]);
        assert_eq!(properties, [pair("a", "1"), pair("b.c", "2")]);
        assert!(
            remarks.contains("spring.config.import (line 1)"),
            "{remarks}"
        );
        // It may hold a password.
        assert!(!remarks.contains("pw"), "{remarks}");
        assert!(remarks.contains("twice (lines 3 and 4)"), "{remarks}");
    }
}
