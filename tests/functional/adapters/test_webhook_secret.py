"""The webhook's secret out of a real Secrets Manager and Parameter Store API, and out of ones that refuse."""

from __future__ import annotations

import json
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.endpoint.stored_secret import StoredSecret
from connect_audio.core.errors import SinkError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

    from support.wire_server import Exchange, Handler, WireServer

REGION: Final = "eu-west-2"
SECRET: Final = "correct horse battery staple"
NEXT: Final = "another one that is long enough"
SECRETS_ARN: Final = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:hook-AbCdEf"
PARAMETER_ARN: Final = f"arn:aws:ssm:{REGION}:123456789012:parameter/calls/hook"


@pytest.fixture
def secrets_manager(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManagerClient]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto_server)
    with closing(boto3.client("secretsmanager", region_name=REGION)) as client:
        yield client


@pytest.fixture
def parameter_store(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SSMClient]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", moto_server)
    with closing(boto3.client("ssm", region_name=REGION)) as client:
        yield client


@contextmanager
def source(arn: str, **changed: Any) -> Iterator[StoredSecret]:
    with closing(StoredSecret(arn, session=aws_session(), **changed)) as secret:
        yield secret


def stored(client: SecretsManagerClient, **value: Any) -> str:
    return client.create_secret(Name=f"hooks/{uuid.uuid4().hex[:8]}", **value)["ARN"]


def failure(secret: Callable[[], bytes]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        secret()
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    return caught.value


def test_a_secret_s_whole_text_is_the_key(secrets_manager: SecretsManagerClient) -> None:
    with source(stored(secrets_manager, SecretString=f"{SECRET}\n")) as secret:
        assert secret() == SECRET.encode()


@pytest.mark.parametrize("kind", ["SecureString", "String"])
@pytest.mark.parametrize("name", ["/calls/{}/hook", "hook-{}"])
def test_so_is_a_parameter_s(parameter_store: SSMClient, name: str, kind: Any) -> None:
    name = name.format(uuid.uuid4().hex[:8])
    parameter_store.put_parameter(Name=name, Value=SECRET, Type=kind)
    arn = parameter_store.get_parameter(Name=name)["Parameter"]["ARN"]
    with source(arn) as secret:
        assert secret() == SECRET.encode()


def test_a_secret_is_kept_and_a_fresh_one_fetched_on_demand(secrets_manager: SecretsManagerClient) -> None:
    arn = stored(secrets_manager, SecretString=SECRET)
    with source(arn) as secret:
        assert secret() == SECRET.encode()
        secrets_manager.put_secret_value(SecretId=arn, SecretString=NEXT)
        assert [secret(), secret(fresh=True), secret()] == [SECRET.encode(), NEXT.encode(), NEXT.encode()]


def test_so_is_a_parameter_kept_and_a_fresh_one_fetched_on_demand(parameter_store: SSMClient) -> None:
    name = f"/calls/{uuid.uuid4().hex[:8]}"
    parameter_store.put_parameter(Name=name, Value=SECRET, Type="SecureString")
    with source(parameter_store.get_parameter(Name=name)["Parameter"]["ARN"]) as secret:
        assert secret() == SECRET.encode()
        parameter_store.put_parameter(Name=name, Value=NEXT, Type="SecureString", Overwrite=True)
        assert [secret(), secret(fresh=True), secret()] == [SECRET.encode(), NEXT.encode(), NEXT.encode()]


def test_a_secret_is_fetched_again_when_its_time_is_up(secrets_manager: SecretsManagerClient) -> None:
    arn = stored(secrets_manager, SecretString=SECRET)
    with source(arn, max_age_s=0) as secret:
        assert secret() == SECRET.encode()
        secrets_manager.put_secret_value(SecretId=arn, SecretString=NEXT)
        assert secret() == NEXT.encode()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"SecretString": "too short 12345"}, "is shorter than 16 characters"),
        ({"SecretString": " " * 40}, "is shorter than 16 characters"),
        ({"SecretString": json.dumps({"key": SECRET})}, "is a JSON object"),
        ({"SecretBinary": SECRET.encode()}, "is binary"),
    ],
)
def test_what_is_no_key_is_refused_without_being_told(
    secrets_manager: SecretsManagerClient, value: dict[str, Any], what: str
) -> None:
    arn = stored(secrets_manager, **value)
    with source(arn) as secret:
        error = failure(secret)
    assert str(error) == (
        f"SECRET_UNUSABLE: the webhook's secret {arn.split(':', 5)[5]} {what}; "
        "store the key alone, as plain text of 32 random characters"
    )
    assert not error.retryable


