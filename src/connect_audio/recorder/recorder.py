"""Records one call, step by step, over the invocations that it lasts."""

from __future__ import annotations

from typing import Self

from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.record_step import Budget, record_step
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.session import Session
from connect_audio.recorder.step_result import PartDone, StepResult


class Recorder:
    """The recorder of one invocation. A context manager: leaving it closes the connection and stops the sinks.

    Args:
        ports: the recorder's dependencies.
    """

    def __init__(self, ports: RecorderPorts) -> None:
        self._ports = ports
        self._session: Session | None = None
        self._failed_sinks: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if one is open, and stop the sinks of live audio."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
            # A step that failed could not note which sinks failed.
            self._failed_sinks.update(session.live.failures)

    def record(self, checkpoint: Checkpoint, budget: Budget) -> StepResult:
        """Run one step.

        Args:
            checkpoint: the last step's.
            budget: the time there is.

        Raises:
            StorageError: S3 failed; the engine runs the step again from the same checkpoint.
        """
        session = self._session
        if session is None or session.stands_at != checkpoint:
            self.close()
            session = self._session = Session(self._ports, checkpoint, self._failed_sinks)
        session.stands_at = None
        result = record_step(session, budget)
        session.stands_at = result.checkpoint
        if not isinstance(result.next, PartDone):
            # The invocation ends. Publishing needs the memory of the part, and sinks live for one invocation.
            self.close()
        return result
