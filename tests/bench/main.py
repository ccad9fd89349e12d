"""Measures, prints the table, and writes it to the page."""

import datetime
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import backlog
import delivery
import fleet
import footprint
import outage
import reading
import streams

PARTS = {
    "reading": reading.measure,
    "memory": reading.memory,
    "delivery": delivery.measure,
    "syslog": streams.measure,
    "backlog": backlog.measure,
    "fleet": fleet.measure,
    "footprint": footprint.measure,
}
# Too long for every time: measured when they are named, alone.
BY_NAME = {"outage": outage.measure}
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def main():
    known = PARTS | BY_NAME
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in chosen if name not in known]:
        sys.exit(f"there is no part {unknown[0]!r}; there are: {', '.join(known)}")
    rows = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="cta-forwarder-bench-") as folder:
            rows += known[name](Path(folder))
    text = table(rows)
    print(text)
    if chosen == list(PARTS):
        write("measured", text)
    elif len(chosen) == 1 and chosen[0] in BY_NAME:
        write(chosen[0], text)


def write(block, text):
    """Puts a table where the page has its place."""
    begin, end = f"<!-- {block}: begin -->", f"<!-- {block}: end -->"
    before, rest = PAGE.read_text().split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n{machine()}\n\n{text}\n{end}{after}")


def table(rows):
    titles = ("what", "measured", "compared with", "ratio", "wanted")
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine():
    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    processor = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
    cores = len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
    return (
        f"{datetime.date.today()}: {cores} cores ({processor}), Linux {'.'.join(platform.release().split('.')[:2])}, "
        f"{rustc.stdout.strip()}."
    )


main()
