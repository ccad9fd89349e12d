"""The metrics that rules and dashboard may use, with their labels, and how expressions name them.

A list of our own, so that a metric that is renamed in the program is a failure here and not an empty
panel at a user's. `docs/metrics.md`, which the program keeps, must have each of them.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = ROOT / "docs" / "metrics.md"

OF_COLLECTION = "service collection"
LABELS = {
    "cta_forwarder_build_info": "version",
    "cta_forwarder_start_timestamp_seconds": "",
    "cta_forwarder_ready": "",
    "cta_forwarder_polls_total": OF_COLLECTION + " result",
    "cta_forwarder_poll_failures": OF_COLLECTION,
    "cta_forwarder_poll_lag_seconds": OF_COLLECTION,
    "cta_forwarder_next_poll_timestamp_seconds": OF_COLLECTION,
    "cta_forwarder_last_poll_success_timestamp_seconds": OF_COLLECTION,
    "cta_forwarder_gaps_total": OF_COLLECTION,
    "cta_forwarder_collection_events_total": OF_COLLECTION,
    "cta_forwarder_events_total": "stage output",
    "cta_forwarder_forgotten_batches_total": "output",
    "cta_forwarder_bytes_total": "stage output",
    "cta_forwarder_hold": "kind name reason",
    "cta_forwarder_output_configured": "output",
    "cta_forwarder_output_pending_events": "output",
    "cta_forwarder_output_pending_batches": "output",
    "cta_forwarder_output_missing_batches": "output",
    "cta_forwarder_output_latency_seconds_bucket": "output le",
    "cta_forwarder_output_retries_total": "output",
    "cta_forwarder_output_acks_outstanding": "output",
    "cta_forwarder_output_delivered_timestamp_seconds": "output",
    "cta_forwarder_output_failures": "output",
    "cta_forwarder_peer_up": "output peer",
    "cta_forwarder_dead_letters": "",
    "cta_forwarder_spool_batches": "",
    "cta_forwarder_spool_bytes": "",
    "cta_forwarder_spool_max_bytes": "",
    "cta_forwarder_spool_oldest_timestamp_seconds": "",
    "cta_forwarder_quarantine_bytes": "",
    "cta_forwarder_quarantined_total": "kind",
    "cta_forwarder_certificate_expiry_timestamp_seconds": "part key file",
    "cta_forwarder_inbox_messages_total": "result",
    "cta_forwarder_reloads_total": "result",
    "cta_forwarder_reload_refused": "",
    "process_cpu_seconds_total": "",
    "process_resident_memory_bytes": "",
    "process_open_fds": "",
    "process_max_fds": "",
    # Prometheus' own.
    "up": "",
}
# What Prometheus adds.
OF_TARGET = {"job", "instance"}
# What labels can be, where only some words are possible.
VALUES = {
    "result": {"success", "failure", "taken", "refused", "stranger"},
    "stage": {
        "fetched",
        "spooled",
        "delivered",
        "dead_lettered",
        "discarded",
        "abandoned",
        "lost",
    },
    "kind": {
        # Of a hold.
        "collection",
        "output",
        "peer",
        "inbox",
        # Of what is in quarantine.
        "file",
        "batch",
        "answer",
        "letters",
        "ledger",
        "store",
    },
}
# `sum by (le, output)`, `on (job)`: the words in the brackets are labels.
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def documented():
    """The table of docs/metrics.md: the labels of each metric."""
    rows = re.findall(
        r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def used(expression):
    """Each metric of an expression with its matchers: `(name, {label: value})`."""
    bare = GROUPING.sub("", expression)
    for name, matchers in re.findall(
        r"\b(up|(?:cta_forwarder|process)_\w+)\b(?:\{([^}]*)\})?", bare
    ):
        found = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', matchers)
        yield name, dict(found)


def faults(expression):
    """What an expression names that there is not."""
    labels = set(OF_TARGET)
    for name, matchers in used(expression):
        if name not in LABELS:
            yield f"no such metric: {name}"
            continue
        own = OF_TARGET | set(LABELS[name].split())
        labels |= own
        for label, value in matchers.items():
            if label not in own:
                yield f"{name} has no label {label}"
            elif label in VALUES and value not in VALUES[label]:
                yield f"{label} is never {value}"
    for group in GROUPING.findall(expression):
        for label in filter(None, re.split(r"[,\s]+", group)):
            if label not in labels:
                yield f"nothing here has a label {label}"
