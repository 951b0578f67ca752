"""What a worker does with one job: read, paint, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harmonize.batch.jobs import Job
from harmonize.batch.runner import Event, Stopped
from harmonize.errors import HarmonizeError
from harmonize.images.write import losses
from harmonize.run.pipeline import harmonize
from harmonize.run.result import write_result
from harmonize.synthesis.network.cache import Memory
from harmonize.synthesis.optimization.minimize import Step


def paint(job: Job, memory: Memory, on_step: Callable[[Step], None] | None = None) -> Event:
    """Make a job's picture and record; whatever goes wrong with it is in the event.

    Raises:
        Stopped: by `on_step`; nothing is written then.
    """
    began = time.monotonic()
    error = None
    notes: list[str] = []

    def on_start(facts: dict[str, Any]) -> None:
        # Refuses before the work what cannot be written.
        notes.extend(losses(job.output, facts["original"]))

    try:
        asked: dict[str, Any] = {**job.inputs, "placement": job.placement, "config": job.config}
        asked |= {"absolute_paths": job.absolute_paths, "max_memory": job.max_memory}
        result = harmonize(**asked, memory=memory, on_step=on_step, on_start=on_start)
        notes = [*result.record["warnings"], *notes]
        job.output.parent.mkdir(parents=True, exist_ok=True)
        write_result(job.output, result.picture, result.record, overwrite=True)
    except Stopped:
        raise
    except HarmonizeError as known:
        error = " ".join(known.lines)
    except Exception as unknown:  # one job's failure never ends the batch
        error = " ".join(f"{type(unknown).__name__}: {unknown}".split())
    seconds = time.monotonic() - began
    if error:
        return Event("failed", job, seconds=seconds, error=error)
    return Event("done", job, seconds=seconds, warnings=tuple(notes))
