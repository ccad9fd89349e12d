"""The pages for users, and what stands between their fences."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\S*)\s*$")
COMMENT = re.compile(r"^<!-- (.+?) -->$")


@dataclass(frozen=True)
class Block:
    """What stands between two fences. `notes` are the comments on the lines just above it."""

    page: str
    line: int
    language: str
    text: str
    notes: tuple = field(default=())

    def __str__(self):
        return f"{self.page}:{self.line} ({self.language or 'no language'})"


@dataclass(frozen=True)
class Inline:
    """A command in the text of a page."""

    page: str
    line: int
    text: str

    def __str__(self):
        return f"{self.page}:{self.line} `{self.text}`"


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(path):
    """All blocks of a page, and all commands of the program in its text."""
    name = str(path.relative_to(ROOT))
    blocks, inlines, inside, notes = [], [], None, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if inside and fence and not fence[2]:
            start, language, lines, above = inside
            blocks.append(Block(name, start, language, "\n".join(lines), tuple(above)))
            inside, notes = None, []
        elif inside:
            inside[2].append(line)
        elif fence:
            inside = (number, fence[2], [], notes)
        elif found := COMMENT.match(line):
            notes.append(found[1])
        else:
            notes = notes if not line.strip() else []
            for text in re.findall(r"`(cta-forwarder [^\s`]+(?<!:)(?: [^`]*)?)`", line):
                inlines.append(Inline(name, number, text))
    if inside:
        raise ValueError(f"{name}:{inside[0]}: a fence is not closed")
    return blocks, inlines
