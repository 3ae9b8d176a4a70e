#!/usr/bin/env bash
# botocore 1.44.5: a PutObject of one byte, given as bytes, asks S3 for leave first (`Expect: 100-continue`).
#
# Guess: the header is for large or streamed bodies. A small `bytes` body goes out with its headers at once.
# Seen:  botocore wraps `bytes` in a file-like object, and every file-like body gets the header, whatever its size.
#        Against a server that answers 100 after 0.2 s, a body of one byte is sent 0.2 s late. Live segments of 1 s of
#        audio pay one more round trip each. A handler of `before-call` that turns the body back into bytes cures it.
# The server is on this machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import http.server
import threading
import time

import boto3
from botocore.config import Config

WAIT_S = 0.2
requests = []


class Patient(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_expect_100(self):
        time.sleep(WAIT_S)
        return super().handle_expect_100()

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        requests.append((self.headers["Expect"], body))
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Patient)
threading.Thread(target=server.serve_forever, daemon=True).start()


def seconds(handler=None):
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="eu-west-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        config=Config(request_checksum_calculation="when_required"),
    )
    if handler is not None:
        client.meta.events.register_last("before-call.s3", handler)
    started = time.monotonic()
    client.put_object(Bucket="bucket", Key="key", Body=b"x")
    return time.monotonic() - started


def body_as_bytes(params, **_):
    params["body"] = params["body"].read()
    params["headers"].pop("Expect", None)


as_given, cured = seconds(), seconds(body_as_bytes)
server.shutdown()
for (expect, body), taken in zip(requests, (as_given, cured)):
    print(f"Expect: {expect}, body {body!r}, 0.2 s late: {taken >= WAIT_S}")
assert requests == [("100-continue", b"x"), (None, b"x")], "the behaviour has changed"
assert as_given >= WAIT_S > 0, "the behaviour has changed"
PYTHON
