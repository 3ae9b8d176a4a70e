"""The cut-down data for botocore: the same words as botocore's own, fewer of them."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.loaders import Loader
from botocore.stub import Stubber

from connect_audio.adapters.aws_session import SERVICE_MODELS, CutDownLoader, aws_session
from connect_audio.adapters.contact_status import CONNECT_CONFIG, ConnectContactStatus
from connect_audio.ports import ContactState
from support.examples import few_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.awsrequest import AWSPreparedRequest

OPERATIONS = {
    "connect": {"DescribeContact"},
    "events": {"PutEvents"},
    "kinesis-video-archived-media": {"GetMediaForFragmentList", "ListFragments"},
    "kinesis-video-media": {"GetMedia"},
    "kinesisvideo": {"DescribeStream", "GetDataEndpoint"},
    "lambda": {
        "CheckpointDurableExecution",
        "GetDurableExecution",
        "GetDurableExecutionState",
        "Invoke",
        "SendDurableExecutionCallbackSuccess",
    },
    "s3": {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "CreateSession",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    },
    "secretsmanager": {"GetSecretValue"},
    "ssm": {"GetParameter"},
}
CUT_MEMBERS = {
    ("connect", "Contact"): {"DisconnectTimestamp", "Id", "Recordings"},
    ("connect", "RecordingInfo"): {
        "FragmentStartNumber",
        "FragmentStopNumber",
        "Location",
        "MediaStreamType",
        "StorageType",
    },
}
SERVICES = sorted(OPERATIONS)
# A developer's roles are found by the same table.
IN_TABLE = {"connect", "events", "kinesisvideo", "lambda", "s3", "secretsmanager", "ssm", "sts"}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "connect": ("describe_contact", {"InstanceId": "i", "ContactId": "c"}),
    "events": ("put_events", {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}),
    "kinesis-video-archived-media": ("list_fragments", {"StreamName": "s"}),
    "kinesis-video-media": (
        "get_media",
        {"StreamName": "s", "StartSelector": {"StartSelectorType": "NOW"}},
    ),
    "kinesisvideo": ("describe_stream", {"StreamName": "s"}),
    "lambda": ("invoke", {"FunctionName": "f"}),
    "s3": ("get_object", {"Bucket": "recordings", "Key": "k"}),
    "secretsmanager": ("get_secret_value", {"SecretId": "s"}),
    "ssm": ("get_parameter", {"Name": "p"}),
    "sts": ("get_caller_identity", {}),
}
REGIONS = ["us-east-1", "eu-west-2", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eu-region-not-yet-known-1"]


@pytest.fixture(scope="module")
def botocores() -> Loader:
    """botocore's own data, without what the user has."""
    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


@pytest.fixture(scope="module")
def cut() -> boto3.Session:
    return _session(CutDownLoader([Loader.BUILTIN_DATA_PATH]))


@pytest.fixture(scope="module")
def whole(botocores: Loader) -> boto3.Session:
    return _session(botocores)


def _session(loader: Loader) -> boto3.Session:
    core = botocore.session.Session()
    core.register_component("data_loader", loader)
    return boto3.Session(botocore_session=core, aws_access_key_id="testing", aws_secret_access_key="testing")


def _file(service: str, version: str) -> dict[str, Any]:
    model: dict[str, Any] = json.loads((SERVICE_MODELS / service / version / "service-2.json").read_text("utf-8"))
    return model


def _undocumented(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _undocumented(each)
            for key, each in value.items()
            if not (key in {"documentation", "documentationUrl"} and isinstance(each, str))
        }
    return [_undocumented(each) for each in value] if isinstance(value, list) else value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def test_there_is_a_model_of_each_service_in_question_and_of_no_other() -> None:
    assert sorted(path.name for path in SERVICE_MODELS.iterdir() if path.is_dir()) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_models_operations_and_shapes_are_botocores_own(service: str, botocores: Loader) -> None:
    version = botocores.determine_latest_version(service, "service-2")
    assert [path.name for path in (SERVICE_MODELS / service).iterdir()] == [version]
    ours = _file(service, version)
    theirs = {**botocores.load_data(f"{service}/{version}/service-2")}
    theirs.pop("documentation", None)
    theirs.update(operations=_undocumented(theirs["operations"]), shapes=_undocumented(theirs["shapes"]))
    assert set(ours["operations"]) == OPERATIONS[service]
    assert ours["operations"] == {name: theirs["operations"][name] for name in ours["operations"]}
    assert set(ours) == set(theirs)
    for key in set(ours) - {"operations", "shapes"}:
        assert ours[key] == theirs[key]
    for name, shape in ours["shapes"].items():
        expected = theirs["shapes"][name]
        if (service, name) in CUT_MEMBERS:
            members = {each: expected["members"][each] for each in CUT_MEMBERS[service, name]}
            expected = {**expected, "members": members}
        assert shape == expected, name


