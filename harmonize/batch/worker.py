"""What a worker does with one job: read, paint, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harmonize.batch.jobs import Job
from harmonize.batch.runner import Event, Stopped
from harmonize.errors import HarmonizeError
from harmonize.images.write import losses
from harmonize.run.result import write_result
from harmonize.run.session import Progress, Session


def paint(job: Job, kept: Session, on_progress: Callable[[Progress], None] | None = None) -> Event:
    """Make a job's picture and record; whatever goes wrong with it is in the event.

    What `kept` has of network and paintings is used, and added to.

    Raises:
        Stopped: by `on_progress`; nothing is written then.
    """
    began = time.monotonic()
    error = None
    notes: list[str] = []
    try:
        session = kept.using(job.config)
        asked: dict[str, Any] = {**job.inputs, "placement": job.placement}
        plan = session.plan(**asked, max_memory=job.max_memory)
        notes = list(losses(job.output, plan.scene.original))  # refuses what cannot be written
        result = session.run(plan, on_progress=on_progress, absolute_paths=job.absolute_paths)
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
