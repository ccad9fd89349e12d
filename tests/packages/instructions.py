"""The commands of a page, such as docs/install.md, run one after the other as a person would."""

import glob
import re
import subprocess

from machine import ROOT

PAGE = ROOT / "docs" / "install.md"


def blocks(page, language):
    """The code blocks of a language, in order."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise AssertionError(f"{page} has no {language}")
    return found


def sections(page):
    """The commands of each heading that has some."""
    found = {}
    heading, language, block = None, None, []
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            if language == "sh":
                found.setdefault(heading, []).extend(commands(page, block))
            language = None if language is not None else line.removeprefix("```")
            block = []
        elif language is not None:
            block.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found


def commands(page, lines):
    """Each command with all its lines: a pipe, or a text that ends with END."""
    command = []
    for line in lines:
        command.append(line)
        text = "\n".join(command)
        in_text = "<<'END'" in text and line != "END"
        if not in_text and not line.rstrip().endswith(("|", "\\")):
            yield text
            command = []
    if command:
        raise AssertionError(f"a command of {page} does not end: {command}")


class Person:
    """Who follows the page: types secrets where a command waits for one, and goes from folder to
    folder."""

    def __init__(self, folder, environment, secrets, page=PAGE, here=lambda text: text):
        """`here` puts what there is on this machine in the place of what the page names."""
        self.folder = folder
        self._environment = environment
        self._secrets = secrets
        self._here = here
        self._left = sections(page)

    def follow(self, heading, before=None):
        """Runs the commands below a heading; `before` may do something before each. Gives what
        they printed."""
        printed = []
        for command in self._left.pop(heading):
            if before:
                before(command)
            printed.append(self._run(command))
        return "".join(printed)

    def _run(self, command):
        if into := re.fullmatch(r"cd (\S+)", command):
            (self.folder,) = glob.glob(f"{self.folder}/{into[1]}")
            return ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here(command)],
            cwd=self.folder,
            env=self._environment,
            input=self._typed(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"{command}\nended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def _typed(self, command):
        into = re.match(r"install .* /dev/stdin \S*/([a-z-]+)$", command)
        return f"{self._secrets[into[1]]}\n" if into else ""

    def left(self):
        """The headings whose commands were not run."""
        return list(self._left)
