"""An endpoint's secret out of Secrets Manager or Parameter Store, through Powertools.

The whole text is the key. It is kept for some minutes, so that a rotated one is picked up without a deployment.
IAM: `secretsmanager:GetSecretValue` or `ssm:GetParameter`, and `kms:Decrypt` where a key of one's own encrypts it.
"""

from __future__ import annotations

from typing import Final

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config

from connect_audio.adapters.aws_errors import AWS_EXCEPTIONS, AwsFailure, failure_of
from connect_audio.adapters.endpoint.secret import SHORTEST_SECRET
from connect_audio.core.errors import SinkError

MAX_AGE_S: Final = 300
"""How long a secret is used before it is fetched again, in seconds."""
# At worst 2 x (1 + 2) s: a delivery that needs the secret must still end within ten.
SECRET_CONFIG: Final = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


class StoredSecret:
    """A secret by its ARN.

    Args:
        arn: ARN of a Secrets Manager secret or a Parameter Store parameter, as `LiveSettings.webhook_secret`.
        session: has the credentials.
        owner: name of its endpoint in messages.
        max_age_s: how long it is kept, seconds.
    """

    def __init__(self, arn: str, *, session: boto3.Session, owner: str = "webhook", max_age_s: int = MAX_AGE_S) -> None:
        self._arn = arn
        self._owner = owner
        self._max_age_s = max_age_s
        _, _, service, region, _, name = arn.split(":", 5)
        self._name = name
        self._parameters: SecretsProvider | SSMProvider
        if service == "secretsmanager":
            secrets_manager = session.client("secretsmanager", region_name=region, config=SECRET_CONFIG)
            self._parameters = SecretsProvider(boto3_client=secrets_manager)
        else:
            parameter_store = session.client("ssm", region_name=region, config=SECRET_CONFIG)
            self._parameters = SSMProvider(boto3_client=parameter_store)

    def __call__(self, *, fresh: bool = False) -> bytes:
        """Return the secret, fetched at most `max_age_s` ago.

        Args:
            fresh: fetch it now.

        Raises:
            SinkError: AWS's code, where it was not given; `SECRET_UNUSABLE`, not retryable, where it is no key.
        """
        try:
            if isinstance(self._parameters, SSMProvider):
                value = self._parameters.get(self._arn, decrypt=True, max_age=self._max_age_s, force_fetch=fresh)
            else:
                value = self._parameters.get(self._arn, max_age=self._max_age_s, force_fetch=fresh)
        except GetParameterError as exc:
            # Powertools puts its own exception around whatever it meets, without naming it as the cause.
            cause = exc.__context__
            failure = (
                failure_of(cause)
                if isinstance(cause, AWS_EXCEPTIONS)
                else AwsFailure("SECRET_UNUSABLE", "the store's answer holds no text", retryable=False)
            )
            raise SinkError(
                failure.code, f"the {self._owner}'s secret {self._name}: {failure.message}", retryable=failure.retryable
            ) from cause
        return self._checked(value)

    def close(self) -> None:
        """Close the pooled connections. May be called twice."""
        self._parameters.client.close()

    def _checked(self, value: object) -> bytes:
        text = value.strip() if isinstance(value, str) else ""
        if len(text) >= SHORTEST_SECRET and not text.startswith("{"):
            return text.encode()
        if not isinstance(value, str):
            what = "is binary"
        elif text.startswith("{"):
            what = "is a JSON object"
        else:
            what = f"is shorter than {SHORTEST_SECRET} characters"
        raise SinkError(
            "SECRET_UNUSABLE",
            f"the {self._owner}'s secret {self._name} {what}; store the key alone, as plain text of 32 random "
            "characters",
            retryable=False,
        )
