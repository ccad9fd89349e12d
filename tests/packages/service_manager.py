"""A stand-in for systemd, for a machine on which it does not run: starts what a unit says, as the
user that it says, with folders, credentials and a socket for sd_notify; hears what `systemctl` (the
file beside this one) asks. Nothing of the sandbox: that is for `boot`, with systemd itself."""

import fnmatch
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

# Where the folders of a unit lie, and the variable that tells of them.
FOLDERS = {
    "StateDirectory": ("/var/lib", "STATE_DIRECTORY"),
    "LogsDirectory": ("/var/log", "LOGS_DIRECTORY"),
    "ConfigurationDirectory": ("/etc", "CONFIGURATION_DIRECTORY"),
}
WANTS = Path("/etc/systemd/system/multi-user.target.wants")
PLACES = ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"]
# What is waited for comes long before.
PATIENCE_SECONDS = 60


class Unit:
    """A unit file with its drop-ins, for one instance."""

    def __init__(self, name):
        self.name = name
        stem, _, self.instance = name.removesuffix(".service").partition("@")
        self.file_name = f"{stem}@.service" if self.instance else name
        self.path = next(
            (path for place in PLACES if (path := Path(place) / self.file_name).is_file()), None
        )
        self._settings = {}
        if self.path is not None:
            self._read(self.path)
            for drop_in in sorted(Path(f"/etc/systemd/system/{self.file_name}.d").glob("*.conf")):
                self._read(drop_in)

    def _read(self, path):
        section = None
        for line in path.read_text().splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and not line.startswith(("#", ";")):
                key, _, value = line.partition("=")
                # An empty assignment takes back all before it.
                values = self._settings.setdefault(key, []) if value else []
                self._settings[key] = values
                if value:
                    values.append(value.replace("%i", self.instance))

    def all(self, key):
        return self._settings.get(key, [])

    def get(self, key, default=None):
        return self.all(key)[-1] if self.all(key) else default


