"""What waits while an output is away: whether it costs anything but its place on the disk."""

import subprocess
import time
from datetime import datetime
from statistics import median

from delivery import absent_collector, configure, wait_until_acknowledged
from measure import CTA_FORWARDER, Tool, Watched, batches

# A window holds one package, so that each poll makes a batch.
PACKAGES = 10_100
FLOWS = 40
DAYS = 29
WINDOW = f"{DAYS * 24 * 3600 // PACKAGES}s"
STEPS = (10, 100, 10_000)
# So many polls are timed before each step.
TIMED = 50
ROUNDS = 5
# The gate is open again after an interval of a second, and the second that is added to each.
GATE_SECONDS = 2
# What is checked behind a start is checked after five seconds, in less than two.
SETTLE_SECONDS = 7
FIGURES = (
    ("one poll", "ms", "does not grow"),
    ("start", "ms", "does not grow"),
    ("start to the end of the first poll", "ms", "at most 100 ms"),
    ("status", "ms", "does not grow"),
    ("memory", "MiB", "does not grow"),
)


def measure(folder):
    service = Tool("service", "--packages", PACKAGES, "--flows", FLOWS, "--days", DAYS)
    told = service.told()
    at, port = absent_collector()
    how = {"schedule": "* * * * * *", "window": WINDOW, "lookback": f"{DAYS * 24 + 1}h"}
    config = configure(folder / "agent.toml", told, at, interval="1ms", **how)
    state = folder / "agent.state"
    slow = configure(folder / "slow.toml", told, at, interval="1s", state=state, **how)
    costs = [waiting(folder, config, slow, step) for step in STEPS]
    spool = state / "spool" / "ready"
    full = bytes_below(spool)

    collector = Tool("collector", "--expect", told["events"], "--port", port)
    collector.told()
    agent = Watched(config, folder / "drain.log")
    collector.told()
    wait_until_acknowledged(config)
    seconds, figures = agent.age(), agent.figures()
    agent.stop()
    empty = bytes_below(spool)
    collector.stop()
    service.stop()

    waits = ", ".join(f"{step:,}" for step in STEPS)
    rows = []
    for what, unit, wanted in FIGURES:
        figures_of = [cost[what] for cost in costs]
        rows.append(
            (
                f"{what} while {waits} batches wait",
                ", ".join(f"{figure:.1f}" for figure in figures_of) + f" {unit}",
                "",
                f"{figures_of[-1] / figures_of[0]:.1f}",
                wanted,
            )
        )
    rows += [
        (
            f"{told['events']:,} events of {PACKAGES:,} batches drain",
            f"{told['events'] / seconds:,.0f} events/s, at most {figures.peak_kib / 1024:.1f} MiB",
            "",
            "",
            "60,000 events/s, flat memory",
        ),
        (
            "the disk that they took, and afterwards",
            f"{full / (1 << 20):.1f} MiB, {empty / (1 << 20):.1f} MiB",
            "",
            "",
            "comes back",
        ),
    ]
    return rows


def waiting(folder, config, slow, step):
    """What things cost while about so many batches wait: milliseconds and MiB. Polls without a pause until
    then, and `slow` has one between two of them."""
    log = folder / f"{step}.log"
    agent = Watched(config, log)
    polls = []
    while (missing := step - batches(config)) > 0:
        polls += agent.wait_for_lines(b"polled", missing)
    status = median(seconds_of("status", "--config", config) for _ in range(ROUNDS))
    agent.stop()
    # Starts with what waits now.
    starts = [started(slow, folder / f"{step}-again-{place}.log") for place in range(ROUNDS)]
    times = [datetime.fromisoformat(line.split()[0].decode()) for line in polls[-TIMED - 1 :]]
    poll = (times[-1] - times[0]).total_seconds() / (len(times) - 1) if len(times) > 1 else 0.0
    return {
        "one poll": poll * 1000,
        "start": min(ready for ready, _ in starts) * 1000,
        "start to the end of the first poll": min(polled for _, polled in starts) * 1000,
        "status": status * 1000,
        "memory": settled(slow, folder / f"{step}-settled.log") / 1024,
    }


def started(config, log):
    """Seconds until an agent is ready, and until it has polled."""
    time.sleep(GATE_SECONDS)
    agent = Watched(config, log)
    agent.wait_for_lines(b"polled", 1)
    polled = agent.age()
    agent.stop()
    return agent.ready, polled


def settled(config, log):
    """KiB of an agent that has nothing to do but to poll."""
    agent = Watched(config, log)
    time.sleep(SETTLE_SECONDS)
    figures = agent.figures()
    agent.stop()
    return figures.kib


def seconds_of(*command):
    started = time.monotonic()
    subprocess.run([CTA_FORWARDER, *command], stdout=subprocess.DEVNULL, check=False)
    return time.monotonic() - started


def bytes_below(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
