"""The trigger in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

TRIGGER: Final = """
import json, sys
from connect_audio.handlers import trigger
from connect_audio_local.cloud import LocalContext
for event in json.load(sys.stdin):
    trigger.handler(event, LocalContext())
"""


def trigger_output(lambda_url: str, events: list[Any]) -> str:
    """What the trigger writes in a process of its own, at its most talkative."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_LAMBDA": lambda_url,
        "CONSUMER_FUNCTION": "consumer:live",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_SERVICE_NAME": "trigger",
        "RECORDINGS_BUCKET": "calls.example",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRIGGER],
        env=environment,
        input=json.dumps(events),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
    )
    return done.stdout
