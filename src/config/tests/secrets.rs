//! Where secrets come from, and what is told when they do not.

use super::*;

#[test]
fn where_a_secret_may_be() {
    check(&output(&SPLUNK, "token = { file = 'DIR/secret' }"), "");
    check(&output(&SPLUNK, "token = { env = 'TOKEN' }"), "");
    check(&output(&SPLUNK, "token = { credential = 'secret' }"), "");
    check(
        &output(&SPLUNK, "token = 'hunter2'"),
        r#"
            warning: FILE:12: output[0].token: a secret in the configuration is seen by all who see the file; better write { file = "/path" } or { credential = "name" }
        "#,
    );
    check(
        &output(&SPLUNK, "token = { file = 'DIR/open-secret' }"),
        "
            warning: FILE:12: output[0].token: the secret file DIR/open-secret can be read by every user of this machine; chmod 600 it
        ",
    );
}

#[test]
fn a_private_key_is_a_secret_too() {
    let tls = "tls = { client_cert_file = 'DIR/ca.pem', client_key_file = 'DIR/open-secret' }";
    for (text, place) in [
        (service(tls), "FILE:11: service[0]"),
        (output(&SPLUNK, tls), "FILE:13: output[0]"),
        (
            output(&SYSLOG, &format!("transport = 'tls'\n{tls}")),
            "FILE:13: output[0]",
        ),
    ] {
        let expect = format!(
            "warning: {place}.tls.client_key_file: the private key DIR/open-secret can be read by every user of this machine; chmod 600 it"
        );
        check(&text, &expect);
    }
}

#[test]
fn what_the_agent_may_read_others_may_not_change() {
    let folder = Folder::new();
    folder.write("shared-secret", "s3cret\n", 0o660);
    let told = folder.told(&output(&SPLUNK, "token = { file = 'DIR/shared-secret' }"));
    let expect = "warning: FILE:12: output[0].token: the secret file DIR/shared-secret can be read and changed by its group; chmod 600 it";
    assert_eq!(told, expect);
}

#[test]
fn a_secret_that_is_not_there() {
    check(
        &output(&SPLUNK, "token = { file = 'DIR/nowhere' }"),
        r#"
            FILE:12: output[0].token: the secret file "DIR/nowhere" cannot be read: No such file or directory (os error 2)
        "#,
    );
    check(
        &output(&SPLUNK, "token = { file = 'nowhere' }"),
        r#"
            FILE:12: output[0].token: "nowhere" is not an absolute path; begin it with "/"
        "#,
    );
    check(
        &output(&SPLUNK, "token = { file = 'DIR/empty-secret' }"),
        r#"
            FILE:12: output[0].token: the secret file "DIR/empty-secret" is empty; put the secret into it, alone on one line
        "#,
    );
    check(
        &output(&SPLUNK, "token = { env = 'NOWHERE' }"),
        r#"
            FILE:12: output[0].token: the environment variable "NOWHERE" is not set
        "#,
    );
    check(
        &output(&SPLUNK, "token = { env = 'EMPTY' }"),
        "
            FILE:12: output[0].token: the secret is empty
        ",
    );
    check(
        &output(&SPLUNK, "token = { credential = 'nowhere' }"),
        r#"
            FILE:12: output[0].token: the secret file "DIR/nowhere" cannot be read: No such file or directory (os error 2)
        "#,
    );
    check(
        &output(&SPLUNK, "token = { credential = 'empty-secret' }"),
        r#"
            FILE:12: output[0].token: the credential "empty-secret" is empty; put the secret into the file that the unit's LoadCredential=empty-secret: names, such as /etc/cta-forwarder/secrets/empty-secret
        "#,
    );
    check(
        &output(&SPLUNK, "token = { credential = '../secret' }"),
        r#"
            FILE:12: output[0].token: "../secret" is not the name of a credential
        "#,
    );
    check(
        &output(&SPLUNK, "token = ''"),
        "
            FILE:12: output[0].token: the secret is empty
        ",
    );
}

#[test]
fn a_secret_that_cannot_be_sent() {
    check(
        &output(&SPLUNK, "token = { file = 'DIR/odd-secret' }"),
        "
            FILE:12: output[0].token: the secret holds a character that cannot be sent
        ",
    );
    check(
        &service("username = 'u'\npassword = { file = 'DIR/odd-secret' }"),
        "",
    );
    check(
        &service("username = 'u'\npassword = \"a\\u0000b\""),
        "
            FILE:12: service[0].password: the secret holds a character that cannot be sent
        ",
    );
}

#[test]
fn user_and_password_come_together() {
    check(
        &service("username = 'u'"),
        "
            FILE:7: service[0].password: missing; username needs it
        ",
    );
    check(
        &service("password = { file = 'DIR/secret' }"),
        "
            FILE:7: service[0].username: missing; password needs it
        ",
    );
    check(
        &service("username = 'u:v'\npassword = { file = 'DIR/secret' }"),
        "
            FILE:11: service[0].username: holds a colon, which HTTP Basic authentication cannot send
        ",
    );
    check(
        &service("username = 'u'\npassword = 3"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
}

#[test]
fn a_secret_of_another_shape() {
    check(
        &service("username = 'u'\npassword = ['hunter2']"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword = { value = 'hunter2' }"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword = { hunter2 = 3 }"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword = { file = 'DIR/secret', env = 'hunter2' }"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword = {}"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword.hunter2 = 'hunter2'"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\n[service.password]\nhunter2 = 'hunter2'"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
    check(
        &service("username = 'u'\npassword = 1979-05-27"),
        r#"
            FILE:12: service[0].password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
}
