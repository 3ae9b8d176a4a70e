"""Checks of the recordings' bucket and the one of staging: there, the key usable, and lifecycle rules that fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.check import Check, Finding, Standing, fault, note, well
from connect_audio_cli.output.formatting import count
from connect_audio_cli.stacks.aws import code_of, is_absent
from connect_audio_cli.stacks.deployed import Deployed

_TEMPORARY: Final = {"Key": "connect-audio", "Value": "temporary"}
_LEAST_DAYS: Final = 17
"""Days for which a failed recording can go on, from what it left in S3 (template.yaml, RecordingsExpirationDays)."""


def _buckets(stack: Deployed) -> Sequence[str]:
    """Return the names of the recordings' bucket and, if the stack has one, of the bucket of staging."""
    recordings = stack.output("RecordingsBucketName")
    return [recordings, stack.staging_bucket] if stack.staging_bucket else [recordings]


def _bucket(stack: Deployed) -> Finding:
    found = [_one_bucket(stack, name) for name in _buckets(stack)]
    worst = next((each for kind in (Standing.FAULT, Standing.NOTE) for each in found if each.standing is kind), None)
    return worst or well("; ".join(each.found for each in found))


def _one_bucket(stack: Deployed, name: str) -> Finding:
    try:
        location = stack.aws.ask("s3", "get_bucket_location", Bucket=name).get("LocationConstraint") or "us-east-1"
    except ClientError as error:
        if not is_absent(error):
            raise
        return fault(f"there is no bucket {name}", "make it again under its name, or deploy with another")
    key = _default_key(stack, name)
    if key and key != stack.parameter("RecordingsKmsKeyArn"):
        return fault(
            f"key {key} encrypts the bucket, and the consumer may not use it: each write is denied",
            f"deploy with RecordingsKmsKeyArn={key}",
        )
    if name == (stack.staging_bucket or stack.output("RecordingsBucketName")) and _locks(stack, name):
        return fault(
            f"Object Lock holds each object of {name}: staging and claims stay as old versions",
            "deploy with a StagingBucketName that is not locked (docs/deployment.md, Object Lock)",
        )
    if location != stack.aws.region:
        return note(f"{name} is in {location}, the stack in {stack.aws.region}", "audio between regions costs more")
    return well(f"{name} is in {location}, and the consumer may use its encryption")


def _locks(stack: Deployed, name: str) -> bool:
    """Return True if Object Lock retains each new object of a bucket."""
    try:
        answer = stack.aws.ask("s3", "get_object_lock_configuration", Bucket=name)
    except ClientError as error:
        if code_of(error) == "ObjectLockConfigurationNotFoundError":
            return False
        raise
    return "Rule" in answer["ObjectLockConfiguration"]


def _default_key(stack: Deployed, name: str) -> str:
    """Return the customer's key that encrypts the bucket by default; empty for S3's own or AWS's."""
    try:
        answer = stack.aws.ask("s3", "get_bucket_encryption", Bucket=name)
    except ClientError as error:
        if code_of(error) == "ServerSideEncryptionConfigurationNotFoundError":
            return ""
        raise
    for rule in answer["ServerSideEncryptionConfiguration"].get("Rules", ()):
        key = str(rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", ""))
        if key and "alias/aws/" not in key:
            return key
    return ""


def _lifecycle(stack: Deployed) -> Finding:
    prefix, rules = f"{stack.parameter('RecordingsPrefix')}/", {each: _rules(stack, each) for each in _buckets(stack)}
    for name, enabled in rules.items():
        for rule in enabled:
            if (early := _too_early(rule, prefix)) is not None:
                what, days = early
                return fault(
                    f"rule {rule.get('ID', 'without a name')} of {name} {what} after {count(days, 'day')}",
                    f"make it {_LEAST_DAYS} days at least: until then a failed recording can go on",
                )
    recordings, staging = stack.output("RecordingsBucketName"), stack.staging_bucket
    lacking = [
        f"{name} has no lifecycle rule {what}"
        for name, what, is_there in (
            (recordings, "that aborts incomplete uploads", _aborts_uploads(rules[recordings])),
            (
                staging or recordings,
                "that deletes what is tagged connect-audio=temporary",
                any(_is_for_temporary(rule) for rule in rules[staging or recordings]),
            ),
        )
        if not is_there
    ]
    if lacking:
        return fault(
            f"{' and '.join(lacking)}: the remains of dead recordings cost for ever",
            "add the rules of docs/deployment.md, An existing bucket",
        )
    return well("lifecycle rules clear up, and none is too early")


def _rules(stack: Deployed, name: str) -> Sequence[Mapping[str, Any]]:
    """Return a bucket's lifecycle rules that are in force."""
    try:
        rules = stack.aws.ask("s3", "get_bucket_lifecycle_configuration", Bucket=name).get("Rules", [])
    except ClientError as error:
        if code_of(error) != "NoSuchLifecycleConfiguration":
            raise
        return ()
    return [rule for rule in rules if rule["Status"] == "Enabled"]


def _too_early(rule: Mapping[str, Any], prefix: str) -> tuple[str, int] | None:
    """Return what a rule does to recordings and after how many days, if that is too early; else None."""
    for what, days in (
        ("deletes objects", rule.get("Expiration", {}).get("Days")),
        ("aborts uploads", rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")),
    ):
        if days is not None and days < _LEAST_DAYS and _covers(rule, prefix):
            return what, days
    return None


def _aborts_uploads(rules: Sequence[Mapping[str, Any]]) -> bool:
    return any(rule.get("AbortIncompleteMultipartUpload") for rule in rules)


def _filter(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = rule.get("Filter") or {}
    return found


def _covers(rule: Mapping[str, Any], prefix: str) -> bool:
    """Return True if a rule takes recordings: by prefix or for all, and not by a tag."""
    chosen = _filter(rule)
    both = chosen.get("And", {})
    if chosen.get("Tag") or both.get("Tags"):
        return False
    begins = rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""
    return prefix.startswith(begins) or begins.startswith(prefix)


def _is_for_temporary(rule: Mapping[str, Any]) -> bool:
    chosen = _filter(rule)
    tags = [chosen.get("Tag"), *chosen.get("And", {}).get("Tags", ())]
    return "Expiration" in rule and _TEMPORARY in tags


CHECKS: Final = (
    Check(
        "bucket",
        ("s3:GetBucketLocation", "s3:GetEncryptionConfiguration", "s3:GetBucketObjectLockConfiguration"),
        _bucket,
    ),
    Check("bucket's lifecycle", ("s3:GetLifecycleConfiguration",), _lifecycle),
)
