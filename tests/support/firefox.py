"""A Firefox that is driven by its own Marionette protocol: over a socket, with no driver between.

Playwright wants its own build of Firefox, and geckodriver is a download. Marionette is in every Firefox. A message is
its length in bytes, a colon, and `[0, id, name, parameters]`; an answer is `[1, id, error, value]` in the same form.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

FIREFOX: Final = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PULSEAUDIO: Final = shutil.which("pulseaudio")
START_S: Final = 60.0
"""The longest that Firefox takes to listen, on a busy machine."""
ANSWER_S: Final = 120.0
_PREFERENCES: Final[Mapping[str, object]] = {
    "marionette.port": 0,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # As users have it: a file of the disk is no file of another one's origin.
    "security.fileuri.strict_origin_policy": True,
    # A test asks nobody for anything.
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class FirefoxError(Exception):
    """Firefox did not start, or answered a command with an error."""


class Firefox:
    """A session with one window.

    Args:
        connection: a connection to Marionette's port.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._id = 0
        self._message()
        session = self._command(
            "WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}}
        )
        self.version = session["capabilities"]["browserVersion"]
        self._command("WebDriver:SetTimeouts", {"script": int(ANSWER_S * 1000)})
        self._command("WebDriver:SetWindowRect", {"width": 1280, "height": 1000})

    def open(self, address: str) -> None:
        """Open an address and wait until the page is loaded."""
        self._command("WebDriver:Navigate", {"url": address})

    def evaluate(self, function: str, *arguments: object) -> Any:
        """Run a JavaScript function in the page and return what it returns, awaited."""
        script = f"""const done = arguments[arguments.length - 1];
        Promise.resolve(({function})(...Array.from(arguments).slice(0, -1)))
          .then((value) => done({{value}}), (error) => done({{error: String(error)}}));"""
        answer = self._command(
            "WebDriver:ExecuteAsyncScript", {"script": script, "args": list(arguments), "sandbox": None}
        )["value"]
        if "error" in answer:
            raise FirefoxError(answer["error"])
        return answer.get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true of the page."""
        self.evaluate(
            f"""async () => {{
              const end = performance.now() + 30000;
              while (!({condition})) {{
                if (performance.now() > end) throw new Error({json.dumps("never true: " + condition)});
                await new Promise((done) => setTimeout(done, 10));
              }}
            }}"""
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other, each as the keyboard does; special keys as WebDriver numbers them."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._command("WebDriver:PerformActions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._connection.close()

    def end(self) -> None:
        """End Firefox."""
        self._command("Marionette:Quit", {"flags": ["eForceQuit"]})

    def _command(self, name: str, parameters: Mapping[str, object]) -> Any:
        self._id += 1
        data = json.dumps([0, self._id, name, parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(data), data))
        _, _, error, value = self._message()
        if error:
            raise FirefoxError(f"{name}: {error['error']}: {error['message']}")
        return value

    def _message(self) -> Any:
        length = b""
        while (character := self._stream.read(1)) != b":":
            if not character:
                raise FirefoxError("Firefox ended the connection")
            length += character
        return json.loads(self._stream.read(int(length)))


@contextmanager
def firefox(folder: Path, zone: str = "Europe/London") -> Iterator[Firefox]:
    """Start Firefox with a profile of its own and a sound device that nobody hears.

    Args:
        folder: an empty folder for profile and sound server.
        zone: the reader's time zone.
    """
    if FIREFOX is None:
        raise FirefoxError("Firefox is not here: scripts/setup-firefox.sh says why")
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines), "utf-8")
    environment = {**os.environ, "TZ": zone, "HOME": str(folder), "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
    with ExitStack() as stack:
        environment["XDG_RUNTIME_DIR"] = stack.enter_context(_sound(folder / "run"))
        command = [FIREFOX, "--marionette", "--headless", "--no-remote", "--profile", str(profile), "about:blank"]
        with (folder / "firefox.log").open("wb") as log:
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        stack.callback(_stopped, process)
        connection = socket.create_connection(("127.0.0.1", _port(profile, process)), timeout=ANSWER_S)
        session = stack.enter_context(closing(Firefox(connection)))
        yield session
        session.end()
        process.wait(ANSWER_S)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """The port that Firefox took; it writes the number into its profile."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        number = profile / "MarionetteActivePort"
        if number.exists() and (text := number.read_text("ascii")):
            return int(text)
        time.sleep(0.05)
    raise FirefoxError(f"Firefox does not listen: it ended with {process.poll()}")


@contextmanager
def _sound(folder: Path) -> Iterator[str]:
    """A sound server without a device: without one, Firefox's audio never starts."""
    if PULSEAUDIO is None:
        raise FirefoxError("PulseAudio is not here: scripts/setup-firefox.sh says why")
    folder.mkdir(mode=0o700)
    command = [PULSEAUDIO, "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes"]
    command += ["--load=module-native-protocol-unix", "--load=module-null-sink sink_name=null"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    with (folder / "pulseaudio.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    with process:
        try:
            end = time.monotonic() + START_S
            while not (folder / "pulse" / "native").exists():
                if time.monotonic() > end or process.poll() is not None:
                    raise FirefoxError(f"PulseAudio does not listen: it ended with {process.poll()}")
                time.sleep(0.05)
            yield str(folder)
        finally:
            _stopped(process)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
