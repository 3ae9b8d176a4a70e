"""The packaged template: plain CloudFormation that says what the SAM template says, its code in a bucket."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.evaluation import PSEUDO_PARAMETERS, evaluated

pytestmark = pytest.mark.sam

type Json = dict[str, Any]

ARTIFACTS = {"ArtifactsBucketName", "ArtifactsPrefix"}
GIVEN = {"StreamNamePrefix": "live"}


def names_in(value: Any) -> Iterator[str]:
    """Every name that a piece of template refers to: parameters, resources, pseudo parameters."""
    if isinstance(value, list):
        for one in value:
            yield from names_in(one)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref":
            yield inner
        elif key == "Fn::GetAtt":
            yield inner[0] if isinstance(inner, list) else inner.partition(".")[0]
        elif key == "Fn::Sub":
            text, own = (inner, {}) if isinstance(inner, str) else inner
            yield from (one.partition(".")[0] for one in re.findall(r"\$\{([^!}]+)\}", text) if one not in own)
            yield from names_in(own)
        else:
            yield from names_in(inner)


def test_nothing_of_sam_is_left(packaged: Json) -> None:
    assert "Transform" not in packaged
    assert "Globals" not in packaged
    types = {one["Type"] for one in packaged["Resources"].values()}
    assert not [one for one in types if one.startswith("AWS::Serverless")]
    assert "Fn::ForEach" not in json.dumps(packaged)


def test_every_reference_names_something_of_the_template(packaged: Json) -> None:
    there = set(packaged["Parameters"]) | set(packaged["Resources"]) | set(PSEUDO_PARAMETERS) | {"AWS::NoValue"}
    found = set(names_in([packaged["Resources"], packaged["Outputs"], packaged["Conditions"], packaged["Rules"]]))
    assert found - there == set()


def test_all_parameters_are_kept_and_each_is_still_used(packaged: Json, template: Json) -> None:
    assert set(packaged["Parameters"]) == set(template["Parameters"]) | ARTIFACTS
    used = set(names_in([packaged[part] for part in ("Resources", "Outputs", "Conditions", "Rules")]))
    assert set(packaged["Parameters"]) - used == set()
    for part in ("Conditions", "Rules", "Outputs"):
        assert set(packaged[part]) == set(template[part])


def test_the_parameters_stand_in_groups_with_labels(packaged: Json) -> None:
    interface = packaged["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(packaged["Parameters"])
    assert set(interface["ParameterLabels"]) == set(packaged["Parameters"])


def test_a_value_reaches_the_resources_that_sam_would_have_written_it_into(packaged: Json) -> None:
    given = {
        **GIVEN,
        "ArtifactsBucketName": "artifacts.example",
        "MaximumEventAgeSeconds": 3600,
        "Tracing": "PassThrough",
    }
    stack = evaluated(packaged, given)["Resources"]
    (invocation,) = [one for one in stack.values() if one["Type"] == "AWS::Lambda::EventInvokeConfig"]
    assert str(invocation["Properties"]["MaximumEventAgeInSeconds"]) == "3600"
    assert stack["ConsumerFunction"]["Properties"]["TracingConfig"] == {"Mode": "PassThrough"}


def test_each_function_and_layer_has_its_code_in_the_bucket_and_the_zip_is_there(
    packaged: Json, packaged_folder: Path
) -> None:
    layers = {"TranscribeEnabled": "true", "WhisperUrl": "https://a.example/v1"}
    given = {**GIVEN, **layers, "ArtifactsBucketName": "artifacts.example", "ContactEvents": "on"}
    stack = evaluated(packaged, given)["Resources"]
    codes = [
        one["Properties"]["Code" if one["Type"] == "AWS::Lambda::Function" else "Content"]
        for one in stack.values()
        if one["Type"] in {"AWS::Lambda::Function", "AWS::Lambda::LayerVersion"}
    ]
    assert {one["S3Bucket"] for one in codes} == {"artifacts.example"}
    assert all(one["S3Key"].startswith("connect-audio/") for one in codes)
    written = {one.name for one in (packaged_folder / "artifacts").iterdir()}
    assert {one["S3Key"].removeprefix("connect-audio/") for one in codes} == written
    (functions,) = (packaged_folder / "artifacts").glob("functions-*.zip")
    with zipfile.ZipFile(functions) as archive:
        assert archive.read("module.py") == b"code"


def test_other_code_is_another_key_and_the_same_code_the_same(
    package: Callable[..., Path], packaged_folder: Path, tmp_path: Path
) -> None:
    other = package(tmp_path, "other code", "--architecture", "x86_64")
    before, after = ({one.name for one in (each / "artifacts").iterdir()} for each in (packaged_folder, other))
    assert {one.partition("-")[0] for one in before ^ after} == {"functions"}
    changed = json.loads((other / "template.json").read_text("utf-8"))
    assert changed["Parameters"]["Architecture"]["AllowedValues"] == ["x86_64"]
    versions = [
        {name for name, one in each["Resources"].items() if one["Type"] == "AWS::Lambda::Version"}
        for each in (changed, json.loads((packaged_folder / "template.json").read_text("utf-8")))
    ]
    assert not versions[0] & versions[1]


def test_without_a_build_it_says_what_is_missing(
    sam: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=r"package: sam build has not made DependenciesLayer, .* in "):
        sam("python", "scripts/package_template.py", "--build", str(tmp_path), "--output", str(tmp_path / "package"))
    assert not (tmp_path / "package").exists()
