"""The example of a backfill: its handlers are there, and no live call loses anything to it."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import jmespath  # type: ignore[import-untyped]
import pytest

from connect_audio.handlers import backfill_end
from connect_audio.settings import BackfillSettings, variables
from infrastructure.evaluation import evaluated
from support.deployed_stack import described

type Json = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
FUNCTIONS: Final = ("WorkerFunction", "EndFunction")


@pytest.fixture(scope="module")
def resources(example: Callable[[str], Json]) -> Json:
    found: Json = example("backfill")["Resources"]
    return found


def machine(resources: Json) -> Any:
    text = resources["Backfill"]["Properties"]["DefinitionString"]["Fn::Sub"]
    return json.loads(text.replace("${Concurrency}", "7"))


def actions(role: Json) -> set[str]:
    statements = [each for policy in role["Properties"]["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    plain = [each.get("Fn::If", [None, each])[1] for each in statements]
    return {
        action for each in plain for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_is_a_function_and_its_settings_are_set(
    resources: Json, example: Callable[[str], Json], name: str
) -> None:
    module, attribute = resources[name]["Properties"]["Handler"].rsplit(".", 1)
    environment = example("backfill")["Globals"]["Function"]["Environment"]["Variables"]

    assert callable(getattr(import_module(module), attribute))
    assert {each.name for each in variables(BackfillSettings)} <= set(environment)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_built_with_its_bytecode_and_has_that_of_its_packages(
    resources: Json, example: Callable[[str], Json], name: str
) -> None:
    makefile = (ROOT / "src" / "Makefile").read_text("utf-8")
    layers = example("backfill")["Globals"]["Function"]["Layers"]
    bytecode = resources["BytecodeLayer"]

    assert resources[name]["Metadata"]["BuildMethod"] == "makefile"
    assert re.search(rf"^build-[^:]*\bbuild-{name}\b[^:]*:", makefile, re.MULTILINE)
    assert layers == [{"Ref": "DependenciesLayer"}, {"Ref": "BytecodeLayer"}]
    # SAM CLI takes both paths from the template's folder.
    for place in (bytecode["Properties"]["ContentUri"], bytecode["Metadata"]["ContextPath"]):
        text = (ROOT / "examples" / place / "Makefile").read_text("utf-8")
        assert re.search(r"^build-BytecodeLayer:", text, re.MULTILINE)


def test_the_workers_have_a_concurrency_of_their_own_and_the_map_begins_no_more(resources: Json) -> None:
    assert resources["WorkerFunction"]["Properties"]["ReservedConcurrentExecutions"] == {"Ref": "Concurrency"}
    assert machine(resources)["States"]["Record the calls"]["MaxConcurrency"] == 7


def test_a_child_that_fails_for_good_is_caught_and_a_slow_one_is_stopped_after_its_function(resources: Json) -> None:
    machine = json.loads(
        resources["Backfill"]["Properties"]["DefinitionString"]["Fn::Sub"].replace("${Concurrency}", "7")
    )
    task = machine["States"]["Record the calls"]["ItemProcessor"]["States"]["Record an item"]

    assert task["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "Leave it to the end"}]
    assert task["TimeoutSeconds"] > 900


def test_no_role_may_delete_a_recording_or_ask_connect(resources: Json) -> None:
    rights = {name: actions(each) for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}

    assert rights["WorkerRole"] >= {"kinesisvideo:ListFragments", "kinesisvideo:GetMedia", "s3:PutObject"}
    assert not any(action.startswith("connect:") for found in rights.values() for action in found)
    assert "s3:DeleteObject" not in rights["EndRole"] | rights["BackfillRole"]
    # Its worker may delete staging and claims: tests/functional/test_staging_bucket_of_commands.py tries the rights.
    assert "s3:DeleteObject" in rights["WorkerRole"]


def test_the_table_of_the_backfills_rights_is_the_templates(resources: Json) -> None:
    names = {"worker": "WorkerRole", "end": "EndRole", "state machine": "BackfillRole"}
    section = (
        (ROOT / "docs" / "security.md").read_text("utf-8").split("### The backfill's rights")[1].split("\n### ")[0]
    )
    documented: dict[str, set[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in names:
            documented.setdefault(names[cells[0]], set()).update(re.findall("`([^`]+)`", cells[1]))

    assert documented == {name: actions(resources[name]) for name in names.values()}


GIVEN: Final = {"RecordingsBucketName": "calls.example", "StreamNamePrefix": "calls-"}
TOPIC: Final = "arn:aws:sns:eu-west-2:111122223333:alarms"


VPC: Final = {"VpcSubnetIds": "subnet-0a1b2c3d, subnet-0123456789abcdef0", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
SIGNING: Final = "arn:aws:lambda:eu-west-2:111122223333:code-signing-config:csc-0123456789abcdef0"
GUARD_RAILS: Final = ("VpcSubnetIds", "VpcSecurityGroupIds", "CodeSigningConfigArn", "FipsEndpoints")


def test_the_documented_deployment_takes_what_the_stack_that_records_has(
    template: Json, example: Callable[[str], Json], tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / "export.md").read_text("utf-8")
    (commands,) = re.findall(r"```sh\n(sam build.*?)```", guide, re.DOTALL)
    given = {"StagingBucketName": "staging", "RecordingsPrefix": "audio", "StreamNamePrefix": "calls"}
    stack = described(parameters=given)
    # AWS CLI and SAM CLI leave their arguments in files; the one answers with what the other must get.
    program = 'aws() { printf "%s\\0" "$@" > aws; echo A=1 B=2; }; sam() { printf "%s\\0" "$@" > sam; }\n' + commands
    subprocess.run(["bash", "-eu", "-c", program], cwd=tmp_path, check=True)
    asked, deployed = ((tmp_path / name).read_text("utf-8").split("\0")[:-1] for name in ("aws", "sam"))

    found = dict(each.split("=", 1) for each in jmespath.search(asked[asked.index("--query") + 1], stack))

    assert found == {"RecordingsBucketName": "calls-recordings", **given}
    assert deployed[-3:] == ["--parameter-overrides", "A=1", "B=2"]
    # The names that both templates have, beside those that are each stack's own.
    shared = set(template["Parameters"]) & set(example("backfill")["Parameters"])
    own = {*GUARD_RAILS, "Architecture", "LogRetentionDays", "LogsKmsKeyArn", "PermissionsBoundaryArn", "AlarmTopicArn"}
    asked_for = set(re.findall(r"'([A-Z]\w+)'", asked[asked.index("--query") + 1]))
    assert asked_for == shared - own


@pytest.mark.parametrize("name", GUARD_RAILS)
def test_a_guard_rail_is_the_parameter_of_the_stack_that_records(
    template: Json, example: Callable[[str], Json], name: str
) -> None:
    assert example("backfill")["Parameters"][name] == template["Parameters"][name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_guard_rails_a_function_stands_in_no_vpc_and_is_not_signed(
    example: Callable[[str], Json], name: str
) -> None:
    found = evaluated(example("backfill"), GIVEN)["Resources"]
    function, role = found[name]["Properties"], found[name.replace("Function", "Role")]

    assert not {"VpcConfig", "CodeSigningConfigArn"} & function.keys()
    assert function["Environment"]["Variables"]["AWS_USE_FIPS_ENDPOINT"] == "false"
    assert not any(action.startswith("ec2:") for action in actions(role))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_with_guard_rails_a_function_stands_in_its_vpc_is_signed_and_uses_fips(
    example: Callable[[str], Json], name: str
) -> None:
    given = {**GIVEN, **VPC, "CodeSigningConfigArn": SIGNING, "FipsEndpoints": "true"}
    found = evaluated(example("backfill"), given)["Resources"]
    function, role = found[name]["Properties"], found[name.replace("Function", "Role")]

    assert function["VpcConfig"] == {
        "SubnetIds": ["subnet-0a1b2c3d", "subnet-0123456789abcdef0"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    }
    assert function["CodeSigningConfigArn"] == SIGNING
    assert function["Environment"]["Variables"]["AWS_USE_FIPS_ENDPOINT"] == "true"
    assert {"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"} <= actions(role)


@pytest.mark.parametrize("missing", VPC)
def test_subnets_and_security_groups_are_given_together(example: Callable[[str], Json], missing: str) -> None:
    given = {name: value for name, value in VPC.items() if name != missing}
    with pytest.raises(AssertionError, match=missing):
        evaluated(example("backfill"), {**GIVEN, **given})


def alarms(example: Callable[[str], Json], **parameters: str) -> Json:
    resources = evaluated(example("backfill"), {**GIVEN, **parameters})["Resources"]
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}


def test_without_a_topic_there_is_no_alarm(example: Callable[[str], Json]) -> None:
    resources = evaluated(example("backfill"), GIVEN)["Resources"]

    assert alarms(example) == {}
    assert "AWS::Logs::MetricFilter" not in {each["Type"] for each in resources.values()}


def test_with_a_topic_failed_runs_failing_workers_and_calls_that_are_left_are_announced(
    example: Callable[[str], Json],
) -> None:
    found = alarms(example, AlarmTopicArn=TOPIC)

    watched = {(each["Namespace"].split("/")[0], each["MetricName"]) for each in found.values()}
    assert watched == {
        ("AWS", "ExecutionsFailed"),
        ("AWS", "ExecutionsTimedOut"),
        ("AWS", "Errors"),
        ("ConnectAudio", "CallsLeft"),
    }
    assert all(each["AlarmActions"] == each["OKActions"] == [TOPIC] for each in found.values())
    assert all(each["TreatMissingData"] == "notBreaching" for each in found.values())


def test_the_calls_that_are_left_are_counted_by_the_line_that_the_end_logs(resources: Json) -> None:
    counted = resources["CallsLeftFilter"]["Properties"]
    alarm = resources["CallsLeftAlarm"]["Properties"]
    source = inspect.getsource(backfill_end)

    assert counted["LogGroupName"] == {"Ref": "EndLogGroup"}
    (message,) = re.findall(r'\$\.message = "([^"]+)"', counted["FilterPattern"])
    (metric,) = counted["MetricTransformations"]
    assert f'logger.info("{message}", extra={{"{metric["MetricValue"].removeprefix("$.")}"' in source
    assert (metric["MetricNamespace"], metric["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])
