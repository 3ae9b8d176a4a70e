"""The consumer as Lambda runs it, on this machine: AWS's durable engine over HTTP and a process for each invocation.

Every request of a process to S3, to the streams or to the engine passes a gate that may kill the process with SIGKILL
before or after the answer. The chaos tests and `make chaos-engine` and `make long-call` run in it.
"""

from connect_audio_local.processes.cloud import ProcessCloud, process_cloud
from connect_audio_local.processes.durable_engine import DurableEngine, EngineExecution, durable_engine
from connect_audio_local.processes.function_host import FunctionHost, InvocationRecord, LeftThread
from connect_audio_local.processes.gate import Crossing, Gate, Kill, Moment

__all__ = [
    "Crossing",
    "DurableEngine",
    "EngineExecution",
    "FunctionHost",
    "Gate",
    "InvocationRecord",
    "Kill",
    "LeftThread",
    "Moment",
    "ProcessCloud",
    "durable_engine",
    "process_cloud",
]
