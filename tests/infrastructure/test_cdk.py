"""The packaged template in an app of the AWS CDK, as examples/cdk/app.js includes it: in a stack, and nested in one."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.sam, pytest.mark.cdk]

type Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "build" / "cdk" / "node_modules"


@pytest.fixture(scope="module")
def app(package: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, Path]:
    """The packaged template, and what the CDK made of the app."""
    node = shutil.which("node")
    if node is None or not MODULES.exists():
        pytest.skip("node or aws-cdk-lib is missing: run `make cdk-tests`")
    folder = tmp_path_factory.mktemp("cdk")
    template = package(folder) / "template.json"
    made = folder / "cdk.out"
    done = subprocess.run(
        [node, ROOT / "examples" / "cdk" / "app.js"],
        env={**os.environ, "NODE_PATH": str(MODULES), "TEMPLATE": str(template), "CDK_OUTDIR": str(made)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(template.read_text("utf-8")), made


def resources(path: Path) -> Json:
    """The resources of a template."""
    found: Json = json.loads(path.read_text("utf-8"))["Resources"]
    return found


def with_lists(stack: Json) -> Json:
    """Resources with DependsOn as a list, since the CDK writes a name for a list of one."""
    return {
        name: {key: [value] if key == "DependsOn" and isinstance(value, str) else value for key, value in one.items()}
        for name, one in stack.items()
    }


def test_the_stack_holds_the_template_as_it_is_and_what_the_app_changed(app: tuple[Json, Path]) -> None:
    packaged, made = app
    expected = with_lists(copy.deepcopy(packaged["Resources"]))
    expected["FailedRecordings"]["Properties"]["Tags"] = [{"Key": "team", "Value": "contact-centre"}]
    assert with_lists(resources(made / "ConnectAudio.template.json")) == expected


def test_the_nested_stack_holds_the_template_as_it_is_and_the_parent_gives_the_parameters(
    app: tuple[Json, Path],
) -> None:
    packaged, made = app
    (nested,) = made.glob("*.nested.template.json")
    written = json.loads(nested.read_text("utf-8"))
    assert with_lists(written["Resources"]) == with_lists(packaged["Resources"])
    for part in ("Parameters", "Rules", "Conditions", "Outputs"):
        assert written[part] == packaged[part]
    (parent,) = resources(made / "ContactCentre.template.json").values()
    assert parent["Type"] == "AWS::CloudFormation::Stack"
    assert parent["Properties"]["Parameters"] == {
        "ArtifactsBucketName": "artifacts.example",
        "StreamNamePrefix": "connect-audio",
    }


def test_the_cdk_finds_no_function_that_cloudformation_does_not_take(app: tuple[Json, Path]) -> None:
    _, made = app
    report = json.loads((made / "validation-report.json").read_text("utf-8"))
    rules = {each["ruleName"] for one in report["pluginReports"] for each in one["violations"]}
    # F3031 and E1150 look at defaults that a condition keeps away; no other failure or error.
    assert {one for one in rules if one[0] in "EF"} <= {"F3031", "E1150"}
