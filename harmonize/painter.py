"""The passes in turn, on tensors at the working size: composite in, painted picture out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize import filters, losses, optimize, passes, region, strokes
from harmonize.config import Config
from harmonize.errors import StopRun
from harmonize.features import VGG19
from harmonize.fields import Painting
from harmonize.optimize import Step
from harmonize.schema import at_level


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
    """What happened in one pass: steps done, the terms at each, seconds."""

    name: str
    steps: int
    losses: list[dict[str, float]]
    seconds: float


def paint(
    canvas: Canvas,
    config: Config,
    network: VGG19,
    *,
    level: float,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Tensor, list[PassLog], bool]:
    """All passes of `config` at style level `level`: the picture [3, H, W], a log a pass,
    and whether the run was stopped.

    Outside the loose mask the picture is the painting. A `StopRun` raised by `on_step`
    ends the run with the picture so far.
    """
    logs: list[PassLog] = []
    picture: Tensor | None = None
    tv = losses.total_variation_weight(float(losses.noise(canvas.painting)))
    balance = passes.Balance(level, config.keep, tv)
    stopped = False

    def report(name: str, total: int) -> Callable[[int, dict[str, float]], None]:
        def forward(index: int, terms: dict[str, float]) -> None:
            nonlocal stopped
            if on_step is not None:
                try:
                    on_step(Step(name, index, total, terms))
                except StopRun:
                    stopped = True
                    raise

        return forward

    for name, settings in config.passes.items():
        steps = round(at_level(settings.steps, level))
        if steps == 0 or stopped:
            continue
        began = time.perf_counter()
        here = canvas.at(settings.scale)
        if config.region == "patch":
            window = region.around(here.loose, config.margin)
        else:
            window = region.canvas(here.loose)
        painting = _study(here.painting, network, passes.taps_of(settings))
        composite = window.crop(here.composite)
        start = composite
        if settings.start == "previous" and picture is not None:
            start = window.crop(filters.resize(picture, here.tight.shape)).clamp(0, 1)
        if settings.strokes:
            mask = window.crop(here.loose)
            with torch.no_grad():
                rough = strokes.rough(settings.field, start, painting, mask, network, level)
            amount = at_level(settings.strokes.amount, level) / max(1.0, config.keep)
            start = strokes.overlay(start, rough, mask, amount=amount, sigma=settings.strokes.sigma)
        query = start
        if settings.match == "previous" and picture is not None:
            query = window.crop(filters.resize(picture, here.tight.shape)).clamp(0, 1)
        objective = passes.build(
            settings,
            network,
            start=start,
            query=query,
            composite=composite,
            painting=painting,
            frame=window.crop(here.painting),
            mask=window.crop(here.loose),
            balance=balance,
        )
        result, history = optimize.minimize(
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
            report_every=1 if network.device.type == "cpu" else 10,
            on_step=report(name, steps),
        )
        painted = window.paste(here.painting, result.clamp(0, 1))
        picture = torch.lerp(here.painting, painted, here.loose)
        logs.append(PassLog(name, len(history), history, time.perf_counter() - began))
    if picture is None:
        picture = canvas.composite
    shape = canvas.tight.shape
    return filters.resize(picture, shape).clamp(0, 1), logs, stopped


def _study(image: Tensor, network: VGG19, taps: tuple[str, ...]) -> Painting:
    with torch.no_grad():
        return Painting(image, network(image[None], taps))
