"""The doctor: runs all checks beside each other and collects their findings within a time limit.

How it works: each check has a daemon thread, so that neither the end of the command nor Ctrl-C waits for AWS. A check
that is not done in time is "not checked".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from connect_audio_cli.doctor import (
    account,
    bucket,
    connect,
    contact,
    contact_events,
    flows,
    functions,
    letters,
    metrics,
    quotas,
    stack,
    streams,
)
from connect_audio_cli.doctor.check import Check, Finding, not_checked
from connect_audio_cli.output.command_error import printable
from connect_audio_cli.stacks.aws import code_of, is_denied
from connect_audio_cli.stacks.deployed import Deployed, NoInstanceError, NotSaidError

CHECKS: Final[tuple[Check, ...]] = (
    *account.CHECKS,
    *stack.CHECKS,
    *connect.CHECKS,
    *flows.CHECKS,
    *streams.CHECKS,
    *functions.CHECKS,
    *contact_events.CHECKS,
    *bucket.CHECKS,
    *letters.CHECKS,
    *quotas.CHECKS,
    *metrics.CHECKS,
    *contact.CHECKS,
)
LIMIT_S: Final = 30.0
"""Seconds for all checks together. Beyond: the checks that still run are not checked."""
_OTHER_RIGHTS: Final = {
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "ListObjectsV2": "s3:ListBucket",
}
"""Operations whose right has another name."""


def examine(
    deployed: Deployed, checks: Sequence[Check] = CHECKS, *, limit_s: float = LIMIT_S
) -> list[tuple[Check, Finding]]:
    """Run checks beside each other and return their findings, in the checks' order.

    Args:
        deployed: the stack.
        checks: the checks.
        limit_s: seconds for all of them.
    """
    ends = time.monotonic() + limit_s
    running = [(check, _begin(check, deployed)) for check in checks]
    findings = []
    for check, future in running:
        try:
            finding = future.result(max(ends - time.monotonic(), 0))
        except TimeoutError:
            finding = not_checked(f"AWS did not answer within {limit_s:.0f} s")
        findings.append((check, finding))
    return findings


def _begin(check: Check, deployed: Deployed) -> Future[Finding]:
    future: Future[Finding] = Future()

    def run() -> None:
        try:
            future.set_result(finding_of(check, deployed))
        except BaseException as error:  # noqa: BLE001 - raised in the command's own thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=check.name).start()
    return future


def finding_of(check: Check, deployed: Deployed) -> Finding:
    """Run one check. An error or a silence of AWS is no fault of the stack."""
    try:
        return check.look(deployed)
    except NoInstanceError:
        return not_checked("the stack names no instance: give --instance ARN")
    except NotSaidError as error:
        return not_checked(str(error))
    except ClientError as error:
        if is_denied(error):
            return not_checked(f"needs {_right(check, error.operation_name)}")
        return not_checked(f"AWS refuses {error.operation_name}: {printable(code_of(error))}")
    except BotoCoreError as error:
        return not_checked(f"AWS cannot be asked: {printable(str(error))}")


def _right(check: Check, operation: str) -> str:
    """Name the right that an operation needs: among the check's own, the one of the operation's name."""
    if operation in _OTHER_RIGHTS:
        return _OTHER_RIGHTS[operation]
    return next((right for right in check.rights if right.endswith(f":{operation}")), " and ".join(check.rights))
