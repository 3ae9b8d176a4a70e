"""`connect-audio export --search`: the calls that Connect's own search finds, within its limits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
import pytest

from connect_audio_cli.export.contact_search import rows_of_search
from connect_audio_cli.output.command_error import CommandError
from connect_audio_local.kvs import EmulatedStream, KvsEmulator, Limits, ManualClock, stored
from connect_audio_local.synthesis.calls import DEFAULT_INSTANCE_ID, DEFAULT_START_MS
from support.calls import call, fragments
from support.command import Finished, run_here
from support.wav import same_wav, wav_of_call

if TYPE_CHECKING:
    from connect_audio_cli.export.rows import Row

INSTANCE: Final = f"arn:aws:connect:eu-west-2:123456789012:instance/{DEFAULT_INSTANCE_ID}"
HELP: Final = "(see connect-audio export --help)"


def contact(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


CALLS: Final = [
    call(3, contact_id=contact(at), start_ms=DEFAULT_START_MS + after_s * 1000, seed=at)
    for at, after_s in enumerate((0, 20, 40, 10))
]


@pytest.fixture
def emulator(kvs_emulator: KvsEmulator) -> KvsEmulator:
    kvs_emulator.add_stream(EmulatedStream("calls-1", stored(fragments(*CALLS[:3]))))
    kvs_emulator.add_stream(EmulatedStream("calls-2", stored(fragments(CALLS[3]))))
    return kvs_emulator


def time_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def export(folder: Path, from_s: int, to_s: int, *options: str | Path) -> Finished:
    times = ("--from", time_of(DEFAULT_START_MS + from_s * 1000), "--to", time_of(DEFAULT_START_MS + to_s * 1000))
    return run_here("export", "--search", "--instance", INSTANCE, *times, "-o", folder, *options)


@pytest.mark.usefixtures("emulator")
def test_the_calls_of_a_search_are_recorded_under_the_functions_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connect_audio_cli.export.contact_search._SEARCH_EVERY_S", 0.0)
    monkeypatch.setattr("connect_audio_cli.export.contact_search._DESCRIBE_EVERY_S", 0.0)
    finished = export(tmp_path, 1, 30, "--json")

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out) == {"calls": 2, "statuses": {"complete": 2}}
    for each in (CALLS[1], CALLS[3]):
        [wav] = tmp_path.rglob(f"{each.contact_id}_*.wav")
        assert same_wav(wav.read_bytes(), wav_of_call(each))


@pytest.mark.usefixtures("emulator")
def test_the_call_of_a_contact_is_recorded_from_the_stream_that_connect_names(tmp_path: Path) -> None:
    finished = run_here("export", "--contact-id", contact(1), "--instance", INSTANCE, "-o", tmp_path, "--json")

    assert (finished.code, finished.err, json.loads(finished.out)["status"]) == (0, "", "complete")
    [wav] = tmp_path.rglob("*.wav")
    assert same_wav(wav.read_bytes(), wav_of_call(CALLS[1]))


def test_a_contact_without_a_stream_and_one_that_is_none_are_one_line(emulator: KvsEmulator, tmp_path: Path) -> None:
    emulator.account.names_streams = False
    for contact_id, complaint in (
        (contact(1), "Connect names no stream of the contact: take --stream and --start, or --prefix"),
        (contact(9), f"the instance has no contact {contact(9)}"),
    ):
        finished = run_here("export", "--contact-id", contact_id, "--instance", INSTANCE, "-o", tmp_path)

        assert (finished.code, finished.complaint) == (2, complaint)
    assert list(tmp_path.iterdir()) == []


def test_an_instance_that_names_no_stream_is_said_with_the_other_ways(
    emulator: KvsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connect_audio_cli.export.contact_search._DESCRIBE_EVERY_S", 0.0)
    emulator.account.names_streams = False

    finished = export(tmp_path, 0, 30)

    assert finished.code == 2
    assert finished.complaint == "3 contacts, and Connect names no stream of any: take --prefix or --contact-records"


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("instance", "complaint"),
    [
        ("aa", "--instance aa is no ARN of a Connect instance"),
        (f"{INSTANCE[:-2]}bb", "AWS refuses SearchContacts: ResourceNotFoundException"),
    ],
)
def test_an_instance_that_is_none_is_one_line(instance: str, complaint: str, tmp_path: Path) -> None:
    finished = run_here(
        "export", "--search", "--instance", instance, "--from", "2026-07-01", "--to", "2026-07-02", "-o", tmp_path
    )

    assert (finished.code, finished.complaint) == (2, complaint)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--search", "--instance", INSTANCE], "--search needs --from and --to, a time and a later one"),
        (
            ["--search", "--from", "2026-07-01", "--to", "2026-07-02"],
            "--search needs --instance, the ARN of the Connect instance",
        ),
        (
            ["--search", "--prefix", "calls"],
            "give --stream and --start, --contact-id and --instance, --csv, --contact-records, --prefix or --search "
            + HELP,
        ),
        (
            ["--contact-id", contact(1)],
            "--contact-id without --stream needs --instance, the ARN of the Connect instance",
        ),
        (
            ["--csv", "calls.csv", "--contact-id", contact(1), "--instance", INSTANCE],
            "--contact-id is for one call: with --stream, or with --instance and no other source",
        ),
        (
            ["--contact-id", contact(1), "--instance", INSTANCE, "--force"],
            "--force is for --to-manifest: a recording that is there is left alone",
        ),
    ],
)
def test_options_that_do_not_go_together_are_one_line(options: list[str], complaint: str) -> None:
    assert run_here("export", *options).complaint == complaint


class Steps:
    """A clock that the emulator and the command share: a wait passes at once."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def now_ms(self) -> int:
        return DEFAULT_START_MS

    def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)


def found_within_limits(monkeypatch: pytest.MonkeyPatch, page: int) -> tuple[list[Row], list[str]]:
    clock = ManualClock()
    refused: list[str] = []
    with KvsEmulator(clock=clock, limits=Limits(), on_unanswered=lambda each: refused.append(str(each))) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        emulator.add_stream(EmulatedStream("calls-1", stored(fragments(*CALLS[:3]))))
        monkeypatch.setattr("connect_audio_cli.export.contact_search._PAGE", page)
        rows = rows_of_search(
            INSTANCE,
            DEFAULT_START_MS,
            DEFAULT_START_MS + 60_000,
            session=boto3.Session(region_name="eu-west-2"),
            clock=Steps(clock),
        )
    return rows, refused


def test_pages_and_descriptions_stay_within_connects_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, refused = found_within_limits(monkeypatch, page=1)

    assert [row.contact_id for row in rows] == [contact(0), contact(1), contact(2)]
    assert {row.slack_ms for row in rows} == {1000}
    assert refused == []


def test_too_many_contacts_are_refused_with_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect_audio_cli.export.contact_search.MOST_CONTACTS", 2)

    with pytest.raises(CommandError, match="3 contacts are too many to ask Connect about, 2 is the most"):
        found_within_limits(monkeypatch, page=100)
