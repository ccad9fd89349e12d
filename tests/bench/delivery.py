"""From the poll to the acknowledgement, beside a bare loop that has nothing else to do."""

import time

from measure import Tool, Watched, batches, flattened, tool

PACKAGES = 15_000
FLOWS = 40

SERVICE = """\
[state]
directory = "{state}"
max_spool_bytes = "{spool}"

[[service]]
name = "cta"
poll_url = "{url}"
username = "{username}"
password = "{password}"
collections = ["{collection}"]
min_poll_interval = "{interval}"
schedule = "{schedule}"
initial_lookback = "{lookback}"

{window}
"""

OUTPUT = """
[[output]]
name = "splunk"
type = "splunk_hec"
endpoints = ["{hec}"]
token = "{token}"
acknowledge = true
ack_interval = "100ms"
gzip = true
"""


def measure(folder):
    service = Tool("service", "--packages", PACKAGES, "--flows", FLOWS)
    told = service.told()
    events = told["events"]

    collector = Tool("collector", "--expect", events)
    at = collector.told()
    config = configure(folder / "agent.toml", told, at, interval="1ms", schedule="* * * * * *")
    agent = Watched(config, folder / "agent.log")
    collector.told()
    wait_until_acknowledged(config)
    seconds = time.monotonic() - agent.started
    figures = agent.figures()
    agent.stop()
    collector.stop()
    service.stop()

    bare = bare_loop(folder)
    rate = events / seconds
    return [
        (
            f"from the poll to the acknowledgement, {events:,} events in ten windows",
            f"{rate:,.0f} events/s ({figures.cpu:.1f} s of processor time)",
            f"bare reqwest loop with ready-made bodies: {bare:,.0f} events/s",
            f"{rate / bare:.2f}",
            "60,000 events/s, and at least 0.5",
        ),
        ("the same, most memory", f"{figures.peak_kib / 1024:.1f} MiB", "", "", "at most 64 MiB"),
    ]


def configure(file, service, collector, window=None, lookback="30d", spool="2GiB", **how):
    """Writes a configuration between the two; its state lies beside it, if nothing else is said."""
    window = f'max_window = "{window}"' if window else ""
    how = {"state": file.with_suffix(".state"), **how}
    text = SERVICE.format(window=window, lookback=lookback, spool=spool, **service, **how)
    text += OUTPUT.format(hec=collector["url"], token=collector["token"])
    file.write_text(text)
    file.chmod(0o600)
    return file


def absent_collector():
    """Where a collector will be once it is back, and its port."""
    collector = Tool("collector", "--expect", 1)
    at = collector.told()
    collector.kill()
    return at, at["url"].rpartition(":")[2]


def wait_until_acknowledged(config):
    while batches(config) > 0:
        time.sleep(0.05)


def bare_loop(folder):
    """Events a second that the same receiver takes from a loop that only sends."""
    events, count = flattened(folder, 200 << 20)
    collector = Tool("collector", "--expect", count)
    at = collector.told()
    took = tool("post", events, "--url", at["url"], "--token", at["token"])
    collector.told()
    collector.stop()
    events.unlink()
    return count / took["seconds"]
