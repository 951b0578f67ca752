"""A painting as the network sees it, a tile at a time: never more of it in memory than a tile."""

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

# Activations of a painting, by tap, that is a single tile.
Seen = Mapping[str, Tensor]


@dataclass(frozen=True)
class Study:
    """A painting at one scale, the network, and the `side` of the tiles in pixels.

    A painting that is one tile need be looked at only once, if its activations are kept in `seen`;
    a larger one is looked at anew whenever something is asked, each tile with as much around it as
    its activations depend on. Tiles change activations by rounding only.
    """

    painting: Raster
    network: VGG19
    side: int
    seen: Seen = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether the painting is one tile."""
        return len(tiles(self.painting.shape, self.side, ALIGN)) == 1

    def look(self, taps: Sequence[str]) -> dict[str, Tensor]:
        """Activations of the whole painting, a single tile: what to keep in `seen`."""
        return self._look(Window(0, 0, *self.painting.shape), taps)

    def grid(self, tap: str) -> tuple[int, int]:
        """Height and width of a tap's grid."""
        h, w = self.painting.shape
        return h // STRIDE[tap], w // STRIDE[tap]

    def parts(self, tap: str, size: int = 3, guide: Tensor | None = None) -> Iterator[Part]:
        """The tap's activations, a part for each tile, as `matching.nearest` takes them.

        `guide` [G, h, w] covers the tap's whole grid.
        """
        stride, half, grid = STRIDE[tap], size // 2, self.grid(tap)
        for tile in tiles(self.painting.shape, self.side, ALIGN):
            cells = _shrunk(tile, stride, grid)
            if cells.area == 0:
                continue
            wanted = Window(
                max(cells.top - half, 0),
                max(cells.left - half, 0),
                min(cells.bottom + half, grid[0]),
                min(cells.right + half, grid[1]),
            )
            found = self._activations(wanted.scaled(stride), [tap])[tap]
            ring = (
                half - (cells.left - wanted.left),
                half - (wanted.right - cells.right),
                half - (cells.top - wanted.top),
                half - (wanted.bottom - cells.bottom),
            )
            ringed = F.pad(found[None], ring, mode="replicate")[0]
            beside = None if guide is None else cells.crop(guide)
            yield Part(ringed, beside, cells.top, cells.left, grid[1])

    def gather(self, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Activations at `places`, by tap: flat indices [n] into its grid → [C, n]."""
        found: dict[str, Tensor] = {}
        for tile in tiles(self.painting.shape, self.side, ALIGN):
            inside: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
            boxes = []
            for tap, asked in places.items():
                cells = _shrunk(tile, STRIDE[tap], self.grid(tap))
                y, x = asked // self.grid(tap)[1], asked % self.grid(tap)[1]
                held = (y >= cells.top) & (y < cells.bottom) & (x >= cells.left) & (x < cells.right)
                index = torch.nonzero(held)[:, 0]
                if len(index):
                    y, x = y[index], x[index]
                    inside[tap] = (index, y, x)
                    ends = (y.min(), x.min(), y.max() + 1, x.max() + 1)
                    boxes.append(Window(*(int(end) for end in ends)).scaled(STRIDE[tap]))
            if not inside:
                continue
            box = Window(
                min(box.top for box in boxes),
                min(box.left for box in boxes),
                max(box.bottom for box in boxes),
                max(box.right for box in boxes),
            )
            box = box.aligned(ALIGN, self.painting.shape)
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

    def _activations(self, window: Window, taps: Sequence[str]) -> dict[str, Tensor]:
        """Activations of the cells in `window`, in pixels on the taps' grids: tap → [C, h, w]."""
        origin = Window(0, 0, 0, 0)
        if all(tap in self.seen for tap in taps):
            found = {tap: self.seen[tap] for tap in taps}
        else:
            margin = max(reach(tap) for tap in taps)
            origin = window.grown(margin).aligned(ALIGN, self.painting.shape)
            found = self._look(origin, taps)
        result = {}
        for tap in taps:
            cells = _shrunk(window, STRIDE[tap], self.grid(tap))
            corner = (-(origin.top // STRIDE[tap]), -(origin.left // STRIDE[tap]))
            result[tap] = cells.moved(*corner).crop(found[tap])
        return result

    def _look(self, window: Window, taps: Sequence[str]) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.network(self.painting.crop(window)[None], taps)


def _shrunk(window: Window, stride: int, grid: tuple[int, int]) -> Window:
    """The cells of a `grid` of `stride` pixels that begin in `window` (which begins on one)."""
    return Window(
        window.top // stride,
        window.left // stride,
        min(-(-window.bottom // stride), grid[0]),
        min(-(-window.right // stride), grid[1]),
    )
