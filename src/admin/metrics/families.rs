//! The families of metrics. `docs/metrics.md` has them all; alert rules name them.

use super::exposition::{Family, Kind};

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Family = family(Kind::$kind, $name, &[$($label),*], $help);)*
        /// All of them, in the order in which they are told.
        #[cfg(test)]
        pub(super) const ALL: &[Family] = &[$($constant),*];
    };
}

const fn family(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    let unit = if ends_with(name, "_seconds") {
        Some("seconds")
    } else if ends_with(name, "_bytes") {
        Some("bytes")
    } else {
        None
    };
    Family {
        name,
        kind,
        unit,
        labels,
        help,
    }
}

const fn ends_with(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    match text.len().checked_sub(end.len()) {
        None => false,
        Some(start) => {
            let (_, rest) = text.split_at(start);
            let mut index = 0;
            while index < end.len() {
                #[expect(clippy::indexing_slicing, reason = "both are as long")]
                if rest[index] != end[index] {
                    return false;
                }
                index += 1;
            }
            true
        }
    }
}

families! {
    BUILD: Info "cta_forwarder_build" ["version"]
        "The version that runs.";
    START: Gauge "cta_forwarder_start_timestamp_seconds" []
        "When the agent started.";
    READY: Gauge "cta_forwarder_ready" []
        "1 as long as /readyz answers 200, else 0.";
    POLLS: Counter "cta_forwarder_polls" ["service", "collection", "result"]
        "Polls since the start, by result: success (the whole answer came) or failure.";
    POLL_FAILURES: Gauge "cta_forwarder_poll_failures" ["service", "collection"]
        "Failures in a row; 0 after a success.";
    POLL_LAG: Gauge "cta_forwarder_poll_lag_seconds" ["service", "collection"]
        "How far the checkpoint is behind now; absent before the first poll.";
    NEXT_POLL: Gauge "cta_forwarder_next_poll_timestamp_seconds" ["service", "collection"]
        "When the collection may be polled again.";
    LAST_POLL: Gauge "cta_forwarder_last_poll_success_timestamp_seconds" ["service", "collection"]
        "When it was last polled with success.";
    GAPS: Counter "cta_forwarder_gaps" ["service", "collection"]
        "Gaps over all time: content that the service no longer had, or a window that was given up.";
    COLLECTION_EVENTS: Counter "cta_forwarder_collection_events" ["service", "collection"]
        "Events over all time that the collection has brought and that are durable here.";
    EVENTS: Counter "cta_forwarder_events" ["stage", "output"]
        "Events since the start: fetched (polled or pushed), spooled (written to the spool, also by retries and repairs), and by output delivered, dead_lettered, discarded (by a person: as dead letters, or with an output that was forgotten), abandoned (the spool was full) and lost (with damaged files, and no poll brought them again).";
    FORGOTTEN_BATCHES: Counter "cta_forwarder_forgotten_batches" ["output"]
        "Batches since the start that an output still owed when a person forgot it (output forget); the events of them that it had not done with are among the discarded.";
    BYTES: Counter "cta_forwarder_bytes" ["stage", "output"]
        "Bytes since the start: fetched (of answers and pushed messages, after decompression), spooled (on disk, compressed), delivered (by output, of requests that were taken, as they travelled, without headers and TLS).";
    HOLD: Gauge "cta_forwarder_hold" ["kind", "name", "reason"]
        "1 for each collection, output, peer and inbox that waits for a person or for room, with the reason; absent otherwise.";
    CONFIGURED: Gauge "cta_forwarder_output_configured" ["output"]
        "1 if the output is configured, 0 if it is only owed to, until it is configured again or forgotten.";
    PENDING_EVENTS: Gauge "cta_forwarder_output_pending_events" ["output"]
        "Events that the output owes.";
    PENDING_BATCHES: Gauge "cta_forwarder_output_pending_batches" ["output"]
        "Batches that the output owes.";
    MISSING_BATCHES: Gauge "cta_forwarder_output_missing_batches" ["output"]
        "Batches that the output owes and that are not in the spool: audit names them.";
    LATENCY: Histogram "cta_forwarder_output_latency_seconds" ["output"]
        "How long requests took from being sent to the receiver's verdict.";
    RETRIES: Counter "cta_forwarder_output_retries" ["output"]
        "Requests since the start of which something had to be sent again.";
    ACKS: Gauge "cta_forwarder_output_acks_outstanding" ["output"]
        "Events that were accepted and are not acknowledged yet.";
    DELIVERED: Gauge "cta_forwarder_output_delivered_timestamp_seconds" ["output"]
        "When something was last delivered; absent before that.";
    FAILURES: Gauge "cta_forwarder_output_failures" ["output"]
        "Failures in a row; 0 after a success.";
    PEER_UP: Gauge "cta_forwarder_peer_up" ["output", "peer"]
        "1 if the endpoint, address or file takes events as far as is known, 0 if it fails or is held.";
    DEAD_LETTERS: Gauge "cta_forwarder_dead_letters" []
        "Dead letters that wait for a person.";
    SPOOL_BATCHES: Gauge "cta_forwarder_spool_batches" []
        "Batches that wait in the spool.";
    SPOOL_BYTES: Gauge "cta_forwarder_spool_bytes" []
        "Their bytes.";
    SPOOL_MAX: Gauge "cta_forwarder_spool_max_bytes" []
        "What they may take (state.max_spool_bytes).";
    QUARANTINED: Counter "cta_forwarder_quarantined" ["kind"]
        "What was moved to quarantine/ since the start: file (a damaged file of events), batch (a folder in the spool that is no batch), answer (of a window that was given up), letters (a damaged segment of dead letters), ledger (what is left of a lost one) and store (one that cannot be opened).";
    SPOOL_OLDEST: Gauge "cta_forwarder_spool_oldest_timestamp_seconds" []
        "When the oldest of them was fetched; absent if there is none.";
    QUARANTINE: Gauge "cta_forwarder_quarantine_bytes" []
        "What lies in quarantine/ for a person.";
    CERTIFICATES: Gauge "cta_forwarder_certificate_expiry_timestamp_seconds" ["part", "key", "file"]
        "When the certificates in a file expire, as the part that uses it has read it last: a chain with the first of them, authorities with the last.";
    INBOX_MESSAGES: Counter "cta_forwarder_inbox_messages" ["result"]
        "Messages since the start: taken, refused, or of a stranger, who may not push.";
    RELOADS: Counter "cta_forwarder_reloads" ["result"]
        "Reloads of the configuration since the start: success, or failure (the old one went on).";
    RELOAD_REFUSED: Gauge "cta_forwarder_reload_refused" []
        "1 while the last reload of the configuration was refused and the old one holds, else 0.";
    PROCESS_CPU: Counter "process_cpu_seconds" []
        "Time on the processors, of user and system together.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" []
        "Memory that is resident.";
    PROCESS_FILES: Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FILES: Gauge "process_max_fds" []
        "File descriptors that may be open.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process started.";
}
