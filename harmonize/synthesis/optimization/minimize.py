"""An image and an objective in, an image of lower objective out. Knows nothing of paintings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.errors import StopRun
from harmonize.synthesis.image_ops import filters

EXPLODED = 100.0  # times the sum of the terms at the start: no use in going on
NEAR = 1.0  # a start with a smaller sum counts as this: from a perfect fit every step leads away
SAFE_RATE = 0.01  # at most, at the second attempt; half of the default's


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
    shares: list[float]

    def image(self) -> Tensor: ...


class Pixels:
    """The image's own pixels (paper)."""

    def __init__(self, image: Tensor) -> None:
        self.parameters = [image.clone().requires_grad_()]
        self.shares = [1.0]

    def image(self) -> Tensor:
        """The image [3, H, W]."""
        return self.parameters[0]


class Pyramid:
    """Coefficients of a Laplacian pyramid in luma and chroma.

    A step moves coarse and fine structure alike (our departure from the paper's pixels). The
    finest `frozen` levels of chroma stay as they are in `image` [3, H, W]: speckle, the mark of
    backpropagated convolutions, has nowhere to go.

    `shares` says how far each parameter goes in a step, as a share of the rate: luma's levels from
    the finest on by `rates`, whose last holds for all that are coarser; chroma goes all the way.
    Adam moves every coefficient by about its rate, however small the gradient: at the full rate
    the finest level becomes noise.
    """

    def __init__(
        self, image: Tensor, *, levels: int, frozen: int, rates: Sequence[float] = (1.0,)
    ) -> None:
        luma, chroma = filters.to_opponent(image).split((1, 2))
        self._luma, self._chroma = _analyze(luma, levels), _analyze(chroma, levels)
        frozen = min(frozen, len(self._chroma) - 1)
        free = self._chroma[frozen:]
        self.parameters = [band.requires_grad_() for band in (*self._luma, *free)]
        last = len(rates) - 1
        self.shares = [rates[min(level, last)] for level in range(len(self._luma))]
        self.shares += [1.0] * len(free)

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


@dataclass(frozen=True)
class Descent:
    """What `minimize` found: the image [3, H, W], and how it went.

    `steps` and `history`, the terms of every report, are those of the last attempt; `trouble` says
    what went wrong, in words.
    """

    image: Tensor
    steps: int
    history: list[dict[str, float]]
    trouble: list[str]


