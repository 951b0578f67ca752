"""The network where images change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.network.mask_tiles import Tiles
from harmonize.synthesis.network.vgg19 import LAYOUT, VGG19, Convolution, carry_mask, depth
from harmonize.synthesis.network.winograd import ACROSS, square_sums

SQUARE_SIDES = {
    1: 16,
    2: ACROSS,
    4: ACROSS,
    8: ACROSS,
    16: ACROSS,
}  # of a square in cells, by stride
AT_ONCE, FEW = 1 << 20, 8  # values that are multiplied at once, and the part that is gathered

# A grid's edges: rows, columns, zeros around them and the kernels' part so that a convolution gives
# the gradient of what is repeated beyond (left, right, top, bottom), and whether that has the
# corners' too.
ALL, FIRST, LAST = slice(None), slice(0, 1), slice(-1, None)
EDGES = (
    (FIRST, ALL, (2, 2, 0, 0), (LAST, ALL), True),
    (LAST, ALL, (2, 2, 0, 0), (FIRST, ALL), True),
    (ALL, FIRST, (0, 0, 2, 2), (ALL, LAST), False),
    (ALL, LAST, (0, 0, 2, 2), (ALL, FIRST), False),
)

# Returns activations [C, n] of an image by tap.
Activations = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]


def under_mask(
    network: VGG19, inputs: Sequence[Tensor], mask: Tensor, positions: Mapping[str, Tensor]
) -> Activations:
    """Return the network on images that differ under `mask`, at taps' `positions`.

    `inputs` are convolutions' for one such image.
    """
    if network.device.type == "cpu":
        return MaskedNetwork(network, inputs, mask, positions)

    # Many small steps are what a GPU waits for: there the whole image is computed.
    def whole(image: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        found = network(image[None], taps)
        return {
            tap: found[tap].permute(1, 2, 0).flatten(0, 1).index_select(0, positions[tap]).T
            for tap in taps
        }

    return whole


class MaskedNetwork:
    """Activations at taps' `positions` of images that differ under a mask."""

    # What lies outside is taken from `inputs`, the convolutions' for one such image.
    def __init__(
        self,
        network: VGG19,
        inputs: Sequence[Tensor],
        mask: Tensor,
        positions: Mapping[str, Tensor],
    ) -> None:
        layers = LAYOUT[: len(inputs)]
        self._network, self._shape, self._calls = network, mask.shape, 0
        where = carry_mask(mask, [layer.tap for layer in layers])
        before = [mask, *(where[layer.tap] for layer in layers)]
        self._layers: list[_Layer] = []
        for layer, changed, padded in zip(layers, before, inputs, strict=False):
            self._layers.append(_Layer(network, layer, changed, where[layer.tap], padded))
        self._places = {
            layer.tap: layer.out.places(positions[layer.tap])
            for layer in self._layers
            if layer.tap in positions
        }

    def __call__(self, image: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """Return activations [C, n]; gradients flow until the next call."""
        found = cast("tuple[Tensor, ...]", _Masked.apply(image, self, tuple(taps)))
        return dict(zip(taps, found, strict=True))

    def ahead(self, image: Tensor, taps: Sequence[str]) -> tuple[dict[str, Tensor], int]:
        self._calls += 1
        found: dict[str, Tensor] = {}
        shown = self._network.normalized(image[None])[0].permute(1, 2, 0)
        squares = self._layers[0].into.take(self._ringed(shown))
        for layer in self._layers[: max(map(depth, taps))]:
            squares = layer.ahead(squares)
            if layer.tap in taps:
                rows = squares.view(-1, squares.shape[3])
                found[layer.tap] = rows.index_select(0, self._places[layer.tap]).float().T
        return found, self._calls

    def back(self, gradients: Mapping[str, Tensor], call: int) -> Tensor:
        if call != self._calls:
            raise RuntimeError("another call has replaced these activations")
        layers = self._layers[: max(map(depth, gradients))]
        pull = torch.zeros_like(layers[-1].kept)
        for layer in reversed(layers):
            if layer.tap in gradients:
                rows, places = pull.view(-1, pull.shape[3]), self._places[layer.tap]
                more = gradients[layer.tap].T.to(rows)
                # No place is there twice: quicker than to add.
                rows.index_copy_(0, places, rows.index_select(0, places).add_(more))
            pull = layer.back(pull)
        h, w = self._shape
        found = self._ringed(pull.new_zeros(h, w, 3))
        self._layers[0].into.put(pull, found)
        return found[1 : h + 1, 1 : w + 1].permute(2, 0, 1).float() / self._network.std[0]

    def _ringed(self, image: Tensor) -> Tensor:
        high, wide = self._layers[0].into.room
        return F.pad(image, (0, 0, 1, wide + 1 - image.shape[1], 1, high + 1 - image.shape[0]))


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, seen: MaskedNetwork, taps: tuple[str, ...]) -> Any:
        found, ctx.call = seen.ahead(image, taps)
        ctx.seen, ctx.taps = seen, taps
        return tuple(found[tap] for tap in taps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.seen.back(dict(zip(ctx.taps, gradients, strict=True)), ctx.call), None, None


class _Layer:
    # A pooling if there is one, a convolution and its ReLU. What goes `into` it and comes `out` is
    # held in squares; grids of all cells hold what lies around them.

    def __init__(
        self, network: VGG19, layer: Convolution, changed: Tensor, mask: Tensor, padded: Tensor
    ) -> None:
        self.tap, side = layer.tap, SQUARE_SIDES[layer.stride]
        self._how, self._replicate = network.kernels_of(layer), network.padding == "replicate"
        self.out = Tiles.over(mask, side)
        room, self._halves = self.out.room, None
        if layer.pool_before:
            self._halves = Tiles.over(changed, SQUARE_SIDES[layer.stride // 2]).halved()
            room = max(room[0], self._halves.room[0]), max(room[1], self._halves.room[1])
            changed = F.max_pool2d(changed[None, None], 2)[0, 0]
        self.into = Tiles.over(changed, side)
        grid = padded[0].permute(1, 2, 0)
        more = (0, 0, 0, room[1] + 2 - grid.shape[1], 0, room[0] + 2 - grid.shape[0])
        self._below = F.pad(grid, more).contiguous()
        self._slopes = grid.new_zeros(*self._below.shape[:2], layer.channels_out)
        self._spread = torch.zeros_like(self._below) if self._halves else None
        self.kept = grid.new_empty(len(self.out), side, side, layer.channels_out)
        self._edges = self._touched() if self._replicate else []

    def ahead(self, squares: Tensor) -> Tensor:
        if self._halves:
            self._larger = squares.permute(0, 3, 1, 2)
            largest, self._indices = F.max_pool2d(self._larger, 2, return_indices=True)
            self._halves.put(largest.permute(0, 2, 3, 1), self._below)
        else:
            self.into.put(squares, self._below)
        self._surround()
        for part in self.out.parts(AT_ONCE // self.kept.shape[3]):
            sums = self._sums(self.out, part, self._below, back=False)
            torch.add(sums, self._how.bias, out=self.kept[part]).clamp_(min=0)
        return self.kept

    def back(self, pull: Tensor) -> Tensor:
        self.out.put(torch.ops.aten.threshold_backward(pull, self.kept, 0), self._slopes)
        self._clear(self._slopes)
        channels = self._below.shape[2]
        found = pull.new_empty(len(self.into), self.into.side, self.into.side, channels)
        for part in self.into.parts(AT_ONCE // self.kept.shape[3]):
            found[part] = self._sums(self.into, part, self._slopes, back=True)
        self._fold(found)
        if self._halves is None or self._spread is None:
            return found
        self.into.put(found, self._spread)
        self._clear(self._spread)
        smaller = self._halves.take(self._spread).permute(0, 3, 1, 2)
        return _unpooled(smaller, self._larger, self._indices).permute(0, 2, 3, 1).contiguous()

    def _sums(self, tiles: Tiles, part: slice, grid: Tensor, back: bool) -> Tensor:
        how = self._how
        if how.fast is not None:
            kernels = how.fast.back if back else how.fast.ahead
            few = tiles.parts(AT_ONCE // len(kernels[0]) // FEW, part)
            count = len(tiles.rows[part])
            cells = (tiles.take_cells(grid, these) for these in few)
            return square_sums(cells, count, kernels).permute(2, 0, 1, 3)
        squares = tiles.take(grid, part, around=1).permute(0, 3, 1, 2)
        return F.conv2d(squares, how.turned if back else how.weight).permute(0, 2, 3, 1)

    def _surround(self) -> None:
        h, w = self.out.grid
        grid = self._below
        if self._replicate:
            grid[0], grid[h + 1] = grid[1], grid[h]
            grid[:, 0], grid[:, w + 1] = grid[:, 1], grid[:, w]
        else:
            self._clear(grid)

    def _clear(self, grid: Tensor) -> None:
        h, w = self.out.grid
        grid[h + 1 :] = 0
        grid[:, w + 1 :] = 0

    def _touched(self) -> list[tuple[int, Tensor, Tensor]]:
        # Edges with squares at them: number, cells along it, and where these are held.
        h, w = self.into.grid
        positions = torch.arange(h * w, device=self._below.device).view(h, w)
        found = []
        for number, (rows, columns, *_) in enumerate(EDGES):
            places = self.into.places(positions[rows, columns].flatten())
            along = torch.nonzero(places >= 0)[:, 0]
            if len(along):
                found.append((number, along, places[along]))
        return found

    def _fold(self, found: Tensor) -> None:
        # The gradient of what is repeated beyond the grid's edges.
        h, w = self.out.grid
        slopes = self._slopes[1 : h + 1, 1 : w + 1]
        for number, along, places in self._edges:
            rows, columns, room, part, corners = EDGES[number]
            strip = F.pad(slopes[rows, columns].permute(2, 0, 1)[None], room)
            ring = F.conv2d(strip, self._how.turned[:, :, *part])[0].flatten(1).T
            if corners:
                ring[1] += ring[0]
                ring[-2] += ring[-1]
            found.view(-1, found.shape[3]).index_add_(0, places, ring[1:-1][along])


def _unpooled(gradient: Tensor, larger: Tensor, indices: Tensor) -> Tensor:
    found = torch.ops.aten.max_pool2d_with_indices_backward(
        gradient, larger, (2, 2), (2, 2), (0, 0), (1, 1), False, indices
    )
    return cast(Tensor, found)
