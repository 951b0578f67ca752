"""What an optimizer moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters


class Variables(Protocol):
    """Parameters that make up an image."""

    parameters: list[Tensor]
    shares: list[float]

    def image(self) -> Tensor: ...


class PixelVariables:
    """The pixels (paper)."""

    def __init__(self, image: Tensor) -> None:
        self.parameters = [image.clone().requires_grad_()]
        self.shares = [1.0]

    def image(self) -> Tensor:
        return self.parameters[0]


class Pyramid:
    """Laplacian pyramids of luma and chroma (not in the paper).

    The `frozen` finest chroma levels stay. Luma levels move by `rates`, finest first.
    """

    def __init__(
        self, image: Tensor, *, levels: int, frozen: int, rates: Sequence[float] = (1.0,)
    ) -> None:
        luma, chroma = filters.to_opponent(image).split((1, 2))
        self._luma, self._chroma = _analyze(luma, levels), _analyze(chroma, levels)
        free = self._chroma[min(frozen, len(self._chroma) - 1) :]
        self.parameters = [band.requires_grad_() for band in (*self._luma, *free)]
        shares = [rates[min(level, len(rates) - 1)] for level in range(len(self._luma))]
        self.shares = [*shares, *(1.0 for _ in free)]

    def image(self) -> Tensor:
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
