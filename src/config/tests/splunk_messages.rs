//! What is told of a `splunk_hec` output.

use super::*;

#[test]
fn what_every_splunk_output_needs() {
    check(
        &output(&["name = 's'", "type = 'splunk_hec'"], ""),
        r#"
            FILE:8: output[0].endpoints: missing; write the URLs of Splunk's HTTP Event Collector, such as ["https://splunk.example.com:8088"]
            FILE:8: output[0].token: missing; write where the HEC token is: { file = "/path" }, { env = "NAME" } or { credential = "name" }
        "#,
    );
    check(
        &output(&SPLUNK, "index = ''\nsourcetype_flow = ''"),
        "
            FILE:13: output[0].index: empty; write a text or leave the key out
            FILE:14: output[0].sourcetype_flow: empty; write a text or leave the key out
        ",
    );
    check(
        &output(&SPLUNK, "batch = { max_bytes = '6MB' }"),
        "
            warning: FILE:13: output[0].batch.max_bytes: Splunk Cloud refuses bodies of more than about 5 MB
        ",
    );
    check(
        &output(&SPLUNK, "[[output.override]]\ncollection = 'flows'"),
        "
            FILE:13: output[0].override[0]: changes nothing; write index, source or sourcetype
        ",
    );
    check(
        &output(&SPLUNK, "[[output.override]]\nindex = 'a'"),
        "
            FILE:13: output[0].override[0].collection: missing; write the collection that this is for
        ",
    );
    check(
        &output(
            &SPLUNK,
            "[[output.override]]\ncollection = 'flows'\nindex = 'a'\n[[output.override]]\ncollection = 'flows'\nindex = 'b'\n[[output.override]]\ncollection = 'other'\nindex = 'b'",
        ),
        r#"
            FILE:17: output[0].override[1].collection: "flows" has an override already
        "#,
    );
}

#[test]
fn acknowledgement() {
    check(&output(&SPLUNK, "acknowledge = true"), "");
    check(
        &output(
            &SPLUNK,
            "ack_timeout = '5m'\nack_interval = '2s'\nmax_outstanding_acks = 10",
        ),
        "
            FILE:13: output[0].ack_timeout: needs acknowledge = true beside it
            FILE:14: output[0].ack_interval: needs acknowledge = true beside it
            FILE:15: output[0].max_outstanding_acks: needs acknowledge = true beside it
        ",
    );
    check(
        &output(&SPLUNK, "acknowledge = false\nack_timeout = '5m'"),
        "
            FILE:14: output[0].ack_timeout: needs acknowledge = true beside it
        ",
    );
    check(
        &output(&SPLUNK, "acknowledge = 'yes'\nack_timeout = '5m'"),
        "
            FILE:13: output[0].acknowledge: a text in quotes where true or false is expected
        ",
    );
    check(
        &output(&SPLUNK, "acknowledge = true\nack_timeout = '119s'"),
        "
            warning: FILE:14: output[0].ack_timeout: Splunk may take 2m to acknowledge a small batch, which would be sent twice
        ",
    );
    check(
        &output(&SPLUNK, "acknowledge = true\nack_timeout = '2m'"),
        "",
    );
    check(
        &output(&SPLUNK, "acknowledge = true\nack_interval = '5m'"),
        "
            FILE:14: output[0].ack_interval: acknowledgements are asked for every 5m, that must be shorter than ack_timeout, which is 5m
        ",
    );
    check(
        &output(&SPLUNK, "acknowledge = true\nack_timeout = '1s'"),
        "
            FILE:14: output[0].ack_timeout: acknowledgements are asked for every 2s, that must be shorter than ack_timeout, which is 1s
        ",
    );
    check(
        &output(
            &SPLUNK,
            "acknowledge = true\nack_timeout = '10'\nack_interval = '0s'\nmax_outstanding_acks = 0",
        ),
        r#"
            FILE:14: output[0].ack_timeout: "10" is not a duration; write a number and a unit, such as "10m" or "3d"
            FILE:15: output[0].ack_interval: must be more than zero
            FILE:16: output[0].max_outstanding_acks: must be more than zero
        "#,
    );
    check(
        &output(&SPLUNK, "acknowledge = true\nmax_outstanding_acks = 100001"),
        "
            FILE:14: output[0].max_outstanding_acks: 100001 is too many; write at most 100000
        ",
    );
}

#[test]
fn requests_in_flight() {
    check(&output(&SPLUNK, "max_in_flight = 64"), "");
    check(
        &output(&SPLUNK, "max_in_flight = 65"),
        "
            FILE:13: output[0].max_in_flight: 65 is too many; write at most 64
        ",
    );
    check(
        &output(&SPLUNK, "max_in_flight = 0"),
        "
            FILE:13: output[0].max_in_flight: must be more than zero
        ",
    );
    check(
        &output(&SPLUNK, "indexed_fields = 1"),
        "
            FILE:13: output[0].indexed_fields: a number where true or false is expected
        ",
    );
}
