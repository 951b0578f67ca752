"""An image and an objective in, an image of lower objective out. Knows nothing of paintings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize import filters
from harmonize.errors import StopRun


@dataclass(frozen=True)
class Step:
    """One step of a pass: its number from 1, how many there are, the weighted terms."""

    pass_name: str
    index: int
    total: int
    terms: dict[str, float]


class Objective(Protocol):
    """Named terms of an image [3, H, W], weighted: their sum is minimized."""

    def __call__(self, image: Tensor) -> dict[str, Tensor]: ...


class Variables(Protocol):
    """What is optimized in place of the image."""

    parameters: list[Tensor]

    def image(self) -> Tensor: ...


class Pixels:
    """The image's own pixels (paper)."""

    def __init__(self, image: Tensor) -> None:
        self.parameters = [image.clone().requires_grad_()]

    def image(self) -> Tensor:
        """The image [3, H, W]."""
        return self.parameters[0]


class Pyramid:
    """Coefficients of a Laplacian pyramid in luma and chroma.

    A step moves coarse and fine structure alike (our departure from the paper's pixels). The
    finest `frozen` levels of chroma stay as they are in `image` [3, H, W]: speckle, the mark of
    backpropagated convolutions, has nowhere to go.
    """

    def __init__(self, image: Tensor, *, levels: int, frozen: int) -> None:
        luma, chroma = filters.to_opponent(image).split((1, 2))
        self._luma, self._chroma = _analyze(luma, levels), _analyze(chroma, levels)
        frozen = min(frozen, len(self._chroma) - 1)
        self.parameters = [band.requires_grad_() for band in (*self._luma, *self._chroma[frozen:])]

    def image(self) -> Tensor:
        """The image [3, H, W]."""
        return filters.from_opponent(
            torch.cat((_synthesize(self._luma), _synthesize(self._chroma)))
        )


def _analyze(image: Tensor, levels: int) -> list[Tensor]:
    bands = []
    for _ in range(levels - 1):
        if min(image.shape[1:]) < 4:
            break
        smaller = F.avg_pool2d(image[None], 2, ceil_mode=True)[0]
        bands.append(image - _enlarge(smaller, image))
        image = smaller
    return [band.clone() for band in (*bands, image)]


def _synthesize(bands: list[Tensor]) -> Tensor:
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + _enlarge(image, band)
    return image


def _enlarge(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image[None], size=like.shape[1:], mode="bilinear", align_corners=False)[0]


def minimize(
    image: Tensor,
    objective: Objective,
    *,
    steps: int,
    variables: str,
    levels: int,
    frozen: int,
    optimizer: str,
    rate: float,
    plateau: float = 0.0,
    window: int = 10,
    report_every: int = 1,
    on_step: Callable[[int, dict[str, float], Callable[[], Tensor]], None] | None = None,
) -> tuple[Tensor, list[dict[str, float]]]:
    """Up to `steps` steps from `image` [3, H, W]; the last image, and the terms of every report.

    `variables` are `pixels` or a `pyramid` of `levels` whose `frozen` finest chroma levels stay.
    `optimizer` is `adam` (rate decayed to a tenth along a cosine) or `lbfgs` (step length `rate`,
    no line search, 10 pairs). Ends early when the sum of the terms fell by less than `plateau` (a
    share) over `window` reports. Values are read back from the device only every `report_every`
    steps. `on_step` receives the step's number from 1, its terms, and a function that returns the
    image so far; a `StopRun` raised by it ends the run with that image.
    """
    state: Variables = (
        Pixels(image) if variables == "pixels" else Pyramid(image, levels=levels, frozen=frozen)
    )
    history: list[dict[str, float]] = []
    latest: dict[str, Tensor] = {}

    def closure() -> Tensor:
        nonlocal latest
        latest = objective(state.image())
        total = torch.stack(list(latest.values())).sum()
        gradients = torch.autograd.grad(total, state.parameters)
        for parameter, gradient in zip(state.parameters, gradients, strict=True):
            parameter.grad = gradient
        return total

    method: torch.optim.Optimizer
    schedule = None
    if optimizer == "lbfgs":
        method = torch.optim.LBFGS(
            state.parameters,
            lr=rate,
            max_iter=1,
            history_size=10,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )
    else:
        method = torch.optim.Adam(state.parameters, lr=rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(method, max(1, steps), rate / 10)
    for index in range(1, steps + 1):
        method.step(closure)  # type: ignore[no-untyped-call]
        if schedule is not None:
            schedule.step()
        if index % report_every and index != steps:
            continue
        history.append({name: float(value.detach()) for name, value in latest.items()})
        try:
            if on_step is not None:
                on_step(index, history[-1], state.image)
        except StopRun:
            break
        if plateau > 0 and _flat(history, plateau, window):
            break
    return state.image().detach(), history


class _UnitGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        norm = torch.linalg.vector_norm(gradient).clamp_min(1e-12)
        return gradient * (ctx.weight / norm), None


def unit_gradient(x: Tensor, weight: float) -> Tensor:
    """`x` unchanged; the gradient that comes back through it is scaled to the L2 norm `weight`.

    The authors' balance: a term that sees its activations through this pulls with a strength of
    exactly `weight`, however large its loss.
    """
    return cast(Tensor, _UnitGradient.apply(x, weight))


def _flat(history: list[dict[str, float]], share: float, window: int) -> bool:
    if len(history) <= window:
        return False
    before, now = (sum(history[i].values()) for i in (-1 - window, -1))
    return before - now < share * before
