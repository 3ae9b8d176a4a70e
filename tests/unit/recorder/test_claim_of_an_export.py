"""An export's claim gives way: whoever meets it records the call, or publishes what the export had recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest

from connect_audio.core.errors import OUTSIDE_RETENTION, LateRecordingError, MediaSourceError, StorageError
from connect_audio.ports import ObjectKind
from connect_audio.recorder import Granted, Policy, Refused
from connect_audio.recorder.claim import Claimant, Refusal, claim_recording
from connect_audio.recorder.claim_object import read_claim
from connect_audio.recorder.late_recording import LateFailure
from support.calls import call
from support.killed import KilledError, kill_before
from support.late import Listing, record
from support.log_lines import LogLines
from support.store import MemoryStore
from support.wav import wav_of_call
from support.world import EXECUTION, NAMES, REQUEST, World, world

OURS: Final = call(8)
EXPORT: Final = f"export:{REQUEST.execution_name}"


def in_one_put() -> World:
    at = world(OURS, policy=Policy(drain=0))
    at.clock.pass_by(3600)
    return at


def in_parts() -> World:
    return replace(in_one_put(), store=MemoryStore(least_part_bytes=1), policy=Policy(drain=0, part_bytes=96_000))


def manifest_of(store: MemoryStore) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(store.objects[NAMES.manifest][0])
    return manifest


def killed(at: World, before: int) -> bool:
    """Kill an export before a call of the store. False if it ends before that."""
    kill_before(at.store, before)
    try:
        record(at)
    except KilledError:
        return True
    finally:
        at.store.before_call = lambda _name: None
    return False


def killed_while_recording(at: World) -> None:
    for before in range(1, 50):
        assert killed(at, before)
        claim = read_claim(at.store, NAMES)
        if claim is not None and claim.gives_way:
            return
    raise AssertionError("the export never claims")


def killed_with_a_plan(at: World) -> None:
    for before in range(1, 80):
        assert killed(at, before)
        claim = read_claim(at.store, NAMES)
        if claim is not None and claim.plan is not None:
            return
    raise AssertionError("the export never plans")


def ends_as_it_should(at: World) -> None:
    """One whole recording, and nothing beside it."""
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}
    assert at.store.uploads == {}
    assert at.store.objects[NAMES.key][0] == wav_of_call(OURS)
    assert manifest_of(at.store)["status"] == "complete"


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_an_execution_takes_the_claim_of_a_killed_export_over_and_records_the_call(make: Callable[[], World]) -> None:
    at = make()
    killed_while_recording(at)
    at.logger = log = LogLines()
    assert at.claim() == Granted(retention_hours=24)
    assert at.store.objects[NAMES.claim][0] == EXECUTION.encode()
    assert log.of("the claim of an export is taken over") == [("info", {})]
    assert at.claim() == Granted(retention_hours=24, repairs=1)
    at.store.objects.pop(NAMES.claim)
    at.run()
    ends_as_it_should(at)


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_an_execution_publishes_what_a_killed_export_had_recorded(make: Callable[[], World]) -> None:
    at = make()
    killed_with_a_plan(at)
    # The stream has nothing any more.
    at.source.fragments = []
    at.logger = log = LogLines()
    assert at.claim() == Refused(reason=Refusal.ALREADY_RECORDED)
    assert log.of("an export's recording is published for it") == [("info", {})]
    ends_as_it_should(at)


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_an_execution_may_come_at_any_call_of_an_export(make: Callable[[], World]) -> None:
    """It records to its end in the middle of the export, which then goes on."""
    at_call, answers = 0, list[type]()
    while True:
        at_call += 1
        at = make()
        # The execution reads the stream at the same time, through a connection of its own.
        consumer = replace(make(), store=at.store)
        kill_before(at.store, at_call)
        count = at.store.before_call
        came: list[type] = []

        def comes(
            name: str,
            at: World = at,
            consumer: World = consumer,
            count: Callable[[str], None] = count,
            came: list[type] = came,
        ) -> None:
            try:
                count(name)
            except KilledError:
                at.store.before_call = lambda _name: None
                claim = consumer.claim()
                came.append(type(claim))
                if isinstance(claim, Granted):
                    consumer.run()

        at.store.before_call = comes
        with suppress(LateRecordingError):
            record(at)
        ends_as_it_should(at)
        if not came:
            break
        answers += came
    assert at_call > 12
    assert set(answers) == {Granted, Refused}


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_helper_may_be_killed_anywhere_and_the_next_one_makes_it_good(make: Callable[[], World]) -> None:
    at_call = 0
    while True:
        at_call += 1
        at = make()
        killed_with_a_plan(at)
        at.source.fragments = []
        kill_before(at.store, at_call)
        try:
            claim_recording(at.ports())
        except KilledError:
            at.store.before_call = lambda _name: None
            assert record(at, gone(at)).status in {"complete", "exists"}
            # The helper's own claim may be there already.
            assert at.claim() == Refused(reason=Refusal.ALREADY_RECORDED)
        else:
            break
        ends_as_it_should(at)
    assert at_call > 8


def gone(at: World) -> Listing:
    return Listing(at, MediaSourceError(OUTSIDE_RETENTION, "the stream keeps less", retryable=False))


def test_an_export_that_comes_late_leaves_a_repaired_recording_as_it_is() -> None:
    at = in_one_put()
    late: list[str] = []

    def meanwhile(name: str) -> None:
        """Before the export's manifest: another one has published for it, and a repair has replaced both."""
        if name == "put_new" and NAMES.key in at.store.objects:
            late.append(name)
            at.store.objects[NAMES.manifest] = (b'{"status": "repaired"}', {})
            del at.store.objects[NAMES.claim]

    at.store.before_call = meanwhile
    record(at)
    assert late == ["put_new"]
    assert at.store.objects[NAMES.manifest][0] == b'{"status": "repaired"}'
    assert set(at.store.objects) == {NAMES.key, NAMES.manifest}


