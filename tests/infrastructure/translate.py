"""Does to a template what CloudFormation's SAM transform does, offline; run by the Python that SAM CLI lives in.

Each line of standard input: `{"template": …, "parameters": {…}}`. Each line of standard output: the CloudFormation
template.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]  # lives in .venv-sam
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]  # same


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(translation(json.loads(line))), flush=True)  # noqa: T201 - the answer


def translation(given: dict[str, Any]) -> Any:
    template = given["template"]
    defaults = {name: one["Default"] for name, one in template["Parameters"].items() if "Default" in one}
    # A deployment uploads what it built and writes its address, which changes with the content.
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::LayerVersion" and not properties["ContentUri"].startswith("s3:"):
            properties["ContentUri"] = f"s3://artifacts/{name}"
    template["Globals"]["Function"]["CodeUri"] = template["Globals"]["Function"]["CodeUri"].replace(
        "src/", "s3://artifacts/src"
    )
    # Managed policies are named whole here, so the map from names to ARNs may be empty and IAM need not be asked.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-2"))
    return translator.translate(template, {"AWS::Region": "eu-west-2", **defaults, **given["parameters"]})


main()
