"""What a worker does with one job: read, paint, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harmonize.batch import Event, Stopped
from harmonize.errors import HarmonizeError
from harmonize.jobs import Job
from harmonize.memory import Memory
from harmonize.optimize import Step
from harmonize.outputs import losses, write_result
from harmonize.pipeline import harmonize


def paint(job: Job, memory: Memory, on_step: Callable[[Step], None] | None = None) -> Event:
    """Make a job's picture and record; whatever goes wrong with it is in the event.

    Raises:
        Stopped: by `on_step`; nothing is written then.
    """
    began = time.monotonic()
    error = None

    def on_start(facts: dict[str, Any]) -> None:
        losses(job.output, facts["original"])  # refuses before the work what cannot be written

    try:
        asked: dict[str, Any] = {**job.inputs, **job.placement, "config": job.config}
        asked |= {"absolute_paths": job.absolute_paths, "memory": memory}
        result = harmonize(**asked, on_step=on_step, on_start=on_start)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        write_result(job.output, result.picture, result.record, overwrite=True)
    except Stopped:
        raise
    except HarmonizeError as known:
        error = " ".join(known.lines)
    except Exception as unknown:  # one job's failure never ends the batch
        error = " ".join(f"{type(unknown).__name__}: {unknown}".split())
    return Event("failed" if error else "done", job, seconds=time.monotonic() - began, error=error)
