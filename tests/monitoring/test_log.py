"""docs/operate.md tells every ERROR that the sources can write, and no other."""

import re
import unittest

import metrics

OPERATE = metrics.ROOT / "docs" / "operate.md"
# What no user runs, and what has no text of its own: an error says it all.
LEFT_OUT = ("simulator", "tests", "sequences", "bad_input")
WITHOUT_TEXT = {"{error}"}


def calls(level):
    """The last text of each call of `tracing::<level>!`, with what it can be where it is a variable."""
    for path in sorted((metrics.ROOT / "src").rglob("*.rs")):
        if any(word in str(path.relative_to(metrics.ROOT / "src")) for word in LEFT_OUT):
            continue
        text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
        for found in re.finditer(rf"tracing::{level}!\(", text):
            end = closing(text, found.end())
            texts = re.findall(r'"((?:[^"\\]|\\.)*)"', text[found.end() : end])
            if not texts:
                raise ValueError(f"{path}: a call without a text")
            variable = re.fullmatch(r"\{(\w+)\}", texts[-1])
            if texts[-1] not in WITHOUT_TEXT and variable:
                before = text[: found.start()].rsplit(f"let {variable[1]} =", 1)[-1]
                yield from re.findall(r'"((?:[^"\\]|\\.)*)"', before)
            elif texts[-1] not in WITHOUT_TEXT:
                # What comes first may be filled in.
                yield re.sub(r"^\{\w+\}: ", "", texts[-1])


def closing(text, at):
    depth, quote = 1, False
    while depth:
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = sign != '"'
        elif sign == '"':
            quote = True
        else:
            depth += (sign == "(") - (sign == ")")
        at += 1
    return at


def rows(heading):
    text = OPERATE.read_text(encoding="utf-8")
    section = text.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


class Log(unittest.TestCase):
    def test_every_error_is_told_and_no_other(self):
        written, told = set(calls("error")), rows("Errors")
        self.assertGreater(len(written), 25)
        for text in sorted(written):
            with self.subTest(written=text):
                self.assertTrue(any(text.startswith(row) for row in told))
        for row in told:
            with self.subTest(told=row):
                self.assertTrue(any(text.startswith(row) for text in written))

    def test_warnings_that_are_told_are_written(self):
        written = set(calls("warn"))
        for row in rows("Warnings worth a look"):
            with self.subTest(row):
                self.assertTrue(any(text.startswith(row) for text in written))


if __name__ == "__main__":
    unittest.main()
