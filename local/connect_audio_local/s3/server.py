"""An S3 API on loopback: moto's server in a process of its own, which cannot outlive the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from connect_audio_local.child_process import child_with_port
from connect_audio_local.extra import require

# Prints its port once it listens and ends with its standard input.
_PROGRAM: Final = """
import logging, os, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(sys.argv[1], int(sys.argv[2]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)  # without a wait for open connections
"""


@contextmanager
def s3_server(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Run the server for the length of a `with` block.

    Args:
        host: address to bind; `0.0.0.0` for callers in containers.
        port: port to bind, 0 for any free one.

    Yields:
        Its URL on loopback.

    Raises:
        RuntimeError: it did not start.
    """
    require("moto")
    with child_with_port(_PROGRAM, [host, str(port)], name="the S3 server (moto)") as bound:
        yield f"http://127.0.0.1:{bound}"