class Service:
    """A unit that runs, and what it has said."""

    def __init__(self, unit, home):
        self.unit = unit
        self.messages = []
        self.folder = Path(tempfile.mkdtemp(prefix="service-", dir=home))
        self.folder.chmod(0o755)
        self._heard = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.folder / "notify"))
        (self.folder / "notify").chmod(0o666)
        threading.Thread(target=self._listen, daemon=True).start()
        self.log = self.folder / "log"
        command = shlex.split(unit.get("ExecStart"))
        self.user = pwd.getpwnam(unit.get("User"))
        self.environment = self._environment()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd="/",
                user=self.user.pw_uid,
                group=unit.get("Group"),
                extra_groups=[],
                umask=int(unit.get("UMask"), 8),
            )

    def _environment(self):
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "USER": self.user.pw_name,
            "HOME": self.user.pw_dir,
            "INVOCATION_ID": "0" * 32,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            # A third of a second instead of the unit's minutes: the test waits for signs of life.
            "WATCHDOG_USEC": "333333",
        }
        for key, (place, variable) in FOLDERS.items():
            for name in self.unit.all(key):
                folder = Path(place) / name
                mode = int(self.unit.get(f"{key}Mode", "0755"), 8)
                if not folder.exists():
                    folder.mkdir(parents=True)
                    folder.chmod(mode)
                if key != "ConfigurationDirectory":
                    shutil.chown(folder, self.user.pw_uid, self.user.pw_gid)
                    folder.chmod(mode)
                environment[variable] = str(folder)
        for setting in self.unit.all("Environment"):
            environment |= dict([setting.split("=", 1)])
        if self.unit.all("LoadCredential"):
            environment["CREDENTIALS_DIRECTORY"] = str(self._credentials())
        return environment

    def _credentials(self):
        folder = self.folder / "credentials"
        folder.mkdir(mode=0o700)
        contents = {}
        for setting in self.unit.all("SetCredential"):
            name, _, text = setting.partition(":")
            contents[name] = text.encode().decode("unicode_escape").encode()
        for setting in self.unit.all("LoadCredential"):
            name, _, path = setting.partition(":")
            if Path(path).is_file():
                contents[name] = Path(path).read_bytes()
            elif name not in contents:
                raise AssertionError(f"systemd would not start {self.unit.name}: no {path}")
        for name, content in contents.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o400)
            shutil.chown(folder / name, self.user.pw_uid)
        folder.chmod(0o500)
        shutil.chown(folder, self.user.pw_uid)
        return folder

    def _listen(self):
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except OSError:
                return
            with self._heard:
                self.messages += message.splitlines()
                self._heard.notify_all()

    def said(self):
        with self._heard:
            return len(self.messages)

    def wait_for(self, line, after=0):
        """Waits for a line among the messages after the first `after`; gives those up to it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._heard:
            while line not in self.messages[after:]:
                if self.process.poll() is not None:
                    raise AssertionError(
                        f"{self.unit.name} ended with {self.process.returncode} before {line}:\n"
                        + self.log.read_text(errors="replace")
                    )
                if time.monotonic() > deadline:
                    raise AssertionError(f"no {line} from {self.unit.name}: {self.messages[-9:]}")
                self._heard.wait(0.1)
            return self.messages[after : self.messages.index(line, after) + 1]

    def stop(self):
        """SIGTERM as systemd does it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.close()

    def reload(self):
        """ExecReload=, as the user of the unit; its exit code, and what it printed."""
        done = subprocess.run(
            shlex.split(self.unit.get("ExecReload").replace("$MAINPID", str(self.process.pid))),
            env=self.environment,
            user=self.user.pw_uid,
            group=self.unit.get("Group"),
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._socket.close()


class ServiceManager:
    """What `systemctl` speaks to. The calls are kept, so that a test can ask for them."""

    def __init__(self):
        self.services = {}
        self.calls = []
        self.folder = Path(tempfile.mkdtemp(prefix="cta-systemctl-"))
        self.folder.chmod(0o755)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.folder / "socket"))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def environment(self):
        """In which `systemctl` is the one beside this file."""
        beside = Path(__file__).parent
        return os.environ | {
            "PATH": f"{beside / 'commands'}:{os.environ['PATH']}",
            "CTA_SERVICE_MANAGER": str(self.folder / "socket"),
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
        }

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                arguments = json.loads(connection.makefile("r").readline())
                self.calls.append(arguments)
                try:
                    code, text = self.answer(arguments)
                except Exception as error:  # noqa: BLE001: the caller is to hear of any
                    code, text = 1, f"systemctl: {error}\n"
                connection.sendall(json.dumps([code, text]).encode() + b"\n")

    def answer(self, arguments):
        words = [word for word in arguments if not word.startswith("-")]
        action, names = words[0], [with_suffix(name) for name in words[1:]]
        if action in ("daemon-reload", "reset-failed"):
            return 0, ""
        if action in ("enable", "disable"):
            for name in names:
                link(name) if action == "enable" else (WANTS / name).unlink(missing_ok=True)
            if "--now" not in arguments:
                return 0, ""
            action = "start" if action == "enable" else "stop"
        codes = [self._act(action, name) for name in self._matching(names, action)]
        texts = "".join(text for _, text in codes)
        return max((code for code, _ in codes), default=0), texts

    def _matching(self, names, action):
        for name in names:
            if "*" in name:
                yield from [known for known in list(self.services) if fnmatch.fnmatch(known, name)]
            else:
                yield name

    def _act(self, action, name):
        running = self.services.get(name)
        if action == "is-active":
            return (0, "active\n") if running else (3, "inactive\n")
        if action == "is-enabled":
            return (0, "enabled\n") if (WANTS / name).is_symlink() else (1, "disabled\n")
        if action == "status":
            lines = [line for line in running.messages if line.startswith("STATUS=")] if running else []
            return (0, f"active\n{lines[-1]}\n") if running else (3, "inactive\n")
        if action in ("stop", "restart", "try-restart") and running:
            self.stop(name)
        if action in ("start", "restart") and name not in self.services:
            self.start(name)
        if action == "try-restart" and running:
            self.start(name)
        if action == "reload":
            return running.reload() if running else (1, f"{name} is not active\n")
        return 0, ""

    def start(self, name):
        unit = Unit(name)
        if unit.path is None:
            raise AssertionError(f"there is no {name}")
        service = Service(unit, self.folder)
        try:
            service.wait_for("READY=1")
        except AssertionError:
            service.close()
            raise
        self.services[name] = service
        return service

    def stop(self, name):
        service = self.services.pop(name)
        code = service.stop()
        if code != 0:
            raise AssertionError(f"{name} ended with {code}: {service.log.read_text()}")
        return service

    def close(self):
        for service in self.services.values():
            service.close()
        self._server.close()
        shutil.rmtree(self.folder)


def with_suffix(name):
    return name if "." in name else f"{name}.service"


def link(name):
    unit = Unit(name)
    if unit.path is None:
        raise AssertionError(f"there is no {name}")
    WANTS.mkdir(parents=True, exist_ok=True)
    if not (WANTS / name).is_symlink():
        (WANTS / name).symlink_to(unit.path)
