#!/usr/bin/env bash
# moto 5.2.5: CompleteMultipartUpload with If-Match replaces an object whose ETag is another one.
#
# Guess: If-Match works as on PutObject, which answers 412 PreconditionFailed to another ETag. A test of a replacement
#        in parts then proves that only the version which was seen is replaced.
# Seen:  PutObject is refused. CompleteMultipartUpload with the same wrong ETag answers 200, and the object is replaced.
#        Also with If-Match and no object at the key, which S3 answers with 404. Two writers at once both "win".
#        A proxy that compares the ETag before it passes the completion on cures it.
# The server is on this machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "moto[server]==5.2.5" boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

BUCKET, KEY, WRONG = "calls", "call.wav", '"00000000000000000000000000000000"'
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="x",
    aws_secret_access_key="x",
)


def complete(key):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"new")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, IfMatch=WRONG, MultipartUpload=parts)


def answer(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "200"


try:
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"old")
    put = answer(lambda: s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"new", IfMatch=WRONG))
    completed, absent = answer(lambda: complete(KEY)), answer(lambda: complete("none.wav"))
    body = s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
finally:
    server.stop()
print(f"PutObject: {put}; CompleteMultipartUpload: {completed}; without an object: {absent}; the object: {body!r}")
assert (put, completed, absent, body) == ("PreconditionFailed", "200", "200", b"new"), "the surprise is gone"
PYTHON
