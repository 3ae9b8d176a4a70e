"""The claim of a recording's key, and the recording itself, as the bucket has them.

A claim names the execution that may write a recording. It outlives an execution that failed, and no other execution can
record beside it. So `redrive` looks at the claim before it starts anything.
"""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from botocore.exceptions import ClientError

from connect_audio.recorder.claim_object import HeldClaim
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.settings import ConsumerSettings, variables
from connect_audio_cli.redrive.decision import InDoubtError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from connect_audio.request import RecordingRequest

_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})


class _Place(NamedTuple):
    """The consumer's buckets; `staging` is None where the claims lie beside the recordings."""

    bucket: str
    prefix: str
    staging: str | None


class Claims:
    """Claims in the consumer's bucket.

    Args:
        function: the consumer, qualified: its alias's ARN or `name:alias`. Its environment names bucket and prefix.
        lambda_: a client.
        s3: a client.
    """

    def __init__(self, function: str, lambda_: LambdaClient, s3: S3Client) -> None:
        self._function = function
        self._lambda = lambda_
        self._s3 = s3

    def holder(self, request: RecordingRequest) -> str | None:
        """Return the ARN of the execution that holds a recording's claim; None if there is none, or an export's.

        An export's claim bars no execution, and names none.

        Raises:
            InDoubtError: Lambda does not show the consumer's bucket.
        """
        names = self._names(request)
        try:
            answer = self._s3.get_object(Bucket=self._place.staging or names.bucket, Key=names.claim)
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise
        with closing(answer["Body"]) as body:
            claim = HeldClaim.of(body.read(), answer.get("ETag", ""))
        return None if claim.owner is not None else claim.holder

    def is_published(self, request: RecordingRequest) -> bool:
        """Return True if the recording's WAV or its manifest is there.

        Raises:
            InDoubtError: Lambda does not show the consumer's bucket.
        """
        names = self._names(request)
        return any(self._has(names.bucket, key) for key in (names.key, names.manifest))

    def _has(self, bucket: str, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) in _ABSENT:
                return False
            raise
        return True

    def _names(self, request: RecordingRequest) -> RecordingNames:
        return RecordingNames(bucket=self._place.bucket, key=request.recording_key(self._place.prefix))

    @cached_property
    def _place(self) -> _Place:
        known = self._lambda.get_function_configuration(FunctionName=self._function)
        shown = known.get("Environment", {}).get("Variables", {})
        if not shown.get("RECORDINGS_BUCKET"):
            raise InDoubtError(
                "Lambda does not show the consumer's bucket (RECORDINGS_BUCKET), so the claim is unknown"
            )
        default = next(each.default for each in variables(ConsumerSettings) if each.name == "RECORDINGS_PREFIX")
        prefix = shown.get("RECORDINGS_PREFIX") or str(default)
        return _Place(shown["RECORDINGS_BUCKET"], prefix, shown.get("STAGING_BUCKET") or None)


def _code(error: ClientError) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code
