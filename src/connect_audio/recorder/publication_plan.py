"""The plan of an export: all that is needed to publish its recording, kept in its claim.

How it works. Once an export has recorded a call, its audio lies in S3. It puts the plan into its claim, in the place of
the version that it read. If that fails, an execution has taken the claim over and records the call by itself.

From then on the recording cannot be lost. The export's next run publishes it without the stream, and so does each
program that meets the claim. All of them may do so at once. Each write is conditional, and the clean-up deletes only
what it had listed before it read the claim. So one that comes late changes nothing (ADR 36).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from connect_audio.core.plain import from_plain, to_plain
from connect_audio.recorder.claim_object import HeldClaim, read_claim, replace_claim
from connect_audio.recorder.outcome import Outcome
from connect_audio.recorder.publish import MANIFEST, Recorded, manifest_body, planned_manifest, publish_recording
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.values import dataclass

_VERSION: Final = 1


class UnknownPlanError(Exception):
    """The plan is of another version of this software."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that publishing needs.

    Args:
        recorded: the record steps' results.
        manifest: the recording's manifest.
        replaces: ETag of the manifest that lay there before; None for none.
    """

    recorded: Recorded
    manifest: Mapping[str, Any]
    replaces: str | None


def keep_plan(ports: RecorderPorts, recorded: Recorded) -> Plan | None:
    """Put the plan into the claim of an export that has recorded its call.

    Args:
        ports: the export's.
        recorded: the record steps' results.

    Returns:
        The plan; None if another execution has taken the claim over.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    claim = read_claim(ports.store, ports.names)
    if claim is None or claim.holder != ports.execution:
        return None
    manifest = planned_manifest(ports, recorded)
    if manifest is None:
        # The claim was taken over, and its new holder has cleaned up.
        return None
    old = ports.store.head(ports.names.manifest)
    plan = Plan(recorded=recorded, manifest=manifest, replaces=None if old is None else old.etag)
    text = json.dumps(
        {"version": _VERSION, "recorded": to_plain(recorded), "manifest": manifest, "replaces": plan.replaces}
    )
    if replace_claim(ports.store, ports.names, claim, ports.execution, plan=text):
        return plan
    # The answer of a write of our own may have been lost.
    claim = read_claim(ports.store, ports.names)
    return plan if claim is not None and (claim.holder, claim.plan) == (ports.execution, text) else None


def plan_of(claim: HeldClaim) -> Plan | None:
    """Return the plan that a claim holds; None if it holds none.

    Raises:
        UnknownPlanError: it is of another version.
    """
    if claim.plan is None:
        return None
    try:
        plan = json.loads(claim.plan)
        if plan["version"] == _VERSION:
            recorded: Recorded = from_plain(Recorded, plan["recorded"])
            return Plan(recorded=recorded, manifest=plan["manifest"], replaces=plan["replaces"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownPlanError from error
    raise UnknownPlanError


def publish_plan(ports: RecorderPorts, holder: str, plan: Plan) -> Outcome:
    """Publish the recording of an export, and clean up behind it. May be run again, and by several at once.

    Args:
        ports: the recorder's dependencies, with any execution's name.
        holder: whom the claim names.
        plan: the one that the claim holds.

    Returns:
        The outcome; KEY_TAKEN if another object lies at the key, or if the upload is gone.

    Raises:
        StorageError: S3 failed; safe to try again.
    """

    def write(at: RecorderPorts, manifest: Mapping[str, Any]) -> None:
        # A manifest that was written meanwhile is this one, or that of a repair.
        key, body = at.names.manifest, manifest_body(manifest)
        if plan.replaces is None:
            at.store.put_new(key, body, MANIFEST)
        else:
            at.store.replace(key, body, MANIFEST, plan.replaces)

    # Less than the whole is never published: the stream may still have it.
    of_holder = replace(ports, execution=holder, live=None, replaces=True)
    return publish_recording(of_holder, plan.recorded, plan.manifest, write)
