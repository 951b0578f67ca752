"""The passes in turn, each at its scale of the working size: canvas in, painted picture out."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from harmonize import losses, optimize, passes, strokes
from harmonize.canvas import Canvas, Painted, View, scaled
from harmonize.config import Config
from harmonize.errors import StopRun
from harmonize.features import VGG19
from harmonize.memory import Memory
from harmonize.objective import PassObjective
from harmonize.optimize import Step
from harmonize.passes import Balance
from harmonize.raster import Raster
from harmonize.schema import Pass, at_level
from harmonize.study import Study

# Pixels that are looked at to see how grainy the painting is.
GRAIN = 1 << 22

# Receives each step, and a function that returns the picture so far.
Watcher = Callable[[Step, Callable[[], Painted]], None]


@dataclass(frozen=True)
class PassLog:
    """What happened in one pass: steps done, the terms at each, seconds."""

    name: str
    steps: int
    losses: list[dict[str, float]]
    seconds: float


@dataclass(frozen=True)
class Painter:
    """All that the passes of a run have in common.

    `level` is the style level. What depends on the painting and the network alone is recalled
    from `memory`, where `key` stands for the two. A `StopRun` raised by `on_step` ends the run
    with the picture so far.
    """

    config: Config
    network: VGG19
    level: float
    memory: Memory
    key: Hashable
    on_step: Watcher | None = None

    def paint(self, canvas: Canvas, view: View) -> tuple[Painted, list[PassLog], bool]:
        """All passes: the picture, a log a pass, and whether the run was stopped.

        `view` is the canvas at the working size. Outside the loose mask the picture is the
        painting.
        """
        tv = losses.total_variation_weight(float(losses.noise(view.painting.bands(GRAIN))))
        balance = passes.Balance(self.level, self.config.keep, tv)
        picture: Painted | None = None
        logs: list[PassLog] = []
        stopped = False
        for name, settings in self.config.passes.items():
            steps = round(at_level(settings.steps, self.level))
            if steps == 0 or stopped:
                continue
            began = time.perf_counter()
            margin = self.config.margin if self.config.region == "patch" else None
            here = canvas.view(scaled(view.shape, settings.scale), margin)
            start, objective = self._prepare(settings, here, picture, balance)
            watch = _Watch(name, steps, partial(Painted.on, here), self.on_step)
            image, history = optimize.minimize(
                start,
                objective,
                steps=steps,
                variables=settings.variables,
                levels=settings.levels,
                frozen=settings.chroma_frozen,
                optimizer=settings.optimizer,
                rate=settings.rate,
                plateau=settings.plateau,
                window=settings.plateau_window,
                # Reading values back makes the host wait for the device.
                report_every=1 if self.network.device.type == "cpu" else 10,
                on_step=watch,
            )
            picture, stopped = Painted.on(here, image), watch.stopped
            logs.append(PassLog(name, len(history), history, time.perf_counter() - began))
        return picture or Painted(view, view.composite), logs, stopped

    def _prepare(
        self, settings: Pass, view: View, picture: Painted | None, balance: Balance
    ) -> tuple[Tensor, PassObjective]:
        """Where a pass begins, within the view's window, and what it optimizes."""
        painting = self._study(view.painting, passes.taps_of(settings))
        previous = view.composite if picture is None else picture.seen(view)
        start = previous if settings.start == "previous" else view.composite
        matched = passes.match(
            settings,
            self.network,
            image=previous if settings.match == "previous" else start,
            painting=painting,
            mask=view.loose,
            level=self.level,
        )
        if settings.strokes:
            rough = strokes.rough(matched, view.painting, settings.field.taps[0])
            amount = at_level(settings.strokes.amount, self.level) / max(1.0, self.config.keep)
            sigma = settings.strokes.sigma
            start = strokes.overlay(start, rough, view.loose, amount=amount, sigma=sigma)
        objective = passes.build(
            settings,
            self.network,
            start=start,
            matched=matched,
            composite=view.composite,
            painting=view.painting,
            frame=view.frame,
            mask=view.loose,
            balance=balance,
        )
        return start, objective

    def _study(self, painting: Raster, taps: tuple[str, ...]) -> Study:
        study = Study(painting, self.network, self.config.tile)
        if not study.single:
            return study
        key = (self.key, painting.shape, taps)
        return replace(study, seen=self.memory.recall(key, lambda: study.look(taps)))


@dataclass
class _Watch:
    """Passes steps on to the run's watcher, and remembers if it stopped the run."""

    name: str
    total: int
    painted: Callable[[Tensor], Painted]
    on_step: Watcher | None
    stopped: bool = False

    def __call__(self, index: int, terms: dict[str, float], image: Callable[[], Tensor]) -> None:
        if self.on_step is None:
            return
        try:
            self.on_step(Step(self.name, index, self.total, terms), lambda: self.painted(image()))
        except StopRun:
            self.stopped = True
            raise
