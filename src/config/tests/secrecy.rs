//! No message, warning or `Debug` ever shows a secret, whatever is wrong around it.

use super::*;

const SECRET: &str = "hunter2-correct-horse";

/// Whole secrets and their pieces alike must not be seen.
#[track_caller]
fn check_hidden(text: &str) {
    let folder = Folder::new();
    let loaded = folder.load(text);
    let shown = match &loaded {
        Ok(loaded) => format!("{loaded:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    for piece in ["hunter2", "correct", "horse"] {
        assert!(!shown.contains(piece), "{shown}\nof\n{text}");
    }
}

fn with_both(password: &str, token: &str) -> String {
    let service = table(
        "[[service]]",
        &SERVICE,
        &format!(
            "username = 'u'\npassword = {password}\nproxy = 'https://proxy'\n\
             proxy_username = 'u'\nproxy_password = {password}\nsettle = '1m'"
        ),
    );
    let output = table(
        "[[output]]",
        &SPLUNK,
        &format!("token = {token}\ngzip = true"),
    );
    format!("{STATE}{service}{output}")
}

#[test]
fn a_secret_that_loads() {
    let folder = Folder::new();
    let quoted = format!("'{SECRET}'");
    let loaded = folder.load(&with_both(&quoted, &quoted)).unwrap();
    let credentials = loaded.config.services[0]
        .authentication
        .credentials()
        .unwrap();
    assert_eq!(credentials.password.expose(), SECRET);
    check_hidden(&with_both(&quoted, &quoted));
}

#[test]
fn a_secret_on_a_line_that_is_not_toml() {
    for broken in [
        SECRET.to_owned(),
        format!("'{SECRET}"),
        format!("\"{SECRET}"),
        format!("\"{SECRET}\\q\""),
        format!("\"{SECRET}\" {SECRET}"),
        format!("'{SECRET}' = '{SECRET}'"),
        format!("['{SECRET}'"),
        format!("{{ file = '{SECRET}'"),
        format!("{{ {SECRET} }}"),
        format!("\"\"\"\n{SECRET}\n"),
        format!("\"\"\"\n{SECRET}\n\"\"\" {SECRET} = 1"),
        format!("'''\n{SECRET}\n'''\n'{SECRET}'"),
        format!("\"a\n{SECRET} = 1\n"),
        format!("\"a\u{1}{SECRET}\""),
    ] {
        check_hidden(&with_both(&broken, "'t'"));
        check_hidden(&with_both("'p'", &broken));
    }
}

#[test]
fn a_secret_in_a_value_of_another_shape() {
    for odd in [
        format!("['{SECRET}']"),
        format!("[['{SECRET}']]"),
        format!("[{{ file = '{SECRET}' }}]"),
        format!("{{ value = '{SECRET}' }}"),
        format!("{{ {SECRET} = 1 }}"),
        format!("{{ {SECRET}.{SECRET} = '{SECRET}' }}"),
        format!("{{ env = ['{SECRET}'] }}"),
        format!("{{ file = '/a', {SECRET} = '{SECRET}' }}"),
        format!("\"\"\"\n{SECRET}\n{SECRET}\"\"\""),
        format!("\"{SECRET}\\u0000\""),
        format!("'{SECRET}'\npassword = '{SECRET}'\ntoken = '{SECRET}'"),
        format!("'{SECRET}'\npasswort = '{SECRET}'\ntokem = ['{SECRET}']"),
    ] {
        check_hidden(&with_both(&odd, "'t'"));
        check_hidden(&with_both("'p'", &odd));
    }
}

#[test]
fn a_secret_without_its_quotes() {
    for number in ["731731731", "731.731731", "0x731731731", "1731-07-31"] {
        let folder = Folder::new();
        let error = folder.load(&with_both(number, number)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("731"), "{error}");
    }
}

#[test]
fn a_secret_under_any_single_slip_of_the_keyboard() {
    let password = format!("'{SECRET}'");
    let text = with_both(&password, "{ env = 'TOKEN' }");
    let from = text.find("username").unwrap();
    let to = text.find("[[output]]").unwrap();
    for at in (from..to).filter(|&at| text.is_char_boundary(at)) {
        let (before, after) = text.split_at(at);
        check_hidden(&format!("{before}{}", &after[1..]));
        for slip in ["'", "\"", "\n", "=", "[", "}", "#", "\\", "."] {
            let text = format!("{before}{slip}{after}");
            // A secret that is broken in two lines of its own is a key by the rules of TOML.
            if text.contains(SECRET) {
                check_hidden(&text);
            }
        }
    }
}

#[test]
fn the_environment_shows_names_only() {
    let shown = format!("{:?}", Environment::new("h").with("TOKEN", SECRET));
    assert!(
        shown.contains("TOKEN") && !shown.contains(SECRET),
        "{shown}"
    );
}

#[test]
fn a_variable_that_is_not_utf_8_is_not_shown() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let folder = Folder::new();
    let mut value = SECRET.as_bytes().to_vec();
    value.push(0xff);
    let text = output(&SPLUNK, "token = { env = 'RAW' }");
    let path = folder.write("raw.toml", &text, 0o600);
    let environment = Environment::new("h").with("RAW", OsString::from_vec(value));
    let error = Config::load(&path, &environment, six_fields).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("\"RAW\" is not UTF-8"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
