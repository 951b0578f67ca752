"""Move variables by gradients: Adam, L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

BETAS = (0.9, 0.99)  # of Adam: how much of its two averages stays at a step
TINY = 1e-8
PAIRS = 10  # steps that L-BFGS remembers


class Optimizer(Protocol):
    """Moves variables; `state` is all it remembers, valid until the next step."""

    def step(self, gradients: Sequence[Tensor], rate: float) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Adam:
    """Adam (Kingma and Ba, 2015); variables move by their share of the rate."""

    def __init__(self, parameters: Sequence[Tensor], shares: Sequence[float]) -> None:
        self._parameters, self._shares = parameters, shares
        self._steps = 0
        self._means = [torch.zeros_like(each) for each in parameters]
        self._squares = [torch.zeros_like(each) for each in parameters]

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        self._steps += 1
        early, late = (1 - beta**self._steps for beta in BETAS)
        moving = zip(
            self._parameters, gradients, self._means, self._squares, self._shares, strict=True
        )
        with torch.no_grad():
            for parameter, gradient, mean, square, share in moving:
                mean.lerp_(gradient, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                size = (square / late).sqrt_().add_(TINY)
                parameter.addcdiv_(mean, size, value=-rate * share / early)

    def state(self) -> dict[str, Any]:
        return {"steps": self._steps, "means": self._means, "squares": self._squares}

    def restore(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
        for mine, its in ((self._means, state["means"]), (self._squares, state["squares"])):
            for one, other in zip(mine, its, strict=True):
                one.copy_(other)


class Lbfgs:
    """PyTorch's L-BFGS: steps of length `rate`, no line search (paper)."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self._inner = torch.optim.LBFGS(
            parameters, max_iter=1, history_size=PAIRS, tolerance_grad=0.0, tolerance_change=0.0
        )

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._inner.param_groups[0]["lr"] = rate
        self._inner.step(lambda: 0.0)  # without a line search the value is not looked at

    def state(self) -> dict[str, Any]:
        return self._inner.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        self._inner.load_state_dict(state)
