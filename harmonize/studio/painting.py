"""Paint what the page asks."""

import contextlib
import io
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from harmonize.scene.placement import Length, Placement
from harmonize.settings.load import Settings
from harmonize.studio.files import File, Files, encoded
from harmonize.studio.results import Asked, Kept, keep
from harmonize.studio.tasks import Task, Tasks

if TYPE_CHECKING:
    from harmonize.run.prepare import Plan
    from harmonize.run.session import Progress, Session

PICTURES_EVERY = 0.7  # seconds between two pictures of a run …
PICTURES_SHARE = 0.1  # … and how much of the time they may take
PREVIEW_SIDE = 288  # pixels: long side of the copy that the palette map is made of
PREVIEW_AROUND = 12  # pixels around the element that its palette map shows
GROWING = 1024  # pixels: long side of a picture so far


class _FirstPicture(Exception):  # noqa: N818 - no error
    pass


@dataclass(eq=False)
class Studio:
    """Paints for a session; keeps network and paintings."""

    files: Files
    _network: "Session | None" = None
    _seconds: dict[str, float] = field(default_factory=dict)  # of a step of each stage
    _working: threading.Lock = field(default_factory=threading.Lock)
    _painting: bool = False
    _latest: int = 0  # number of the palette map that was asked for last

    def session(self, preset: str, **options: Any) -> "Session":
        from harmonize.run.session import Session

        if self._network is None:
            self._network = Session()
        return self._network.using(_preset_settings(preset), **options)

    def paint(self, task: Task, tasks: Tasks) -> Kept:
        asked: Asked = task.asked
        self._painting = True
        try:
            with self._working:
                session = self.session(asked.preset, **asked.options)
                tasks.tell(task, stage="reading")
                plan = session.plan(
                    asked.painting.path, asked.element.path, placement=asked.placement
                )
                watch = Watch(task, tasks, dict(plan.steps), self._seconds)
                tasks.tell(task, stage="palette" if plan.settings.palette else watch.order[2])
                result = session.run(plan, on_progress=watch)
                watch.end()
        finally:
            self._painting = False
        tasks.tell(task, stage="writing")
        return keep(asked, result, self.files)

    def palette(self, asked: Asked) -> tuple[bytes, list[float]] | None:
        """Return palette map above composite around the element, PNG, and where.

        None: a later one is asked for, or something is painted.
        """
        self._latest = number = self._latest + 1
        while not self._working.acquire(timeout=0.02):
            if number != self._latest or self._painting:
                return None
        try:
            return self._palette(asked) if number == self._latest else None
        finally:
            self._working.release()

    def _palette(self, asked: Asked) -> tuple[bytes, list[float]] | None:
        painting, (whole, _) = _small(asked.painting), asked.painting.size
        placement = _scaled(asked.placement, painting.width / whole)
        session = self.session("preview", **{**asked.options, "size": PREVIEW_SIDE})
        plan = session.plan(painting, _small(asked.element), placement=placement)
        mapped = _mapped(session, plan)
        if mapped is None:
            return None
        (width, height), layout = painting.size, plan.scene.layout
        rows, columns = layout.rows, layout.columns
        left, top = max(columns.start - PREVIEW_AROUND, 0), max(rows.start - PREVIEW_AROUND, 0)
        right, down = (
            min(columns.stop + PREVIEW_AROUND, width),
            min(rows.stop + PREVIEW_AROUND, height),
        )
        x, y = asked.painting.size[0] / width, asked.painting.size[1] / height
        window = [left * x, top * y, (right - left) * x, (down - top) * y]
        both = Image.new("RGB", (right - left, 2 * (down - top)))
        both.paste(mapped.crop((left, top, right, down)))
        both.paste(plan.composite.crop((left, top, right, down)), (0, down - top))
        return encoded(both), window

    def warm(self, painting: File) -> None:
        with self._working:
            session, dot = self.session("preview", size=PREVIEW_SIDE), Image.new("L", (32, 32), 255)
            _mapped(session, session.plan(_small(painting), dot.convert("RGB"), dot))


@cache
def _preset_settings(name: str) -> Settings:
    return Settings.preset(name)


def _mapped(session: "Session", plan: "Plan") -> Image.Image | None:
    found: list[Image.Image | None] = [None]

    def first(progress: "Progress") -> None:
        found[0] = progress.preview()
        raise _FirstPicture

    with contextlib.suppress(_FirstPicture):
        session.run(plan, on_progress=first)
    return found[0]


@lru_cache(maxsize=8)
def _small(file: File) -> Image.Image:
    with Image.open(io.BytesIO(file.shown or file.view), formats=("PNG",)) as image:
        factor = min(1.0, PREVIEW_SIDE / max(image.size))
        size = [max(1, round(side * factor)) for side in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _scaled(placement: Placement, factor: float) -> Placement:
    def length(value: Length) -> Length:
        return value if isinstance(value, str) else value * factor  # a share stays

    at, width, height = placement.at, placement.width, placement.height
    return replace(
        placement,
        at=(length(at[0]), length(at[1])) if isinstance(at, tuple) else at,
        width=None if width is None else length(width),
        height=None if height is None else length(height),
    )


class Watch:
    """Tells the page of a run's progress."""

    def __init__(
        self, task: Task, tasks: Tasks, steps: dict[str, int], seconds: dict[str, float]
    ) -> None:
        self.task, self.tasks, self.steps, self.seconds = task, tasks, steps, seconds
        self.began = self.last = time.monotonic()
        self.next_picture = 0.0
        self.stage = ""
        self.order = ["palette", "underpainting", *steps, "finish"]
        self.stage_began, self.stage_steps = self.began, 0

    def __call__(self, progress: "Progress") -> None:
        self.tasks.check(self.task)
        now = time.monotonic()
        if progress.stage != self.stage:
            self._end_stage(now)
            self.stage, self.stage_began = progress.stage, now
        self.stage_steps = progress.step
        changes: dict[str, Any] = {"stage": self._doing(progress), "seconds": now - self.began}
        changes |= self._share(progress, now)
        if now >= self.next_picture:
            picture = progress.preview()
            if picture is not None:
                changes["picture"] = encoded(picture, GROWING, quick=True)
                changes["pictures"] = self.task.pictures + 1
            shown = time.monotonic()
            self.next_picture = shown + max(PICTURES_EVERY, (shown - now) / PICTURES_SHARE)
        self.tasks.tell(self.task, **changes)

    def end(self) -> None:
        self._end_stage(time.monotonic())

    def _doing(self, progress: "Progress") -> str:
        at = self.order.index(progress.stage) + (progress.step == progress.total)
        return self.order[min(at, len(self.order) - 1)]

    def _end_stage(self, now: float) -> None:
        if self.stage and self.stage_steps:
            self.seconds[self.stage] = (now - self.stage_began) / self.stage_steps

    def _share(self, progress: "Progress", now: float) -> dict[str, Any]:
        here = (now - self.stage_began) / max(progress.step, 1)
        after, found = 0.0, False
        for name, count in self.steps.items():
            if found:
                after += count * self.seconds.get(name, 2 * here)
            found = found or name == progress.stage
        if not found:  # before the first of the passes
            after = sum(count * self.seconds.get(name, 0.3) for name, count in self.steps.items())
        left = after + here * max(progress.total - progress.step, 0)
        done = now - self.began
        return {"left": left, "share": max(self.task.share, done / max(done + left, 0.1))}
