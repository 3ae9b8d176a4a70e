"""A running `serve` in this process, and a client without a browser's help."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from connect_audio_cli.serving.server import RecordingServer
from connect_audio_cli.serving.stores import Store
from support.wire_server import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    server: RecordingServer

    @property
    def port(self) -> int:
        return self.server.admission.port

    @property
    def base(self) -> str:
        """The address of its root, without the key."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, method: str = "GET", known: bool = True, **headers: str) -> Answer:
        """Ask for a path as it is written, with the key's cookie if `known`; `_` in a header's name stands for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if known:
            sent["Cookie"] = f"{self.server.admission.cookie_name}={self.server.admission.key}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.putrequest(method, path, skip_host="Host" in sent)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())


@contextmanager
def serving(store: Store) -> Iterator[Served]:
    with RecordingServer(store) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Served(server)
        finally:
            server.shutdown()
            thread.join()