def test_a_secret_and_a_parameter_that_are_not_there_are_named(
    secrets_manager: SecretsManagerClient, parameter_store: SSMClient
) -> None:
    del secrets_manager, parameter_store
    with source(SECRETS_ARN) as secret:
        error = failure(secret)
    assert (error.code, error.retryable) == ("ResourceNotFoundException", False)
    assert str(error).startswith("ResourceNotFoundException: the webhook's secret secret:hook-AbCdEf: ")
    with source(PARAMETER_ARN) as secret:
        error = failure(secret)
    assert (error.code, error.retryable) == ("ParameterNotFound", False)
    assert str(error).startswith("ParameterNotFound: the webhook's secret parameter/calls/hook: ")


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(400, "AccessDeniedException", False), (400, "ThrottlingException", True), (500, "InternalServiceError", True)],
)
@pytest.mark.parametrize(
    ("variable", "arn"), [("AWS_ENDPOINT_URL_SECRETS_MANAGER", SECRETS_ARN), ("AWS_ENDPOINT_URL_SSM", PARAMETER_ARN)]
)
def test_a_store_that_refuses_says_whether_another_try_may_help(
    wire_server: Callable[[Handler], WireServer],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    arn: str,
    status: int,
    code: str,
    *,
    retryable: bool,
) -> None:
    def refuse(http: Exchange) -> None:
        http.respond(status, json.dumps({"__type": code, "message": "no"}).encode())

    monkeypatch.setenv(variable, wire_server(refuse).url)
    with source(arn) as secret:
        error = failure(secret)
    assert (error.code, error.retryable) == (code, retryable)


def test_a_store_that_cannot_be_reached_is_worth_another_try(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", wire_server(lambda http: http.reset()).url)
    with source(SECRETS_ARN) as secret:
        error = failure(secret)
    assert (error.code, error.retryable) == ("ConnectionError", True)


@pytest.mark.parametrize(
    ("variable", "arn"), [("AWS_ENDPOINT_URL_SECRETS_MANAGER", SECRETS_ARN), ("AWS_ENDPOINT_URL_SSM", PARAMETER_ARN)]
)
def test_a_store_that_answers_nothing_gives_no_key(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch, variable: str, arn: str
) -> None:
    monkeypatch.setenv(variable, wire_server(lambda http: http.respond_json({})).url)
    with source(arn) as secret:
        error = failure(secret)
    name = arn.split(":", 5)[5]
    assert str(error) == f"SECRET_UNUSABLE: the webhook's secret {name}: the store's answer holds no text"
    assert not error.retryable


def test_it_is_asked_for_by_its_arn_decrypted(
    wire_server: Callable[[Handler], WireServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"Parameter": {"Value": SECRET}, "SecretString": SECRET}
    server = wire_server(lambda http: http.respond_json(answer))
    for variable in ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM"):
        monkeypatch.setenv(variable, server.url)
    for arn in (SECRETS_ARN, PARAMETER_ARN):
        with source(arn) as secret:
            secret()
            secret()
    assert [(request.headers["x-amz-target"], request.json()) for request in server.requests] == [
        ("secretsmanager.GetSecretValue", {"SecretId": SECRETS_ARN}),
        ("AmazonSSM.GetParameter", {"Name": PARAMETER_ARN, "WithDecryption": True}),
    ]
