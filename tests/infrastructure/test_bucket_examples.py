"""The lifecycle and the policy for a bucket of one's own: the same rules as the template's bucket has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import botocore.session
from botocore.validate import ParamValidator

from infrastructure.evaluation import evaluated

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def example(name: str) -> Any:
    return json.loads((EXAMPLES / name).read_text("utf-8"))


def made(template: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = evaluated(template, {"StreamNamePrefix": "live"})["Resources"]
    return resources


def test_the_lifecycle_is_the_template_s_in_the_words_of_s3_s_api(template: dict[str, Any]) -> None:
    given = example("bucket-lifecycle.json")
    model = botocore.session.get_session().get_service_model("s3")
    shape = model.operation_model("PutBucketLifecycleConfiguration").input_shape
    assert shape is not None
    report = ParamValidator().validate({"Bucket": "calls", "LifecycleConfiguration": given}, shape)
    assert not report.has_errors(), report.generate_report()
    rules = made(template)["RecordingsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expected = [
        {
            "ID": rule["Id"],
            "Status": rule["Status"],
            "Filter": {"Tag": rule["TagFilters"][0]} if "TagFilters" in rule else {},
            **({"Expiration": {"Days": rule["ExpirationInDays"]}} if "ExpirationInDays" in rule else {}),
            **{name: rule[name] for name in ("AbortIncompleteMultipartUpload",) if name in rule},
        }
        for rule in rules
    ]
    assert given["Rules"] == expected


def test_the_policy_is_the_template_s_for_a_bucket_to_be_named(template: dict[str, Any]) -> None:
    policy = json.dumps(made(template)["RecordingsBucketPolicy"]["Properties"]["PolicyDocument"])
    named = policy.replace("<RecordingsBucket.Arn>", "arn:aws:s3:::BUCKET")
    assert example("bucket-policy.json") == json.loads(named)
