"""The painting's activations, a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster, tiles
from harmonize.synthesis.image_ops.windows import ALIGN, Window
from harmonize.synthesis.matching.nearest import Part
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19, reach


@dataclass(frozen=True)
class PaintingFeatures:
    """A painting seen by the network in tiles of `side` pixels."""

    painting: Raster
    network: VGG19
    side: int
    seen: Mapping[str, Tensor] = field(default_factory=dict)  # may hold a single tile's activations

    @property
    def single(self) -> bool:
        return len(self._tiles()) == 1

    def look(self, taps: Sequence[str]) -> dict[str, Tensor]:
        return self._look(Window(0, 0, *self.painting.shape), taps)

    def grid(self, tap: str) -> tuple[int, int]:
        h, w = self.painting.shape
        return h // STRIDE[tap], w // STRIDE[tap]

    def parts(self, tap: str, size: int = 3, guide: Tensor | None = None) -> Iterator[Part]:
        """Yield each tile's part; `guide` is of the whole grid."""
        stride, half, (high, wide) = STRIDE[tap], size // 2, self.grid(tap)
        for tile in self._tiles():
            cells = _cells(tile, stride, (high, wide))
            if cells.area == 0:
                continue
            ringed = cells.grown(half)
            there = ringed.within(Window(0, 0, high, wide))
            wanted = Window(max(ringed.top, 0), max(ringed.left, 0), there.bottom, there.right)
            found = self._activations(wanted.scaled(stride), [tap])[tap]
            border = (
                wanted.left - ringed.left,
                ringed.right - wanted.right,
                wanted.top - ringed.top,
                ringed.bottom - wanted.bottom,
            )
            padded = F.pad(found[None], border, mode="replicate")[0]
            beside = None if guide is None else cells.crop(guide)
            yield Part(padded, beside, cells.top, cells.left, wide)

    def gather(self, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for tile in self._tiles():
            inside = {tap: self._inside(tile, tap, asked) for tap, asked in places.items()}
            inside = {tap: held for tap, held in inside.items() if len(held[0])}
            if not inside:
                continue
            box = self._box(inside)
            activations = self._activations(box, list(inside))
            for tap, (index, y, x) in inside.items():
                part = activations[tap]
                if tap not in found:
                    found[tap] = part.new_empty(len(part), len(places[tap]))
                row, column = y - box.top // STRIDE[tap], x - box.left // STRIDE[tap]
                # Rows of channels, as the network lays them out, are cheaper to pick than columns.
                rows = part.permute(1, 2, 0).reshape(-1, len(part))
                found[tap][:, index] = rows.index_select(0, row * part.shape[2] + column).T
            del activations, part, rows  # before the next tile's come
        return found

    def _tiles(self) -> list[Window]:
        return tiles(self.painting.shape, self.side, ALIGN)

    def _inside(self, tile: Window, tap: str, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cells = _cells(tile, STRIDE[tap], self.grid(tap))
        y, x = places // self.grid(tap)[1], places % self.grid(tap)[1]
        held = (y >= cells.top) & (y < cells.bottom) & (x >= cells.left) & (x < cells.right)
        index = torch.nonzero(held)[:, 0]
        return index, y[index], x[index]

    def _box(self, inside: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Window:
        boxes = [
            Window(*(int(end) for end in (y.min(), x.min(), y.max() + 1, x.max() + 1))).scaled(
                STRIDE[tap]
            )
            for tap, (_, y, x) in inside.items()
        ]
        around = Window(
            min(box.top for box in boxes),
            min(box.left for box in boxes),
            max(box.bottom for box in boxes),
            max(box.right for box in boxes),
        )
        return around.aligned(ALIGN, self.painting.shape)

    def _activations(self, window: Window, taps: Sequence[str]) -> dict[str, Tensor]:
        origin = Window(0, 0, 0, 0)
        if all(tap in self.seen for tap in taps):
            found = {tap: self.seen[tap] for tap in taps}
        else:
            margin = max(reach(tap) for tap in taps)
            origin = window.grown(margin).aligned(ALIGN, self.painting.shape)
            found = self._look(origin, taps)
        result = {}
        for tap in taps:
            cells = _cells(window, STRIDE[tap], self.grid(tap))
            corner = (-(origin.top // STRIDE[tap]), -(origin.left // STRIDE[tap]))
            result[tap] = cells.moved(*corner).crop(found[tap])
        return result

    def _look(self, window: Window, taps: Sequence[str]) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.network(self.painting.crop(window)[None], taps)


def _cells(window: Window, stride: int, grid: tuple[int, int]) -> Window:
    return Window(
        window.top // stride,
        window.left // stride,
        min(-(-window.bottom // stride), grid[0]),
        min(-(-window.right // stride), grid[1]),
    )
