"""A day of outage at a thousand events a second: that it is kept, that it goes out, and at what cost."""

import time

from backlog import bytes_below
from delivery import absent_collector, configure, wait_until_acknowledged
from measure import Tool, Watched, batches, status

RATE = 1_000
WINDOWS = 24 * 6
FLOWS = 40
PACKAGES = WINDOWS * 600 * RATE // FLOWS
# Published again and again; ten windows of it are new.
DISTINCT = 15_000
# All of it in the spool, and more.
SPOOL = "100GiB"


def measure(folder):
    service = Tool("service", "--packages", PACKAGES, "--flows", FLOWS, "--days", 1, "--distinct", DISTINCT)
    told = service.told()
    at, port = absent_collector()
    config = configure(
        folder / "agent.toml", told, at, interval="1ms", schedule="* * * * * *", window="600s", lookback="25h", spool=SPOOL
    )
    spool = folder / "agent.state" / "spool" / "ready"

    agent = Watched(config, folder / "agent.log")
    wait_until_fetched(agent, config, told["events"])
    fetching, waiting, full = agent.age(), agent.figures(), bytes_below(spool)
    kept = batches(config)

    collector = Tool("collector", "--expect", told["events"], "--port", port)
    collector.told()
    began = agent.age()
    collector.told()
    wait_until_acknowledged(config)
    seconds, figures = agent.age() - began, agent.figures()
    agent.stop()
    empty = bytes_below(spool)
    collector.stop()
    service.stop()
    events = told["events"]
    return [
        (
            f"a day of outage: {events:,} events of {kept} batches are fetched and kept",
            f"{events / fetching:,.0f} events/s, at most {waiting.peak_kib / 1024:.1f} MiB",
            f"as they come: {RATE:,} events/s",
            f"{events / fetching / RATE:.0f}",
            "above 1",
        ),
        (
            "they drain",
            f"{events / seconds:,.0f} events/s, at most {figures.peak_kib / 1024:.1f} MiB",
            f"as they come: {RATE:,} events/s",
            f"{events / seconds / RATE:.0f}",
            "60,000 events/s, flat memory",
        ),
        (
            "the disk that they took, and afterwards",
            f"{full / (1 << 30):.2f} GiB, {empty / (1 << 30):.2f} GiB",
            f"the answers: {told['bytes'] / (1 << 30):.1f} GiB",
            f"{full / told['bytes']:.3f}",
            "comes back",
        ),
    ]


def wait_until_fetched(agent, config, events):
    """Waits until so many events have come."""
    while sum(collection["events"] for collection in status(config)["collections"]) < events:
        agent.check()
        time.sleep(1)
