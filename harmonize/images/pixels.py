"""Arrays of 8 or 16 bits."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]  # [H, W] or [H, W, C]
Size = tuple[int, int]  # width and height
Box = tuple[int, int, int, int]  # left, top, right, bottom

STRIP = 1 << 20  # pixels: no float array is as large as a picture


def strips(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows, about a million pixels each."""
    rows = max(1, STRIP // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def largest_value(pixels: Pixels) -> int:
    """Return full light: 255 or 65535."""
    return int(np.iinfo(pixels.dtype).max)


def eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """Return 8-bit pixels, copied only if deeper."""
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    found = np.empty(pixels.shape, np.uint8)
    for rows in strips(*pixels.shape[:2]):
        found[rows] = (pixels[rows].astype(np.uint32) + 128) // 257
    return found
