"""`make flow`: the contact flow with the ARNs of a stack, asked of CloudFormation or read from a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from scripts.fill_flow import main

ROOT: Final = Path(__file__).parents[2]
FLOW: Final = ROOT / "connect" / "recording-flow.json"
TRIGGER: Final = "arn:aws:lambda:eu-west-2:123456789012:function:trigger"
CONSUMER: Final = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live"
QUEUE: Final = "arn:aws:connect:eu-west-2:123456789012:instance/11111111-2222/queue/33333333-4444"
OUTPUTS: Final = [{"OutputKey": "TriggerFunctionArn", "OutputValue": TRIGGER, "Description": "For the flow"}]


@pytest.fixture
def fill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run it: exit code, the flow it wrote or None, what it said on standard error."""

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any] | None, str]:
        output = tmp_path / "build" / "recording-flow.json"
        code = main(["--flow", str(FLOW), "--output", str(output), *map(str, arguments)])
        flow = json.loads(output.read_text("utf-8")) if output.exists() else None
        return code, flow, capsys.readouterr().err

    return run


def _parameters(flow: dict[str, Any], identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each["Parameters"] for each in flow["Actions"] if each["Identifier"] == identifier)
    return found


@pytest.fixture
def stack(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stack that CloudFormation knows, with the output that the flow needs and the one of this project's stacks."""
    for service in ("CLOUDFORMATION", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", moto_server)
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"TriggerFunctionArn": {"Value": TRIGGER}, "ConsumerAliasArn": {"Value": CONSUMER}},
    }
    name = f"connect-audio-{uuid.uuid4().hex[:8]}"
    client = boto3.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps(template))
    client.close()
    return name


def test_the_arns_of_a_stack_are_filled_in(fill: Any, stack: str) -> None:
    code, flow, complaint = fill("--stack", stack, "--queue", QUEUE)

    assert (code, complaint) == (0, "")
    assert _parameters(flow, "Start the recording")["LambdaFunctionARN"] == TRIGGER
    assert _parameters(flow, "Note the queue")["Attributes"] == {"recordingQueue": QUEUE}
    assert "${" not in json.dumps(flow)


def test_a_stack_that_does_not_exist_is_said_in_one_line(fill: Any, stack: str) -> None:
    code, flow, complaint = fill("--stack", f"not-{stack}")

    assert (code, flow) == (2, None)
    named = re.fullmatch(
        rf"make flow: account 123456789012 has no stack not-{stack} in eu-west-2: name one of (.*)\n", complaint
    )
    assert named
    assert stack in named[1].split(", ")


def test_without_a_region_nothing_is_asked(fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    code, flow, complaint = fill("--stack", "connect-audio")

    assert (code, flow) == (2, None)
    assert complaint == "make flow: AWS cannot be asked: You must specify a region.\n"


@pytest.mark.parametrize("document", [{"Stacks": [{"Outputs": OUTPUTS}]}, OUTPUTS], ids=["describe-stacks", "a list"])
def test_outputs_can_come_from_a_file(fill: Any, tmp_path: Path, document: Any) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(document), "utf-8")

    code, flow, _ = fill("--outputs", outputs)

    assert code == 0
    assert _parameters(flow, "Start the recording")["LambdaFunctionARN"] == TRIGGER


def test_without_a_queue_the_flow_is_told_so(fill: Any, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS), "utf-8")

    _, flow, _ = fill("--outputs", outputs)

    assert _parameters(flow, "Note the queue")["Attributes"] == {"recordingQueue": "none"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "the stack has no output TriggerFunctionArn: is it this project's stack?"),
        ("{}", "the file of outputs is not what `aws cloudformation describe-stacks` prints"),
        ("7", "the file of outputs is not what `aws cloudformation describe-stacks` prints"),
        ("{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_file_without_the_outputs_writes_nothing(fill: Any, tmp_path: Path, text: str, complaint: str) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(text, "utf-8")

    assert fill("--outputs", outputs) == (2, None, f"make flow: {complaint}\n")


def test_a_file_that_is_not_there_is_named(fill: Any, tmp_path: Path) -> None:
    outputs = tmp_path / "nothing.json"

    assert fill("--outputs", outputs) == (2, None, f"make flow: {outputs}: No such file or directory\n")


def test_a_queue_that_is_no_arn_is_refused(fill: Any) -> None:
    code, flow, complaint = fill("--stack", "connect-audio", "--queue", "BasicQueue")

    assert (code, flow) == (2, None)
    assert complaint == "make flow: the queue must be an ARN (arn:aws:connect:REGION:ACCOUNT:instance/ID/queue/ID)\n"


def test_the_make_target_writes_the_flow(tmp_path: Path) -> None:
    # The target's own command, without make's look at the state of the virtual environment.
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS), "utf-8")
    # Under another make, as in CI, it would also say where it is.
    make = ["make", "--no-print-directory", "-n", "-o", ".venv/.installed", "flow"]
    shown = subprocess.run(
        [*make, f"OUTPUTS={outputs}", f"QUEUE={QUEUE}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    arguments = shown.stdout.strip().split()
    assert arguments[:2] == [".venv/bin/python", "scripts/fill_flow.py"]

    done = subprocess.run(
        [sys.executable, ROOT / arguments[1], *arguments[2:], "--flow", FLOW],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith(f"build/recording-flow.json: calls {TRIGGER}, queue {QUEUE}\n")
    assert "${" not in (tmp_path / "build" / "recording-flow.json").read_text("utf-8")
