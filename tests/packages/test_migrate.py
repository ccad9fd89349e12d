"""docs/migrate-from-taxii-log-adapter.md, followed as root on a machine that has the package: the
configuration, the secrets and the checkpoint are the agent's, and it goes on from where the adapter was."""

import shutil
import socket
import tempfile
import unittest
from pathlib import Path

import machine
from instructions import Person, blocks
from machine import rights, run
from service_manager import ServiceManager

PAGE = machine.ROOT / "docs" / "migrate-from-taxii-log-adapter.md"
SERVICE = "cta-forwarder.service"
CONFIG = Path("/etc/cta-forwarder/cta-forwarder.toml")
SECRET = Path("/etc/cta-forwarder/secrets/taxii-password")
STATE = Path("/var/lib/cta-forwarder")
REACHED = "2026-03-01T09:00:00.123Z"


class Migrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cta-migrate-")))
        # apt reads it as a user of its own.
        cls.folder.chmod(0o755)
        shutil.copy(machine.built("*.deb"), cls.folder)
        cls.enterClassContext(machine.Borrowed())
        cls.manager = ServiceManager()
        cls.addClassCleanup(cls.manager.close)
        cls.simulator = machine.Simulator()
        cls.addClassCleanup(cls.simulator.close)
        cls.siem = cls.enterClassContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        cls.siem.bind(("127.0.0.1", 0))
        cls.siem.settimeout(machine.WAIT_SECONDS)
        environment = cls.manager.environment()
        run("bash", "-c", "apt-get install ./cta-forwarder_*.deb", cwd=cls.folder, env=environment)
        cls.person = Person(cls.folder, environment, {}, PAGE, cls.here)

    @classmethod
    def here(cls, text):
        """The page's adapter, service and receiver are those of this test."""
        cta = cls.simulator.told["cta"]
        return (
            text.replace("/data/taxii-log-adapter", str(cls.folder / "adapter"))
            .replace("https://taxii.example.com/skym-taxii-ws/PollService/", cta["poll_url"])
            .replace("password: pass", f"password: {cta['password']}")
            .replace("55056", str(cls.siem.getsockname()[1]))
        )

    def test_the_agent_goes_on_where_the_adapter_was(self):
        config = self.folder / "adapter" / "config"
        config.mkdir(parents=True)
        logback, status = blocks(PAGE, "xml")
        (application,) = blocks(PAGE, "yaml")
        (config / "application.yml").write_text(self.here(application))
        (config / "logback.xml").write_text(self.here(logback))
        (config.parent / "taxii-status.xml").write_text(status)

        said = self.person.follow("Step by step", self.look)
        self.assertEqual(self.person.left(), [])
        # The commands that the page shows are those that were told.
        for line in blocks(PAGE, "sh")[2].splitlines()[:2]:
            self.assertIn(line.removesuffix(" --yes") + "\n", said)
        self.assertIn(REACHED, said)
        self.assertIn(self.simulator.told["cta"]["username"], CONFIG.read_text())

        # Events of a poll may come before it.
        while b"ctaCtaForwarderTest=true" not in self.siem.recv(65536):
            pass
        service = self.manager.services[SERVICE]
        # It asks for what comes after, and tells that the service has lost a part of that since.
        machine.wait_until(lambda: "polled collection" in service.log.read_text(), "poll")
        self.assertIn(f"after={REACHED}", service.log.read_text())
        self.assertEqual(self.manager.stop(SERVICE).process.returncode, 0)

    def look(self, command):
        """Before a command of the page: what those before it have left."""
        if command.startswith("install -d"):
            # The conffile has the rights that the package gave it, the secret those that the unit wants.
            self.assertEqual(rights(CONFIG), "root:cta-forwarder 0640")
            self.assertEqual(rights(SECRET), "root:root 0600")
            self.assertEqual(rights(SECRET.parent), "root:root 0700")
            self.assertIn('password = { credential = "taxii-password" }', CONFIG.read_text())
            self.assertFalse(STATE.exists())
            # Root makes no state that the agent could not use: it says how that is done.
            code, said = run(
                "cta-forwarder", "checkpoint", "set", "webflows_1234567890_v0", REACHED, "--yes",
                check=False,
            )
            self.assertEqual(code, 1, said)
            self.assertIn(f"{command}`", said)
            self.assertFalse(STATE.exists())
        elif command.startswith("systemctl"):
            self.assertEqual(rights(STATE / "lock"), "cta-forwarder:cta-forwarder 0600")
