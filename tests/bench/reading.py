"""Reading and flattening, beside a bare XML reader and beside Python."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from measure import CTA_FORWARDER, RIG, alternately, run, tool

ROUNDS = 9
# About so many.
BYTES_OF_AN_INCIDENT = 58_000
MIB = 1 << 20


def measure(folder):
    rows = [
        *beside_a_reader(folder, "100 MiB, written as the vendor's sample", "at most 1.3", "below 1"),
        *beside_a_reader(folder, "100 MiB, written in any way", "", "", "--varied"),
    ]
    if importlib.util.find_spec("libtaxii"):
        # A tenth of it: Python needs its time.
        small = folder / "small.xml"
        written = tool("answer", small, "--bytes", 10 * MIB)
        python = run(sys.executable, Path(__file__).parent / "flatten_in_python.py", small)
        ours = alternately(ROUNDS, (CTA_FORWARDER, "flatten", small))[0]
        rows.append(
            (
                "`flatten` of 10 MiB",
                f"{written['events'] / ours.wall:,.0f} events/s",
                f"libtaxii and lxml: {written['events'] / python.wall:,.0f} events/s",
                f"{python.wall / ours.wall:.0f}",
                "at least 20",
            )
        )
    return rows


def beside_a_reader(folder, what, wanted, wanted_wall, *arguments):
    """`flatten` of an answer, and a reader that does nothing with it."""
    file = folder / "answer.xml"
    written = tool("answer", file, "--bytes", 100 * MIB, *arguments)
    commands = (RIG, "scan", file), (CTA_FORWARDER, "flatten", file)
    scan, flatten = alternately(ROUNDS, *commands, processor=0)
    scan_wall, flatten_wall = (took.wall for took in alternately(ROUNDS, *commands))
    return [
        (
            f"`flatten` of {what}, processor time",
            f"{flatten.cpu:.2f} s ({written['events'] / flatten.cpu:,.0f} events/s)",
            f"bare quick-xml reader: {scan.cpu:.2f} s",
            f"{flatten.cpu / scan.cpu:.2f}",
            wanted,
        ),
        (
            "the same, wall time",
            f"{flatten_wall:.2f} s",
            f"bare quick-xml reader: {scan_wall:.2f} s",
            f"{flatten_wall / scan_wall:.2f}",
            wanted_wall,
        ),
    ]


def memory(folder):
    rows = []
    for what, flows, incidents in (
        ("many packages", 40, 1),
        ("one package", 40, 1024 * MIB // BYTES_OF_AN_INCIDENT),
    ):
        file = folder / "large.xml"
        tool("answer", file, "--bytes", 1024 * MIB if incidents == 1 else 1, "--flows", flows,
             "--incidents", incidents)
        size = file.stat().st_size
        took = run(CTA_FORWARDER, "flatten", file)
        file.unlink()
        rows.append(
            (
                f"`flatten` of {size / (1 << 30):.2f} GiB as {what}, most memory",
                f"{took.peak_kib / 1024:.1f} MiB",
                "",
                "",
                "at most 32 MiB",
            )
        )
    return rows
