"""A cold start imports nothing that the function does not use. Each import is paid for at a seventh of a core."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.examples import few_of

TOOLS = {"connect_audio_cli", "connect_audio_local", "moto", "rich", "typer", "numpy", "pydantic", "jsonschema"}
UNUSED = {
    "asyncio",  # the X-Ray SDK's, by way of wrapt
    "aws_xray_sdk",
    "aws_lambda_powertools.utilities.data_classes",  # 70 modules of other events
    "aws_lambda_powertools.utilities.parser",
    "unittest",
    *TOOLS,
}
UNUSED_BY_THE_TRIGGER = UNUSED | {
    "audioop",
    "aws_durable_execution_sdk_python",
    "boto3",
    "connect_audio.core.recording",
    "connect_audio.live",
    "connect_audio.recorder",
    "ebmlite",
    "multiprocessing",  # s3transfer's
    "pydub",
    "s3transfer",
}
UNUSED_WITHOUT_LIVE_AUDIO = UNUSED | {
    "connect_audio.adapters.sinks",
    "connect_audio.adapters.words",
    "connect_audio.core.transcript",
    "connect_audio.core.transcript_document",
    "connect_audio.core.word_pages",
    "connect_audio.recorder.publish_words",
    "connect_audio.words",
    "connect_audio.core.segment_wav",
    "connect_audio.handlers.live_sinks",
    "connect_audio.live",
    "connect_audio.sinks",
}


def imported(code: str) -> set[str]:
    """All modules of a fresh process after some code, as Lambda runs it with tracing off."""
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": "eu-west-2",
        "LAMBDA_TASK_ROOT": "/var/task",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_trigger_and_its_client_need_neither_boto3_nor_anything_of_the_consumer() -> None:
    modules = imported("from connect_audio.handlers import trigger\ntrigger.lambda_client(1500)")
    assert "botocore.client" in modules
    assert sorted(modules & UNUSED_BY_THE_TRIGGER) == []


def test_the_consumer_needs_no_sink_while_nobody_wants_live_audio() -> None:
    modules = imported("from connect_audio.handlers import consumer")
    assert "connect_audio.recorder" in modules
    assert sorted(modules & UNUSED_WITHOUT_LIVE_AUDIO) == []


@pytest.mark.slow
def test_the_consumer_with_the_words_layer_imports_its_sdk_before_the_first_call_if_it_can() -> None:
    starts = "import os; os.environ['AWS_LAMBDA_FUNCTION_NAME'] = 'consumer'\n"
    handler = "from connect_audio.handlers import consumer"
    assert "connect_audio.adapters.words.transcribe_connection" in imported(starts + handler)
    hidden = "sys.modules['aws_sdk_transcribe_streaming'] = sys.modules['awscrt'] = None\n"
    assert sorted(imported(starts + hidden + handler) & UNUSED_WITHOUT_LIVE_AUDIO) == []
    broken = "sys.modules['awscrt'] = None\n"
    assert "connect_audio.handlers.consumer" in imported(starts + broken + handler)


@pytest.mark.parametrize("handler", few_of(["trigger", "consumer"]))
def test_the_x_ray_sdk_comes_with_tracing_alone(handler: str) -> None:
    code = "import os; os.environ['POWERTOOLS_TRACE_DISABLED'] = 'false'\nfrom connect_audio.handlers import "
    assert "aws_xray_sdk" in imported(code + handler)
