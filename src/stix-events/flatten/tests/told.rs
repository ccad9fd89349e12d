//! Every text of a package is in an event, or counted and named.

use super::references::{incident_of, indicator, observable};
use super::*;

#[test]
fn an_impact_assessment() {
    let impact = r#"<Impact_Assessment>
        <Direct_Impact_Summary><Asset_Losses>Minor</Asset_Losses><Business-Mission_Disruption>Major</Business-Mission_Disruption><Response_And_Recovery_Costs>None</Response_And_Recovery_Costs></Direct_Impact_Summary>
        <Indirect_Impact_Summary><Loss_Of_Competitive_Advantage>No</Loss_Of_Competitive_Advantage><Brand_And_Market_Damage>Yes</Brand_And_Market_Damage><Increased_Operating_Costs>a</Increased_Operating_Costs><Legal_And_Regulatory_Costs>b</Legal_And_Regulatory_Costs></Indirect_Impact_Summary>
        <Total_Loss_Estimation><Initial_Reported_Total_Loss_Estimation amount="50000" iso_currency_code="USD"/><Actual_Total_Loss_Estimation amount="99.50" iso_currency_code="EUR"/></Total_Loss_Estimation>
        <Impact_Qualification>Painful</Impact_Qualification>
        <Effects><Effect>Data Breach</Effect><Effect>User Data Loss</Effect></Effects>
        <External_Impact_Assessment_Model model_name="m"><Own>text</Own></External_Impact_Assessment_Model>
      </Impact_Assessment>"#;
    let plain = package(&[&incident_of("i", &[])]);
    let (events, counts) = flatten(&package(&[&incident_of("i", &[impact])])).unwrap();
    for (name, expect) in [
        ("impactQualification", "Painful"),
        ("impactEffect", "Data Breach; User Data Loss"),
        ("impactAssetLosses", "Minor"),
        ("impactDisruption", "Major"),
        ("impactRecoveryCosts", "None"),
        ("impactCompetitiveLoss", "No"),
        ("impactBrandDamage", "Yes"),
        ("impactOperatingCosts", "a"),
        ("impactLegalCosts", "b"),
        ("impactInitialLoss", "50000"),
        ("impactInitialLossCurrency", "USD"),
        ("impactActualLoss", "99.50"),
        ("impactActualLossCurrency", "EUR"),
    ] {
        assert_eq!(events[0][name], expect, "{name}");
    }
    assert_eq!(
        counts.not_forwarded().as_deref(),
        Some("1 Impact_Assessment elements of incidents in part")
    );
    // No part of the identity.
    assert_eq!(events[0]["eventId"], super::events(&plain)[0]["eventId"]);
}

#[track_caller]
fn check(parts: &[&str], expect: &str) {
    let (_, counts) = flatten(&package(parts)).unwrap();
    let told = counts.not_forwarded();
    assert_eq!(told.as_deref().unwrap_or_default(), expect, "{parts:?}");
}

#[test]
fn what_has_no_field_is_named() {
    for (part, expect) in [
        ("loose text", "1 other elements of packages in part"),
        (
            "<TTPs><Kill_Chains><Kill_Chain>k</Kill_Chain></Kill_Chains>x</TTPs>",
            "1 other elements of packages in part",
        ),
        (
            "<STIX_Header><Title>told</Title><Description>d</Description><Profiles><Stix_Profile>p</Stix_Profile></Profiles></STIX_Header>",
            "1 Description elements of package headers in part; 1 Profiles elements of package headers in part",
        ),
        (
            "<STIX_Header><Information_Source><Identity><Name>told</Name><Specification>s</Specification></Identity><Time><Produced_Time>t</Produced_Time></Time></Information_Source></STIX_Header>",
            "1 Information_Source elements of package headers in part",
        ),
        (
            "<Report><Header><Title>r</Title></Header></Report>",
            "1 reports (their content is read); 1 other elements of reports in part",
        ),
        (
            "<TTP><Title>t</Title><Description>d</Description></TTP>",
            "1 TTPs that nothing names; 1 Description elements of TTPs in part",
        ),
        (
            "<Incident><Related_Campaign><Campaign idref=\"c\"><Title>t</Title></Campaign></Related_Campaign></Incident>",
            "1 other elements of campaigns in part",
        ),
        (
            "<Campaign id=\"c\"><Names><Name>a</Name><Name>b</Name></Names></Campaign>",
            "1 campaigns that nothing names; 1 Names elements of campaigns in part",
        ),
    ] {
        check(&[part, &observable("1")], expect);
    }
    check(
        &[&incident_of(
            "i",
            &[
                "<Victim><Name>told</Name><Specification><A>a</A><B>b</B></Specification></Victim><Confidence><Value>told</Value><Description>d</Description></Confidence><Intended_Effect><Value>told</Value><Description>why</Description></Intended_Effect><Description>told <b>bold</b></Description>",
            ],
        )],
        "1 Confidence elements of incidents in part; 1 Description elements of incidents in part; 1 Intended_Effect elements of incidents in part; 1 Victim elements of incidents in part",
    );
    check(
        &[&indicator(
            "x",
            &[
                "<Sightings><Sighting><Description>s</Description></Sighting></Sightings><Valid_Time_Position><Start_Time>told</Start_Time><Other>o</Other></Valid_Time_Position>",
                &observable("1"),
                "in between",
            ],
        )],
        "1 Sightings elements of indicators; 1 Valid_Time_Position elements of indicators in part; 1 other elements of indicators in part",
    );
    check(
        &[
            "<Observable><Title>t</Title><Description>d</Description><Keywords><Keyword>a</Keyword><Keyword>b</Keyword></Keywords><Object><State>s</State><Properties xsi:type=\"P:PortObjectType\"><Port_Value>1</Port_Value></Properties></Object></Observable>",
        ],
        "1 Description elements of observables in part; 1 Keywords elements of observables in part; 1 State elements of observables in part; 1 Title elements of observables in part",
    );
    check(
        &[
            "<Observable><Object><Properties custom_name=\"c\"><Custom_Properties><Property name=\"n\">v<b>w</b></Property></Custom_Properties></Properties></Object></Observable>",
        ],
        "1 other elements of observables in part",
    );
}

#[test]
fn what_is_negated_says_so() {
    let inner = observable("1");
    let composed = format!(
        r#"<Observable negate="1"><Observable_Composition operator="AND">{inner}</Observable_Composition></Observable>{}"#,
        observable("2")
    );
    let indicator = format!(r#"<Indicator id="x" negate="true">{composed}</Indicator>"#);
    let plain = format!(
        r#"<Indicator id="y" negate="false">{}</Indicator>"#,
        observable("3")
    );
    let told: Vec<_> = events(&package(&[&indicator, &plain]))
        .iter()
        .map(|event| ["indicatorNegated", "observableNegated"].map(|name| event[name] == "true"))
        .collect();
    assert_eq!(told, [[true, true], [true, false], [false, false]]);
}
