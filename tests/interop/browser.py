"""Debian's Chromium without a screen, driven by its DevTools protocol over a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE_SECONDS = 30
POLL_SECONDS = 0.1


class Browser:
    """One browser with a profile of its own; every page that it opens is forgotten with it."""

    def __init__(self):
        binary = shutil.which("chromium")
        if binary is None:
            raise AssertionError("chromium is missing: run tests/interop/setup")
        self._profile = tempfile.TemporaryDirectory(
            prefix="cta-chromium-",
            # What Chromium still writes at its end is in nobody's way.
            ignore_cleanup_errors=True,
        )
        to_it, self._to = os.pipe()
        self._from, from_it = os.pipe()
        command = [
            binary,
            "--headless",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._profile.name}",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--no-proxy-server",
            # Its own sandbox is not for root, and what it opens here is ours.
            "--no-sandbox",
            "about:blank",
        ]
        # It listens on the descriptors 3 and 4.
        shell = f"exec \"$@\" 3<&{to_it} 4>&{from_it}"
        self._child = subprocess.Popen(
            ["sh", "-c", shell, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(to_it, from_it),
        )
        os.close(to_it)
        os.close(from_it)
        self._rest = b""
        self._last_id = 0
        self._events = []

    def page(self, url, width=1280, height=900, dark=False, script=True):
        """Opens a page, and waits until it is there."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attach = {"targetId": target, "flatten": True}
        session = self.call("Target.attachToTarget", attach)["sessionId"]
        return Page(self, session, url, width, height, dark, script)

    def close(self):
        """Ends the browser."""
        if self._child.poll() is None:
            self._child.terminate()
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method, params=None, session=None):
        """Has the browser do something, and gives what comes of it."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            message = self._read(deadline, method)
            if message.get("id") == self._last_id:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
            self._events.append(message)

    def events(self, session):
        """What has happened on a page since the last call."""
        self.call("Browser.getVersion")
        own = [event for event in self._events if event.get("sessionId") == session]
        self._events = [event for event in self._events if event.get("sessionId") != session]
        return own

    def _read(self, deadline, method):
        while b"\0" not in self._rest:
            left = max(0, deadline - time.monotonic())
            if not select.select([self._from], [], [], left)[0]:
                raise AssertionError(f"chromium does not answer {method}")
            more = os.read(self._from, 1 << 20)
            if not more:
                raise AssertionError(f"chromium ended before it answered {method}")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


class Page:
    """A page in a tab, and what it has asked for and said."""

    def __init__(self, browser, session, url, width, height, dark, script):
        self._browser, self._session = browser, session
        self.requests, self.complaints = [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.dark(dark)
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", {"value": True})
        self.call("Page.navigate", {"url": url})
        self._loaded = False
        self.wait(lambda: self._loaded, "load of the page")

    def call(self, method, params=None):
        """Has the page do something."""
        return self._browser.call(method, params, self._session)

    def size(self, width, height):
        """Gives it a screen; one as narrow as a phone's behaves as a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, dark):
        """Whether the person wants it dark."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [feature]})

    def ask(self, expression):
        """What an expression of JavaScript gives."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", params)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self):
        """What a person reads."""
        return self.ask("document.body.innerText")

    def wait(self, condition, what):
        """Waits for `condition()` to be true, and gives its value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._take_in()
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what}; the page says: {self.text()}")
            time.sleep(POLL_SECONDS)

    def screenshot(self, whole=False):
        """A picture of it as PNG: of the screen, or of all of it."""
        params = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params["clip"] = {"x": 0, "y": 0, "scale": 1} | {
                key: size[key] for key in ("width", "height")
            }
        return base64.b64decode(self.call("Page.captureScreenshot", params)["data"])

    def _take_in(self):
        for event in self._browser.events(self._session):
            method, params = event["method"], event["params"]
            if method == "Page.loadEventFired":
                self._loaded = True
            elif method == "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
                self.complaints.append(f"{params['response']['url']}: {params['response']['status']}")
            elif method == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(params["args"]))
            elif method == "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