def test_an_export_replaces_the_manifest_of_a_recording_without_audio() -> None:
    at = in_one_put()
    at.store.objects[NAMES.manifest] = (b'{"status": "empty"}', {})
    record(at)
    ends_as_it_should(at)


def test_an_export_does_not_take_the_claim_of_another_one_that_is_recording() -> None:
    at = in_one_put()
    killed_while_recording(at)
    before = dict(at.store.objects)
    assert claim_recording(replace(at, execution="export:another").ports(), Claimant.EXPORT) == Refused(
        reason=Refusal.CLAIMED
    )
    assert at.store.objects == before


def test_an_export_publishes_for_another_one() -> None:
    at = in_one_put()
    killed_with_a_plan(at)
    ports = replace(at, execution="export:another").ports()
    assert claim_recording(ports, Claimant.EXPORT) == Refused(reason=Refusal.ALREADY_RECORDED)
    ends_as_it_should(at)


def test_a_repair_takes_a_claim_over_and_leaves_a_plan_to_others() -> None:
    at = in_one_put()
    killed_while_recording(at)
    assert isinstance(claim_recording(replace(at, execution="repair#1").ports(), Claimant.REPAIR), Granted)
    at = in_one_put()
    killed_with_a_plan(at)
    before = dict(at.store.objects)
    ports = replace(at, execution="repair#1").ports()
    assert claim_recording(ports, Claimant.REPAIR) == Refused(reason=Refusal.CLAIMED)
    assert at.store.objects == before


@pytest.mark.parametrize("plan", ['{"version": 99}', "{}", "[", '{"version": 1, "recorded": {}}'])
def test_a_plan_of_another_version_is_left_to_its_export(plan: str) -> None:
    at = in_one_put()
    at.store.put(NAMES.claim, f"{EXPORT}\n{plan}".encode(), ObjectKind("text/plain"))
    before = dict(at.store.objects)
    at.logger = log = LogLines()
    assert at.claim() == Refused(reason=Refusal.CLAIMED)
    assert at.store.objects == before
    assert [level for level, _ in log.of("the plan of an export is of another version")] == ["warning"]


def test_a_plan_whose_upload_is_gone_lets_the_execution_record_by_itself() -> None:
    at = in_parts()
    killed_with_a_plan(at)
    at.store.uploads.clear()
    assert isinstance(at.claim(), Granted)
    assert at.store.objects[NAMES.claim][0] == EXECUTION.encode()


def test_an_export_whose_claim_was_taken_over_writes_nothing() -> None:
    at = in_parts()

    def taken(name: str) -> None:
        if name == "create_upload":
            at.store.before_call = lambda _name: None
            assert isinstance(at.claim(), Granted)

    at.store.before_call = taken
    with pytest.raises(LateRecordingError, match="is being recorded by another program") as refused:
        record(at)
    assert refused.value.why is LateFailure.CLAIMED
    assert NAMES.key not in at.store.objects
    assert at.store.objects[NAMES.claim][0] == EXECUTION.encode()


def test_a_failure_of_s3_is_no_loss_of_the_claim() -> None:
    at = in_one_put()

    def fails(name: str) -> None:
        if name == "put":
            raise StorageError("SlowDown", name, retryable=True)

    at.store.before_call = fails
    with pytest.raises(StorageError):
        record(at)
    claim = read_claim(at.store, NAMES)
    assert claim is not None
    assert claim.gives_way


def comes_at(at: World, call_number: int, comes: Callable[[], object]) -> list[bool]:
    """Let another program come before one call of the store. The list is empty until it has come."""
    came: list[bool] = []
    kill_before(at.store, call_number)
    count = at.store.before_call

    def before(name: str) -> None:
        try:
            count(name)
        except KilledError:
            at.store.before_call = lambda _name: None
            came.append(True)
            comes()

    at.store.before_call = before
    return came


