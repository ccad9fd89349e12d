"""Ten thousand collections in one process."""

import json

from measure import Tool, Watched

SERVICES = 50
COLLECTIONS = 200
# Each is to be polled once within.
INTERVAL_SECONDS = 600

HEAD = """\
[state]
directory = "{state}"

[[output]]
name = "file"
type = "file"
path = "{events}"
"""

SERVICE = """
[[service]]
name = "{name}"
poll_url = "{url}"
username = "{username}"
password = "{password}"
collections = {collections}
poll_limit_scope = "collection"
min_poll_interval = "10m"
schedule = "0 */10 * * * *"
initial_lookback = "1h"
"""


def measure(folder):
    one = polled_once(folder / "one", 1, 1)
    many = polled_once(folder / "many", SERVICES, COLLECTIONS)
    count = SERVICES * COLLECTIONS
    kib = (many["figures"].kib - one["figures"].kib) / (count - 1)
    rate, needed = count / many["seconds"], count / INTERVAL_SECONDS
    cpu = many["figures"].cpu / count
    what = f"{count:,} collections on {SERVICES} services"
    return [
        (f"{what}: start until ready", f"{many['ready']:.2f} s", "", "", "below 2 s"),
        (
            "the same: all are polled once, beginning at one moment",
            f"in {many['seconds']:.1f} s ({rate:,.0f} polls/s)",
            f"one poll of each in ten minutes: {needed:.0f} polls/s",
            f"{rate / needed:.0f}",
            "at least 1",
        ),
        ("the same: memory of a collection", f"{kib:.1f} KiB", "", "", "at most 10 KiB"),
        (
            "100 collections, each polled once in ten minutes, processor",
            f"{cpu * 100 / INTERVAL_SECONDS * 100:.2f} % ({cpu * 1000:.1f} ms a poll)",
            "",
            "",
            "below 1 %",
        ),
    ]


def polled_once(folder, services, collections):
    """What it takes until each collection was polled once."""
    folder.mkdir()
    tool = Tool("fleet", "--services", services, "--collections", collections)
    told = tool.told()
    config = folder / "agent.toml"
    text = HEAD.format(state=folder / "state", events=folder / "events.jsonl")
    for place, url in enumerate(told["urls"]):
        text += SERVICE.format(
            name=f"service-{place}",
            url=url,
            username=told["username"],
            password=told["password"],
            collections=json.dumps(told["collections"]),
        )
    config.write_text(text)
    config.chmod(0o600)
    agent = Watched(config, folder / "agent.log")
    agent.wait_for_lines(b"polled", services * collections)
    took = {"ready": agent.ready, "seconds": agent.age(), "figures": agent.figures()}
    agent.stop()
    tool.stop()
    return took
