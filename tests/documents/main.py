"""Runs every block of README.md and docs/*.md, and says of each what became of it.

Arguments, if any, are the pages to look at.
"""

import sys
import traceback
from collections import Counter

import commands
import elsewhere
import samples
from blocks import ROOT, pages, read
from stage import Stage, binary

KINDS = samples.KINDS | commands.KINDS


def main(names):
    if not binary().is_file():
        sys.exit(f"no agent at {binary()}: run `cargo build --release`, or set CTA_FORWARDER")
    count = Counter()
    chosen = [path for path in pages() if not names or str(path.relative_to(ROOT)) in names]
    for path in chosen:
        blocks, inlines = read(path)
        for one in inlines:
            count[attempt(one, lambda one=one: commands.inline(one.text), quiet=True)] += 1
        page(blocks, count)
    print(", ".join(f"{number} {word}" for word, number in sorted(count.items())))
    # Nothing run is nothing shown.
    sys.exit(0 if count["ok"] and not count["FAILED"] else 1)


def page(blocks, count):
    stage = None
    try:
        for block in blocks:
            if block.language in KINDS and not stage and needs_stage(block):
                stage = Stage()
                if any(one.language in commands.KINDS for one in blocks if needs_agent(one)):
                    stage.start()
            count[attempt(block, lambda block=block, stage=stage: run(block, stage))] += 1
    finally:
        if stage:
            stage.stop()


def needs_stage(block):
    return not elsewhere.tested_elsewhere(block)


def needs_agent(block):
    return any(word in block.text for word in ("cta-forwarder ", "curl ")) and needs_stage(block)


def run(block, stage):
    """What became of it in a word, or an exception."""
    if folder := elsewhere.tested_elsewhere(block):
        return f"by {folder}"
    for note in block.notes:
        # The block is a file that the commands below it work with.
        if note.startswith("file "):
            (stage.work / note.removeprefix("file ")).write_text(block.text + "\n")
            return "ok"
    if not block.language and is_drawing(block):
        return "drawing"
    if not block.language:
        return commands.KINDS["sh"](block, stage)
    if block.language not in KINDS:
        raise AssertionError(f"nobody runs a block of this kind: {block.language}")
    return KINDS[block.language](block, stage)


def is_drawing(block):
    first = block.text.split(maxsplit=1)[0]
    return block.page in elsewhere.DRAWINGS and first not in ("$", "cargo", "cta-forwarder")


def attempt(what, action, quiet=False):
    try:
        word = action() or "ok"
    except Exception as error:  # noqa: BLE001, whatever it was is told, and the next is tried
        short = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        print(f"FAILED  {what}\n{short}", flush=True)
        return "FAILED"
    if not quiet:
        print(f"{word:8}{what}" if word == "ok" else f"ok      {what}: {word}", flush=True)
    return "ok" if word == "ok" else "ok elsewhere" if word.startswith("by ") else word


if __name__ == "__main__":
    main(sys.argv[1:])
