#!/usr/bin/env bash
# botocore 1.44.5: a caller who hands S3 a part's CRC-32 pays for a SHA-256 of the whole part, over https too.
#
# Guess: botocore makes a CRC-32 for each part by default. A caller who already has it saves that pass over the bytes,
#        and the request is signed as before: over https the payload is left unsigned.
# Seen:  without a CRC-32 of the caller's, the payload is unsigned (STREAMING-UNSIGNED-PAYLOAD-TRAILER). With one,
#        x-amz-content-sha256 is the SHA-256 of the body. The cheaper-looking call hashes every byte by SHA-256.
#        `s3={"payload_signing_enabled": False}` in the Config brings UNSIGNED-PAYLOAD back and keeps the caller's CRC-32.
# Not sent anywhere: a handler of botocore's own event answers in place of S3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import base64
import hashlib
import io
import zlib

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

BODY = bytes(range(256)) * 64
CRC32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4)).decode()


class Empty(io.BytesIO):
    def stream(self, **_):
        yield b""


def signed_as(config=None, **checksum):
    seen = {}

    def answer(request, **_):
        value = request.headers["X-Amz-Content-SHA256"]
        seen["value"] = value.decode() if isinstance(value, bytes) else value
        return AWSResponse(request.url, 200, {"ETag": '"e"'}, Empty())

    client = boto3.client(
        "s3", region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret", config=config
    )
    client.meta.events.register("before-send.s3", answer)
    client.upload_part(Bucket="bucket", Key="key", UploadId="upload", PartNumber=1, Body=BODY, **checksum)
    return seen["value"]


unsigned = Config(s3={"payload_signing_enabled": False})
seen = {
    "no CRC-32 given": signed_as(),
    "CRC-32 given": signed_as(ChecksumCRC32=CRC32),
    "CRC-32 given, payload_signing_enabled=False": signed_as(unsigned, ChecksumCRC32=CRC32),
}
for name, value in seen.items():
    print(f"{name}: {value}")
assert seen == {
    "no CRC-32 given": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "CRC-32 given": hashlib.sha256(BODY).hexdigest(),
    "CRC-32 given, payload_signing_enabled=False": "UNSIGNED-PAYLOAD",
}, "the behaviour has changed"
PYTHON
