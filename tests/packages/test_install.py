"""docs/install.md, followed from its first command to its last, with a look at the machine after each
part: the .deb, the .rpm and the tarball, installed, started, upgraded, removed and purged."""

import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import machine
from instructions import Person
from machine import rights, run
from service_manager import WANTS, ServiceManager, link

SERVICE = "cta-forwarder.service"
EMEA = "cta-forwarder@emea.service"
CONFIG = Path("/etc/cta-forwarder/cta-forwarder.toml")
STATE = Path("/var/lib/cta-forwarder")
LATER = "99.0.0"
# `Exit::Configuration`
WRONG_CONFIGURATION = 78


class Install(unittest.TestCase):
    """One story: each part goes on from where the part before has left the machine."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cta-packages-")
        # apt reads it as a user of its own.
        os.chmod(cls.folder.name, 0o755)
        for package in ("*.deb", "*.rpm", "*.tar.gz"):
            shutil.copy(machine.built(package), cls.folder.name)
        cls.enterClassContext(machine.Borrowed())
        cls.manager = ServiceManager()
        cls.addClassCleanup(cls.manager.close)
        cls.simulator = machine.Simulator()
        cls.addClassCleanup(cls.simulator.close)
        database = Path(cls.folder.name) / "rpm-database"
        cls.environment = cls.manager.environment() | {
            "EDITOR": str(Path(__file__).parent / "commands" / "editor"),
            "CTA_SIMULATED": json.dumps(cls.simulator.told),
            "CTA_RPM_DATABASE": str(database),
        }
        run("rpm", "--dbpath", database, "--initdb")
        secrets = cls.simulator.secrets()
        cls.person = Person(cls.folder.name, cls.environment, secrets)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_01_installed_and_not_started(self):
        self.person.follow("Install")
        self.looks_installed()
        run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{SERVICE}", EMEA)
        self.assertIn("cta-forwarder.toml", run("man", "--where", "5", "cta-forwarder.toml"))

    def test_02_the_configuration_is_not_for_everybody(self):
        # A service of somebody else reads neither the configuration nor the secrets.
        for path in (CONFIG, "/etc/cta-forwarder/secrets"):
            code, _ = self.as_user("nobody", "ls" if path != CONFIG else "cat", path)
            self.assertNotEqual(code, 0, path)
        code, _ = self.as_user(machine.USER, "cat", CONFIG)
        self.assertEqual(code, 0)

    def test_03_a_secret_that_is_missing_is_named(self):
        with self.assertRaisesRegex(AssertionError, '(?s)ended with 78.*the credential "hec-token" is empty'):
            self.manager.start(SERVICE)
        code, said = run(
            "cta-forwarder", "check", check=False,
            env=os.environ | {"CREDENTIALS_DIRECTORY": "/etc/cta-forwarder/secrets"},
        )
        self.assertEqual(code, WRONG_CONFIGURATION)
        self.assertIn("/etc/cta-forwarder/secrets/taxii-password", said)

    def test_04_the_first_minute(self):
        self.person.follow("The first minute")
        service = self.manager.services[SERVICE]
        self.assertEqual(process_user(service.process.pid), machine.USER)
        self.assertEqual(rights(STATE), "cta-forwarder:cta-forwarder 0700")
        self.assertEqual(rights("/var/log/cta-forwarder"), "cta-forwarder:cta-forwarder 0750")
        self.simulator.wait_for_more_events()
        service.wait_for("WATCHDOG=1")
        # A stranger gets nowhere.
        self.assertNotEqual(self.as_user("nobody", "ls", STATE)[0], 0)

    def test_05_reload(self):
        service = self.manager.services[SERVICE]
        said = service.said()
        service.process.send_signal(signal.SIGHUP)
        before = service.wait_for("READY=1", after=said)
        self.assertIn("RELOADING=1", before)
        good = CONFIG.read_text()
        said = service.said()
        CONFIG.write_text(good.replace("\n[state]\n", "\n[state]\nno_such_key = 1\n"))
        code, told = service.reload()
        CONFIG.write_text(good)
        self.assertEqual(code, WRONG_CONFIGURATION, told)
        self.assertIn("no_such_key", told)
        self.assertIsNone(service.process.poll())
        # And as the page says it.
        said = service.said()
        self.person.follow("Another configuration, another secret", before=self.look_at_reload(service, said))
        self.assertIsNot(self.manager.services[SERVICE], service)
        self.simulator.wait_for_more_events()

    def look_at_reload(self, service, said):
        def before(command):
            if command.startswith("install") and service.said() > said:
                self.assertIn("RELOADING=1", service.wait_for("READY=1", after=said))

        return before

    def test_06_more_credentials(self):
        folder = Path(self.manager.services[SERVICE].environment["CREDENTIALS_DIRECTORY"])
        self.assertEqual((folder / "proxy-password").read_text(), "none asks for it\n")

    def test_07_secrets_as_files(self):
        self.person.follow("Secrets as files")
        self.assertEqual(rights("/etc/cta-forwarder/hec-token"), "root:cta-forwarder 0640")
        log = self.manager.services[SERVICE].log.read_text()
        self.assertNotIn("secret file", log)
        self.simulator.wait_for_more_events()

    def test_08_several_agents(self):
        self.person.follow("Several agents on one machine")
        emea = Path("/var/lib/cta-forwarder-instances/emea")
        self.assertEqual(rights(emea), "cta-forwarder:cta-forwarder 0700")
        self.assertTrue((emea / "ledger").is_dir())
        self.assertEqual(set(self.manager.services), {SERVICE, EMEA})

    def test_09_upgrade(self):
        self.manager.answer(["stop", EMEA])
        old = self.manager.services[SERVICE]
        kept = {path: Path(path).read_bytes() for path in (CONFIG, "/etc/cta-forwarder/secrets/hec-token")}
        had = sorted((STATE / "ledger").iterdir())
        self.replace_package("*.deb", "deb", "--deb-version", f"{LATER}-1")
        self.person.follow("Upgrade")
        self.assertEqual(installed_version(), f"{LATER}-1")
        self.assertEqual(old.process.returncode, 0)
        self.assertIn("STOPPING=1", old.messages)
        # What ran runs, what was stopped is stopped.
        self.assertEqual(set(self.manager.services), {SERVICE})
        for path, content in kept.items():
            self.assertEqual(Path(path).read_bytes(), content, path)
        self.assertEqual(rights(CONFIG), "root:cta-forwarder 0640")
        # What was known is known: no window comes again.
        self.assertLessEqual({segment.name for segment in had}, {s.name for s in (STATE / "ledger").iterdir()})
        log = self.manager.services[SERVICE].log.read_text()
        self.assertNotIn("ERROR", log)
        self.simulator.wait_for_more_events()

    def test_10_removed_and_purged(self):
        service = self.manager.services[SERVICE]

        def before(command):
            if "purge" in command:
                # Removed: stopped, and everything kept.
                self.assertEqual(service.process.returncode, 0)
                self.assertFalse(Path("/usr/bin/cta-forwarder").exists())
                for path in (CONFIG, STATE / "ledger", "/etc/cta-forwarder/secrets/hec-token"):
                    self.assertTrue(Path(path).exists(), path)
                self.mounted = self.mount_state()

        self.person.follow("Removal", before)
        if self.mounted:
            # A folder that cannot be removed is emptied, and keeps nothing else from going.
            self.assertEqual(os.listdir(STATE), [])
            run("umount", STATE)
            STATE.rmdir()
        for path in (CONFIG, STATE, "/var/lib/cta-forwarder-instances", "/var/log/cta-forwarder",
                     "/var/log/cta-forwarder-instances", "/etc/cta-forwarder/secrets"):
            self.assertFalse(Path(path).exists(), path)
        self.assertEqual(wanted(), [])
        # What a person has put there is that person's.
        self.assertTrue(Path("/etc/cta-forwarder/emea.toml").exists())
        self.assertTrue(machine.has_user())
        shutil.rmtree("/etc/cta-forwarder")
        shutil.rmtree("/etc/systemd/system/cta-forwarder.service.d")

    def mount_state(self):
        """Makes the state folder a mount point, where the machine lets root mount."""
        self.addCleanup(run, "umount", STATE, check=False)
        return run("mount", "--bind", STATE, STATE, check=False)[0] == 0

    def test_11_red_hat(self):
        def before(command):
            if command.startswith("dnf upgrade"):
                self.looks_installed()
                self.configure()
                self.manager.answer(["start", SERVICE])
                self.first = self.manager.services[SERVICE]
                self.replace_package("*.rpm", "generate-rpm", "--set-metadata", f'version = "{LATER}"')
            elif command.startswith("dnf remove"):
                self.assertIsNot(self.manager.services[SERVICE], self.first)
                self.assertEqual(self.first.process.returncode, 0)
                self.assertIn("taxii-ws", CONFIG.read_text())
                self.assertNotIn("taxii.example.com", CONFIG.read_text())
                link(EMEA)
            elif command.startswith("rm ") and CONFIG.parent.exists():
                self.assertEqual(self.manager.services, {})
                self.assertEqual(wanted(), [])
                self.assertFalse(Path("/usr/bin/cta-forwarder").exists())
                self.assertTrue((STATE / "ledger").is_dir())
                self.assertTrue(CONFIG.with_name("cta-forwarder.toml.rpmsave").exists())

        self.person.follow("Red Hat", before)

    def test_12_tarball(self):
        def before(command):
            if command.endswith("--uninstall"):
                self.assertEqual(rights(CONFIG), "root:cta-forwarder 0640")
                self.assertEqual(rights("/etc/cta-forwarder/secrets"), "root:root 0700")
                self.configure()
                service = self.manager.start(SERVICE)
                self.assertEqual(service.unit.path, Path("/usr/local/lib/systemd/system") / SERVICE)
                link(EMEA)
                self.how_it_is_called()
                self.into_a_folder()

        self.person.follow("The tarball", before)
        self.assertEqual(self.manager.services, {})
        self.assertFalse(Path("/usr/local/bin/cta-forwarder").exists())
        self.assertEqual(run("find", "/usr/local", "-name", "*cta-forwarder*"), "")
        self.assertTrue(CONFIG.exists())
        self.assertEqual(wanted(), [])

    def into_a_folder(self):
        """`DESTDIR`, with another prefix, and a second time over the first."""
        with tempfile.TemporaryDirectory() as root:
            for _ in range(2):
                run(
                    Path(self.person.folder) / "install", "--prefix", "/opt/cta",
                    env=os.environ | {"DESTDIR": root},
                )
            unit = (Path(root) / "etc/systemd/system" / SERVICE).read_text()
            self.assertIn("ExecStart=/opt/cta/bin/cta-forwarder run", unit)
            run(f"{root}/opt/cta/bin/cta-forwarder", "--version")
            examples = Path(root) / "opt/cta/share/doc/cta-forwarder/examples"
            self.assertTrue((examples / "prometheus/cta-forwarder.rules.yml").is_file())
            # The first boot of that machine gives it a user, and the user its configuration.
            run("systemd-sysusers", f"--root={root}")
            run("systemd-tmpfiles", f"--root={root}", "--create", "--prefix=/etc/cta-forwarder")
            groups = (Path(root) / "etc/group").read_text()
            (group,) = re.findall(r"^cta-forwarder:[^:]*:(\d+):", groups, re.MULTILINE)
            found = (Path(root) / CONFIG.relative_to("/")).stat()
            self.assertEqual((found.st_uid, found.st_gid), (0, int(group)))
            self.assertEqual(stat.S_IMODE(found.st_mode), 0o640)

    def how_it_is_called(self):
        """From another folder, and by whom does not know how: nothing is installed."""
        script = Path(self.person.folder) / "install"
        for option in ("--help", "--no-such-option", "--prefix=somewhere"):
            with tempfile.TemporaryDirectory() as root:
                code, said = run(
                    Path(script.parent.name) / "install", option, check=False,
                    cwd=script.parents[1], env=os.environ | {"DESTDIR": root},
                )
                self.assertEqual(code, 2, said)
                self.assertRegex(said, r"\./install --uninstall|not an absolute path")
                self.assertEqual(os.listdir(root), [])

    def test_13_tighter(self):
        self.person.follow("What the unit allows")
        drop_in = Path("/etc/systemd/system/cta-forwarder.service.d/network.conf")
        self.assertIn("IPAddressDeny=any", drop_in.read_text())

    def test_14_no_command_of_the_page_was_left_out(self):
        self.assertEqual(self.person.left(), [])

    def looks_installed(self):
        self.assertTrue(machine.has_user())
        self.assertEqual(rights("/usr/bin/cta-forwarder"), "root:root 0755")
        self.assertEqual(rights(CONFIG), "root:cta-forwarder 0640")
        self.assertEqual(rights("/etc/cta-forwarder"), "root:root 0755")
        self.assertEqual(rights("/etc/cta-forwarder/secrets"), "root:root 0700")
        self.assertFalse(STATE.exists())
        started = [call for call in self.manager.calls if {"start", "enable"} & set(call)]
        self.assertEqual(self.manager.services, {}, started)
        self.assertEqual(self.manager.answer(["is-enabled", SERVICE]), (1, "disabled\n"))

    def configure(self):
        """As in the first minute."""
        for name, secret in self.simulator.secrets().items():
            file = Path("/etc/cta-forwarder/secrets") / name
            file.write_text(f"{secret}\n")
            file.chmod(0o600)
        run(self.environment["EDITOR"], CONFIG, env=self.environment)

    def replace_package(self, pattern, *arguments):
        """The same build, as if it were of a later version."""
        (old,) = glob.glob(f"{self.folder.name}/{pattern}")
        os.remove(old)
        tools = machine.ROOT / "target" / "tools" / "bin"
        no_build = ["--no-build"] if arguments[0] == "deb" else ["--payload-compress", "gzip"]
        subprocess.run(
            [tools / f"cargo-{arguments[0]}", *arguments, *no_build, "--output", f"{self.folder.name}/"],
            cwd=machine.ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def as_user(user, *command):
        return run("runuser", "-u", user, "--", *command, check=False)


def wanted():
    """What of us starts at a boot."""
    return [path.name for path in WANTS.glob("cta-forwarder*")]


def process_user(pid):
    import pwd

    return pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name


def installed_version():
    return run("dpkg-query", "--show", "--showformat=${Version}", machine.USER)
