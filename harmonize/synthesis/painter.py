"""The stages in turn: a canvas in, the painted picture out."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from harmonize.errors import StopRun
from harmonize.settings.goals import Resolved, ResolvedPass
from harmonize.synthesis import passes
from harmonize.synthesis.brushwork.brush import dotted_again
from harmonize.synthesis.brushwork.overlay import overlay, rough
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View, scaled
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.minimize import Minimizer, Shelter, State, Step
from harmonize.synthesis.optimization.objective import PassObjective
from harmonize.synthesis.start import (
    Start,
    bring_back_contour,
    bring_back_light,
    bring_back_outlines,
    map_palette,
    underpaint,
)

# Pixels that are looked at to see how grainy the painting is.
GRAIN_PIXELS = 1 << 22

# Long side at work in pixels; of a larger picture a small palette map is told first.
LARGE = 500

# How many times as large as at its start the sum of a pass's losses may end. Where gradients are
# balanced the sum is not what is minimized, and rises where the drawing is held: over the default,
# `preview` and the paper's passes, strengths 1 to 10, `keep` 0.25 to 30, good runs ended at up to
# 1.97 times; with fifty times the rate, a run that was noise ended at 8.
WORSE = {"gradient": 4.0, "loss": 1.1}

# Receives each step, and a function that returns the picture so far.
Watcher = Callable[[Step, Callable[[], Painted]], None]
# Returns by key what depends on painting and network alone, or makes it.
Recall = Callable[[Hashable, Callable[[], Mapping[str, Tensor]]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class PassLog:
    """What happened in one pass."""

    name: str
    steps: int
    losses: list[dict[str, float]]
    seconds: float
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SavePoint:
    """A run's finished passes, and where the next one is."""

    picture: Tensor | None = None
    logs: list[PassLog] = field(default_factory=list)
    descent: State | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Painter:
    """What the passes of a run share.

    A `StopRun` from `on_step` ends the run with the picture so far.
    """

    resolved: Resolved
    network: VGG19
    recall: Recall
    on_step: Watcher | None = None
    on_safe: Callable[[Callable[[], SavePoint]], None] | None = None
    _held: dict[Hashable, Mapping[str, Tensor]] = field(default_factory=dict, init=False)

    def paint(
        self, canvas: Canvas, view: View, progress: SavePoint | None = None
    ) -> tuple[Painted, list[PassLog], bool]:
        """Run the passes from `progress` on; return the picture, logs, and whether it was stopped.

        `view` has the working size. Outside the loose mask the picture is the painting.
        """
        noise = float(losses.noise(view.painting.bands(GRAIN_PIXELS)))
        smoothness = losses.total_variation_weight(noise)
        resumed, progress = progress is not None, progress or SavePoint()
        if not resumed and (early := self._early(canvas, view)):
            return early, [], True
        start, stopped = self._begin(view, told=resumed)
        schedule = self.resolved.passes
        done = len(progress.logs)
        here = self._view(schedule[done - 1], canvas, view) if done else view
        for settings in schedule[done:]:
            if stopped:
                break
            before, here = here, self._view(settings, canvas, view)
            picture = None if progress.picture is None else Painted(before, progress.picture)
            work = _Work(settings, here, view, picture, start, smoothness)
            progress, stopped = self._pass(work, progress)
        if not stopped:
            self._safe(lambda: progress)
        return self._end(here, view, progress.picture, start), progress.logs, stopped

    def _early(self, canvas: Canvas, view: View) -> Painted | None:
        # A palette map at the coarsest pass's scale; it is returned if the run is stopped there.
        coarsest = min(self.resolved.passes, key=lambda item: item.scale, default=None)
        goal = self.resolved.palette
        if goal is None or coarsest is None or not self._palette_steps(view) > 1:
            return None
        small = self._view(coarsest, canvas, view)
        features = self._features(small.painting, passes.taps_of(coarsest), hold=True)
        image = map_palette(small, features, goal)[0].image
        try:
            _Stages(self.on_step, small)("palette", 1, 2, image)
        except StopRun:
            return Painted.on(small, image)
        return None

    def _palette_steps(self, view: View) -> int:
        smaller = any(item.scale < 1 for item in self.resolved.passes)
        begun = self.resolved.underpainting is not None and self.on_step is not None
        return 2 if begun and smaller and max(view.shape) > LARGE else 1

    def _begin(self, view: View, told: bool) -> tuple[Start | None, bool]:
        palette, underpainting = self.resolved.palette, self.resolved.underpainting
        if palette is None or underpainting is None:
            return None, False
        features = self._features(view.painting, self._taps(), hold=True)
        start, matched = map_palette(view, features, palette, self.resolved.brushwork)
        scales, maps = len(underpainting.steps), self._palette_steps(view)
        tell = _Stages(None if told else self.on_step, view)
        try:
            tell("palette", maps, maps, start.image)
            scale = iter(range(1, scales + 1))
            start = underpaint(
                start,
                view,
                matched,
                features,
                underpainting,
                lambda image: tell("underpainting", next(scale), scales, image),
            )
        except StopRun:
            return start, True
        return start, False

    def _end(self, here: View, view: View, image: Tensor | None, start: Start | None) -> Painted:
        palette = self.resolved.palette
        if start is None or palette is None:
            return Painted(here, view.composite if image is None else image)
        if image is None:
            return Painted.on(view, start.image)
        image = Painted(here, image).seen(view)
        told = bring_back_light(image, start, palette)
        told = bring_back_contour(told, view.frame, start, palette)
        image = torch.lerp(image, told, self.resolved.broad)
        if underpainting := self.resolved.underpainting:
            known = view.painting.crop(Window(0, 0, *view.shape))
            image = bring_back_outlines(image, start, known, underpainting)
        return replace(
            Painted.on(view, image), strokes=start.strokes.origin if start.strokes else None
        )

    def _taps(self) -> tuple[str, ...]:
        palette = self.resolved.palette
        whole = [item.seen for item in self.resolved.passes if item.scale == 1]
        used = frozenset(palette.matching.taps if palette else ()).union(*whole)
        return tuple(tap for tap in STRIDE if tap in used)

    def _pass(self, work: _Work, progress: SavePoint) -> tuple[SavePoint, bool]:
        settings, view = work.settings, work.view
        self._safe(lambda: progress)
        began = time.perf_counter() - progress.seconds
        start, objective = self._prepare(work)
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
        margin, shape = self.resolved.margin, scaled(view.shape, settings.scale)
        return view if margin is not None and shape == view.shape else canvas.view(shape, margin)

    def _safe(self, progress: Callable[[], SavePoint]) -> None:
        if self.on_safe is not None:
            self.on_safe(progress)

    def _prepare(self, work: _Work) -> tuple[Tensor, PassObjective]:
        settings, view = work.settings, work.view
        shared = work.start is not None and settings.scale == 1
        taps = self._taps() if shared else passes.taps_of(settings)
        painting = self._features(view.painting, taps)
        previous = view.composite if work.picture is None else work.picture.seen(view)
        start = work.begin(previous, self.resolved.lead)
        matched, masked = passes.match_pass(
            settings,
            self.network,
            image=previous if settings.match == "previous" else start,
            painting=painting,
            frame=view.frame,
            mask=view.loose,
        )
        for layer, share in work.strokes(matched):
            sigma = settings.strokes.sigma if settings.strokes else 0.0
            start = overlay(start, layer, view.loose, amount=share, sigma=sigma)
        if settings.strokes and self.resolved.brushwork:
            known = view.painting.crop(Window(0, 0, *view.shape))
            start = dotted_again(start, known, work.element(), self.resolved.brushwork)
        objective = passes.build_objective(
            settings,
            masked,
            matched=matched,
            kept=work.target(self.resolved.lead),
            painting=view.painting,
            frame=view.frame,
            mask=view.loose,
            smoothness=work.smoothness,
        )
        return start, objective

    def _features(
        self, painting: Raster, taps: tuple[str, ...], hold: bool = False
    ) -> PaintingFeatures:
        features = PaintingFeatures(painting, self.network, self.resolved.tile)
        if not features.single:
            return features
        key = (painting.shape, taps)
        seen = self._held.pop(key, None)
        if seen is None:
            seen = self.recall(key, lambda: features.look(taps))
        if hold:
            self._held[key] = seen
        return replace(features, seen=seen)


