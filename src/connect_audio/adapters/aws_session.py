"""One boto3 session for all of the consumer's clients, and Connect's model cut down to what is asked of Connect.

Every session holds botocore's table of endpoints (7 MiB), and Connect's whole model, some 350 operations, costs 10 MiB
and a tenth of a second at each cold start (docs/benchmarks.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import boto3
import botocore.session

# Laid out as botocore wants it, the way AWS_DATA_PATH does; a test holds it to botocore's own model.
SERVICE_MODELS: Final = Path(__file__).with_name("service_models")


@cache
def aws_session() -> boto3.Session:
    """The process's session; its `connect` client knows DescribeContact alone."""
    core = botocore.session.get_session()
    core.get_component("data_loader").search_paths.insert(0, str(SERVICE_MODELS))
    return boto3.Session(botocore_session=core)
