"""VGG19 up to `relu5_1` (Simonyan and Zisserman, 2014); its ReLUs are called taps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.network.winograd import Kernels, activations

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Convolution:
    """A 3×3 convolution."""

    name: str
    channels_in: int
    channels_out: int
    tap: str
    stride: int  # of its grid, in pixels
    pool_before: bool


def _layout() -> tuple[Convolution, ...]:
    blocks = ((2, 64), (2, 128), (4, 256), (4, 512), (1, 512))
    layers: list[Convolution] = []
    index, before = 0, 3
    for block, (count, channels) in enumerate(blocks, start=1):
        for number in range(1, count + 1):
            pool = number == 1 and block > 1
            layers.append(
                Convolution(
                    f"features.{index}",
                    before,
                    channels,
                    f"relu{block}_{number}",
                    2 ** (block - 1),
                    pool,
                )
            )
            index, before = index + 2, channels
        index += 1
    return tuple(layers)


LAYOUT = _layout()
STRIDE = {layer.tap: layer.stride for layer in LAYOUT}


def depth(tap: str) -> int:
    """Return the number of convolutions to `tap`."""
    return next(i for i, layer in enumerate(LAYOUT, start=1) if layer.tap == tap)


def reach(tap: str) -> int:
    """Return how many pixels beyond its cell an activation sees."""
    return sum(layer.stride for layer in LAYOUT[: depth(tap)])


@dataclass(frozen=True)
class LayerKernels:
    """A convolution's numbers."""

    weight: Tensor
    bias: Tensor
    turned: Tensor  # the weight for gradients
    fast: Kernels | None


class VGG19:
    """The frozen network; `padding` is `replicate`, or `zeros` as in the paper."""

    def __init__(
        self,
        state: Mapping[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
        padding: str = "replicate",
    ) -> None:
        self.device = torch.device(device)
        self.precision = precision
        self.padding = padding
        self._weights = [
            (
                state[f"{layer.name}.weight"]
                .to(self.device, precision)
                .contiguous(memory_format=torch.channels_last),
                state[f"{layer.name}.bias"].to(self.device, precision),
            )
            for layer in LAYOUT
        ]
        self._kernels: dict[str, Kernels] = {}
        self._turned: dict[str, Tensor] = {}
        self._mean = torch.tensor(MEAN, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(STD, device=self.device).view(1, 3, 1, 1)

    def __call__(
        self, image: Tensor, taps: Sequence[str], inputs: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return float32 activations of `image` [1, 3, H, W] by tap; add padded `inputs`."""
        wanted = set(taps)
        deepest = max(depth(tap) for tap in wanted)
        x = self.normalized(image)
        found: dict[str, Tensor] = {}
        for layer, (weight, bias) in zip(LAYOUT[:deepest], self._weights[:deepest], strict=True):
            if layer.pool_before:
                x = F.max_pool2d(x, 2)
            # In place, and without a reference to what has been used: half the memory.
            mode = "replicate" if self.padding == "replicate" else "constant"
            x = F.pad(x, (1, 1, 1, 1), mode=mode)
            if inputs is not None:
                inputs.append(x)
            if self._fast(layer):
                x = activations(x, self._kernels_of(layer, weight), bias)
            else:
                x = F.conv2d(x, weight, bias).relu_()
            if layer.tap in wanted:
                found[layer.tap] = x[0].float()
        return {tap: found[tap] for tap in taps}

    def normalized(self, image: Tensor) -> Tensor:
        x = (image - self._mean) / self.std
        return x.to(self.precision).contiguous(memory_format=torch.channels_last)

    def kernels_of(self, layer: Convolution) -> LayerKernels:
        weight, bias = self._weights[LAYOUT.index(layer)]
        if layer.name not in self._turned:
            turned = weight.flip(2, 3).transpose(0, 1)
            self._turned[layer.name] = turned.contiguous(memory_format=torch.channels_last)
        # In squares fewer products are worth it sooner than in a whole image.
        worth = self._fast(layer) or (self._usual and layer.channels_out == 128)
        fast = self._kernels_of(layer, weight) if worth else None
        return LayerKernels(weight, bias, self._turned[layer.name], fast)

    def _fast(self, layer: Convolution) -> bool:
        return self._usual and 128 <= layer.channels_in <= 256 <= layer.channels_out

    @property
    def _usual(self) -> bool:
        return self.device.type == "cpu" and self.precision == torch.float32

    def _kernels_of(self, layer: Convolution, weight: Tensor) -> Kernels:
        if layer.name not in self._kernels:
            self._kernels[layer.name] = Kernels.of(weight)
        return self._kernels[layer.name]


def carry_mask(mask: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Return the mask on taps' grids, averaged and pooled as activations (paper, 4.1)."""
    wanted = set(taps)
    m = mask[None, None]
    found: dict[str, Tensor] = {}
    for layer in LAYOUT[: max(depth(tap) for tap in wanted)]:
        if layer.pool_before:
            m = F.avg_pool2d(m, 2)
        m = F.avg_pool2d(m, 3, stride=1, padding=1, count_include_pad=False)
        if layer.tap in wanted:
            found[layer.tap] = m[0, 0]
    return {tap: found[tap] for tap in taps}
