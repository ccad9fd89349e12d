"""What is not run here, with the test that runs it or the reason why nobody can.

Whatever stands here and is no longer so is a failure: a test must be there and name its page.
"""

import re

from blocks import ROOT

# Whole pages that another test runs, block by block.
PAGES = {
    "docs/install.md": ("tests/packages", "install.md"),
    "docs/migrate-from-taxii-log-adapter.md": ("tests/cli", "migrate-from-taxii-log-adapter.md"),
}
# Blocks of a page, by their language, that another test reads.
BLOCKS = {
    ("docs/formats.md", "json"): ("src/output/syslog/format/tests", "formats.md"),
    ("docs/formats.md", "text"): ("src/output/syslog/format/tests", "formats.md"),
    ("docs/events.md", "python"): ("tests/golden", "events.md"),
}
# Pages whose blocks without a language are drawings, formulas and lists of files.
DRAWINGS = {"README.md", "docs/architecture.md", "docs/delivery.md"}

# Commands of the system, exactly as they may stand on a page: a stand-in takes them, since a test must
# not change the machine. `systemctl` stops and starts the agent of the stage all the same.
STAND_INS = {
    "systemctl": {
        "status cta-forwarder",
        "reload cta-forwarder",
        "restart cta-forwarder",
        "stop cta-forwarder",
        "start cta-forwarder",
        "enable --now cta-forwarder",
        "disable --now cta-forwarder",
        "daemon-reload",
        "restart rsyslog",
        "reload syslog-ng",
    },
    # tests/packages installs what packaging/build makes.
    "apt-get": {"install ./cta-forwarder_*.deb"},
    "dnf": {"install ./cta-forwarder-*.rpm"},
    # What it names is the stage's, which goes as a whole.
    "rm": {"cta-forwarder.tar.gz"},
    "journalctl": {"--unit cta-forwarder --priority err --since -1h"},
    # tests/interop has both servers read the files that are shipped.
    "rsyslogd": {"-N1"},
    "syslog-ng": {"--syntax-only"},
    # There is no such user here.
    "setfacl": {
        "--modify user:splunkfwd:rx --default --modify user:splunkfwd:r <root>/var/log/cta-forwarder"
    },
}

# What is run as it is, with the folders of the stage in place of the machine's. There is no other
# program: a page that names one fails until somebody has looked at what it does to a machine.
TOOLS = {
    "bash",
    "cat",
    "cp",
    "curl",
    "df",
    "du",
    "env",
    "grep",
    "install",
    "jq",
    "mkdir",
    "sleep",
    "wc",
}


def tested_elsewhere(block):
    """The test that has this block, if there is one."""
    found = PAGES.get(block.page) or BLOCKS.get((block.page, block.language))
    if found:
        folder, name = found
        check_it_is_there(folder, name)
        return folder
    return None


def check_it_is_there(folder, name):
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    if not any(name in path.read_text(encoding="utf-8", errors="replace") for path in files):
        raise AssertionError(f"{folder} was said to test {name} and does not name it")


def is_step_of_ci(command):
    steps = re.findall(r"^    step (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    return command in steps
