"""A headless Chromium, for the browser tests and for printing, driven over the DevTools protocol; needs no package."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PROGRAM = next((path for path in map(shutil.which, NAMES) if path and os.name == "posix"), None)
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 900  # seconds until a silent browser counts as dead
#: Until a page has heard of its new width, has done what it does then, and is laid out.
TAKEN_UP = """(async () => {
  const frame = () => new Promise(resolve => { requestAnimationFrame(resolve); setTimeout(resolve, 1000); });
  for (let tries = 0; tries < 50 && innerWidth !== %d; tries++) await frame();
  await frame();
  await frame();
})()"""


class Browser:
    """One page of a Chromium. `events` holds what it reported; empty the list at will."""

    def __init__(self, profile: Path) -> None:
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        # Chromium listens on descriptor 3 and answers on 4, where a shell puts the pipes.
        redirect = f'exec "$@" 3</dev/fd/{to_browser} 4>/dev/fd/{from_browser}'
        self.process = subprocess.Popen(
            ["sh", "-c", redirect, "sh", str(PROGRAM), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.inbox, self.count = b"", 0
        self.events: list[dict[str, Any]] = []
        self.session = ""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self.inbox:
            if not select.select([self.read], [], [], PATIENCE)[0]:
                raise TimeoutError(f"Chromium was silent for {PATIENCE} s.")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium ended.")
            self.inbox += piece
        message, self.inbox = self.inbox.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, of a promise once it is kept."""
        result = self("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def open(self, url: str) -> None:
        """Load a page and wait until it says that all is there."""
        self.events.clear()
        self("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page another width, and wait until it has taken it up."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.evaluate(TAKEN_UP % width)  # on a busy machine the page hears of it later than who asked for it

    def reported(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of a kind."""
        return [event["params"] for event in self.events if event["method"] == method]

    def close(self) -> None:
        """End the process."""
        self("Browser.close")
        self.process.wait(PATIENCE)
        os.close(self.write)
        os.close(self.read)


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(0.05)
    return value
