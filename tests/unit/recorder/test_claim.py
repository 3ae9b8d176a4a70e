"""The claim decides who records: one execution a streaming, whoever else tries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.core.manifest import Reason
from connect_audio.ports import ObjectKind
from connect_audio.recorder import AlreadyPublished, Granted, HandOver, OutcomeStatus, Policy, Refused
from connect_audio.recorder.claim import Refusal
from connect_audio_local.synthesis.calls import Gap
from support.calls import call
from support.log_lines import LogLines
from support.world import EXECUTION, NAMES, World, finish, world

RIVAL = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live/durable-execution/second/2"


def short() -> World:
    return world(call(20, gaps=(Gap(at_ms=5120, length_ms=3000),)), policy=Policy(drain=0))


def test_a_claim_is_granted_once_and_again_to_the_same_execution() -> None:
    at = short()
    assert at.claim() == Granted(retention_hours=24)
    assert at.claim() == Granted(retention_hours=24, repairs=1)
    assert at.store.objects[NAMES.claim][0] == EXECUTION.encode()


def test_another_execution_is_refused_and_touches_nothing() -> None:
    at = short()
    at.claim()
    before = dict(at.store.objects)
    assert replace(at, execution=RIVAL).claim() == Refused(reason=Refusal.CLAIMED)
    assert at.store.objects == before


def test_what_was_recorded_already_is_refused_and_no_claim_remains() -> None:
    at = short()
    at.run()
    before = dict(at.store.objects)
    assert replace(at, execution=RIVAL).claim() == Refused(reason=Refusal.ALREADY_RECORDED)
    assert at.store.objects == before


@pytest.mark.parametrize("call_of_s3", ["head", "get"])
@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_claim_that_goes_between_two_looks_is_looked_for_again(
    is_recorded: bool,  # noqa: FBT001
    call_of_s3: str,
) -> None:
    at = short()
    at.claim()

    def goes(name: str) -> None:
        if name == call_of_s3:
            at.store.before_call = lambda _name: None
            del at.store.objects[NAMES.claim]
            if is_recorded:
                at.store.objects[NAMES.key] = (b"recorded", {"execution": EXECUTION})

    at.store.before_call = goes
    claim = replace(at, execution=RIVAL).claim()
    assert claim == (Refused(reason=Refusal.ALREADY_RECORDED) if is_recorded else Granted(retention_hours=24))


@pytest.mark.parametrize(("code", "retryable"), [("AccessDenied", False), ("SlowDown", True), ("NoSuchKey", True)])
def test_a_claim_that_cannot_be_read_is_not_taken_for_one_that_is_gone(
    code: str,
    retryable: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = short()
    at.claim()

    def refused(_key: str) -> bytes:
        raise StorageError(code, "no", retryable=retryable)

    monkeypatch.setattr(at.store, "get", refused)
    with pytest.raises(StorageError) as error:
        replace(at, execution=RIVAL).claim()
    assert error.value.code == code


def test_a_retention_that_cannot_be_read_hinders_nothing() -> None:
    at = short()
    at.source.retention = MediaSourceError("NotAuthorizedException", "no", retryable=False)
    at.logger = log = LogLines()
    assert at.claim() == Granted(retention_hours=None)
    assert log.of("retention of the stream unknown") == [("warning", {"code": "NotAuthorizedException"})]
    assert len(log.lines) == 1
    assert at.run().outcome.status is OutcomeStatus.COMPLETE


@pytest.mark.parametrize(("hours", "warns"), [(0, True), (1, False)])
def test_a_stream_without_retention_is_warned_of(hours: int, warns: bool) -> None:  # noqa: FBT001
    at = short()
    at.source.retention = hours
    at.logger = log = LogLines()
    assert at.claim() == Granted(retention_hours=hours)
    assert [level for level, _ in log.of("stream without retention")] == ["warning"] * warns


def test_a_claim_tells_that_an_execution_whose_work_goes_on_had_published_what_it_had() -> None:
    at = world(call(60), read_s=1.0, policy=Policy(drain=0))
    results = [at.step(at.granted().checkpoint(), budget_s=20)]
    assert isinstance(results[0].next, HandOver)
    put = at.store.put

    def refuse(key: str, body: bytes, kind: ObjectKind) -> None:
        if key == NAMES.manifest:
            raise StorageError("AccessDenied", "no", retryable=False)
        put(key, body, kind)

    at.store.put = refuse  # type: ignore[assignment, method-assign]
    reasons = [Reason("STEP_FAILED", "for good")]
    with pytest.raises(StorageError):
        finish(at, results, reasons=reasons)
    at.store.put = put  # type: ignore[method-assign]
    wav = at.store.objects[NAMES.key]
    assert at.claim() == AlreadyPublished(repairs=1)
    outcome = finish(at, results, reasons=reasons)
    assert (outcome.status, outcome.reasons) == (OutcomeStatus.PARTIAL, ("STEP_FAILED",))
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.objects[NAMES.key] == wav
