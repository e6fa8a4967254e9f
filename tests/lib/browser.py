# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over a pipe with its DevTools protocol. No network: nothing listens, and whatever the
page asks for is recorded and, but for files, refused."""
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program():
    """The browser's name, or None where there is none."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One browser with one page at a time. Use as a context manager."""

    def __init__(self, limit=120):
        self.limit = limit
        self.profile = tempfile.TemporaryDirectory(prefix="cofferdam-browser.", ignore_cleanup_errors=True)
        from_us, self.send_fd = os.pipe()
        self.receive_fd, to_us = os.pipe()
        # The browser reads its commands from 3 and writes to 4, so neither end may be one of these before.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (from_us, to_us)]
        os.close(from_us)
        os.close(to_us)

        def child():
            os.setsid()
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            [program(), "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--proxy-server=127.0.0.1:9", "--force-color-profile=srgb",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=child,
            close_fds=False)
        for fd in ends:
            os.close(fd)
        self.number, self.buffer, self.session = 0, b"", None
        self.console, self.requests = [], []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network", "Emulation.setFocusEmulationEnabled"):
            if "." in domain:
                self.call(domain, enabled=True)
            else:
                self.call(domain + ".enable")
        return self

    def __exit__(self, *_):
        os.close(self.send_fd)
        os.close(self.receive_fd)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own group: all the browser's processes
        except ProcessLookupError:
            pass
        self.process.wait()
        self.profile.cleanup()

    # ---- the protocol: messages of JSON with a 0 behind each -------------------------------------------------
    def _message(self, until):
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.receive_fd], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self.receive_fd, 1 << 16)
            if not piece:
                raise EOFError("the browser ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _event(self, message):
        what, about = message.get("method"), message.get("params", {})
        if what == "Runtime.consoleAPICalled":
            self.console.append(f"{about['type']}: {[a.get('value', a.get('description')) for a in about['args']]}")
        elif what == "Runtime.exceptionThrown":
            self.console.append(f"exception: {about['exceptionDetails']}")
        elif what == "Log.entryAdded":
            self.console.append(f"log: {about['entry']['level']}: {about['entry']['text']}")
        elif what == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif what == "Page.javascriptDialogOpening":
            self.console.append(f"dialog: {about['message']}")

    def call(self, method, **params):
        """One command; returns its result. Events that come meanwhile are recorded."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.send_fd, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + self.limit
        while True:
            answer = self._message(until)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._event(answer)

    # ---- what tests do ---------------------------------------------------------------------------------------
    def evaluate(self, expression):
        """The value of a JavaScript expression in the page; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self):
        """Until two pictures were drawn, so that the page has answered to what came before."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def open(self, path, width=1400, height=1000, dark=False):
        """Opens a file and waits until it is drawn."""
        self.resize(width, height)
        self.call("Emulation.setEmulatedMedia", media="",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.console, self.requests = [], []
        self.call("Page.navigate", url=f"file://{path}")
        until = time.monotonic() + self.limit
        while self.evaluate("document.readyState") != "complete" or \
                self.evaluate("location.protocol") != "file:":
            assert time.monotonic() < until, "the page does not load"
            time.sleep(0.02)
        self.settle()

    def resize(self, width, height):
        """Sets the size of the page in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def point(self, selector):
        """The middle of an element in the window, after it was scrolled into view."""
        return self.evaluate(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center"}});
            const b = e.getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2];
        }})()""")

    def mouse(self, kind, x, y, **more):
        """mouseMoved, mousePressed or mouseReleased."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def hover(self, selector):
        """Moves the mouse over an element."""
        x, y = self.point(selector)
        self.mouse("mouseMoved", x, y)
        self.settle()

    def click(self, selector, clicks=1, modifiers=0):
        """Clicks at an element with the left button; modifiers: 8 is Shift."""
        x, y = self.point(selector)
        self.mouse("mouseMoved", x, y)
        for n in range(1, clicks + 1):
            self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=n, modifiers=modifiers)
            self.mouse("mouseReleased", x, y, button="left", clickCount=n, modifiers=modifiers)
        self.settle()

    def drag(self, start, end):
        """From one element to another with the left button."""
        x, y = self.point(start)
        to_x, to_y = self.evaluate(f"""(() => {{
            const b = document.querySelector({json.dumps(end)}).getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2];
        }})()""")
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", to_x, to_y, button="left", buttons=1)
        self.mouse("mouseReleased", to_x, to_y, button="left", clickCount=1)
        self.settle()

    def key(self, name, text=None, modifiers=0):
        """Presses a key."""
        more = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, modifiers=modifiers, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, modifiers=modifiers)
        self.settle()

    def text(self, selector):
        """The text of an element as it is shown."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText").replace("\u00a0", " ")

    def screenshot(self, path=None, whole=False):
        """A PNG of the window, or of the whole page."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])
        if path:
            with open(path, "wb") as out:
                out.write(data)
        return data

    def pdf(self, path=None):
        """The page as it would be printed."""
        data = base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
        if path:
            with open(path, "wb") as out:
                out.write(data)
        return data
