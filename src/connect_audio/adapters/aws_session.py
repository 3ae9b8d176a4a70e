"""One session for all clients of a function, and botocore's data cut down to what these clients need.

botocore's table of endpoints and its models of S3, Connect and Lambda hold thousands of shapes. Loading them costs
memory and CPU at each cold start; docs/adr/0014 has the figures. `service_models` holds the same data for our
operations alone, written by `scripts/cut_service_models.py` and held to botocore's own by a unit test.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, Loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import boto3

SERVICE_MODELS: Final = Path(__file__).with_name("service_models")
"""The cut-down data, laid out as AWS_DATA_PATH wants it."""

_TYPES: Final = frozenset({"service-2", "endpoint-rule-set-1", "paginators-1"})
"""The types of data that a client loads; botocore has each for each service in SERVICE_MODELS."""


class CutDownLoader(Loader):
    """Finds cut-down data before botocore's own, and a user's data (AWS_DATA_PATH, ~/.aws/models) before both."""

    def __init__(self, search_paths: Sequence[str]) -> None:
        """Put SERVICE_MODELS in front of botocore's.

        Args:
            search_paths: the folders of the loader that this one replaces, botocore's own among them.
        """
        super().__init__(include_default_search_paths=False)
        self.search_paths.extend(search_paths)
        self.search_paths.insert(self.search_paths.index(self.BUILTIN_DATA_PATH), str(SERVICE_MODELS))

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Load a model or the endpoint rules of a service.

        botocore first walks through the folders of all its 400 services, once for each type, to see that the service
        is among them. The unit test has seen that for each service in SERVICE_MODELS.
        """
        if type_name not in _TYPES or not (SERVICE_MODELS / service_name).is_dir():
            return super().load_service_model(service_name, type_name, api_version)
        version = api_version or self.determine_latest_version(service_name, type_name)
        model = self.load_data(f"{service_name}/{version}/{type_name}")
        ExtrasProcessor().process(model, self._extras(f"{service_name}/{version}/{type_name}"))
        return model

    def _extras(self, name: str) -> Iterator[Any]:
        for extras_type in self.extras_types:
            try:
                yield self.load_data(f"{name}.{extras_type}-extras")
            except DataNotFoundError:
                continue

    def is_builtin_path(self, path: str) -> bool:
        """Count the cut-down table of endpoints as botocore's: a foreign one would replace the endpoint rules."""
        return path.startswith(str(SERVICE_MODELS)) or super().is_builtin_path(path)


@cache
def botocore_session() -> botocore.session.Session:
    """The process's session. Its clients of the services in `service_models` know only the operations given there.

    The trigger takes its client from here: boto3 would import s3transfer and multiprocessing at each cold start.
    """
    core = botocore.session.get_session()
    core.register_component("data_loader", CutDownLoader(core.get_component("data_loader").search_paths))
    return core


@cache
def aws_session() -> boto3.Session:
    """The same session as boto3's, for the consumer, whose durable execution SDK imports boto3 in any case."""
    import boto3  # noqa: PLC0415 - see `botocore_session`

    return boto3.Session(botocore_session=botocore_session())
