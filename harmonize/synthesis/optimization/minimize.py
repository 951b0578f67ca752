"""Minimize an objective of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from harmonize.errors import StopRun
from harmonize.settings.goals import Method
from harmonize.synthesis.optimization.optimizers import Adam, Lbfgs, Optimizer
from harmonize.synthesis.optimization.pyramid import PixelVariables, Pyramid, Variables

EXPLODED = 100.0  # times the sum of terms at the start: beyond, going on is of no use
NEAR = 1.0  # a start with a smaller sum counts as this: from a perfect fit every step leads away
SAFE_RATE = 0.01  # at most, at the second attempt; half of the default's


@dataclass(frozen=True)
class Step:
    """A pass's step, `index` from 1."""

    pass_name: str
    index: int
    total: int
    terms: dict[str, float]


class Objective(Protocol):
    """Named, weighted terms of an image; `restart` forgets what is held."""

    def __call__(self, image: Tensor) -> dict[str, Tensor]: ...

    def restart(self) -> None: ...


# Receives a step's number from 1, its terms, and a function that returns the image so far.
OnStep = Callable[[int, dict[str, float], Callable[[], Tensor]], None]


@dataclass(frozen=True)
class Descent:
    """The image; steps and terms of the last attempt; trouble."""

    image: Tensor
    steps: int
    history: list[dict[str, float]]
    trouble: list[str]


@dataclass
class State:
    """What a descent needs to go on to the same bytes."""

    best: list[Tensor]  # with the `lowest` sum of terms
    lowest: float = math.inf
    trouble: list[str] = field(default_factory=list)
    attempt: int = 0
    first: float = math.inf  # the sum when the attempt began
    steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)
    optimizer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Shelter:
    """Every `every` steps `keep` receives a function that returns the state until the next."""

    every: int
    keep: Callable[[Callable[[], State]], None]


@dataclass
class Minimizer:
    """A descent by `method`; Adam's rate falls to a tenth along a cosine.

    If a term is not finite or the sum ends above `worse` times the first, Adam retries from the
    best image at a tenth of the rate or less; then the best image stays.
    """

    image: Tensor
    objective: Objective
    method: Method
    worse: float = 1.0
    report_every: int = 1
    on_step: OnStep | None = None
    shelter: Shelter | None = None
    resume: State | None = None

    def __post_init__(self) -> None:
        self._variables = _variables(self.image, self.method)
        again = ("adam", min(self.method.rate / 10, SAFE_RATE))
        self._attempts = ((self.method.optimizer, self.method.rate), again)
        self._stopped = False
        if self.resume is None:
            self._state = State([each.detach().clone() for each in self._variables.parameters])
        else:
            self._state = self.resume
            _put(self._variables.parameters, self.resume.parameters)

    def run(self) -> Descent:
        while (wrong := self._attempt()) is not None:
            _put(self._variables.parameters, self._state.best)
            last = self._state.attempt + 1 == len(self._attempts)
            if self._stopped or last:
                self._state.trouble.append(f"{wrong}; the best image so far is kept")
                break
            self._begin_again(wrong)
        image = self._variables.image().detach()
        return Descent(image, self._state.steps, self._state.history, self._state.trouble)

    def _begin_again(self, wrong: str) -> None:
        old, attempt = self._state, self._state.attempt + 1
        name, rate = self._attempts[attempt]
        again = f"{wrong}; again from the best image so far, {name} at {rate:.3g}"
        self._state = State(old.best, old.lowest, [*old.trouble, again], attempt)
        self.objective.restart()

    def _attempt(self) -> str | None:
        optimizer = self._optimizer()
        while self._state.steps < self.method.steps and not self._stopped:
            if wrong := self._step(optimizer):
                return wrong
        if not self.method.steps:
            return None
        with torch.no_grad():
            return self._fault(_values(self.objective(self._variables.image())), self.worse)

    def _step(self, optimizer: Optimizer) -> str | None:
        index = self._state.steps + 1
        terms = self.objective(self._variables.image())
        report = index % self.report_every == 0 or index == self.method.steps
        values = _values(terms) if report or index == 1 else {}
        if values and (wrong := self._fault(values, EXPLODED)):
            return wrong
        self._move(optimizer, torch.stack(list(terms.values())).sum())
        self._state.steps = index
        if report:
            self._report(index, values)
        if self.shelter is not None and index % self.shelter.every == 0 and not self._stopped:
            self.shelter.keep(lambda: self._left(optimizer))
        return None

    def _move(self, optimizer: Optimizer, total: Tensor) -> None:
        gradients = torch.autograd.grad(total, self._variables.parameters)
        name, rate = self._attempts[self._state.attempt]
        fallen = _fallen(self._state.steps, self.method.steps) if name == "adam" else 1.0
        optimizer.step(gradients, rate * fallen)

    def _report(self, index: int, values: dict[str, float]) -> None:
        self._state.history.append(values)
        if self.on_step is None:
            return
        try:
            self.on_step(index, values, self._variables.image)
        except StopRun:
            self._stopped = True

    def _fault(self, terms: Mapping[str, float], limit: float) -> str | None:
        state = self._state
        for name, value in terms.items():
            if not math.isfinite(value):
                return f"{name} is {value} after {state.steps} steps"
        now = sum(terms.values())
        if state.steps == 0:
            state.first = now
        if now < state.lowest:
            state.lowest = now
            _put(state.best, self._variables.parameters)
        if now > limit * max(state.first, NEAR):
            return f"losses {now:.3g} after {state.steps} steps, from {state.first:.3g}"
        return None

    def _left(self, optimizer: Optimizer) -> State:
        parameters = [parameter.detach() for parameter in self._variables.parameters]
        return replace(self._state, parameters=parameters, optimizer=optimizer.state())

    def _optimizer(self) -> Optimizer:
        name, _ = self._attempts[self._state.attempt]
        variables = self._variables
        optimizer: Optimizer = (
            Lbfgs(variables.parameters)
            if name == "lbfgs"
            else Adam(variables.parameters, variables.shares)
        )
        if self._state.optimizer is not None:
            optimizer.restore(self._state.optimizer)
        return optimizer


def _variables(image: Tensor, method: Method) -> Variables:
    if method.variables == "pixels":
        return PixelVariables(image)
    return Pyramid(image, levels=method.levels, frozen=method.frozen, rates=method.rates)


def _fallen(done: int, steps: int) -> float:
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done / steps)) / 2


def _values(terms: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}


def _put(these: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for this, value in zip(these, values, strict=True):
            this.copy_(value)
