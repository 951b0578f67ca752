"""The passes in turn, each at its scale of the working size: canvas in, painted picture out."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from torch import Tensor

from harmonize.errors import StopRun
from harmonize.settings.load import Settings
from harmonize.settings.resolve import Resolved, ResolvedPass, resolve
from harmonize.synthesis import passes, strokes
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View, scaled
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.cache import Memory
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.minimize import Minimizer, Shelter, State, Step
from harmonize.synthesis.optimization.objective import PassObjective

# Pixels that are looked at to see how grainy the painting is.
GRAIN = 1 << 22

# How many times as large as at its start the sum of a pass's losses may end. Where gradients are
# balanced the sum is not what is minimized, and rises where the drawing is held: over the default,
# `preview` and the paper's passes, strengths 1 to 10, `keep` 0.25 to 30, good runs ended at up to
# 1.97 times; with fifty times the rate, a run that was noise ended at 8.
WORSE = {"gradient": 4.0, "loss": 1.1}

# Receives each step, and a function that returns the picture so far.
Watcher = Callable[[Step, Callable[[], Painted]], None]


@dataclass(frozen=True)
class PassLog:
    """What happened in one pass: steps done, the terms at each, seconds, what went wrong."""

    name: str
    steps: int
    losses: list[dict[str, float]]
    seconds: float
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SavePoint:
    """How far a run is: the passes that are over, and where the next one is.

    `picture` [3, h, w] is what the window of the last pass shows, None before the first pass is
    over; `descent` is None before the next one's first step, `seconds` are those that it took so
    far.
    """

    picture: Tensor | None = None
    logs: list[PassLog] = field(default_factory=list)
    descent: State | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Painter:
    """All that the passes of a run have in common.

    `level` is the style level. What depends on the painting and the network alone is recalled
    from `memory`, where `key` stands for the two. A `StopRun` raised by `on_step` ends the run
    with the picture so far. Wherever the run could be left and taken up again, `on_safe` receives
    a function that returns how far it is; the tensors change with the next step.
    """

    config: Settings
    network: VGG19
    level: float
    memory: Memory
    key: Hashable
    on_step: Watcher | None = None
    on_safe: Callable[[Callable[[], SavePoint]], None] | None = None

    @cached_property
    def resolved(self) -> Resolved:
        """The settings at the style level."""
        return resolve(self.config, self.level)

    def paint(
        self, canvas: Canvas, view: View, progress: SavePoint | None = None
    ) -> tuple[Painted, list[PassLog], bool]:
        """All passes: the picture, a log a pass, and whether the run was stopped.

        `view` is the canvas at the working size. Outside the loose mask the picture is the
        painting. With a `progress` it goes on from there.
        """
        noise = float(losses.noise(view.painting.bands(GRAIN)))
        smoothness = losses.total_variation_weight(noise)
        progress, stopped = progress or SavePoint(), False
        schedule = self.resolved.passes
        done = len(progress.logs)
        here = self._view(schedule[done - 1], canvas, view) if done else view
        for settings in schedule[done:]:
            if stopped:
                break
            before, here = here, self._view(settings, canvas, view)
            picture = None if progress.picture is None else Painted(before, progress.picture)
            progress, stopped = self._pass(settings, here, picture, progress, smoothness)
        if not stopped:
            self._safe(lambda: progress)
        image = view.composite if progress.picture is None else progress.picture
        return Painted(here, image), progress.logs, stopped

    def _pass(
        self,
        settings: ResolvedPass,
        view: View,
        picture: Painted | None,
        progress: SavePoint,
        smoothness: float,
    ) -> tuple[SavePoint, bool]:
        """One pass from where the run is: where it is then, and whether it was stopped."""
        self._safe(lambda: progress)
        began = time.perf_counter() - progress.seconds
        start, objective = self._prepare(settings, view, picture, smoothness)
        if not objective.terms:  # all of them weigh nothing
            log = PassLog(settings.name, 0, [], time.perf_counter() - began)
            return SavePoint(Painted.on(view, start).image, [*progress.logs, log]), False

        def keep(state: Callable[[], State]) -> None:
            self._safe(lambda: replace(progress, descent=state(), seconds=seconds()))

        def seconds() -> float:
            return time.perf_counter() - began

        watch = _Watch(
            settings.name, settings.method.steps, partial(Painted.on, view), self.on_step
        )
        descent = Minimizer(
            start,
            objective,
            settings.method,
            worse=WORSE[settings.balance],
            # Reading values back makes the host wait for the device.
            report_every=1 if self.network.device.type == "cpu" else 10,
            on_step=watch,
            # What the objective holds is renewed after these steps: it need not be kept.
            shelter=Shelter(settings.refresh, keep),
            resume=progress.descent,
        ).run()
        log = PassLog(settings.name, descent.steps, descent.history, seconds(), descent.trouble)
        painted = Painted.on(view, descent.image)
        return SavePoint(painted.image, [*progress.logs, log]), watch.stopped

    def _view(self, settings: ResolvedPass, canvas: Canvas, view: View) -> View:
        """What a pass sees of the canvas, `view` being that at the working size."""
        return canvas.view(scaled(view.shape, settings.scale), self.resolved.margin)

    def _safe(self, progress: Callable[[], SavePoint]) -> None:
        if self.on_safe is not None:
            self.on_safe(progress)

    def _prepare(
        self, settings: ResolvedPass, view: View, picture: Painted | None, smoothness: float
    ) -> tuple[Tensor, PassObjective]:
        """Where a pass begins, within the view's window, and what it optimizes."""
        painting = self._features(view.painting, passes.taps_of(settings))
        previous = view.composite if picture is None else picture.seen(view)
        start = previous if settings.start == "previous" else view.composite
        matched = passes.match(
            settings,
            self.network,
            image=previous if settings.match == "previous" else start,
            painting=painting,
            mask=view.loose,
        )
        if settings.strokes:
            rough = strokes.rough(matched, view.painting, settings.matching.taps[0])
            amount, sigma = settings.strokes.amount, settings.strokes.sigma
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
            smoothness=smoothness,
        )
        return start, objective

    def _features(self, painting: Raster, taps: tuple[str, ...]) -> PaintingFeatures:
        features = PaintingFeatures(painting, self.network, self.resolved.tile)
        if not features.single:
            return features
        key = (self.key, painting.shape, taps)
        return replace(features, seen=self.memory.recall(key, lambda: features.look(taps)))


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
