"""What lies in the packages, before anything is installed."""

import re
import subprocess
import unittest

import machine

# Of glibc, the version of RHEL 9; Debian 12 has 2.36.
NEWEST_GLIBC = (2, 34)
# The unit of several agents differs from that of one in these ways alone.
INSTANCES = [
    ("to Splunk or syslog (%i)", "to Splunk or syslog"),
    ("/etc/cta-forwarder/%i.toml", "/etc/cta-forwarder/cta-forwarder.toml"),
    ("Directory=cta-forwarder-instances/%i", "Directory=cta-forwarder"),
    ("/secrets/%i/", "/secrets/"),
    ("cta-forwarder/%i-hec-token", "cta-forwarder/hec-token"),
    ("edit cta-forwarder@`", "edit cta-forwarder`"),
]
# In tenths: `systemd-analyze --threshold`.
MOST_EXPOSURE = 12


class Archives(unittest.TestCase):
    def test_lintian_has_nothing_to_say(self):
        deb = machine.built("*.deb")
        said = machine.run(
            "lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", deb
        )
        self.assertEqual(said, "")

    def test_rpmlint_has_nothing_to_say(self):
        said = machine.run(
            "rpmlint", "--config", machine.ROOT / "packaging/rpm/rpmlint.toml", machine.built("*.rpm")
        )
        self.assertRegex(said, r"0 errors, 0 warnings")

    def test_both_packages_hold_the_same(self):
        deb = subprocess.run(
            f"dpkg-deb --fsys-tarfile {machine.built('*.deb')} | tar --list",
            shell=True,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        of_deb = {name[1:] for name in deb.stdout.splitlines() if not name.endswith("/")}
        of_rpm = set(machine.run("rpm", "-qlp", machine.built("*.rpm")).splitlines())
        # Each has its own places for licences, the changelog, and what zsh reads.
        own = re.compile(r"/(licenses|lintian|zsh)/|/(copyright|changelog|CHANGELOG|third-party)")
        of_deb, of_rpm = ({file for file in files if not own.search(file)} for files in (of_deb, of_rpm))
        self.assertEqual(of_deb ^ of_rpm, set())

    def test_all_run_with_the_c_library_of_rhel_9(self):
        symbols = machine.run("objdump", "-T", machine.ROOT / "target/documents/cta-forwarder")
        versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_(\d[\d.]*)", symbols)}
        self.assertTrue(versions)
        self.assertLessEqual(max(versions)[:2], NEWEST_GLIBC)

    def test_the_scriptlets_of_the_rpm_are_shell(self):
        for scriptlet in ("PREIN", "POSTIN", "PREUN", "POSTUN"):
            text = machine.run("rpm", "-qp", "--queryformat", f"%{{{scriptlet}}}", machine.built("*.rpm"))
            self.assertGreater(len(text), 20, scriptlet)
            checked = subprocess.run(["sh", "-n"], input=text, text=True)
            self.assertEqual(checked.returncode, 0, scriptlet)

    def test_the_units_are_closed(self):
        for unit in units():
            machine.run(
                "systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit
            )

    def test_an_instance_has_the_same_unit(self):
        one, many = (unit.read_text() for unit in units())
        many = re.sub(r"\A(#.*\n)+", "", many)
        for theirs, ours in INSTANCES:
            self.assertIn(theirs, many)
            many = many.replace(theirs, ours)
        self.assertEqual(many, one)


def units():
    folder = machine.ROOT / "systemd"
    return folder / "cta-forwarder.service", folder / "cta-forwarder@.service"
