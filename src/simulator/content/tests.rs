//! The content is read back here with a reader of the tests' own: a tree of elements.

use std::collections::HashSet;

use super::*;
use crate::tree::Element;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn publications(seed: u64, count: usize) -> Vec<Publication> {
    publications_in(Manner::Varied, seed, count)
}

fn publications_in(manner: Manner, seed: u64, count: usize) -> Vec<Publication> {
    let mut generator = ContentGenerator::new(seed).with_manner(manner);
    let published = at("2026-03-01T12:00:00.123Z");
    (0..count)
        .map(|_| generator.publication(published))
        .collect()
}

fn properties(flow: &Element) -> Vec<(String, String)> {
    let properties = flow.descendants("Property").into_iter();
    properties
        .map(|property| {
            (
                property.attribute("name").unwrap().to_owned(),
                property.text(),
            )
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_content_and_another_another() {
    assert_eq!(publications(7, 20), publications(7, 20));
    assert_ne!(publications(7, 1), publications(8, 1));
}

#[test]
fn ids_do_not_repeat_and_are_as_many_as_stated() {
    let mut seen = HashSet::new();
    for seed in 0..3 {
        for publication in publications(seed, 100) {
            let package = Element::parse(&publication.package_xml);
            assert_eq!(package.descendants("Incident").len(), publication.incidents);
            assert_eq!(
                package.descendants("Custom_Properties").len(),
                publication.flows
            );
            for id in publication.events {
                assert!(seen.insert(id), "{id} of seed {seed} is there twice");
            }
        }
    }
}

#[test]
fn what_is_written_is_what_the_ids_are_of() {
    for manner in [Manner::Varied, Manner::Sample] {
        is_what_the_ids_are_of(manner);
    }
}

fn is_what_the_ids_are_of(manner: Manner) {
    for (number, publication) in publications_in(manner, 3, 60).iter().enumerate() {
        let package = Element::parse(&publication.package_xml);
        let mut random = fastrand::Rng::with_seed(3);
        let mut random = fastrand::Rng::with_seed(
            random.u64(..) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        let name = invention::PackageName {
            seed: 3,
            number: number as u64,
        };
        let model = invention::package(
            &mut random,
            name,
            PackageSize::default(),
            manner,
            publication.published,
        );
        let flows = model
            .incidents
            .iter()
            .flat_map(|incident| &incident.indicators);
        let flows = flows.flat_map(|indicator| &indicator.flows);
        let said: Vec<Vec<(String, String)>> = flows
            .map(|flow| {
                flow.properties
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect()
            })
            .collect();
        let written: Vec<_> = package
            .descendants("Custom_Properties")
            .into_iter()
            .map(properties)
            .collect();
        assert_eq!(written, said);
        for (element, incident) in package.descendants("Incident").iter().zip(&model.incidents) {
            assert_eq!(element.attribute("id"), Some(incident.id.as_str()));
            assert_eq!(element.attribute("URL"), incident.url.as_deref());
            let victims: Vec<_> = element
                .descendants("Victim")
                .iter()
                .map(|victim| victim.descendants("Name")[0].text())
                .collect();
            assert_eq!(victims, incident.victims);
            let titles: Vec<_> = element
                .children("Title")
                .iter()
                .map(|title| title.text())
                .collect();
            assert_eq!(titles, incident.title.as_slice());
        }
    }
}

#[test]
fn forty_publications_have_everything() {
    let all = publications(1, 40);
    let has = |what| {
        let mut packages = all.iter().map(|publication| &publication.package_xml);
        packages.any(|package| package.contains(what))
    };
    for what in [
        "custom_name=\"cta:webflow\"",
        "custom_name=\"cta:swflow\"",
        "<STIX_Package",
        "<stix:STIX_Package",
        "URL=\"https://",
        "idref=\"cta:tool-amp\"",
        "Related_Campaign idref=",
        "Campaign idref=",
        "TTP idref=",
        "&amp;",
        "<![CDATA[",
        "&#x",
        "+01:00\"",
        "Größenwahn",
        "<!--",
        "operator=\"OR\"",
    ] {
        assert!(has(what), "no {what}");
    }
    let packages: Vec<Element> = all.iter().map(|p| Element::parse(&p.package_xml)).collect();
    let any = |fits: &dyn Fn(&Element) -> bool| packages.iter().any(fits);
    let order = |first: &'static str, second: &'static str| {
        move |package: &Element| {
            let place = |name| package.elements().position(|child| child.name == name);
            place(first)
                .zip(place(second))
                .is_some_and(|(first, second)| first < second)
        }
    };
    assert!(any(&order("STIX_Header", "Incidents")));
    assert!(any(&order("Incidents", "STIX_Header")));
    assert!(any(&order("TTPs", "Incidents")));
    assert!(any(&order("Incidents", "TTPs")));
    assert!(
        any(&|package| package.descendants("Incident").is_empty()),
        "no empty package"
    );
    assert!(any(&|package| package.descendants("Incident").len() > 1));
    let incidents: Vec<&Element> = packages
        .iter()
        .flat_map(|package| package.descendants("Incident"))
        .collect();
    let some = |fits: &dyn Fn(&Element) -> bool| incidents.iter().any(|incident| fits(incident));
    assert!(some(&|incident| incident
        .descendants("Observable")
        .is_empty()));
    assert!(some(&|incident| incident.descendants("Indicator").len() > 1));
    assert!(some(
        &|incident| incident.children("Intended_Effect").len() > 1
    ));
    assert!(some(&|incident| incident.descendants("Tool").len() > 1));
    assert!(some(&|incident| incident
        .descendants("Indicator")
        .iter()
        .any(|indicator| indicator.attribute("id").is_none())));
    let twice = |incident: &Element| {
        let flows: Vec<_> = incident
            .descendants("Custom_Properties")
            .into_iter()
            .map(properties)
            .collect();
        flows.windows(2).any(|pair| pair[0] == pair[1])
    };
    assert!(some(&twice), "no flow is there twice");
    let empty = |incident: &Element| {
        incident
            .descendants("Property")
            .iter()
            .any(|property| property.text().is_empty())
    };
    assert!(some(&empty), "no empty value");
}

#[test]
fn as_the_sample() {
    let published = at("2026-03-01T12:00:00.123Z");
    let size = PackageSize {
        incidents: 1,
        indicators: 1,
        flows: 5,
        exact: true,
    };
    let mut generator = ContentGenerator::new(1)
        .with_size(size)
        .with_manner(Manner::Sample);
    for _ in 0..40 {
        let xml = generator.publication(published).package_xml;
        for odd in ["<![CDATA[", "<!--", "&#"] {
            assert!(!xml.contains(odd), "{xml}");
        }
        let flows = Element::parse(&xml).descendants("Custom_Properties").len();
        assert_eq!(flows, 5);
        assert_eq!(xml.matches("<cc:Property name=").count(), 12 * flows);
    }
}

#[test]
fn each_tag_as_far_in_as_what_is_open_around_it() {
    let xml = "<a>\n<b>x</b>\n\n<c d=\"\"/>\n<e>two\n\n  lines</e>\n<f>\n</f>\n</a>";
    let expected =
        "<a>\n  <b>x</b>\n\n  <c d=\"\"/>\n  <e>two\n\n  lines</e>\n  <f>\n  </f>\n</a>\n";
    assert_eq!(xml::indented(xml), expected);
}

#[test]
fn exact_sizes_are_kept() {
    let size = PackageSize {
        incidents: 5,
        indicators: 3,
        flows: 7,
        exact: true,
    };
    let mut generator = ContentGenerator::new(1).with_size(size);
    for _ in 0..10 {
        let publication = generator.publication(at("2026-03-01T12:00:00Z"));
        assert_eq!((publication.incidents, publication.flows), (5, 5 * 3 * 7));
        assert_eq!(publication.events.len(), 5 * 3 * 7);
    }
}
