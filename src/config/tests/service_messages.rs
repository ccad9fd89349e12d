//! What is said of the keys of a service that go with each other.

use super::*;

const IDLE: &str = "allow_asynch = true\n";

#[test]
fn answers_that_come_later_need_a_poll_that_can_say_so() {
    check(
        &service(&format!("{IDLE}taxii_version = '1.0'")),
        r#"
            warning: FILE:11: service[0].allow_asynch: does nothing: in TAXII 1.0 no answer comes later; leave it out, or write taxii_version = "1.1" if the service speaks that
        "#,
    );
    check(
        &service(&format!(
            "collections = ['flows', 'gold']\n{IDLE}subscriptions = {{ gold = 's-1' }}"
        )),
        "
            warning: FILE:11: service[0].allow_asynch: does nothing for gold: what is in subscriptions is polled as the subscription says, which has no word for it
        ",
    );
    for other in [
        "allow_asynch = false\ntaxii_version = '1.0'",
        "allow_asynch = true\ntaxii_version = '1.1'",
        "allow_asynch = true",
    ] {
        let folder = Folder::new();
        let told = folder.told(&service(other));
        assert!(!told.contains("allow_asynch"), "{told}");
    }
}

#[test]
fn a_discovery_service_may_lead_to_where_another_polls() {
    let of = |user: &str, scope: &str| {
        file(&format!(
            "[[service]]\nname = 'b'\ndiscovery_url = 'https://taxii.example.com/discovery'\n\
             collections = ['gold']\n{user}poll_limit_scope = '{scope}'"
        ))
    };
    let told = |text: &str| Folder::new().told(text);
    let same = told(&of("", "service"));
    assert!(
        same.contains("service[1]: discovery may lead to where service \"cta\" polls too"),
        "{same}"
    );
    for other in [
        of("username = 'u'\npassword = { env = 'TOKEN' }\n", "service"),
        of("", "collection"),
        of("", "service").replace("taxii.example.com/discovery", "other.example.com/discovery"),
    ] {
        assert!(!told(&other).contains("discovery may lead"), "{other}");
    }
}
