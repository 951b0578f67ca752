"""After the last pass: cleaner chroma, the painting's detail (paper, 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import StrokePlaces, View
from harmonize.synthesis.image_ops.tiled_image import AREA, Raster
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching.coherence import nearest_known
from harmonize.synthesis.matching.nearest import nearest_patches
from harmonize.synthesis.matching.voting import vote

# Places of the painting that a patch is compared with.
CANDIDATES = 1 << 14


def clean_chroma(image: Tensor, guide: Tensor, *, radius: int, eps: float) -> Tensor:
    """Smooth chroma along the edges of `guide`."""
    lab = filters.to_lab(image)
    chroma = filters.guided(lab[1:] / 100, guide, radius, eps) * 100
    return filters.from_lab(torch.cat((lab[:1], chroma)))


def patch_field(
    image: Tensor, painting: Raster, mask: Tensor, *, size: int, stride: int
) -> tuple[Tensor, Tensor]:
    """Return positions of `image` and their nearest patches, by color."""
    w = mask.shape[1]
    cells = F.max_pool2d(mask[None], stride, ceil_mode=True)[0]
    y, x = torch.nonzero(cells > 0, as_tuple=True)
    positions = y * stride * w + x * stride
    big_h, big_w = painting.shape
    half = size // 2
    step = math.ceil((big_h * big_w / CANDIDATES) ** 0.5)
    first = -(-half // step) * step
    up, left = min(first, (big_h - 1) // 2), min(first, (big_w - 1) // 2)
    ys = torch.arange(up, max(big_h - half, up + 1), step, device=mask.device)
    xs = torch.arange(left, max(big_w - half, left + 1), step, device=mask.device)
    candidates = (ys[:, None] * big_w + xs).flatten()
    return positions, nearest_patches(image, painting, positions, candidates, size=size)


def patch_vote(
    image: Tensor,
    painting: Raster,
    mask: Tensor,
    *,
    size: int,
    stride: int = 2,
    detail_sigma: float = 1.0,
) -> Tensor:
    """Rebuild `image` from patches of `painting`, and add its fine luma."""
    positions, field = patch_field(image, painting, mask, size=size, stride=stride)
    base, mass = vote(
        painting,
        field,
        positions,
        mask.shape,
        width=mask.shape[1],
        reference_width=painting.shape[1],
        stride=1,
        size=size,
    )
    luma = image.mean(0, keepdim=True)
    detail = luma - filters.gaussian(luma, detail_sigma, 7)
    return torch.where(mass > 0, (base + detail).clamp(0, 1), image)


def keep_hue(image: Tensor, before: Tensor, *, sigma: float) -> Tensor:
    """Return `image` with the broad hue it had `before`.

    Broad is Lab chroma blurred by `sigma` pixels; 0 changes nothing.
    """
    if not sigma:
        return image
    now, then = filters.to_lab(image), filters.to_lab(before)
    lost = filters.gaussian(then[1:] - now[1:], sigma)
    return filters.from_lab(torch.cat((now[:1], now[1:] + lost)))


def enlarge(
    image: Tensor,
    view: View,
    original: Raster,
    window: Window,
    *,
    amount: float,
    size: int = 7,
    stride: int = 2,
    strokes: StrokePlaces | None = None,
) -> Tensor:
    """Return `window` of the picture at the size of `original`.

    Add `amount` times the detail lost by shrinking, from `strokes` or the nearest patches.
    """
    details: Details | None = None
    if amount > 0 and bool((view.loose > 0).any()):
        if strokes is not None:
            details = Details(view, original, strokes.positions, strokes.places, 1)
        else:
            found = patch_field(image, view.painting, view.loose, size=size, stride=stride)
            details = Details(view, original, *found, stride)
    rows = max(1, AREA // 4 // (window.right - window.left))
    bands = []
    for top in range(window.top, window.bottom, rows):
        bottom = min(top + rows, window.bottom)
        y, x = _coordinates(Window(top, window.left, bottom, window.right), view, original)
        here = y - view.window.top, x - view.window.left
        band = _sample(image, *here)
        if details is not None:
            band += amount * _sample(view.loose[None], *here)[0] * details.at(y, x)
        bands.append(band.clamp(0, 1))
    return torch.cat(bands, dim=1)


def _coordinates(window: Window, view: View, original: Raster) -> tuple[Tensor, Tensor]:
    (h, w), (big_h, big_w) = view.shape, original.shape
    rows = torch.arange(window.top, window.bottom, device=view.loose.device)
    columns = torch.arange(window.left, window.right, device=view.loose.device)
    # Pixel centers: native p ↔ working (p + ½) · h/H − ½.
    y = ((rows + 0.5) * h / big_h - 0.5)[:, None].expand(-1, len(columns))
    x = ((columns + 0.5) * w / big_w - 0.5)[None].expand(len(rows), -1)
    return y, x


@dataclass(frozen=True)
class Details:
    """The detail that shrinking took from the painting, at matched places."""

    view: View
    original: Raster
    positions: Tensor
    field: Tensor
    stride: int

    def at(self, y: Tensor, x: Tensor) -> Tensor:
        (h, w), (big_h, big_w) = self.view.shape, self.original.shape
        total = torch.zeros(3, *y.shape, device=y.device)
        corners: list[tuple[Tensor, Tensor]] = []
        cy = (y - self.view.window.top) / self.stride
        cx = (x - self.view.window.left) / self.stride
        for dy in (0, 1):
            for dx in (0, 1):
                weight = (1 - (cy - cy.floor() - dy).abs()) * (1 - (cx - cx.floor() - dx).abs())
                down, right = self._moves(cy.floor() + dy, cx.floor() + dx)
                there_y, there_x = (y + down).clamp(0, h - 1), (x + right).clamp(0, w - 1)
                native_y = ((there_y + 0.5) * big_h / h - 0.5).round().clamp(0, big_h - 1)
                native_x = ((there_x + 0.5) * big_w / w - 0.5).round().clamp(0, big_w - 1)
                place = native_y.long() * big_w + native_x.long()
                sharp = self.original.pick(place.flatten()).view(3, *y.shape)
                soft = _sample(
                    self._painting,
                    (native_y + 0.5) * h / big_h - 0.5,
                    (native_x + 0.5) * w / big_w - 0.5,
                )
                total += weight * (sharp - soft)
                corners.append((weight, place))
        # Averaging unlike details weakens them. Dividing by the root of the summed products of the
        # weights of corners that are the same place makes them as strong as before.
        power = torch.zeros_like(y)
        for one, here in corners:
            for other, there in corners:
                power += one * other * (here == there)
        return total / power.sqrt().clamp_min(1e-6)

    def _moves(self, cy: Tensor, cx: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = self._cells
        cy, cx = cy.clamp(0, rows - 1).long(), cx.clamp(0, columns - 1).long()
        origin = self._parent[cy * columns + cx]
        position, match = self.positions[origin], self.field[origin]
        wide, width = self.view.window.shape[1], self.view.shape[1]
        down = match // width - position // wide - self.view.window.top
        right = match % width - position % wide - self.view.window.left
        return down.float(), right.float()

    @property
    def _cells(self) -> tuple[int, int]:
        high, wide = self.view.window.shape
        return -(-high // self.stride), -(-wide // self.stride)

    @cached_property
    def _parent(self) -> Tensor:
        wide = self.view.window.shape[1]
        row, column = self.positions // wide, self.positions % wide
        cell = row // self.stride * self._cells[1] + column // self.stride
        return nearest_known(cell, self._cells)

    @cached_property
    def _painting(self) -> Tensor:
        return self.view.painting.crop(Window(0, 0, *self.view.shape))


def _sample(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    h, w = image.shape[1:]
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1)
    return F.grid_sample(
        image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )[0]
