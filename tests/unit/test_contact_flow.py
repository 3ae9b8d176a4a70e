"""`connect/recording-flow.json` is a flow that Connect takes, and none of its branches drops a call over a recording.

The schemas are of the actions used, from the Amazon Connect API Reference, "Flow language": the frame from "Actions in
the Amazon Connect Flow Language", each action from the page of its name ("Compare", "InvokeLambdaFunction", …).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "connect" / "recording-flow.json").read_text("utf-8")
FLOW: Final[dict[str, Any]] = json.loads(TEXT)
ACTIONS: Final[dict[str, dict[str, Any]]] = {each["Identifier"]: each for each in FLOW["Actions"]}
EXPORTS: Final = sorted((ROOT.parent / "shared" / "flows").glob("*.json"))
needs_exports = pytest.mark.skipif(not EXPORTS, reason="the real exports of flows are not here")

STATIC: Final = {"type": "string", "pattern": r"^[^$]*$"}
JSON_PATH: Final = {"type": "string", "pattern": r"^\$\.(External|Attributes)\.\w+$"}
# "may be specified statically or dynamically"; a placeholder is static once it is filled in.
EITHER: Final = {"anyOf": [STATIC, JSON_PATH, {"pattern": r"^\$\{\w+\}$"}]}


def _parameters(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in {"PromptId", "Text", "SSML", "Media"}],
        "additionalProperties": False,
    }


PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "Compare": _parameters(ComparisonValue=JSON_PATH),
    "DisconnectParticipant": _parameters(),
    "InvokeLambdaFunction": _parameters(
        LambdaFunctionARN=EITHER,
        InvocationTimeLimitSeconds={"enum": [str(seconds) for seconds in range(1, 9)]},
        InvocationType={"enum": ["SYNCHRONOUS", "ASYNCHRONOUS"]},
        ResponseValidation=_parameters(ResponseType={"enum": ["STRING_MAP", "JSON"]}),
    ),
    "Loop": _parameters(LoopCount={"enum": [str(count) for count in range(101)]}),
    # One of the three, "may not be specified if" another is.
    "MessageParticipant": {
        **_parameters(
            PromptId=EITHER, Text={"type": "string"}, SSML={"type": "string", "pattern": "^<speak>.*</speak>$"}
        ),
        "minProperties": 1,
        "maxProperties": 1,
    },
    "TransferContactToQueue": _parameters(),
    "UpdateContactAttributes": _parameters(
        TargetContact={"enum": ["Current", "Related"]},
        Attributes={"type": "object", "minProperties": 1, "additionalProperties": EITHER},
    ),
    "UpdateContactMediaStreamingBehavior": _parameters(
        MediaStreamingState={"enum": ["Enabled", "Disabled"]},
        MediaStreamType={"const": "Audio"},
        Participants={
            "type": "array",
            "minItems": 1,
            "items": _parameters(
                ParticipantType={"const": "Customer"},
                MediaDirections={"type": "array", "minItems": 1, "items": {"enum": ["To", "From"]}},
            ),
        },
    ),
    "UpdateContactTargetQueue": _parameters(QueueId=EITHER),
    "UpdateFlowLoggingBehavior": _parameters(FlowLoggingBehavior={"enum": ["Enabled", "Disabled"]}),
}
# The pages' "Errors": each must have a branch, and there are no others.
ERRORS: Final = {
    "Compare": {"NoMatchingCondition"},
    "DisconnectParticipant": set[str](),
    "InvokeLambdaFunction": {"NoMatchingError"},
    "Loop": set[str](),
    "MessageParticipant": {"NoMatchingError"},
    "TransferContactToQueue": {"QueueAtCapacity", "NoMatchingError"},
    "UpdateContactAttributes": {"NoMatchingError"},
    "UpdateContactMediaStreamingBehavior": {"NoMatchingError"},
    "UpdateContactTargetQueue": {"NoMatchingError"},
    "UpdateFlowLoggingBehavior": set[str](),
}
TERMINAL: Final = {"DisconnectParticipant"}
BOTH_WAYS: Final = [{"ParticipantType": "Customer", "MediaDirections": ["To", "From"]}]


def _branches(action: dict[str, Any]) -> dict[str, str]:
    """Where an action can lead, by what leads there."""
    transitions = action["Transitions"]
    found = {"next": transitions["NextAction"]} if "NextAction" in transitions else {}
    found |= {each["Condition"]["Operands"][0]: each["NextAction"] for each in transitions.get("Conditions", [])}
    return found | {each["ErrorType"]: each["NextAction"] for each in transitions.get("Errors", [])}


def _reached_from(start: str, without: str = "") -> set[str]:
    """Every action that can run after one, which is among them, if one of them is taken out of the flow."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here not in found and here != without:
            found.add(here)
            waiting += _branches(ACTIONS[here]).values()
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_of_its_documented_form(name: str) -> None:
    action = ACTIONS[name]

    assert set(action) == {"Identifier", "Type", "Parameters", "Transitions"}
    assert len(name) <= 50
    assert not set(name) & set("%:(\\/)=$,;[]{}")
    jsonschema.validate(action["Parameters"], PARAMETERS[action["Type"]])


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_that_can_fail_has_its_error_branches(name: str) -> None:
    action = ACTIONS[name]
    transitions = action["Transitions"]

    assert {each["ErrorType"] for each in transitions.get("Errors", [])} == ERRORS[action["Type"]]
    assert len(transitions.get("Errors", [])) == len(ERRORS[action["Type"]])
    assert ("NextAction" in transitions) is (action["Type"] not in TERMINAL)
    assert set(_branches(action).values()) <= set(ACTIONS)


