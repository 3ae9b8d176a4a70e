"""Calls with words through the whole local cloud, for any engine."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.model import Delivery, Live
from connect_audio_local.synthesis.calls import SyntheticCall
from support.wav import same_wav, wav_of_call
from support.whole_path import Recorded, event_for, record, serve


def transcript(cloud: LocalCloud, found: Recorded) -> dict[str, Any]:
    """Read the transcript beside a recording."""
    key = found.result["recording"].removeprefix(f"s3://{cloud.bucket}/").removesuffix(".wav") + ".transcript.json"
    with closing(cloud.s3()) as s3:
        read: dict[str, Any] = json.loads(s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    return read


def record_at_pace(cloud: LocalCloud, made: SyntheticCall, speed: float, **options: Any) -> Recorded:
    """Record a call that comes block by block, so many times as fast as it was spoken. Words never change it."""
    found = record(cloud, event_for(serve(cloud, made, pace=Live(speed), delivery=Delivery.BLOCK, **options).arn))
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(made))
    return found
