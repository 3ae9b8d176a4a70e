"""The functions' logger: one line of JSON for each thing said, the libraries' warnings and errors included.

So each of them carries the keys of the call it is about, too, which the libraries know nothing of.
"""

from __future__ import annotations

from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

_LIBRARIES: Final = frozenset({"aws_durable_execution_sdk_python", "boto3", "botocore", "urllib3"})


def function_logger() -> Logger:
    """Make the logger. The libraries are to be imported before."""
    logger = Logger()
    copy_config_to_registered_loggers(logger, log_level="WARNING", include=set(_LIBRARIES))
    return logger
