from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.optimization.optimizers import BETAS, TINY, Adam, Lbfgs


def slopes(seed: int, count: int = 12) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,))] for _ in range(count)
    ]


def variables() -> list[Tensor]:
    return [torch.ones(3, 4).requires_grad_(), torch.zeros(5).requires_grad_()]


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.25, 1.0)])
def test_adam_is_pytorchs(shares: tuple[float, float]) -> None:
    ours, theirs = variables(), variables()
    mine = Adam(ours, shares)
    groups = [
        {"params": [each], "lr": 0.03 * share} for each, share in zip(theirs, shares, strict=True)
    ]
    reference = torch.optim.Adam(groups, betas=BETAS, eps=TINY)
    for gradients in slopes(0):
        mine.step(gradients, 0.03)
        for each, gradient in zip(theirs, gradients, strict=True):
            each.grad = gradient
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_with_its_state_restored_it_goes_on_to_the_same_bytes(kind: str) -> None:
    def optimizer(these: list[Tensor]) -> Any:
        return Adam(these, (1.0, 0.5)) if kind == "adam" else Lbfgs(these)

    whole = variables()
    first = optimizer(whole)
    for gradients in slopes(1, 4):
        first.step(gradients, 0.02)
    apart = [each.detach().clone().requires_grad_() for each in whole]
    second = optimizer(apart)
    second.restore(copy.deepcopy(first.state()))
    for gradients in slopes(2, 4):
        first.step(gradients, 0.02)
        second.step([each.clone() for each in gradients], 0.02)
    for one, other in zip(whole, apart, strict=True):
        assert torch.equal(one, other)
