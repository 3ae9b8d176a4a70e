"""Checks of the functions: the rights of the consumer's role, the trigger's policy, and the alias."""

from __future__ import annotations

from typing import Final

from connect_audio_cli.doctor.check import Check, Finding, fault, well
from connect_audio_cli.doctor.invocation import RIGHT, may_invoke
from connect_audio_cli.stacks.deployed import Deployed, NoInstanceError

_CONNECT: Final = "connect.amazonaws.com"


def _role(stack: Deployed) -> Finding:
    partition, region = stack.consumer.split(":")[1], stack.aws.region
    stream = f"{stack.parameter('StreamNamePrefix')}-x/1"
    bucket = f"arn:{partition}:s3:::{stack.output('RecordingsBucketName')}"
    wanted = {
        f"arn:{partition}:kinesisvideo:{region}:{stack.account}:stream/{stream}": (
            "kinesisvideo:DescribeStream",
            "kinesisvideo:GetDataEndpoint",
            "kinesisvideo:GetMedia",
            "kinesisvideo:GetMediaForFragmentList",
            "kinesisvideo:ListFragments",
        ),
        f"{bucket}/{stack.parameter('RecordingsPrefix')}/x.wav": ("s3:GetObject", "s3:PutObject"),
        bucket: ("s3:ListBucket",),
    }
    if stack.staging_bucket:
        staging = f"arn:{partition}:s3:::{stack.staging_bucket}"
        claim = f"{staging}/{stack.parameter('RecordingsPrefix')}/x.wav.claim"
        wanted |= {claim: ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), staging: ("s3:ListBucket",)}
    role = stack.output("ConsumerRoleArn")
    missing = [
        result["EvalActionName"]
        for resource, actions in wanted.items()
        for result in stack.aws.listed(
            "iam",
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=role,
            ActionNames=list(actions),
            ResourceArns=[resource],
        )
        if result["EvalDecision"] != "allowed"
    ]
    if missing:
        return fault(
            f"the consumer's role may not {', '.join(missing)}",
            "deploy again; if it stays, a permissions boundary or a policy of the organisation denies it",
        )
    return well("the consumer's role may read the streams and write the recordings")


def _invocation(stack: Deployed) -> Finding:
    try:
        instance = stack.instance
    except NoInstanceError:
        instance = ""
    if may_invoke(stack, stack.output("TriggerFunctionArn"), _CONNECT, instance):
        return well("Connect may invoke the trigger")
    return fault(
        f"the trigger's policy has no permission for {_CONNECT} with this instance as source",
        "deploy the stack again; its permission was removed, or ConnectInstanceArn names another instance",
    )


def _alias(stack: Deployed) -> Finding:
    name = stack.output("ConsumerAliasArn").rpartition(":")[2]
    version = stack.aws.ask("lambda", "get_alias", FunctionName=stack.consumer, Name=name)["FunctionVersion"]
    versions = stack.aws.listed("lambda", "list_versions_by_function", "Versions", FunctionName=stack.consumer)
    newest = max((int(each["Version"]) for each in versions if each["Version"].isdecimal()), default=0)
    if version.isdecimal() and int(version) < newest:
        return fault(
            f"{name} points to version {version}, and {newest} is newer: an update was rolled back",
            "delete the newer version and deploy again (docs/operations.md, After an update that was rolled back)",
        )
    active = stack.aws.ask("lambda", "get_function_configuration", FunctionName=stack.consumer, Qualifier=name)
    if not active.get("DurableConfig"):
        return fault(
            f"version {version} is no durable function",
            "remove the stack and deploy it anew: Lambda cannot switch it on",
        )
    if active.get("State", "Active") != "Active":
        return fault(f"version {version} is {active['State']}", "read its StateReason, and deploy again")
    timeout, wanted = active["Timeout"], stack.parameter("ConsumerTimeout")
    if str(timeout) != wanted:
        return fault(f"version {version} ends after {timeout} s, and ConsumerTimeout is {wanted}", "deploy again")
    return well(f"{name} points to version {version}, the newest: durable, {timeout} s, {active['MemorySize']} MB")


CHECKS: Final = (
    Check("consumer's role", ("iam:SimulatePrincipalPolicy",), _role),
    Check("trigger's permission", (RIGHT,), _invocation),
    Check(
        "consumer's alias",
        ("lambda:GetAlias", "lambda:ListVersionsByFunction", "lambda:GetFunctionConfiguration"),
        _alias,
    ),
)
