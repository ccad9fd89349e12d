"""Man pages and completions: as the packages hold them."""

import gzip
import subprocess
import tempfile
import unittest
from pathlib import Path

import machine

DOCUMENTS = machine.ROOT / "target" / "documents"
COMPLETIONS = DOCUMENTS / "completions"


class Documents(unittest.TestCase):
    def test_every_man_page_is_well_formed(self):
        pages = sorted((DOCUMENTS / "man").glob("*.gz"))
        self.assertGreater(len(pages), 20)
        for page in pages:
            with self.subTest(page.name):
                said = subprocess.run(
                    ["man", "--warnings", "--local-file", page],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                self.assertEqual(said.stderr, "")
                linted = subprocess.run(
                    ["mandoc", "-T", "lint", "-W", "warning"],
                    input=gzip.decompress(page.read_bytes()),
                    stdout=subprocess.PIPE,
                )
                self.assertEqual(linted.stdout.decode(), "")

    def test_every_command_has_its_page(self):
        commands = [()]
        for command in commands:
            name = "-".join(("cta-forwarder", *command))
            found = list((DOCUMENTS / "man").glob(f"{name}.[18].gz"))
            self.assertEqual(len(found), 1, name)
            commands += [(*command, below) for below in subcommands(command)]
        self.assertEqual(len(commands), len(list((DOCUMENTS / "man").glob("*.[18].gz"))))

    def test_bash_completes(self):
        script = f"""
            source {COMPLETIONS}/cta-forwarder.bash
            complete -p cta-forwarder
            COMP_WORDS=(cta-forwarder sta) COMP_CWORD=1
            _cta__forwarder cta-forwarder sta cta-forwarder
            echo "${{COMPREPLY[@]}}"
        """
        said = machine.run("bash", "--norc", "-c", script)
        self.assertIn("-F _cta__forwarder", said)
        self.assertEqual(said.splitlines()[-1], "status")

    def test_zsh_loads_them(self):
        machine.run("zsh", "-n", COMPLETIONS / "_cta-forwarder")
        with tempfile.TemporaryDirectory() as folder:
            script = f"""
                fpath=({COMPLETIONS} $fpath)
                autoload -U compinit && compinit -u -d {folder}/dump
                print $_comps[cta-forwarder]
                autoload +X _cta-forwarder && print loaded
            """
            said = machine.run("zsh", "-f", "-c", script)
        self.assertEqual(said.split(), ["_cta-forwarder", "loaded"])

    def test_fish_completes(self):
        file = COMPLETIONS / "cta-forwarder.fish"
        machine.run("fish", "--no-execute", file)
        script = f"source {file}; complete --do-complete 'cta-forwarder sta'"
        said = machine.run("fish", "--no-config", "-c", script)
        self.assertEqual([line.split("\t")[0] for line in said.splitlines()], ["status"])


def subcommands(command):
    """Those that the help of a command shows."""
    lines = machine.run(machine.program(), *command, "--help").splitlines()
    if "Commands:" not in lines:
        return []
    listed = lines[lines.index("Commands:") + 1 :]
    listed = listed[: listed.index("")]
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    return [name for name in names if name != "help"]
