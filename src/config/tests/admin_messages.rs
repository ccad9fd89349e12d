//! What is told of `[admin]`.

use super::*;

fn admin(lines: &str) -> String {
    file(&format!("[admin]\n{lines}"))
}

#[test]
fn an_address_is_enough() {
    check(&admin("listen = '127.0.0.1:9185'"), "");
    let loaded = Folder::new().load(&admin("listen = '[::1]:0'")).unwrap();
    let admin = loaded.config.admin.unwrap();
    assert_eq!(
        (admin.listen.to_string().as_str(), admin.max_connections),
        ("[::1]:0", 16)
    );
    assert!(admin.tls.is_none() && admin.allowed_hosts.is_empty());
}

#[test]
fn without_an_address_nothing_listens() {
    let loaded = Folder::new().load(&file("")).unwrap();
    assert!(loaded.config.admin.is_none());
    check(
        &admin("max_connections = 3"),
        r#"
            warning: FILE:12: admin: nothing listens without `listen`; write it, such as "127.0.0.1:9185"
        "#,
    );
    let loaded = Folder::new().load(&admin("max_connections = 3")).unwrap();
    assert!(loaded.config.admin.is_none());
}

#[test]
fn who_may_look() {
    let everybody = "
        warning: FILE:13: admin.listen: everybody who reaches this address can read the status: names, figures and the reasons of failures, no secrets; write tls with client_ca_file, or see that only those reach it who may
    ";
    check(&admin("listen = '0.0.0.0:9185'"), everybody);
    let tls = "[admin.tls]\ncert_file = 'DIR/ca.pem'\nkey_file = 'DIR/secret'\n";
    check(
        &admin(&format!("listen = '192.0.2.7:9185'\n{tls}")),
        everybody,
    );
    check(
        &admin(&format!(
            "listen = '[::]:9185'\n{tls}client_ca_file = 'DIR/ca.pem'"
        )),
        "",
    );
    check(
        &admin("listen = '0.0.0.0:0'"),
        "
            FILE:13: admin.listen: port 0 is another one at each start, and nobody could be told which
        ",
    );
}

#[test]
fn names_of_hosts() {
    let names = "allowed_hosts = ['Forwarder.Example.com', '[2001:DB8::1]', '10.0.0.1']";
    let text = admin(&format!("listen = '127.0.0.1:1'\n{names}"));
    let loaded = Folder::new().load(&text).unwrap();
    assert_eq!(
        loaded.config.admin.unwrap().allowed_hosts,
        ["forwarder.example.com", "2001:db8::1", "10.0.0.1"]
    );
    for wrong in ["http://a", "a:9185", "*.example.com", ""] {
        let names = format!("listen = '127.0.0.1:1'\nallowed_hosts = ['{wrong}']");
        check(
            &admin(&names),
            &format!(
                "FILE:14: admin.allowed_hosts[0]: {wrong:?} is not a host name; write one without \
                 scheme, port and wildcards, such as \"forwarder.example.com\""
            ),
        );
    }
}

#[test]
fn values_that_cannot_be() {
    check(
        &admin("listen = 'localhost:9185'\nmax_connections = 1000\nlisen = 1"),
        r#"
            FILE:13: admin.listen: "localhost:9185" is not an address with a port; write one such as "127.0.0.1:9185" or "[::1]:9185"
            FILE:14: admin.max_connections: 1000 is too many; write at most 500
            FILE:15: admin.lisen: unknown key; did you mean "listen"?
        "#,
    );
}
