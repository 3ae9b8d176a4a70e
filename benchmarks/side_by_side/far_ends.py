"""The far ends of the consumer in the rows that run it whole: the KVS emulator, and the bucket on moto's S3."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from typing import Final

BUCKET: Final = "recordings"


@contextmanager
def emulated_calls(lengths: Sequence[float], *, live: bool) -> Iterator[tuple[str, list[str]]]:
    """Serve calls from a KVS emulator in a process of its own.

    Args:
        lengths: each call's length, seconds.
        live: at the call's own pace and block by block; otherwise as fast as it is read.

    Yields:
        The emulator's URL, and the ARN of each call's stream.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, lengths, live))
    process.start()
    theirs.close()  # or `recv` would outwait a process that has failed
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(control: Connection, lengths: Sequence[float], live: bool) -> None:  # noqa: FBT001 - a process's arguments
    from benchmarks.long_calls import long_call_fragments  # noqa: PLC0415 - in the emulator's process alone
    from connect_audio_local.kvs import UNLIMITED, AsRead, EmulatedStream, KvsEmulator, Live, stored  # noqa: PLC0415
    from connect_audio_local.kvs.model import Delivery  # noqa: PLC0415

    with KvsEmulator(limits=UNLIMITED) as emulator:
        streams = [
            EmulatedStream(
                f"call-{index}",
                stored(long_call_fragments(seconds)),
                pace=Live(1.0) if live else AsRead(),
                delivery=Delivery.BLOCK if live else Delivery.FRAGMENT,
                retention_hours=1,
            )
            for index, seconds in enumerate(lengths)
        ]
        control.send((emulator.url, [emulator.add_stream(stream).arn for stream in streams]))
        control.recv()


def delete_recordings(s3_url: str) -> None:
    """Delete all that lies in the bucket, so that repeated recordings do not fill the disk.

    Args:
        s3_url: S3's URL.
    """
    import boto3  # noqa: PLC0415 - 40 MiB that a harness without these rows does not need

    s3 = boto3.client(
        "s3",
        endpoint_url=s3_url,
        region_name="eu-west-2",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - loopback takes any
    )
    with closing(s3):
        while objects := s3.list_objects_v2(Bucket=BUCKET).get("Contents"):
            s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": each["Key"]} for each in objects]})
