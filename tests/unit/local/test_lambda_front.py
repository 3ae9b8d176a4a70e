"""The front's functions that are not durable: they answer at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from connect_audio_local.lambda_.server import EndedExecution, LambdaFront

ENDED = EndedExecution(
    arn="arn:aws:lambda:eu-west-2:123456789012:function:consumer:7/durable-execution/call/1",
    status="FAILED",
    payload={"a": 1},
    started_ms=1_764_000_000_000,
    ended_ms=1_764_000_060_500,
)


def echo(event: Any) -> Any:
    if event == "fail":
        raise ValueError("no such thing")
    return {"was": event}


@pytest.fixture
def client() -> Iterator[Any]:
    with (
        LambdaFront(lambda _name, _payload: None, handlers={"echo": echo}, ended=[ENDED]) as front,
        closing(
            boto3.client(
                "lambda",
                endpoint_url=front.url,
                region_name="eu-west-2",
                aws_access_key_id="x",
                aws_secret_access_key="x",
            )
        ) as made,
    ):
        yield made


def test_a_function_answers_with_what_its_handler_returns(client: Any) -> None:
    answer = client.invoke(FunctionName="echo", Payload=json.dumps({"a": 1}))
    assert (answer["StatusCode"], json.loads(answer["Payload"].read())) == (200, {"was": {"a": 1}})
    assert "FunctionError" not in answer


def test_an_exception_of_the_handler_is_the_functions_error(client: Any) -> None:
    answer = client.invoke(FunctionName="echo", Payload=json.dumps("fail"))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read()) == {"errorMessage": "no such thing", "errorType": "ValueError"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"Payload": b"no JSON"}, "InvalidRequestContentException"),
        ({"InvocationType": "Event", "Payload": b"{}"}, "InvalidParameterValueException"),
    ],
)
def test_a_request_that_it_cannot_answer_is_refused(client: Any, request_: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke(FunctionName="echo", **request_)
    assert caught.value.response["Error"]["Code"] == code


def test_an_execution_of_before_is_shown_as_the_service_shows_it(client: Any) -> None:
    shown = client.get_durable_execution(DurableExecutionArn=ENDED.arn, IncludeExecutionData=True)

    function = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:7"
    assert (shown["FunctionArn"], shown["Version"], shown["DurableExecutionName"]) == (function, "7", "call")
    assert (shown["DurableExecutionArn"], shown["Status"]) == (ENDED.arn, "FAILED")
    assert json.loads(shown["InputPayload"]) == {"a": 1}
    assert shown["StartTimestamp"].timestamp() == 1_764_000_000
    assert (shown["EndTimestamp"] - shown["StartTimestamp"]).total_seconds() == 60.5


def test_an_execution_that_it_does_not_know_is_not_found(client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_durable_execution(DurableExecutionArn=f"{ENDED.arn}0")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
