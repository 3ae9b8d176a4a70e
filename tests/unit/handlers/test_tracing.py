"""What tracing costs where it is off: nothing, in a fresh process as Lambda makes one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.examples import few_of

PROGRAM = """
import sys
import connect_audio.handlers.{handler}
print(sorted(name for name in sys.modules if name.startswith("aws_xray_sdk")))
"""


def xray_modules(handler: str, disabled: str) -> list[str]:
    environment = {
        **os.environ,
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "POWERTOOLS_SERVICE_NAME": handler,
        "POWERTOOLS_TRACE_DISABLED": disabled,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(handler=handler)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [name.strip(" '") for name in done.stdout.strip(" []\n").split(",") if name]


@pytest.mark.parametrize("handler", few_of(["trigger", "consumer"]))
def test_switched_off_the_x_ray_sdk_is_not_imported(handler: str) -> None:
    assert xray_modules(handler, "true") == []


@pytest.mark.parametrize("handler", few_of(["trigger", "consumer"]))
def test_switched_on_it_traces_the_calls_of_aws(handler: str) -> None:
    assert "aws_xray_sdk.ext.botocore" in xray_modules(handler, "false")
