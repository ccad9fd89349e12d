"""Commands: run as they stand, in the stage; those that build or test the program are looked up."""

import re
import shlex
import subprocess

import elsewhere
from blocks import ROOT
from stage import binary

PROMPT = "$ "


def console(block, stage):
    """Lines with a prompt are run; what stands below one is what it must print."""
    for command, expected in prompts(block.text):
        one(command, expected, stage)


def prompts(text):
    command, expected = None, []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            if command:
                yield command, expected
            command, expected = line.removeprefix(PROMPT), []
        elif command is None:
            raise AssertionError("no command before the first output")
        else:
            expected.append(line)
    yield command, expected


def sh(block, stage):
    if all(is_of_the_project(line) for line in block.text.splitlines() if line.strip()):
        for line in filter(str.strip, block.text.splitlines()):
            one(line, [], stage)
        return
    ran = stage.run(block.text)
    assert ran.returncode == 0, f"code {ran.returncode}: {ran.stdout}{ran.stderr}"


def one(command, expected, stage):
    # A comment for the reader is none for the shell either.
    bare = re.sub(r"\s+#.*$", "", command).strip()
    if is_of_the_project(bare):
        of_the_project(bare)
        return
    ran = stage.run(bare)
    assert ran.returncode == 0, f"{bare}: code {ran.returncode}: {ran.stdout}{ran.stderr}"
    if expected:
        assert ran.stdout.splitlines() == expected, f"{bare} printed: {ran.stdout}"


def is_of_the_project(command):
    """Whether it builds or tests the program, which a page about that may show."""
    words = [word for word in shlex.split(command, comments=True) if "=" not in word]
    return words[:1] == ["cargo"] or (words and words[0].startswith((".ci/", "tests/")))


def of_the_project(command):
    if elsewhere.is_step_of_ci(command):
        return
    words = shlex.split(command, comments=True)
    words = [word for word in words if not re.match(r"^[A-Z_]+=", word)]
    if words[0] != "cargo":
        assert (ROOT / words[0]).exists(), f"there is no {words[0]}"
        return
    assert words[1] == "test", f"neither a step of .ci/run nor a test: {command}"
    # The tests themselves run in `cargo test`; here, that the command finds any.
    until = words.index("--") if "--" in words else len(words)
    listed = [word for word in words[:until] if word != "--release"]
    ran = subprocess.run(
        [*listed, "--quiet", "--", "--list"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, f"{command}: {ran.stderr}"
    assert re.search(r": test$", ran.stdout, re.MULTILINE), f"{command} finds no test"


def inline(text):
    """A command in a sentence: the program has that command, with these options."""
    words = text.split()[1:]
    names = []
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        if not asked([*names, word]):
            is_command = "\nCommands:\n" in asked(names)
            assert not is_command, f"`{' '.join(['cta-forwarder', *names])}` has no {word}"
            break
        names.append(word)
    options = [word.strip("[]()…,.") for word in words if word.lstrip("[(").startswith("--")]
    options = [option.split("=")[0] for option in options]
    assert names or options, f"the program has no such command: {text}"
    help_text = asked(names)
    for option in options:
        assert option in help_text, f"`{' '.join(names)}` has no {option}"


def asked(names):
    """The help of a command, or nothing if there is no such command."""
    ran = subprocess.run([binary(), *names, "--help"], capture_output=True, text=True)
    is_its_own = re.search(rf"^Usage: \S+ {' '.join(names)}", ran.stdout, re.MULTILINE)
    return ran.stdout if ran.returncode == 0 and is_its_own else ""


KINDS = {"console": console, "sh": sh}
