//! The codes of an HTTP Event Collector.

/// HTTP status and text of a code, or nothing for one that there is not.
pub(super) fn status_and_text(code: u8) -> Option<(u16, &'static str)> {
    Some(match code {
        0 => (200, "Success"),
        1 => (403, "Token disabled"),
        2 => (401, "Token is required"),
        3 => (401, "Invalid authorization"),
        4 => (403, "Invalid token"),
        5 => (400, "No data"),
        6 => (400, "Invalid data format"),
        7 => (400, "Incorrect index"),
        8 => (500, "Internal server error"),
        9 => (503, "Server is busy"),
        10 => (400, "Data channel is missing"),
        11 => (400, "Invalid data channel"),
        12 => (400, "Event field is required"),
        13 => (400, "Event field cannot be blank"),
        14 => (400, "ACK is disabled"),
        15 => (400, "Error in handling indexed fields"),
        16 => (400, "Query string authorization is not enabled"),
        17 => (200, "HEC is healthy"),
        18 => (503, "HEC is unhealthy, queues are full"),
        19 => (503, "HEC is unhealthy, ack service unavailable"),
        20 => (
            503,
            "HEC is unhealthy, queues are full, ack service unavailable",
        ),
        21 => (400, "Invalid token"),
        22 => (400, "Token disabled"),
        23 => (503, "Server is shutting down"),
        24 => (200, "Success, queue is approaching capacity"),
        25 => (200, "Success, ack channel is approaching capacity"),
        26 => (429, "Queue at capacity"),
        27 => (429, "Ack channel at capacity"),
        28 => (400, "Invalid request"),
        _ => return None,
    })
}

/// Whether the events of a request with this code are taken.
pub(super) fn is_accepted(code: u8) -> bool {
    matches!(code, 0 | 24 | 25)
}

/// Whether the code is of one event, whose number the answer gives.
pub(super) fn names_an_event(code: u8) -> bool {
    matches!(code, 6 | 7 | 12 | 13 | 15)
}
