"""What the agent takes where there is nothing to do."""

import os
import time

from delivery import configure
from measure import CTA_FORWARDER, Tool, Watched

IDLE_SECONDS = 20
ROUNDS = 5


def measure(folder):
    service = Tool("service", "--packages", 1, "--flows", 1)
    told = service.told()
    collector = Tool("collector", "--expect", 1)
    at = collector.told()
    starts, memory, idle = [], 0, 0.0
    for place in range(ROUNDS):
        file = folder / f"idle-{place}.toml"
        config = configure(file, told, at, interval="10m", schedule="0 0 * * * *")
        log = folder / f"idle-{place}.log"
        agent = Watched(config, log)
        agent.wait_for_lines(b"polled", 1)
        starts.append(agent.age())
        if place == ROUNDS - 1:
            before = agent.figures()
            time.sleep(IDLE_SECONDS)
            after = agent.figures()
            memory, idle = after.kib, (after.cpu - before.cpu) / IDLE_SECONDS
        agent.stop()
    collector.stop()
    service.stop()
    size = os.stat(CTA_FORWARDER).st_size
    return [
        ("start to the end of the first poll", f"{min(starts) * 1000:.0f} ms", "", "", "at most 100 ms"),
        ("idle with one collection, memory", f"{memory / 1024:.1f} MiB", "", "", "at most 20 MiB"),
        ("idle with one collection, processor", f"{idle * 100:.2f} %", "", "", "below 1 %"),
        ("release binary", f"{size / (1 << 20):.1f} MiB", "", "", "at most 15 MiB"),
    ]
