"""A contact flow read for its streaming: whether it starts media streaming, both ways, before it calls the trigger.

The flow language is Connect's, version 2019-10-30. Used by the check of the flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_INVOKE: Final = "InvokeLambdaFunction"
_STREAM: Final = "UpdateContactMediaStreamingBehavior"
_BOTH: Final = frozenset({"To", "From"})


@dataclass(frozen=True, slots=True)
class FlowUse:
    """How a flow uses the trigger.

    Args:
        invokes: True if a reachable block calls the trigger.
        streams: True if each way to such a block passes a block that starts media streaming.
        both_ways: True if no block starts streaming in one direction alone.
    """

    invokes: bool
    streams: bool
    both_ways: bool


def use_of(content: Mapping[str, Any], trigger: str) -> FlowUse:
    """Read a flow.

    Args:
        content: the flow, as its JSON says it.
        trigger: the trigger's ARN, without a qualifier.
    """
    actions = {each["Identifier"]: each for each in content.get("Actions", ())}
    start = content.get("StartAction", "")
    calls = {
        name
        for name, each in actions.items()
        if each.get("Type") == _INVOKE and _is_of(str(_parameters(each).get("LambdaFunctionARN", "")), trigger)
    }
    starts = {name: each for name, each in actions.items() if _starts_streaming(each)}
    return FlowUse(
        invokes=bool(calls & _reached(actions, start)),
        streams=not calls & _reached(actions, start, without=starts),
        both_ways=all(_directions(each) >= _BOTH for each in starts.values()),
    )


def _parameters(action: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = action.get("Parameters", {})
    return found


def _is_of(arn: str, trigger: str) -> bool:
    return arn == trigger or arn.startswith(f"{trigger}:")


def _starts_streaming(action: Mapping[str, Any]) -> bool:
    return action.get("Type") == _STREAM and _parameters(action).get("MediaStreamingState") == "Enabled"


def _directions(action: Mapping[str, Any]) -> frozenset[str]:
    participants = _parameters(action).get("Participants", ())
    return frozenset(direction for each in participants for direction in each.get("MediaDirections", ()))


def _reached(actions: Mapping[str, Mapping[str, Any]], start: str, *, without: Iterable[str] = ()) -> frozenset[str]:
    """Return the blocks that a call can come to, on ways that pass no block of `without`.

    The error branch of such a block is a way round it: streaming did not start there. The trigger refuses such a call
    by a reason of its own, so it is no fault of the flow.
    """
    stops = frozenset(without)
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name in reached or name in stops or name not in actions:
            continue
        reached.add(name)
        ahead += _next(actions[name])
    return frozenset(reached)


def _next(action: Mapping[str, Any]) -> Iterator[str]:
    transitions = action.get("Transitions", {})
    for each in (transitions, *transitions.get("Conditions", ()), *transitions.get("Errors", ())):
        if "NextAction" in each:
            yield each["NextAction"]