def test_identifiers_are_unique_and_all_actions_can_be_reached() -> None:
    assert len(ACTIONS) == len(FLOW["Actions"])
    assert _reached_from(FLOW["StartAction"]) == set(ACTIONS)


def test_conditions_compare_for_equality_and_a_loop_has_its_two() -> None:
    for action in FLOW["Actions"]:
        conditions = action["Transitions"].get("Conditions", [])
        assert bool(conditions) is (action["Type"] in {"Compare", "Loop"})
        for each in conditions:
            assert set(each) == {"NextAction", "Condition"}
            assert each["Condition"]["Operator"] == "Equals"
            assert len(each["Condition"]["Operands"]) == 1
        if action["Type"] == "Loop":
            assert [each["Condition"]["Operands"] for each in conditions] == [["ContinueLooping"], ["DoneLooping"]]


def test_both_directions_are_streamed_and_stopped() -> None:
    states = {
        action["Parameters"]["MediaStreamingState"]: action["Parameters"]["Participants"]
        for action in FLOW["Actions"]
        if action["Type"] == "UpdateContactMediaStreamingBehavior"
    }
    assert states == {"Enabled": BOTH_WAYS, "Disabled": BOTH_WAYS}


def test_the_trigger_is_called_with_the_stream_running_and_within_connects_limit() -> None:
    before, call = ACTIONS["Start media streaming"], ACTIONS["Start the recording"]

    assert _branches(before)["next"] == call["Identifier"]
    assert call["Identifier"] not in _reached_from(FLOW["StartAction"], without=before["Identifier"])
    assert call["Parameters"] == {
        "LambdaFunctionARN": "${TriggerFunctionArn}",
        "InvocationTimeLimitSeconds": "8",
        "InvocationType": "SYNCHRONOUS",
        "ResponseValidation": {"ResponseType": "STRING_MAP"},
    }


def test_both_answers_of_the_trigger_and_any_other_have_a_branch() -> None:
    assert _branches(ACTIONS["Check the answer"]) == {
        "next": "Note no answer",
        "STARTED": "Note the recording",
        "REJECTED": "Note the rejection",
        "NoMatchingCondition": "Note no answer",
    }
    assert _branches(ACTIONS["Start the recording"])["NoMatchingError"] == "Note no answer"
    assert ACTIONS["Note the recording"]["Parameters"]["Attributes"] == {
        "recordingStatus": "$.External.status",
        "recordingUri": "$.External.recordingUri",
        "recordingExecution": "$.External.executionName",
    }
    assert ACTIONS["Note the rejection"]["Parameters"]["Attributes"] == {
        "recordingStatus": "$.External.status",
        "recordingReason": "$.External.reason",
    }


def test_a_call_goes_the_same_way_whether_it_is_recorded_or_not() -> None:
    # Whatever happens between the flow's start and "Note the queue", there every call arrives.
    recording = _reached_from(FLOW["StartAction"], without="Note the queue")

    assert {ACTIONS[name]["Type"] for name in recording} == {
        "Compare",
        "InvokeLambdaFunction",
        "MessageParticipant",
        "UpdateContactAttributes",
        "UpdateContactMediaStreamingBehavior",
        "UpdateFlowLoggingBehavior",
    }
    assert "Stop media streaming" not in recording
    assert "Disconnect" not in recording


