//! What is told of an inbox.

use super::*;

const INBOX: [&str; 3] = [
    "listen = '127.0.0.1:9443'",
    "collections = ['gold']",
    "username = 'vendor'\npassword = { file = 'DIR/secret' }",
];

/// A configuration without a service, whose inbox, at the end, has these lines.
fn inbox(lines: &str) -> String {
    format!(
        "{STATE}{}{}",
        table("[[output]]", &STDOUT, ""),
        table("[inbox]", &INBOX, lines),
    )
}

#[test]
fn an_inbox_is_enough() {
    check(&inbox(""), "");
    let loaded = Folder::new().load(&inbox("")).unwrap();
    let inbox = loaded.config.inbox.unwrap();
    assert_eq!(
        (inbox.name.as_str(), inbox.path.as_str()),
        ("inbox", "/inbox")
    );
    assert_eq!(inbox.default_collection.as_deref(), Some("gold"));
    assert_eq!(inbox.limits.max_response_bytes, 256 << 20);
}

#[test]
fn of_several_collections_none_is_the_default() {
    let of_two = inbox("collections = ['gold', 'tin']");
    let loaded = Folder::new().load(&of_two).unwrap();
    assert_eq!(loaded.config.inbox.unwrap().default_collection, None);
    check(
        &inbox("collections = ['gold', 'tin']\ndefault_collection = 'lead'"),
        r#"
            FILE:12: inbox.default_collection: "lead" is not in collections
        "#,
    );
}

#[test]
fn what_is_missing() {
    check(
        &format!("{STATE}{}[inbox]\n", table("[[output]]", &STDOUT, "")),
        r#"
            FILE:7: inbox.collections: missing; name at least one collection that content can be pushed to
            FILE:7: inbox.listen: missing; write the address to listen on, such as "0.0.0.0:9443"
        "#,
    );
    check(
        &inbox("[inbox.tls]\nclient_names = []"),
        "
            FILE:12: inbox.tls.cert_file: missing; a server shows a certificate of its own
            FILE:12: inbox.tls.key_file: missing; a server shows a certificate of its own
            FILE:13: inbox.tls.client_names: clients show no certificate without client_ca_file
            FILE:13: inbox.tls.client_names: empty, so that nobody would be let in; leave it out to let in every client whose certificate is of client_ca_file
        ",
    );
}

#[test]
fn who_may_push_is_known() {
    let open = |listen: &str| {
        format!(
            "{STATE}{}[inbox]\nlisten = '{listen}'\ncollections = ['gold']\n",
            table("[[output]]", &STDOUT, "")
        )
    };
    check(
        &open("0.0.0.0:9443"),
        "
            FILE:8: inbox.listen: everybody who reaches this address could push whatever he likes; write username and password, or tls with client_ca_file
        ",
    );
    check(
        &open("127.0.0.1:9443"),
        "
            warning: FILE:8: inbox.listen: every user of this machine can push whatever he likes; write username and password, or tls with client_ca_file
        ",
    );
    check(
        &inbox("listen = '[::]:9443'"),
        "
            warning: FILE:11: inbox.listen: the password, and all content, comes over the network in clear text; write tls
        ",
    );
    let tls = "[inbox.tls]\ncert_file = 'DIR/ca.pem'\nkey_file = 'DIR/secret'\nclient_ca_file = 'DIR/ca.pem'";
    check(&(open("0.0.0.0:9443") + tls), "");
}

#[test]
fn values_that_cannot_be() {
    check(
        &inbox("listen = 'localhost'\npath = 'inbox'\nmax_connections = 1000"),
        r#"
            FILE:11: inbox.listen: "localhost" is not an address with a port; write one such as "0.0.0.0:9443" or "[::]:9443"
            FILE:12: inbox.path: "inbox" is not the path of a URL; begin it with "/", and write letters, digits, dots, dashes, tildes and underscores
            FILE:13: inbox.max_connections: 1000 is too many; write at most 500
        "#,
    );
    check(
        &inbox("collections = ['gold', '*']\nsubscriptions = { tin = 's1' }"),
        r#"
            FILE:11: inbox.collections[1]: "*" stands for all collections of an output alone; name each
            FILE:12: inbox.subscriptions.tin: "tin" is not in collections
        "#,
    );
    check(
        &inbox(
            "listen = '0.0.0.0:0'\ncollections = ['gold', 'tin']\n\
             subscriptions = { gold = 's1', tin = 's1' }\n\
             [inbox.tls]\ncert_file = 'DIR/ca.pem'\nkey_file = 'DIR/secret'",
        ),
        "
            FILE:10: inbox.listen: port 0 is another one at each start, and nobody could be told which
            FILE:12: inbox.subscriptions.tin: stands for another collection already; each subscription has an id of its own
        ",
    );
    check(
        &inbox("name = 'a b'\n[inbox.limits]\nmax_parts = 3"),
        r#"
            FILE:12: inbox.name: "a b" is not a name; write 1 to 64 letters, digits, dots, dashes or underscores
            FILE:14: inbox.limits.max_parts: unknown key; allowed are max_message_bytes, max_refused_blocks, max_xml_depth, max_text_bytes, max_properties, max_observables, max_definition_bytes, max_package_bytes
        "#,
    );
}

#[test]
fn no_service_has_its_name() {
    let both = |name: &str, lines: &str| {
        let of_service = table("[[service]]", &SERVICE, &format!("name = '{name}'"));
        inbox(lines) + &of_service
    };
    check(
        &both("inbox", ""),
        r#"
            FILE:7: inbox.name: missing; a service is called "inbox" already; give the inbox another name
        "#,
    );
    check(
        &both("vendor", "name = 'vendor'"),
        r#"
            FILE:12: inbox.name: "vendor" is taken already; each name must be unique
        "#,
    );
}
