"""A manifest in words: every code has a remedy, every cause its character, and no proof is invented."""

from __future__ import annotations

from typing import Any

import pytest

from connect_audio.core.audit import AuditResult
from connect_audio.core.status import RULES, WARNINGS
from connect_audio_cli.explanation.advice import REMEDIES, remedy
from connect_audio_cli.explanation.explanation import AUDITS, document, facts, verdict
from connect_audio_cli.explanation.timeline import timeline
from connect_audio_cli.pictures.waveform import Extremes
from connect_audio_cli.recordings.gaps import gaps_of

RATE = 8000
SECONDS = 60
RENAMED_IN_2_0 = {"STREAM_FORGOT", "MISPLACED_AUDIO"}


def gap(track: str, start_s: float, seconds: float, missing: int | None = None) -> dict[str, Any]:
    return {
        "track": track,
        "startFrame": round(start_s * RATE),
        "frames": round(seconds * RATE),
        "afterFragment": "1",
        "beforeFragment": "9",
        "missingFragments": missing,
    }


def both(start_s: float, seconds: float, missing: int | None = None) -> list[dict[str, Any]]:
    return [gap("customer", start_s, seconds, missing), gap("agent", start_s, seconds, missing)]


def manifest(*gaps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    proof = {"state": "proven", "code": "A_PROOF", "detail": "a detail"}
    return {
        "schemaVersion": "2.0",
        "contactId": "a-contact",
        "status": "complete",
        "endReason": "DISCONNECTED",
        "reasons": [],
        "warnings": [],
        "evidence": {"opening": proof, "middle": proof, "end": proof},
        "recording": {"sampleRate": RATE, "frames": SECONDS * RATE, "startTime": "2026-07-01T13:30:54.536Z"},
        "tracks": {
            party: {
                "audioSamples": SECONDS * RATE - sum(each["frames"] for each in gaps if each["track"] == party),
                "activeSeconds": 12.0,
                "activeRmsDbfs": -20.0,
                "peakDbfs": -3.0,
            }
            for party in ("customer", "agent")
        },
        "gaps": {"count": len(gaps), "listed": list(gaps)},
    } | fields


def picture(document: dict[str, Any], columns: int = 70, levels: list[list[Extremes]] | None = None) -> list[str]:
    return timeline(document, gaps_of(document), columns=columns, levels=levels)


def lines(document: dict[str, Any]) -> dict[str, str]:
    return dict(facts(document, gaps_of(document)))


def test_every_reason_and_warning_has_a_remedy_and_no_remedy_is_for_a_code_that_is_none() -> None:
    assert {rule.code for rule in (*RULES, *WARNINGS)} | RENAMED_IN_2_0 == set(REMEDIES)


def test_the_outcome_of_an_audit_has_words_and_a_line() -> None:
    assert set(AUDITS) == {each.value for each in AuditResult}
    audit = {"time": "2026-07-01T14:30:54.536Z", "listedFragments": 20, "recoverableFragments": 1, "result": "REPAIRED"}
    assert "Audit" not in lines(manifest())
    assert lines(manifest(audit=audit))["Audit"] == (
        "2026-07-01 14:30:54 UTC: repaired: a better recording replaced the first one "
        "(1 fragment of 20 listed ones to recover)"
    )
    assert document(manifest(audit=audit), [])["audit"] == audit


def test_an_unknown_code_sends_to_the_document_of_its_version() -> None:
    assert "docs/manifest.md" in remedy("A_CODE_OF_2_7")


def test_the_picture_has_a_row_a_party_and_a_character_for_each_cause() -> None:
    call = manifest(*both(10, 5, 3), *both(20, 5, 0), *both(30, 5), gap("agent", 40, 10))

    axis, customer, agent, legend = picture(call)

    assert axis.split() == ["0:00", "0:15", "0:30", "0:45"]
    assert axis.index("0:15") == customer.index("x") + 5  # a column a second behind the labels
    expected = "▅" * 10 + "x" * 5 + "▅" * 5 + "." * 5 + "▅" * 5 + "?" * 5
    assert customer == "Customer  " + expected + "▅" * 25
    assert agent == "Agent     " + expected + "▅" * 5 + " " * 10 + "▅" * 10
    assert legend.strip() == (
        "x: fragments missing, ?: fragments may be missing, .: pause of the producer, blank: only one party is silent"
    )


def test_a_loss_is_shown_however_short_it_is_and_a_pause_only_if_it_fills_half_a_cell() -> None:
    lost, paused = manifest(*both(10.2, 0.02, 1)), manifest(*both(10.2, 0.02, 0))
    assert picture(lost)[1].count("x") == 1
    assert picture(paused)[1:] == ["Customer  " + "▅" * 60, "Agent     " + "▅" * 60]


def test_the_rows_show_how_loud_a_party_is() -> None:
    quiet, soft, loud = Extremes(0, 0), Extremes(-150, 100), Extremes(-5, 32767)
    levels = [[quiet] * 30 + [soft] * 30, [loud] * 60]
    rows = picture(manifest(), levels=levels)
    assert rows[1] == "Customer  " + "▁" * 30 + "▂" * 30
    assert rows[2] == "Agent     " + "█" * 60


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_no_row_is_wider_than_the_terminal(columns: int) -> None:
    rows = picture(manifest(*both(10, 5, 3)), columns)
    assert max(map(len, rows)) <= columns
    assert len(rows[1]) == columns


def test_a_terminal_without_block_characters_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect_audio_cli.explanation.timeline.can_show", lambda _: False)
    assert all(row.isascii() for row in picture(manifest(*both(10, 5, 3), *both(20, 5, 0))))


def test_complete_is_not_said_to_be_more_than_its_evidence() -> None:
    open_end = manifest()
    open_end["evidence"] = open_end["evidence"] | {
        "end": {"state": "not_asked", "code": "END_OF_INPUT", "detail": "a detail"}
    }
    assert verdict(manifest()) == "complete: opening, middle and end are proven"
    assert verdict(open_end) == "complete: nothing is missing inside it; it does not show the call's end"


def test_a_manifest_of_version_1_is_read_and_said_to_prove_nothing() -> None:
    old = manifest(*both(10, 5, 3), schemaVersion="1.1", status="complete")
    del old["evidence"]
    for track in old["tracks"].values():
        del track["activeSeconds"], track["activeRmsDbfs"], track["peakDbfs"]

    told = lines(old)

    assert told["Verdict"] == (
        "complete, as version 1.1 of the manifest says it: nothing complained, and nothing was proven"
    )
    assert told["Evidence"] == (
        "none: a manifest of version 1.1 does not say what opening, middle and end were proven by"
    )
    assert told["Customer"] == "55.000 s of audio; 5.000 s filled with silence"
    assert told["Gaps"] == "1 gap: 0:10 5.000 s, 3 fragments missing"


def test_a_partial_recording_has_a_remedy_under_each_reason() -> None:
    reasons = [{"code": "STREAM_HOLES", "detail": "one"}, {"code": "A_NEW_CODE", "detail": "two"}]
    call = manifest(*both(10, 5, 3), status="partial", reasons=reasons)

    shown = list(facts(call, gaps_of(call)))

    at = shown.index(("Reason", "STREAM_HOLES: one"))
    assert shown[at + 1] == ("  do", REMEDIES["STREAM_HOLES"])
    assert shown[at + 2][1] == "A_NEW_CODE: two"
    assert [each["remedy"] for each in document(call, gaps_of(call))["reasons"]] == [
        REMEDIES["STREAM_HOLES"],
        remedy("A_NEW_CODE"),
    ]


def test_silence_is_said_by_cause() -> None:
    call = manifest(*both(10, 5, 3))
    for track in call["tracks"].values():
        track["silence"] = {
            "streamHoleSamples": 4 * RATE,
            "producerPauseSamples": 0,
            "blockHoleSamples": RATE // 2,
            "oneSidedSamples": RATE // 2,
        }
    assert lines(call)["Customer"] == (
        "55.000 s of audio; speech -20.0 dBFS, 20 % of the time; filled with silence: 4.000 s with fragments missing "
        "or perhaps missing, 0.500 s in holes inside fragments, 0.500 s while the other party has audio"
    )


def test_the_longest_losses_are_named_and_the_number_of_the_others_is_said() -> None:
    call = manifest(*(each for second in range(0, 40, 5) for each in both(second + 1, 0.1 * (second + 1), 1)))
    call["gaps"]["count"] += 7
    assert lines(call)["Gaps"] == (
        "8 gaps: 0:16 1.600 s, 1 fragment missing; 0:21 2.100 s, 1 fragment missing; 0:26 2.600 s, 1 fragment missing; "
        "0:31 3.100 s, 1 fragment missing; 0:36 3.600 s, 1 fragment missing; and 3 more; the manifest counts 7 further "
        "ones and lists none of them"
    )


def test_a_call_without_a_recording_is_empty_and_has_no_audio() -> None:
    call = manifest(recording=None, status="empty", reasons=[{"code": "NO_AUDIO", "detail": "nothing came"}])
    told = lines(call)
    assert told["Verdict"] == "empty: no audio of the contact was recorded (NO_AUDIO)"
    assert told["Customer"] == told["Agent"] == "no audio"


def test_text_of_a_manifest_cannot_steer_the_terminal() -> None:
    evil = "\x1b[2J"
    call = manifest(contactId=evil, status="partial", reasons=[{"code": evil, "detail": evil}])
    assert not any("\x1b" in text for line in facts(call, gaps_of(call)) for text in line)
