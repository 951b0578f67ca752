from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.brushwork.directions import form_directions


def stripes(angle: float, h: int = 60, w: int = 80) -> Tensor:
    """Luma of stripes that run at `angle`."""
    y, x = torch.meshgrid(torch.arange(float(h)), torch.arange(float(w)), indexing="ij")
    return 50 + 20 * torch.sin((y * math.cos(angle) - x * math.sin(angle)) * 2 * math.pi / 12)[None]


def apart(one: Tensor, angle: float) -> Tensor:
    """The angle between two directions, 0 to π/2."""
    return (torch.remainder(one - angle + math.pi / 2, math.pi) - math.pi / 2).abs()


def noise(h: int = 60, w: int = 80) -> Tensor:
    return 50 + 10 * torch.randn(1, h, w, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.5])
def test_strokes_run_along_stripes(angle: float) -> None:
    found = form_directions(stripes(angle), noise(), torch.ones(1, 60, 80))
    assert float(apart(found, angle)[10:-10, 10:-10].max()) < 0.1


def test_flat_parts_go_on_as_their_edges_run() -> None:
    luma = torch.full((1, 60, 80), 50.0)
    luma[:, :, 20:] = 70  # an upright edge
    found = form_directions(luma, torch.full((1, 60, 80), 50.0), torch.ones(1, 60, 80))
    assert float(apart(found, math.pi / 2)[10:-10, 20:60].max()) < 0.1


def test_a_blank_thing_goes_on_as_the_painting_around_it() -> None:
    mask = torch.zeros(1, 60, 80)
    mask[:, 20:40, 30:50] = 1
    frame = stripes(0.4)
    blank = torch.where(mask > 0, 50.0, frame)
    # Its own edge is no edge of it: inside, nothing has a direction.
    inside = torch.zeros_like(mask)
    inside[:, 25:35, 35:45] = 1
    found = form_directions(blank, frame, inside)
    assert float(apart(found, 0.4)[28:32, 38:42].max()) < 0.3