def killed_at_its_plan(at: World) -> None:
    """Run an export, and kill it once its plan is in the claim."""

    def dies(_name: str) -> None:
        if b'"recorded"' in at.store.objects.get(NAMES.claim, (b"",))[0]:
            raise KilledError

    at.store.before_call = dies
    with suppress(KilledError, LateRecordingError):
        record(at)
    at.store.before_call = lambda _name: None


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_plan_outlives_another_run_of_its_own_export(make: Callable[[], World]) -> None:
    """The other run is under way, and the stream is empty from then on."""
    for call_number in range(1, 100):
        at = make()
        # The runs read the stream at the same time, each through a connection of its own.
        another = replace(make(), store=at.store)
        came = comes_at(at, call_number, lambda another=another: killed_at_its_plan(another))  # type: ignore[misc]
        with suppress(LateRecordingError):
            record(at)
        if not came:
            break
        with suppress(LateRecordingError):
            record(at, gone(at))
        ends_as_it_should(at)
    assert call_number > 12


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_two_runs_of_one_export_leave_one_recording(make: Callable[[], World]) -> None:
    for call_number in range(1, 100):
        at = make()
        another = replace(make(), store=at.store)
        came = comes_at(at, call_number, lambda another=another: record(another))  # type: ignore[misc]
        with suppress(LateRecordingError):
            record(at)
        ends_as_it_should(at)
        if not came:
            break
    assert call_number > 12


def test_a_later_run_takes_the_claim_of_its_own_export_over() -> None:
    at = in_one_put()
    killed_while_recording(at)
    first = read_claim(at.store, NAMES)
    assert first is not None

    def dies(_name: str) -> None:
        if at.store.objects[NAMES.claim][0] != f"{first.holder}\nexport".encode():
            raise KilledError

    at.store.before_call = dies
    with pytest.raises(KilledError):
        record(at)
    at.store.before_call = lambda _name: None
    second = read_claim(at.store, NAMES)
    assert second is not None
    assert (first.owner, first.gives_way) == (second.owner, second.gives_way) == (EXPORT, True)
    assert first.holder != second.holder


def test_a_run_that_fails_for_good_deletes_what_an_earlier_one_left() -> None:
    at = in_one_put()
    killed_while_recording(at)
    with pytest.raises(LateRecordingError) as failed:
        record(at, gone(at))
    assert failed.value.why is LateFailure.TOO_OLD
    assert at.store.objects == {}


def staged_audio(at: World) -> list[str]:
    return [key for key in at.store.objects if ".wav.staging/part-" in key]


@pytest.mark.parametrize("make", [in_one_put, in_parts])
def test_a_plan_whose_staged_audio_is_gone_lets_the_execution_record_by_itself(make: Callable[[], World]) -> None:
    """A bucket's lifecycle deletes what is older than the plan."""
    at = make()
    killed_at_its_plan(at)
    for key in staged_audio(at):
        del at.store.objects[key]
    assert isinstance(at.claim(), Granted)
    assert at.store.objects[NAMES.claim][0] == EXECUTION.encode()


def test_two_that_publish_one_plan_in_a_bucket_whose_etags_are_no_checksums() -> None:
    """With a KMS key each upload of a part has an ETag of its own."""
    at = in_parts()
    at.store.own_etags = True
    killed_at_its_plan(at)
    failed: list[StorageError] = []

    def other(name: str) -> None:
        """Another program uploads the same part between this one's and the completion."""
        if name == "complete_upload":
            at.store.before_call = lambda _name: None
            (upload_id,) = at.store.uploads
            part = at.store.uploads[upload_id][2][1]
            at.store.upload_part(NAMES.key, upload_id, 1, part)

    at.store.before_call = other
    try:
        at.claim()
    except StorageError as error:
        failed.append(error)
    assert [(each.code, each.retryable) for each in failed] == [("InvalidPart", True)]
    assert at.claim() == Refused(reason=Refusal.ALREADY_RECORDED)
    ends_as_it_should(at)


def test_an_upload_that_a_late_program_creates_for_a_plan_does_not_stay_open() -> None:
    """Between its creation and its first part another one has published, and a repair holds the claim."""
    at = replace(in_parts(), policy=Policy(drain=0, part_bytes=160_000))
    killed_at_its_plan(at)
    assert at.store.uploads == {}
    ports = replace(at, execution="export:another#1").ports()

    def meanwhile(name: str) -> None:
        if name == "get" and at.store.uploads:
            at.store.before_call = lambda _name: None
            own = dict(at.store.uploads)
            at.claim()
            at.store.uploads.update(own)
            at.store.objects[NAMES.claim] = (b"repair#1", {})

    at.store.before_call = meanwhile
    claim_recording(ports, Claimant.EXPORT)
    assert at.store.objects.pop(NAMES.claim) == (b"repair#1", {})
    ends_as_it_should(at)


def test_a_claim_that_an_earlier_run_left_beside_a_recording_is_deleted() -> None:
    at = in_one_put()
    record(at)
    at.store.put(NAMES.claim, f"{EXPORT}#dead\nexport".encode(), ObjectKind("text/plain"))
    assert record(at).status == "exists"
    ends_as_it_should(at)


def test_a_claim_of_another_export_beside_a_recording_is_left_alone() -> None:
    at = in_one_put()
    record(at)
    at.store.put(NAMES.claim, b"export:another#1\nexport", ObjectKind("text/plain"))
    assert record(at).status == "exists"
    assert at.store.objects.pop(NAMES.claim)[0] == b"export:another#1\nexport"
    ends_as_it_should(at)
