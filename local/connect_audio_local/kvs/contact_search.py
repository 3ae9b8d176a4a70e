"""Connect's SearchContacts over the contacts of the emulated streams: ranges, paging, and the service's refusals.

Pure. It knows the criteria Channels and InitiationMethods, and refuses a search by any other.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from connect_audio_local.kvs.service_error import ServiceError

if TYPE_CHECKING:
    from connect_audio_local.kvs.contacts import EmulatedContact

_MOST: Final = 100
"""Contacts of one page; the service model's bound."""
_TIMES: Final = {
    "INITIATION_TIMESTAMP": "InitiationTimestamp",
    "CONNECTED_TO_AGENT_TIMESTAMP": "InitiationTimestamp",
    "DISCONNECT_TIMESTAMP": "DisconnectTimestamp",
    "SCHEDULED_TIMESTAMP": "ScheduledTimestamp",
    "ENQUEUE_TIMESTAMP": "EnqueueTimestamp",
}
_CRITERIA: Final = {"Channels": "Channel", "InitiationMethods": "InitiationMethod"}


def search(request: Mapping[str, Any], contacts: Iterable[EmulatedContact]) -> dict[str, Any]:
    """Answer with one page, ordered by initiation.

    A range has both of its ends. A token belongs to its search, and names the last contact of its page.

    Args:
        request: the members of the request.
        contacts: all contacts of the account.

    Raises:
        ServiceError: InvalidRequestException, InvalidParameterException or ResourceNotFoundException.
    """
    instance = _member(request, "InstanceId", str)
    in_range = _range(_member(request, "TimeRange", dict))
    wanted = _criteria(request.get("SearchCriteria") or {})
    size = request.get("MaxResults", _MOST)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MOST:
        raise _invalid(f"MaxResults is not 1 to {_MOST}")
    of_instance = [each for each in contacts if each.instance_id == instance]
    if not of_instance:
        raise ServiceError("ResourceNotFoundException", 404, f"there is no instance {instance}")
    summaries = [each.summary() for each in of_instance]
    found = sorted(
        (each for each in summaries if in_range(each) and all(each[name] in values for name, values in wanted.items())),
        key=_place,
    )
    query = _query(request)
    after = _token(request["NextToken"], query) if request.get("NextToken") is not None else None
    left = found if after is None else [each for each in found if _place(each) > after]
    page = {"Contacts": left[:size], "TotalCount": len(found)}
    return page | ({"NextToken": _token_of(left[size - 1], query)} if len(left) > size else {})


def _place(summary: Mapping[str, Any]) -> tuple[float, str]:
    return summary["InitiationTimestamp"], summary["Id"]


def _range(given: Mapping[str, Any]) -> Any:
    kind = given.get("Type")
    if kind not in _TIMES:
        raise _invalid(f"TimeRange.Type is none of {', '.join(_TIMES)}")
    begin, end = (_member(given, name, (int, float)) for name in ("StartTime", "EndTime"))
    if begin > end:
        raise _invalid("StartTime is after EndTime")
    name = _TIMES[kind]
    return lambda summary: name in summary and begin <= summary[name] <= end


def _criteria(given: Mapping[str, Any]) -> dict[str, list[str]]:
    unknown = sorted(name for name, value in given.items() if value is not None and name not in _CRITERIA)
    if unknown:
        raise _invalid(f"the emulator cannot search by {', '.join(unknown)}")
    return {_CRITERIA[name]: list(values) for name, values in given.items() if values}


def _query(request: Mapping[str, Any]) -> str:
    """All of a search but the page."""
    kept = {name: value for name, value in request.items() if name not in ("NextToken", "MaxResults")}
    return json.dumps(kept, sort_keys=True)


def _token_of(summary: Mapping[str, Any], query: str) -> str:
    return urlsafe_b64encode(json.dumps([*_place(summary), query]).encode()).decode()


def _token(token: Any, query: str) -> tuple[float, str]:
    try:
        start_s, contact_id, of_query = json.loads(urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise _invalid("NextToken was not issued by this service") from error
    if of_query != query:
        raise _invalid("NextToken is of another search")
    return start_s, contact_id


def _member(given: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = given.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ServiceError("InvalidRequestException", 400, f"{name} is missing, or of another type")
    return value


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", 400, message)
