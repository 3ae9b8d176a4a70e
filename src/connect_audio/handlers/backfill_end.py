"""The end of a backfill's run: counts what became of the calls, and writes the next manifest.

Handler string `connect_audio.handlers.backfill_end.handler`. It compares the manifest with the outcomes that the
workers wrote. So a child that died, was stopped or never began leaves its calls in the next manifest, too.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from connect_audio.adapters.aws_session import aws_session
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.core.errors import StorageError
from connect_audio.handlers.logs import function_logger
from connect_audio.handlers.tracing import traced
from connect_audio.ports import ObjectKind
from connect_audio.recorder.backfill import items_of, left_of, lines_of, outcomes_of, read_lines
from connect_audio.settings import BackfillSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from connect_audio.ports import PartStore
    from connect_audio.recorder.backfill import BackfillItem, CallOutcome

logger = function_logger()

_LINES: Final = ObjectKind("application/jsonl", {})
_JSON: Final = ObjectKind("application/json", {})
_AT_ONCE: Final = 32
_NO_KEY: Final = "NoSuchKey"
_NO_OUTCOME: Final = "no outcome"


@logger.inject_lambda_context(clear_state=True)
@traced
def handler(event: Any, _context: LambdaContext) -> dict[str, Any]:
    """Count the outcomes of a run, and write the manifest of the calls that are left.

    Args:
        event: `key`, the manifest's key in the recordings' bucket; `run`, the prefix of the run's objects there.
        _context: Lambda's context.

    Returns:
        `statuses`, the number of calls with each status; `left`, the number of calls that are left; `next`, the key of
        the next manifest. It is None if no call is left. The same stands in `report.json` of the run.

    Raises:
        SettingsError: the function's environment is wrong.
        RequestError: a line of the manifest is no item.
        StorageError: S3 failed, or there is no such manifest.
    """
    settings = BackfillSettings.from_environment()
    key, run = str(event["key"]), str(event["run"])
    config = S3_CONFIG.merge(Config(max_pool_connections=_AT_ONCE))
    with closing(aws_session().client("s3", config=config)) as s3:
        store = S3PartStore(settings.recordings_bucket, client=s3, kms_key_arn=settings.recordings_kms_key_arn)
        items = list(read_lines(store.get(key).decode()))
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            outcomes = list(threads.map(lambda item: _outcomes(item, run, store), items))
        left = [call for item, found in zip(items, outcomes, strict=True) for call in left_of(item, found)]
        report: dict[str, Any] = {
            "statuses": dict(_statuses(items, outcomes)),
            "left": len(left),
            "next": f"{run}next.jsonl" if left else None,
        }
        if left:
            store.put(f"{run}next.jsonl", lines_of(items_of(left)).encode(), _LINES)
        store.put(f"{run}report.json", json.dumps(report).encode(), _JSON)
    logger.info("backfill ended", extra={"left": len(left)})
    return report


def _outcomes(item: BackfillItem, run: str, store: PartStore) -> list[CallOutcome]:
    try:
        return outcomes_of(json.loads(store.get(f"{run}outcomes/{item.name}.json")))
    except StorageError as error:
        if error.code != _NO_KEY:
            raise
        return []


def _statuses(items: Sequence[BackfillItem], outcomes: Sequence[Sequence[CallOutcome]]) -> Counter[str]:
    counted = Counter(each.status for found in outcomes for each in found)
    if silent := sum(len(item.calls) for item in items) - counted.total():
        counted[_NO_OUTCOME] = silent
    return counted
