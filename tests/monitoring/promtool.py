"""Prometheus' own judge of rules and expressions, where `run` has put it."""

import os
import subprocess
import tempfile
from pathlib import Path


def promtool(*arguments):
    """Runs it; what it says, and whether it was content."""
    ran = subprocess.run(
        [os.environ["PROMTOOL"], *map(str, arguments)], capture_output=True, text=True
    )
    return ran.returncode == 0, ran.stdout + ran.stderr


def check_expressions(expressions):
    """Whether each is PromQL: a recording rule is made of it."""
    rules = "".join(
        f"      - record: e{number}\n        expr: {quoted(expression)}\n"
        for number, expression in enumerate(expressions)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "expressions.yml"
        path.write_text(f"groups:\n  - name: expressions\n    rules:\n{rules}", encoding="utf-8")
        return promtool("check", "rules", path)


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