@dataclass
class State:
    """A descent between two steps: all that it needs to go on as if it had never stopped.

    `best` are the variables with the `lowest` sum of the terms so far; `attempt` is 0 or 1,
    `first` the sum where it began, `steps` how many it has done.
    """

    best: list[Tensor]
    lowest: float = math.inf
    trouble: list[str] = field(default_factory=list)
    attempt: int = 0
    first: float = math.inf
    steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)
    optimizer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Shelter:
    """Where a descent can be left and taken up again: after every `every` steps.

    `keep` receives a function that returns the state; its tensors change with the next step.
    """

    every: int
    keep: Callable[[Callable[[], State]], None]


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
    rates: Sequence[float] = (1.0,),
    plateau: float = 0.0,
    window: int = 10,
    report_every: int = 1,
    worse: float = 1.0,
    on_step: Callable[[int, dict[str, float], Callable[[], Tensor]], None] | None = None,
    restart: Callable[[], None] = lambda: None,
    shelter: Shelter | None = None,
    resume: State | None = None,
) -> Descent:
    """Up to `steps` steps from `image` [3, H, W].

    `variables` are `pixels` or a `pyramid` of `levels` whose `frozen` finest chroma levels stay and
    whose luma levels go by `rates`. `optimizer` is `adam` (rate decayed to a tenth along a cosine) or `lbfgs` (step length `rate`,
    no line search, 10 pairs). Ends early when the sum of the terms fell by less than `plateau` (a
    share) over `window` reports. Values are read back from the device at the start, at the end
    and every `report_every` steps. `on_step` receives the step's number from 1, its terms, and a
    function that returns the image so far; a `StopRun` raised by it ends the run with that image.

    Where a term is not finite, the sum explodes, or it ends more than `worse` times as large as it
    began, the best image so far is taken up again, once, with Adam at a tenth of the rate or less.
    If that goes wrong too, the best image is the result. `restart` is called between the two: the
    objective forgets what it holds from call to call.

    With a state from `shelter` as `resume`, and `image` and `objective` made anew, the descent
    goes on to the same bytes.
    """
    chosen: Variables = (
        Pixels(image)
        if variables == "pixels"
        else Pyramid(image, levels=levels, frozen=frozen, rates=rates)
    )
    parameters = chosen.parameters
    if resume is None:
        state = State(best=[parameter.detach().clone() for parameter in parameters])
    else:
        state = resume
        _put(parameters, resume.parameters)

    def fault(terms: Mapping[str, float], limit: float) -> str | None:
        """What is wrong with the terms, if anything; remembers the best variables."""
        for name, value in terms.items():
            if not math.isfinite(value):
                return f"{name} is {value} after {state.steps} steps"
        now = sum(terms.values())
        if state.steps == 0:
            state.first = now
        if now < state.lowest:
            state.lowest = now
            _put(state.best, parameters)
        if now > limit * max(state.first, NEAR):
            return f"losses {now:.3g} after {state.steps} steps, from {state.first:.3g}"
        return None

    def attempt(name: str, length: float) -> tuple[str | None, bool]:
        """Go on from the state; what went wrong, and whether the caller stopped the run."""
        method = _method(name, chosen, length)
        if state.optimizer is not None:
            method.load_state_dict(state.optimizer)

        def left() -> State:
            return replace(
                state,
                parameters=[parameter.detach() for parameter in parameters],
                optimizer=method.state_dict(),
            )

        stopped = False
        while state.steps < steps and not stopped:
            index = state.steps + 1
            terms = objective(chosen.image())
            total = torch.stack(list(terms.values())).sum()
            report = index % report_every == 0 or index == steps
            if report or index == 1:
                values = _read(terms)
                if wrong := fault(values, EXPLODED):
                    return wrong, False
            gradients = torch.autograd.grad(total, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            if name == "adam":
                fall = _fallen(state.steps, steps)
                for group in method.param_groups:
                    group["lr"] = length * group["share"] * fall
            method.step(lambda total=total: total)  # type: ignore[misc]
            state.steps = index
            if report:
                state.history.append(values)
                try:
                    if on_step is not None:
                        on_step(index, values, chosen.image)
                except StopRun:
                    stopped = True
                if plateau > 0 and _flat(state.history, plateau, window):
                    break
            if shelter is not None and index % shelter.every == 0 and not stopped:
                shelter.keep(left)
        with torch.no_grad():
            return fault(_read(objective(chosen.image())), worse) if steps else None, stopped

    attempts = ((optimizer, rate), ("adam", min(rate / 10, SAFE_RATE)))
    while True:
        wrong, stopped = attempt(*attempts[state.attempt])
        if wrong is None:
            break
        _put(parameters, state.best)
        if stopped or state.attempt + 1 == len(attempts):
            state.trouble.append(f"{wrong}; the best image so far is kept")
            break
        name, length = attempts[state.attempt + 1]
        state.trouble.append(f"{wrong}; again from the best image so far, {name} at {length:.3g}")
        state = State(state.best, state.lowest, state.trouble, attempt=state.attempt + 1)
        restart()
    return Descent(chosen.image().detach(), state.steps, state.history, state.trouble)


def _method(name: str, variables: Variables, rate: float) -> torch.optim.Optimizer:
    if name == "lbfgs":
        return torch.optim.LBFGS(
            variables.parameters,
            lr=rate,
            max_iter=1,
            history_size=10,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )
    pairs = zip(variables.parameters, variables.shares, strict=True)
    groups = [{"params": [parameter], "share": share} for parameter, share in pairs]
    return torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99))


def _fallen(done: int, steps: int) -> float:
    """What is left of the rate after `done` of `steps`: from 1 to a tenth along a cosine."""
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done / steps)) / 2


def _read(terms: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}


def _put(these: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for this, value in zip(these, values, strict=True):
            this.copy_(value)


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