def test_whether_a_call_is_transferred_does_not_depend_on_its_recording() -> None:
    assert _branches(ACTIONS["Check for a queue"]) == {
        "next": "Set the queue",
        "none": "Say how it went",
        "NoMatchingCondition": "Set the queue",
    }
    assert "$.External" not in json.dumps([ACTIONS[name] for name in _reached_from("Note the queue")])


def test_the_flow_log_is_on_for_the_start_of_the_recording_alone() -> None:
    # Later blocks, in queue flows and whispers, may take what a caller types.
    on, off = ACTIONS["Flow log on"], ACTIONS["Flow log off"]

    assert FLOW["StartAction"] == on["Identifier"]
    assert on["Parameters"] == {"FlowLoggingBehavior": "Enabled"}
    assert off["Parameters"] == {"FlowLoggingBehavior": "Disabled"}
    assert "Note the queue" not in _reached_from(FLOW["StartAction"], without=off["Identifier"])


def test_streaming_is_stopped_before_the_flow_hangs_up() -> None:
    assert "Disconnect" not in _reached_from(FLOW["StartAction"], without="Stop media streaming")


def test_attributes_say_nothing_of_a_person() -> None:
    paths = set(re.findall(r"\$\.[\w.]*\w", TEXT))
    assert paths == {
        "$.External.status",
        "$.External.recordingUri",
        "$.External.executionName",
        "$.External.reason",
        "$.Attributes.recordingQueue",
        "$.Attributes.recordingStatus",
    }


def test_nothing_in_it_belongs_to_one_account_or_instance() -> None:
    texts = list(_strings(FLOW))
    assert not [text for text in texts if "arn:" in text]
    assert not [text for text in texts if re.search(r"\b\d{12}\b|[0-9a-f]{8}-[0-9a-f]{4}-", text)]


def test_it_can_stand_in_a_template_as_it_is() -> None:
    # Fn::Sub replaces every ${…}; a literal one would need ${!…}, which Connect does not know.
    assert re.findall(r"\$\{.*?\}", TEXT) == ["${TriggerFunctionArn}", "${QueueArn}"]
    # UpdateContactFlowContent: at most 256 000 characters.
    assert len(TEXT) < 256_000


def test_the_designer_can_draw_it() -> None:
    drawn = FLOW["Metadata"]["ActionMetadata"]
    assert set(drawn) == set(ACTIONS)
    positions = [(each["position"]["x"], each["position"]["y"]) for each in drawn.values()]
    assert len(set(positions)) == len(positions)


@needs_exports
@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_it_has_the_shape_of_a_real_export(path: Path) -> None:
    export = json.loads(path.read_text("utf-8"))

    assert set(FLOW) == set(export)
    assert FLOW["Version"] == export["Version"]
    assert set(FLOW["Metadata"]) == set(export["Metadata"])
    assert {name for each in FLOW["Actions"] for name in each} == {name for each in export["Actions"] for name in each}


@needs_exports
def test_its_actions_have_the_keys_and_types_of_those_that_the_console_exported() -> None:
    exported = [each for path in EXPORTS for each in json.loads(path.read_text("utf-8"))["Actions"]]
    compared = set()
    for theirs in exported:
        for ours in FLOW["Actions"]:
            if ours["Type"] == theirs["Type"]:
                compared.add(ours["Type"])
                assert set(ours["Transitions"]) == set(theirs["Transitions"]), ours["Identifier"]
                common = set(ours["Parameters"]) & set(theirs["Parameters"])
                # The console's older exports have no InvocationType, and a message is a text or SSML.
                assert set(theirs["Parameters"]) - common <= {"Text", "SSML"}, ours["Identifier"]
                for name in common:
                    assert type(ours["Parameters"][name]) is type(theirs["Parameters"][name]), ours["Identifier"]

    # Of all actions but this one there is an export to compare with.
    assert {each["Type"] for each in FLOW["Actions"]} - compared == {"Compare"}


@needs_exports
@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_the_schemas_accept_what_the_console_exported(path: Path) -> None:
    # So that a schema of ours does not refuse what Connect itself writes. The exports' ARNs were blanked.
    for action in json.loads(path.read_text("utf-8"))["Actions"]:
        parameters = {**action["Parameters"]}
        if action["Type"] == "InvokeLambdaFunction":
            parameters.setdefault("InvocationType", "SYNCHRONOUS")
        if action["Type"] == "MessageParticipant" and "SSML" in parameters:
            parameters["SSML"] = parameters["SSML"].replace("\n", "")
        jsonschema.validate(parameters, PARAMETERS[action["Type"]])
