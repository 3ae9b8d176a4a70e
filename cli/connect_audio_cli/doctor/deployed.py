"""The stack as CloudFormation describes it: what all checks start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from botocore.exceptions import ClientError

from connect_audio_cli.doctor.aws import Aws, is_denied
from connect_audio_cli.output.command_error import CommandError, printable

_MARK: Final = "ConsumerAliasArn"
"""An output that each stack of this project has."""


class NoInstanceError(Exception):
    """The stack serves every instance of the account, and the command was given none."""


class NoOutputError(Exception):
    """The stack lacks an output, as after a first deployment that failed."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack of this project.

    Args:
        aws: the account.
        name: the stack's name.
        account: the account's number that the credentials belong to.
        status: CloudFormation's status.
        changed: day of the last change, ISO 8601.
        parameters: the stack's parameters.
        outputs: the stack's outputs.
        given_instance: instance's ARN from the command line; empty for the stack's.
    """

    aws: Aws
    name: str
    account: str
    status: str
    changed: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    given_instance: str = ""

    @classmethod
    def find(cls, aws: Aws, name: str, account: str, given_instance: str) -> Self:
        """Ask CloudFormation for a stack.

        Raises:
            CommandError: there is no such stack, or it is none of this project.
            ClientError: AWS refused, as for a missing right.
        """
        try:
            (stack,) = aws.ask("cloudformation", "describe_stacks", StackName=name)["Stacks"]
        except ClientError as error:
            if is_denied(error) or "does not exist" not in str(error):
                raise
            raise CommandError(
                f"account {account} has no stack {printable(name)} in {aws.region}{_others(aws)}"
            ) from error
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        if _MARK not in outputs and "ROLLBACK" not in stack["StackStatus"]:
            raise CommandError(f"stack {printable(name)} has no output {_MARK}: is it one of this project?")
        return cls(
            aws=aws,
            name=name,
            account=account,
            status=stack["StackStatus"],
            changed=f"{stack.get('LastUpdatedTime') or stack['CreationTime']:%Y-%m-%d}",
            parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", ())},
            outputs=outputs,
            given_instance=given_instance,
        )

    @property
    def instance(self) -> str:
        """The instance's ARN.

        Raises:
            NoInstanceError: none is known.
        """
        found = self.given_instance or self.parameters.get("ConnectInstanceArn", "")
        if not found:
            raise NoInstanceError
        return found

    @property
    def instance_id(self) -> str:
        """The last part of the instance's ARN.

        Raises:
            NoInstanceError: none is known.
        """
        return self.instance.rpartition("/")[2]

    @property
    def staging_bucket(self) -> str:
        """The bucket of staging and claims; empty where they lie beside the recordings."""
        return self.parameters.get("StagingBucketName", "")

    @property
    def is_archiving(self) -> bool:
        """True if calls are recorded after their end."""
        return self.parameters.get("RecordingMode", "") == "archive"

    @property
    def has_contact_events(self) -> bool:
        """True if Connect's contact events announce a call's end to the stack."""
        return self.parameters.get("ContactEvents", "") == "on"

    @property
    def consumer(self) -> str:
        """The consumer's ARN without the alias.

        Raises:
            NoOutputError: the stack has none.
        """
        return self.output(_MARK).rpartition(":")[0]

    def output(self, name: str) -> str:
        """Return an output's value.

        Raises:
            NoOutputError: the stack has no such output.
        """
        if name not in self.outputs:
            raise NoOutputError(name)
        return self.outputs[name]

    def resource(self, logical_id: str) -> str:
        """Return the physical id of one of the stack's resources; empty if it has none of that name.

        Raises:
            ClientError: AWS refused.
        """
        listed = self.aws.listed(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=self.name
        )
        for each in listed:
            if each["LogicalResourceId"] == logical_id and each["ResourceStatus"] != "DELETE_COMPLETE":
                return str(each.get("PhysicalResourceId", ""))
        return ""

    def streaming(self) -> Mapping[str, Any] | None:
        """Return the instance's configuration of live media streaming; None if it is off.

        Raises:
            NoInstanceError: the instance is not known.
            ClientError: AWS refused.
        """
        configs = self.aws.listed(
            "connect",
            "list_instance_storage_configs",
            "StorageConfigs",
            InstanceId=self.instance_id,
            ResourceType="MEDIA_STREAMS",
        )
        for each in configs:
            if each.get("StorageType") == "KINESIS_VIDEO_STREAM":
                found: Mapping[str, Any] = each["KinesisVideoStreamConfig"]
                return found
        return None

    def streams(self) -> list[Mapping[str, Any]]:
        """Return the streams whose name begins with StreamNamePrefix.

        Raises:
            ClientError: AWS refused.
        """
        condition = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": self.parameters["StreamNamePrefix"]}
        return self.aws.listed("kinesisvideo", "list_streams", "StreamInfoList", StreamNameCondition=condition)


def _others(aws: Aws) -> str:
    """Name the stacks of this project, for a person who mistyped."""
    try:
        stacks = aws.listed("cloudformation", "describe_stacks", "Stacks")
    except ClientError:
        return ""
    names = [
        stack["StackName"] for stack in stacks if any(each["OutputKey"] == _MARK for each in stack.get("Outputs", ()))
    ]
    return f": name one of {', '.join(sorted(names))}" if names else ", and no other stack of this project"
