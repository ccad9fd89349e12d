use super::*;

fn read(text: &str) -> Result<Adapter, ImportError> {
    let variable = |name: &str| match name {
        "TAXII_PASSWORD" => Some("hunter2".to_owned()),
        "FEEDS" => Some("one, two".to_owned()),
        _ => None,
    };
    let around = Around {
        profiles: &[],
        variable: &variable,
    };
    Adapter::read(text, &around)
}

fn known(value: &str) -> Setting {
    Setting::Known {
        value: value.to_owned(),
        remark: None,
    }
}

#[test]
fn keys_are_found_however_they_are_written() {
    for text in [
        "taxii-service:\n  pollEndpoint: https://x/\n  feeds: [a, b]\n  password: p\n",
        "taxiiService:\n  poll-endpoint: https://x/\n  feeds:\n  - a\n  - b\n  password: 'p'\n",
        "taxii-service.pollEndpoint: https://x/\ntaxii-service.feeds: [a, b]\ntaxii-service.password: p\n",
    ] {
        let adapter = read(text).unwrap();
        assert_eq!(adapter.poll_endpoint, Some(known("https://x/")));
        assert_eq!(adapter.feeds, ["a", "b"]);
        let password = SecretText("p".to_owned());
        assert_eq!(adapter.password, Some(SecretSetting::Known(password)));
        assert!(adapter.unknown.is_empty(), "{adapter:?}");
        assert!(!format!("{adapter:?}").contains("\"p\""));
    }
}

#[test]
fn what_is_another_file_is_refused_and_what_is_unknown_is_named() {
    let error = read("server:\n  port: 80\n").unwrap_err();
    assert!(error.to_string().contains("pollEndpoint is missing"));
    let error = read("taxii-service: {pollEndpoint: x}\n").unwrap_err();
    assert!(error.to_string().contains("feeds is missing"));
    let text =
        "taxii-service: {pollEndpoint: x, feedNamesFile: f}\nserver:\n  port: 80\ntransform:\n";
    let adapter = read(text).unwrap();
    assert_eq!(adapter.unknown, [("server.port".to_owned(), 3)]);
}

#[test]
fn feeds_are_a_list_in_any_of_springs_shapes() {
    for (feeds, expect, remark) in [
        ("a, b ,", &["a", "b"][..], ""),
        ("['a, b', c]", &["a, b", "c"], ""),
        ("''", &[], ""),
        ("~", &[], ""),
        ("[]", &[], ""),
        ("${FEEDS}", &["one", "two"], "in this environment"),
        ("${NONE:x,y}", &["x", "y"], "its default was taken"),
        ("[a, \"${NONE}\"]", &["a"], "${NONE} is not known here"),
    ] {
        let text = format!("taxii-service:\n  pollEndpoint: x\n  feeds: {feeds}\n");
        let adapter = match read(&text) {
            Ok(adapter) => adapter,
            // An empty list leaves no property at all.
            Err(error) => {
                assert_eq!(feeds, "[]");
                assert!(error.to_string().contains("feeds is missing"));
                continue;
            }
        };
        assert_eq!(adapter.feeds, expect, "{feeds}");
        let remarks = adapter.remarks.join("\n");
        assert!(remarks.contains(remark), "{feeds}: {remarks}");
        assert_eq!(remarks.is_empty(), remark.is_empty(), "{remarks}");
    }
    let text = "taxii-service:\n  pollEndpoint: x\n  feeds[0]: a,b\n  feeds[1]: c\n";
    assert_eq!(read(text).unwrap().feeds, ["a,b", "c"]);
}

#[test]
fn a_password_that_does_not_stand_there_is_left_out_with_its_reason() {
    for (password, why) in [
        ("", "it is empty"),
        ("~", "it is empty"),
        ("null", "it is empty"),
        ("''", "it is empty"),
        ("${NONE}", "${NONE} is not known here"),
        ("${NONE:changeme}", "its default may be another's"),
        ("ENC(zT3PFXTR)", "encrypted (ENC(…), by jasypt)"),
        ("\"a\\nb\"", "more than one line"),
    ] {
        let text =
            format!("taxii-service:\n  pollEndpoint: x\n  feeds: a\n  password: {password}\n");
        let adapter = read(&text).unwrap();
        let Some(SecretSetting::Unknown(found)) = adapter.password else {
            panic!("{password}");
        };
        assert!(
            found.starts_with("taxii-service.password (line 4): "),
            "{found}"
        );
        assert!(found.contains(why), "{found}");
        assert!(!found.contains("changeme"), "{found}");
    }
    for (password, expect) in [
        ("${TAXII_PASSWORD}", "hunter2"),
        ("'~'", "~"),
        ("\"null\"", "null"),
        ("'$ENC(x'", "$ENC(x"),
    ] {
        let text =
            format!("taxii-service:\n  pollEndpoint: x\n  feeds: a\n  password: {password}\n");
        let known = SecretSetting::Known(SecretText(expect.to_owned()));
        let adapter = read(&text).unwrap();
        assert_eq!(adapter.password, Some(known), "{password}");
        // What comes from outside the file is told, and never itself.
        let remarks = adapter.remarks.join("\n");
        assert_eq!(
            remarks.contains("${TAXII_PASSWORD}"),
            password.starts_with("${")
        );
        assert!(!remarks.contains("hunter2"), "{remarks}");
    }
}

#[test]
fn values_are_looked_up_in_the_file_too() {
    let text = "host: https://x\ntaxii-service:\n  pollEndpoint: ${host}/y\n  feeds: a\n  \
                username: ${WHO}\n";
    let adapter = read(text).unwrap();
    assert_eq!(adapter.poll_endpoint, Some(known("https://x/y")));
    let Some(Setting::Unknown(why)) = adapter.username else {
        panic!("{adapter:?}");
    };
    assert!(why.contains("(line 5): ${WHO} is not known here"), "{why}");
}
