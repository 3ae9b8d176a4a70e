"""An S3 API on loopback: moto's server in a process of its own, which cannot outlive the caller."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio_local.extra import require

# Prints its port once it listens and ends with its standard input.
_PROGRAM: Final = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(sys.argv[1], 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def s3_server(host: str = "127.0.0.1") -> Iterator[str]:
    """Run the server for the length of a `with` block.

    Args:
        host: address to bind; `0.0.0.0` for callers in containers.

    Yields:
        Its URL on loopback.

    Raises:
        RuntimeError: it did not start.
    """
    require("moto")
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:  # pragma: no cover - both were asked for
            raise RuntimeError("the S3 server has no pipes")
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the S3 server (moto) did not start; is moto[server,s3] installed?")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(10)
