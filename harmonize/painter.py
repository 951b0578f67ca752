"""The passes in turn, on tensors at the working size: composite in, painted picture out."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harmonize import filters, losses, optimize, passes, region, strokes
from harmonize.config import Config
from harmonize.errors import StopRun
from harmonize.features import VGG19
from harmonize.fields import Painting
from harmonize.memory import Memory
from harmonize.objective import PassObjective
from harmonize.optimize import Step
from harmonize.passes import Balance
from harmonize.region import Window
from harmonize.schema import Pass, at_level

# How many times as large as at its start the sum of a pass's losses may end. Where gradients are
# balanced the sum is not what is minimized, and rises where the drawing is held: over the default,
# `preview` and the paper's passes, strengths 1 to 10, `keep` 0.25 to 30, good runs ended at up to
# 1.97 times; with fifty times the rate, a run that was noise ended at 8.
WORSE = {"gradient": 4.0, "loss": 1.1}

# Receives each step, and a function that returns the picture so far, [3, H, W].
Watcher = Callable[[Step, Callable[[], Tensor]], None]


@dataclass(frozen=True)
class Canvas:
    """A painting and what is pasted on it, at one scale.

    `painting` and `composite` [3, H, W], `tight` and `loose` masks [H, W]; all 0 to 1.
    """

    painting: Tensor
    composite: Tensor
    tight: Tensor
    loose: Tensor

    def at(self, scale: float) -> Canvas:
        """The same `scale` times as large (0 to 1)."""
        h, w = self.tight.shape
        shape = (max(16, round(h * scale)), max(16, round(w * scale)))
        painting, composite = (
            filters.resize(image, shape).clamp(0, 1) for image in (self.painting, self.composite)
        )
        tight = filters.resize(self.tight[None], shape)[0].clamp(0, 1)
        loose = (filters.resize(self.loose[None], shape)[0] > 0.25).to(tight.dtype)
        return Canvas(painting, composite, tight, loose)


@dataclass(frozen=True)
class PassLog:
    """What happened in one pass: steps done, the terms at each, seconds, what went wrong."""

    name: str
    steps: int
    losses: list[dict[str, float]]
    seconds: float
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """How far a run is: the passes that are over, and where the next one is.

    `picture` [3, H, W] is where the next pass starts; `descent` is None before its first step,
    `seconds` are those that it took so far.
    """

    picture: Tensor
    logs: list[PassLog] = field(default_factory=list)
    descent: optimize.State | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Painter:
    """All that the passes of a run have in common.

    `level` is the style level. What depends on the painting and the network alone is recalled
    from `memory`, where `key` stands for the two. A `StopRun` raised by `on_step` ends the run
    with the picture so far. Wherever the run could be left and taken up again, `on_safe` receives
    a function that returns how far it is; the tensors change with the next step.
    """

    config: Config
    network: VGG19
    level: float
    memory: Memory
    key: Hashable
    on_step: Watcher | None = None
    on_safe: Callable[[Callable[[], Progress]], None] | None = None

    def paint(
        self, canvas: Canvas, progress: Progress | None = None
    ) -> tuple[Tensor, list[PassLog], bool]:
        """All passes: the picture [3, H, W], a log a pass, and whether the run was stopped.

        Outside the loose mask the picture is the painting. With a `progress` it goes on from there.
        """
        tv = losses.total_variation_weight(float(losses.noise(canvas.painting)))
        balance = passes.Balance(self.level, self.config.keep, tv)
        progress, stopped = progress or Progress(canvas.composite), False
        for name, settings, steps in self._schedule()[len(progress.logs) :]:
            if not stopped:
                progress, stopped = self._pass(name, settings, steps, canvas, progress, balance)
        if not stopped:
            self._safe(lambda: progress)
        return progress.picture, progress.logs, stopped

    def _pass(
        self,
        name: str,
        settings: Pass,
        steps: int,
        canvas: Canvas,
        progress: Progress,
        balance: Balance,
    ) -> tuple[Progress, bool]:
        """One pass from where the run is: where it is then, and whether it was stopped."""
        self._safe(lambda: progress)
        began = time.perf_counter() - progress.seconds
        here = canvas.at(settings.scale)
        window = self._window(here)
        start, objective = self._prepare(settings, here, window, progress.picture, balance)

        def whole(image: Tensor) -> Tensor:
            painted = window.paste(here.painting, image.detach().clamp(0, 1))
            painted = torch.lerp(here.painting, painted, here.loose)
            return filters.resize(painted, canvas.tight.shape).clamp(0, 1)

        def keep(state: Callable[[], optimize.State]) -> None:
            self._safe(lambda: replace(progress, descent=state(), seconds=seconds()))

        def seconds() -> float:
            return time.perf_counter() - began

        watch = _Watch(name, steps, whole, self.on_step)
        descent = optimize.minimize(
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
            worse=WORSE[settings.balance],
            on_step=watch,
            restart=objective.restart,
            # What the objective holds is renewed after these steps: it need not be kept.
            shelter=optimize.Shelter(settings.refresh, keep),
            resume=progress.descent,
        )
        log = PassLog(name, descent.steps, descent.history, seconds(), descent.trouble)
        return Progress(whole(descent.image), [*progress.logs, log]), watch.stopped

    def _schedule(self) -> list[tuple[str, Pass, int]]:
        """Name, settings and number of steps of every pass that has any."""
        numbered = (
            (name, settings, round(at_level(settings.steps, self.level)))
            for name, settings in self.config.passes.items()
        )
        return [item for item in numbered if item[2]]

    def _safe(self, progress: Callable[[], Progress]) -> None:
        if self.on_safe is not None:
            self.on_safe(progress)

    def _window(self, canvas: Canvas) -> Window:
        if self.config.region == "patch":
            return region.around(canvas.loose, self.config.margin)
        return region.canvas(canvas.loose)

    def _prepare(
        self, settings: Pass, canvas: Canvas, window: Window, picture: Tensor, balance: Balance
    ) -> tuple[Tensor, PassObjective]:
        """Where a pass begins, within the window, and what it optimizes."""
        painting = self._study(canvas.painting, passes.taps_of(settings))
        composite, mask = window.crop(canvas.composite), window.crop(canvas.loose)
        previous = window.crop(filters.resize(picture, canvas.tight.shape)).clamp(0, 1)
        start = previous if settings.start == "previous" else composite
        matched = passes.match(
            settings,
            self.network,
            image=previous if settings.match == "previous" else start,
            painting=painting,
            mask=mask,
            level=self.level,
        )
        if settings.strokes:
            rough = strokes.rough(matched, painting, settings.field.taps[0])
            amount = at_level(settings.strokes.amount, self.level) / max(1.0, self.config.keep)
            start = strokes.overlay(start, rough, mask, amount=amount, sigma=settings.strokes.sigma)
        objective = passes.build(
            settings,
            self.network,
            start=start,
            matched=matched,
            composite=composite,
            painting=painting,
            frame=window.crop(canvas.painting),
            mask=mask,
            balance=balance,
        )
        return start, objective

    def _study(self, image: Tensor, taps: tuple[str, ...]) -> Painting:
        def study() -> Painting:
            with torch.no_grad():
                return Painting(image, self.network(image[None], taps))

        return self.memory.recall((self.key, image.shape, taps), study)


@dataclass
class _Watch:
    """Passes steps on to the run's watcher, and remembers if it stopped the run."""

    name: str
    total: int
    whole: Callable[[Tensor], Tensor]
    on_step: Watcher | None
    stopped: bool = False

    def __call__(self, index: int, terms: dict[str, float], image: Callable[[], Tensor]) -> None:
        if self.on_step is None:
            return
        try:
            self.on_step(Step(self.name, index, self.total, terms), lambda: self.whole(image()))
        except StopRun:
            self.stopped = True
            raise
