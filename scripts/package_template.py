"""The packaged template: `make packaged-template` writes plain CloudFormation and its zips into `build/package/`.

The CDK, Terraform and other tools take no SAM template. The output of `sam build` is zipped, and SAM's own translator
makes the template, without a network. Each zip's name holds the hash of its content, so other code is another key.
Bucket and prefix of the zips are parameters of the template. Run by the Python that SAM CLI lives in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]  # lives in .venv-sam
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]  # same
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-not-found]  # same

type Json = dict[str, Any]

ROOT: Final = Path(__file__).parents[1]
CODE: Final = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
"""The property that says where a resource's code lies, by the resource's type."""
PARAMETERS: Final[Json] = {
    "ArtifactsBucketName": {
        "Type": "String",
        "AllowedPattern": "(?!([0-9]+[.]){3}[0-9]+$)(?!.*[.][.])[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "ConstraintDescription": "must be a bucket's name (3 to 63 lower-case letters, digits, dots and hyphens)",
        "Description": "The bucket in this region that holds the zips of the functions and layers.",
    },
    "ArtifactsPrefix": {
        "Type": "String",
        "Default": "connect-audio/",
        "AllowedPattern": "([0-9A-Za-z!_.-][0-9A-Za-z!_./-]{0,198}/)?",
        "ConstraintDescription": "must be empty, or at most 200 letters, digits, !, _, ., - and /, ending with a slash",
        "Description": "Key prefix of the zips, with a slash at its end.",
    },
}
LABELS: Final = {"ArtifactsBucketName": "Bucket of the zips", "ArtifactsPrefix": "Key prefix of the zips"}
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The time of each file in a zip, so that the same files make the same zip: the first that the format knows."""


def main() -> int:
    """Write the template and its zips. Return 0, or 2 with a line on standard error if the build is not there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam" / "build", help="what sam build made")
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], default="arm64", help="what it was built for")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "package")
    given = parser.parse_args()
    template: Json = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
    missing = [name for name in code_resources(template) if not (given.build / name).is_dir()]
    if missing:
        print(f"package: sam build has not made {', '.join(missing)} in {given.build}", file=sys.stderr)  # noqa: T201 - the answer
        return 2
    artifacts = given.output / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    for one in artifacts.glob("*.zip"):
        one.unlink()
    keys = {name: zipped(given.build / name, artifacts, name) for name in code_resources(template)}
    written = given.output / "template.json"
    written.write_text(json.dumps(packaged(template, keys, given.architecture), indent=1) + "\n", "utf-8")
    print(f"package: {written} and {len(set(keys.values()))} zips in {artifacts}")  # noqa: T201 - the answer
    return 0


def code_resources(template: Json) -> list[str]:
    """Names of the functions and layers."""
    return [name for name, one in template["Resources"].items() if one["Type"] in CODE]


def zipped(folder: Path, artifacts: Path, name: str) -> str:
    """Zip a built folder. Return the zip's name: of functions with the same code there is one zip."""
    parts = artifacts / f"{name}.part"
    with zipfile.ZipFile(parts, "w", zipfile.ZIP_DEFLATED) as into:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.stat().st_mode & 0o111 else 0o100644) << 16
            into.writestr(entry, path.read_bytes())
    kind = "functions" if name.endswith("Function") else name
    key = f"{kind}-{hashlib.sha256(parts.read_bytes()).hexdigest()[:32]}.zip"
    parts.rename(artifacts / key)
    return key


def packaged(template: Json, keys: dict[str, str], architecture: str) -> Json:
    """Return the template as plain CloudFormation, its code in the bucket that a parameter names.

    Args:
        template: template.yaml with the short tags in their long form; changed on the way.
        keys: the zip's name for each function and layer.
        architecture: the only value that the parameter `Architecture` is to have.
    """
    del template["Globals"]["Function"]["CodeUri"]
    for name, key in keys.items():
        resource = template["Resources"][name]
        where = {"Bucket": {"Ref": "ArtifactsBucketName"}, "Key": {"Fn::Sub": f"${{ArtifactsPrefix}}{key}"}}
        resource["Properties"][CODE[resource["Type"]]] = where
        # Said to `sam build` alone.
        for word in ("BuildMethod", "BuildArchitecture", "ProjectRootDirectory", "ContextPath"):
            resource.get("Metadata", {}).pop(word, None)
    template["Parameters"] = {**PARAMETERS, **template["Parameters"]}
    template["Parameters"]["Architecture"].update(Default=architecture, AllowedValues=[architecture])
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    interface["ParameterGroups"].insert(0, {"Label": {"default": "What was built"}, "Parameters": list(PARAMETERS)})
    interface["ParameterLabels"].update({name: {"default": label} for name, label in LABELS.items()})
    return translation(template)


def translation(template: Json) -> Json:
    """Return what SAM makes of a template, with every reference to a parameter kept.

    SAM writes a parameter's value in place of some references. So each parameter has a value that names it, and what
    SAM wrote becomes a reference again.
    """
    names = list(template["Parameters"])
    # Managed policies are named whole here, so the map from names to ARNs may be empty and IAM need not be asked.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-2"))
    translated: Json = translator.translate(template, {name: f"${{{name}}}" for name in names})
    restored: Json = with_references(translated, set(names))
    return restored


def with_references(value: Any, names: set[str]) -> Any:
    """Return a piece of template with `{"Ref": NAME}` for each text that is `${NAME}` outside of Fn::Sub."""
    if isinstance(value, list):
        return [with_references(one, names) for one in value]
    if isinstance(value, dict):
        return {
            key: inner if is_text_of_sub(key, inner) else with_references(inner, names) for key, inner in value.items()
        }
    if isinstance(value, str) and (found := re.fullmatch(r"\$\{(\w+)\}", value)) and found[1] in names:
        return {"Ref": found[1]}
    return value


def is_text_of_sub(key: str, value: Any) -> bool:
    """Return true for the text of Fn::Sub, in which names stand as `${NAME}`."""
    return key == "Fn::Sub" and isinstance(value, str)


if __name__ == "__main__":
    sys.exit(main())
