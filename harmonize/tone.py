"""The starting image: the patch in the painting's palette, its drawing its own.

Not in the paper, which starts from the composite: the photograph's blacks, whites and hues then
leak into the result, or thin parts dissolve before they find their color.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize import filters

# Luma counts a little less than chroma when colors are compared: a hue is missed sooner.
LUMA = 0.7
# Enough colors that the nearest hundredth of them is still a crowd.
SAMPLES = 4000


def palette(painting: Tensor, seed: int = 0) -> Tensor:
    """Colors of `painting` [3, H, W], picked at random: [3, at most 4000], opponent space.

    A color is as frequent among them as in the (slightly blurred) painting.
    """
    colors = filters.to_opponent(filters.gaussian(painting, 1.0)).flatten(1)
    generator = torch.Generator().manual_seed(seed)
    picked = torch.randperm(colors.shape[1], generator=generator)[:SAMPLES]
    return colors[:, picked.to(colors.device)]


def nearest_colors(colors: Tensor, palette: Tensor, share: float) -> Tensor:
    """Each of `colors` [3, n] as a mean of the nearest `share` of `palette` [3, m].

    The nearer ones weigh more (1 − squared distance, the farthest's being 1).
    A color that the painting uses on at least that share of its surface stays nearly itself; one
    that it lacks becomes the nearest that it has.
    """
    weight = colors.new_tensor([[LUMA], [1.0], [1.0]])
    count = max(1, round(share * palette.shape[1]))
    found = []
    for part in (colors * weight).split(4096, dim=1):
        distance, nearest = torch.cdist(part.T, (palette * weight).T).topk(
            count, dim=1, largest=False
        )
        near = 1 - (distance / distance[:, -1:].clamp_min(1e-6)).square() + 1e-3
        found.append((palette[:, nearest] * near).sum(2) / near.sum(1))
    return torch.cat(found, dim=1)


def toned(
    composite: Tensor,
    mask: Tensor,
    colors: Tensor,
    *,
    share: float,
    radius: int = 6,
    eps: float = 1e-3,
) -> Tensor:
    """`composite` [3, H, W] in the palette `colors` [3, m], under `mask` [H, W] (0 to 1).

    Every pixel moves to the nearest `share` of the palette; the moves are smoothed along the
    composite's edges (guided filter of `radius` pixels), so that its drawing and shading stay.
    """
    smooth = filters.to_opponent(filters.gaussian(composite, 0.7))
    positions = torch.nonzero(mask.flatten() > 0)[:, 0]
    moves = torch.zeros_like(smooth).flatten(1)
    before = smooth.flatten(1)[:, positions]
    moves[:, positions] = nearest_colors(before, colors, share) - before
    moves = filters.guided(moves.view_as(smooth), composite, radius, eps)
    result = filters.from_opponent(filters.to_opponent(composite) + moves).clamp(0, 1)
    return torch.lerp(composite, result, mask)


def stroked(image: Tensor, strokes: Tensor, mask: Tensor, *, amount: float, sigma: float) -> Tensor:
    """`image` [3, H, W] with the detail of `strokes` [3, H, W] over it, under `mask` [H, W].

    `amount` times what a Gaussian of `sigma` pixels takes off the strokes: light and color vary
    together as in the painting; the image keeps its tones and hues at large.
    """
    detail = strokes - filters.gaussian(strokes, sigma)
    return (image + amount * mask * detail).clamp(0, 1)
