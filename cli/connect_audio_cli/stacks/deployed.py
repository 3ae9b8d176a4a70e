"""A stack of this project, as CloudFormation describes it.

The doctor's checks start from it. `found` is for the commands that take `--stack NAME`: they need the stack itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.exceptions import ClientError

from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.stacks.aws import Aws, code_of, is_denied

if TYPE_CHECKING:
    from boto3 import Session

_MARK: Final = "ConsumerAliasArn"
"""An output that each stack of this project has."""


class NoInstanceError(Exception):
    """The stack serves every instance of the account, and the command was given none."""


class NotSaidError(CommandError):
    """The stack lacks an output, as after a first deployment that failed, or a parameter of the template."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack of this project.

    Args:
        aws: the account.
        name: the stack's name.
        status: CloudFormation's status.
        changed: day of the last change, ISO 8601.
        parameters: the stack's parameters.
        outputs: the stack's outputs.
        given_instance: instance's ARN from the command line; empty for the stack's.
    """

    aws: Aws
    name: str
    status: str
    changed: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    given_instance: str = ""

    @classmethod
    def find(cls, aws: Aws, name: str, given_instance: str = "") -> Self:
        """Ask CloudFormation for a stack.

        Args:
            aws: the account.
            name: the stack's name.
            given_instance: instance's ARN from the command line; empty for the stack's.

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
                f"account {aws.account} has no stack {printable(name)} in {aws.region}{_others(aws)}"
            ) from error
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        if _MARK not in outputs and "ROLLBACK" not in stack["StackStatus"]:
            raise CommandError(f"stack {printable(name)} has no output {_MARK}: is it one of this project?")
        return cls(
            aws=aws,
            name=name,
            status=stack["StackStatus"],
            changed=f"{stack.get('LastUpdatedTime') or stack['CreationTime']:%Y-%m-%d}",
            parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", ())},
            outputs=outputs,
            given_instance=given_instance,
        )

    @classmethod
    def found(cls, session: Session, name: str, *, otherwise: str) -> Self:
        """Return a stack that a command cannot do without.

        Args:
            session: credentials and region.
            name: the stack's name.
            otherwise: the options that do without the stack, for a person who may not look at it.

        Raises:
            CommandError: there is no such stack, it is none of this project, or AWS refused.
            BotoCoreError: AWS did not answer.
        """
        try:
            with closing(Aws(session)) as aws:
                return cls.find(aws, name)
        except ClientError as error:
            if is_denied(error):
                needs = "needs cloudformation:DescribeStacks; without that right"
                raise CommandError(f"stack {printable(name)}: {needs} {otherwise}") from error
            raise CommandError(f"AWS refuses {error.operation_name}: {printable(code_of(error))}") from error

    @property
    def account(self) -> str:
        """The account's number that the credentials belong to."""
        return self.aws.account

    @property
    def instance(self) -> str:
        """The instance's ARN.

        Raises:
            NoInstanceError: none is known.
        """
        found = self.given_instance or self.parameter("ConnectInstanceArn")
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
        """The bucket of staging and claims; empty where they lie beside the recordings.

        Raises:
            NotSaidError: the stack does not say it.
        """
        return self.parameter("StagingBucketName")

    @property
    def is_archiving(self) -> bool:
        """True if calls are recorded after their end."""
        return self.parameter("RecordingMode") == "archive"

    @property
    def has_contact_events(self) -> bool:
        """True if Connect's contact events announce a call's end to the stack."""
        return self.parameter("ContactEvents") == "on"

    @property
    def consumer(self) -> str:
        """The consumer's ARN without the alias.

        Raises:
            NotSaidError: the stack has none.
        """
        return self.output(_MARK).rpartition(":")[0]

    def output(self, name: str) -> str:
        """Return an output's value.

        Raises:
            NotSaidError: the stack has no such output.
        """
        if name not in self.outputs:
            raise NotSaidError(f"stack {self.name} is {self.status} and has no output {name}: deploy it first")
        return self.outputs[name]

    def parameter(self, name: str) -> str:
        """Return a parameter's value. CloudFormation lists each parameter of a template, also one by its default.

        Raises:
            NotSaidError: the stack has no such parameter, as where the CDK wrote a value in the parameter's place.
        """
        if name not in self.parameters:
            raise NotSaidError(f"stack {self.name} has no parameter {name}: its template is not this project's own")
        return self.parameters[name]

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
        condition = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": self.parameter("StreamNamePrefix")}
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