@dataclass(frozen=True)
class _Work:
    settings: ResolvedPass
    view: View
    whole: View
    picture: Painted | None
    start: Start | None
    smoothness: float

    def begin(self, previous: Tensor, lead: float) -> Tensor:
        if self.settings.start == "composite":
            return self._pasted()
        if self.settings.start == "underpainting" and self.start is not None:
            return torch.lerp(previous, self._seen(self.start.image), lead)
        return previous

    def strokes(self, matched: Match) -> Iterator[tuple[Tensor, float]]:
        asked = self.settings.strokes
        if asked is None:
            return
        rebuilt = self.start.strokes if self.start else None
        amount = asked.amount if rebuilt else asked.amount + asked.underpainting
        if amount:
            tap = self.settings.matching.taps[0]
            yield rough(matched, self.view.painting, tap), amount
        if rebuilt and asked.underpainting:
            yield self._seen(filters.from_lab(100 * rebuilt.image)), asked.underpainting

    def target(self, lead: float) -> Tensor:
        goal = self.settings.goals.content
        if goal and goal.target == "palette" and self.start is not None:
            return torch.lerp(self._pasted(), self._seen(self.start.drawn), lead)
        return self._pasted()

    def element(self) -> Tensor:
        return self.view.tight[None] if self.start is None else self._seen(self.start.mask)

    def _pasted(self) -> Tensor:
        return self.view.composite if self.start is None else self._seen(self.start.pasted)

    def _seen(self, image: Tensor) -> Tensor:
        return Painted(self.whole, image).seen(self.view)


@dataclass(frozen=True)
class _Stages:
    on_step: Watcher | None
    view: View

    def __call__(self, name: str, index: int, total: int, image: Tensor) -> None:
        if self.on_step is not None:
            self.on_step(Step(name, index, total, {}), lambda: Painted.on(self.view, image))


@dataclass
class _Watch:
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
