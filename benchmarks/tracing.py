"""Tracing by X-Ray's SDK, by this project's OTLP and by the vendor's plug-in for OpenTelemetry, side by side.

`python -m benchmarks.tracing PACKAGES`, some minutes. PACKAGES is a folder with what the plug-in needs:
`pip install --target PACKAGES aws-durable-execution-sdk-python-otel==2.0.0 opentelemetry-sdk==1.45.2
opentelemetry-exporter-otlp-proto-http==1.45.2`. No part of the project depends on it. Import costs come from fresh
processes in turn. Spans come from calls in processes as Lambda has them, posted to a collector on loopback.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bounds import Bound, judge
from benchmarks.cold_start import CASES, fresh
from benchmarks.long_calls import long_call
from connect_audio_local.kvs import EmulatedStream, Live, stored
from connect_audio_local.process_cloud import process_cloud, request_for
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, synthesize_stream
from connect_audio_local.trace_collector import TraceCollector, trace_collector

MOST_RATIO: Final = 1.1
"""Limits the CPU of a cold start with this project's OTLP, in times of the one without tracing."""
_REPETITIONS: Final = 7
_INSTANCE: Final = "00000000-0000-4000-8000-0000000000aa"
_BASE: Final = "consumer and its clients, untraced"
_PLUG_IN: Final = """
import sys; sys.path.append({packages!r})
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry import trace
import aws_durable_execution_sdk_python_otel
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter("http://127.0.0.1:1/v1/traces")))
trace.set_tracer_provider(provider)
"""
# What a layer's wrapper would do before the handler is imported; the collector's address comes with the invocation.
_SITE: Final = """
import sys
if "connect_audio_local.lambda_.function_process" in " ".join(sys.orig_argv):
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter({url!r})))
    trace.set_tracer_provider(provider)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """The spans of one call.

    Args:
        invocations: of the execution.
        operations: steps and waits in its history.
        posts: requests to the collector.
        sent: bytes of them.
        spans: all spans that came.
        names: how often each name came, with the plug-in's beginning of the span's id.
    """

    invocations: int
    operations: int
    posts: int
    sent: int
    spans: int
    names: str


def main(packages: Path) -> list[Bound]:
    """Print both tables."""
    cases = {
        "none": CASES[_BASE],
        "X-Ray's SDK": CASES["consumer and its clients"],
        "this project's OTLP": f"{CASES[_BASE]}; import connect_audio.handlers.execution_trace",
        "the plug-in, SDK and exporter": CASES[_BASE] + "\n" + _PLUG_IN.format(packages=str(packages)),
    }
    rows: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in cases}
    for _ in range(_REPETITIONS):
        for name, code in cases.items():
            rows[name].append(fresh(code))
    best = {name: min(each[1] for each in measured) for name, measured in rows.items()}
    print(f"{'consumer and its clients, tracing by':40}{'CPU':>10}{'ratio':>8}{'peak':>12}{'modules':>10}")
    for name, measured in rows.items():
        peak, modules = min(each[2] for each in measured), measured[0][3]
        print(f"{name:40}{1000 * best[name]:>7.0f} ms{best[name] / best['none']:>8.2f}{peak:>8.1f} MiB{modules:>10}")
    size = sum(each.stat().st_size for each in _beyond_the_layer(packages))
    print(f"{'size beyond the layer, no bytecode':40}{size / 1e6:>7.1f} MB")
    for name, variant in (("this project's OTLP", ""), ("otel-execution", "x"), ("otel-invocation", "x")):
        told = _told(packages if variant else None, name)
        print(f"\n{name}: {told}")
    ratio = best["this project's OTLP"] / best["none"]
    return [Bound("times the CPU of a cold start without tracing", ratio, at_most=MOST_RATIO)]


def _beyond_the_layer(packages: Path) -> list[Path]:
    """Files of packages that the functions' layer has not, without bytecode."""
    layer = (
        "aws_durable_execution_sdk_python/|aws_durable_execution_sdk_python-|boto3|botocore|dateutil|jmespath|pip|"
        "python_dateutil|s3transfer|six|typing_extensions|urllib3|_|bin"
    )
    files = [each for each in packages.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    return [each for each in files if not re.match(layer, each.relative_to(packages).as_posix())]


def _told(packages: Path | None, name: str) -> Told:
    """Record a call of 24 s in invocations of a second, and count what the collector gets."""
    with tempfile.TemporaryDirectory() as directory, trace_collector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url}
        if packages is not None:
            (Path(directory) / "sitecustomize.py").write_text(_SITE.format(url=collector.url), "utf-8")
            settings = {"PYTHONPATH": f"{directory}:{packages}", "DURABLE_EXECUTION_PLUGINS": name}
        with process_cloud(settings) as cloud:
            call = long_call(24.0)
            fragments = list(stored(synthesize_stream([call])))
            stream = cloud.emulator.add_stream(EmulatedStream("stream", fragments, pace=Live(speed=12.0)))
            request = request_for(call.contact_id, _INSTANCE, stream.arn, DEFAULT_START_MS)
            cloud.host.seconds = 6
            arn = cloud.engine.start(request.execution_name, request.to_payload())
            cloud.engine.wait(arn)
            events = cloud.engine.history(arn)
            operations = sum(each["EventType"] in {"StepStarted", "WaitStarted"} for each in events)
            return _counted(collector, len(cloud.host.invocations), operations)


def _counted(collector: TraceCollector, invocations: int, operations: int) -> Told:
    names = Counter(_names(collector))
    return Told(
        invocations=invocations,
        operations=operations,
        posts=len(collector.posts),
        sent=sum(len(body) for _, _, body in collector.posts),
        spans=sum(names.values()),
        names=", ".join(f"{name} x {times}" for name, times in sorted(names.items())),
    )


def _names(collector: TraceCollector) -> list[str]:
    """The names of all spans; protobuf's by the plug-in's own packages, which are on the path then."""
    names: list[str] = []
    for _, content_type, body in collector.posts:
        if content_type == "application/json":
            continue
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # type: ignore[import-not-found]  # noqa: PLC0415 - PACKAGES has it
            ExportTraceServiceRequest,
        )

        found = ExportTraceServiceRequest.FromString(body)
        names += [
            f"{span.name} {span.span_id.hex()[:4]}"
            for resource in found.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return names or [span["name"] for span in collector.spans]


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    sys.path.append(str(folder))
    judge(main(folder))