@pytest.mark.parametrize("service", SERVICES)
def test_a_model_holds_each_shape_that_it_refers_to_and_no_other(service: str, botocores: Loader) -> None:
    ours = _file(service, botocores.determine_latest_version(service, "service-2"))
    assert set(_references(ours)) == set(ours["shapes"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_gets_botocores_endpoint_rules_paginators_and_extras(service: str, botocores: Loader) -> None:
    loader = CutDownLoader([Loader.BUILTIN_DATA_PATH])
    for type_name in ("endpoint-rule-set-1", "paginators-1"):
        assert loader.load_service_model(service, type_name) == botocores.load_service_model(service, type_name)
    ours = loader.load_service_model(service, "service-2")
    theirs = botocores.load_service_model(service, "service-2")
    for name in ("Expires",) if service == "s3" else ():  # what the extras add
        assert ours["shapes"][name] == theirs["shapes"][name]


def test_the_table_of_endpoints_is_botocores_for_our_services(botocores: Loader) -> None:
    ours = json.loads((SERVICE_MODELS / "endpoints.json").read_text("utf-8"))
    theirs = botocores.load_data("endpoints")
    assert {name for partition in ours["partitions"] for name in partition["services"]} == IN_TABLE
    expected = [
        {**each, "services": {name: entry for name, entry in each["services"].items() if name in IN_TABLE}}
        for each in theirs["partitions"]
    ]
    assert ours == {**theirs, "partitions": expected}


@pytest.mark.parametrize("options", [{}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}], ids=str)
@pytest.mark.parametrize("service", few_of(sorted(CALLS)))
def test_a_request_goes_to_the_same_address_with_the_same_scope_as_from_botocores_own_client(
    service: str, options: dict[str, bool], cut: boto3.Session, whole: boto3.Session
) -> None:
    config = Config(retries={"total_max_attempts": 1}, **options)  # type: ignore[arg-type]
    sent = {region: _sent(cut, service, region, config) for region in REGIONS}
    assert sent == {region: _sent(whole, service, region, config) for region in REGIONS}
    assert any(scope for _, scope in sent.values())


def _sent(session: boto3.Session, service: str, region: str, config: Config) -> tuple[str, str]:
    """The address of a request and the scope in its signature, behind the date; an error's name if none is sent."""
    requests: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        requests.append(request)
        return AWSResponse(request.url, 400, HTTPHeaders(), None)

    method, parameters = CALLS[service]
    try:
        client: Any = session.client(service, region_name=region, config=config)  # type: ignore[call-overload]
        with closing(client):
            client.meta.events.register("before-send", answer)
            getattr(client, method)(**parameters)
    except Exception as error:  # noqa: BLE001 - whatever botocore says of it, it says it of both
        if not requests:
            return type(error).__name__, ""
    authorization = requests[0].headers["Authorization"]
    if isinstance(authorization, bytes):
        authorization = authorization.decode()
    return str(requests[0].url), authorization.partition("Credential=testing/")[2].partition(",")[0][9:]


@pytest.mark.parametrize("name", ["list_objects_v2", "list_multipart_uploads"])
def test_the_paginators_of_the_store_are_there(name: Any, cut: boto3.Session) -> None:
    with closing(cut.client("s3", region_name="eu-west-2")) as client:
        assert client.can_paginate(name)


def test_another_service_is_there_as_a_whole(cut: boto3.Session, whole: boto3.Session) -> None:
    with (
        closing(cut.client("sts", region_name="eu-west-2")) as ours,
        closing(whole.client("sts", region_name="eu-west-2")) as theirs,
    ):
        assert ours.meta.service_model.operation_names == theirs.meta.service_model.operation_names


@pytest.fixture
def users(tmp_path: Path, botocores: Loader) -> CutDownLoader:
    """A loader with a user's own data in AWS_DATA_PATH: a model of S3 and a table of endpoints."""
    model = botocores.load_data("s3/2006-03-01/service-2")
    (tmp_path / "s3" / "2006-03-01").mkdir(parents=True)
    metadata = {**model["metadata"], "serviceFullName": "S3 of the user"}
    (tmp_path / "s3" / "2006-03-01" / "service-2.json").write_text(json.dumps({**model, "metadata": metadata}))
    (tmp_path / "endpoints.json").write_text(json.dumps(botocores.load_data("endpoints")))
    return CutDownLoader([str(tmp_path), Loader.BUILTIN_DATA_PATH])


def test_a_users_own_data_comes_before_ours(users: CutDownLoader, tmp_path: Path) -> None:
    assert users.load_service_model("s3", "service-2")["metadata"]["serviceFullName"] == "S3 of the user"
    _, path = users.load_data_with_path("endpoints")
    assert path == str(tmp_path / "endpoints")
    assert not users.is_builtin_path(path)


def test_our_table_of_endpoints_does_not_replace_the_services_endpoint_rules() -> None:
    loader = CutDownLoader([Loader.BUILTIN_DATA_PATH])
    _, path = loader.load_data_with_path("endpoints")
    assert path == str(SERVICE_MODELS / "endpoints")
    assert loader.is_builtin_path(path)


def test_the_recorder_understands_the_answer_of_the_cut_down_connect() -> None:
    session = aws_session()
    with closing(
        session.client(
            "connect",
            region_name="eu-west-2",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=CONNECT_CONFIG,
        )
    ) as client:
        assert client.meta.service_model.operation_names == ["DescribeContact"]
        with Stubber(client) as stubber:
            ended = {"Contact": {"DisconnectTimestamp": datetime(2026, 1, 2, tzinfo=UTC)}}
            stubber.add_response("describe_contact", ended, {"InstanceId": "instance", "ContactId": "contact"})
            status = ConnectContactStatus(client, logging.getLogger("status"))
            answer = status.describe("instance", "contact", stream_arn="arn", start_fragment=None)
            assert answer.state is ContactState.DISCONNECTED
