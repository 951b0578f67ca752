"""Make the loose mask."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonize.scene.mask import Mask

LOOSE_SIGMA = 11.667  # the authors' 35/3, in pixels of a painting 700 pixels long
NOMINAL = 700  # sizes in the settings are in pixels of a painting this long; at others they scale
SHORT_ELEMENT = 0.23  # of the long side: shorter ones are worked on as if the painting ended nearer
LEVEL = np.float32(0.1)  # of the blur: what lies above it is loose
BLOCK = 16  # pixels: the part that is blurred begins and ends at a multiple


def derived(tight: Mask, sigma: float = LOOSE_SIGMA) -> Mask:
    """Return 255 where the Gaussian blur of a tight mask [H, W] is above 0.1, else 0.

    `sigma` is in pixels of a painting of 700, less for short elements.
    """
    longest = max(part.stop - part.start for part in _part_around(tight, 0))
    sigma *= min(max(tight.shape), longest / SHORT_ELEMENT) / NOMINAL
    rows, columns = _part_around(tight, math.ceil(2 * sigma))
    part = tight[rows, columns].astype(np.float32) / np.float32(255)
    half = max(1, int(1.5 * sigma))  # as the authors'
    kernel = _gaussian(half, sigma)
    blurred = cv2.sepFilter2D(part, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    near = max(1, round(sigma / 4))
    least = min(0.1, float(part.max()) / 2)
    core = (part > np.float32(least)).astype(np.uint8)
    grown = cv2.dilate(core, np.ones((2 * near + 1, 2 * near + 1), np.uint8))
    found = np.zeros(tight.shape, np.uint8)
    found[rows, columns] = np.where((blurred > LEVEL) | (grown > 0), np.uint8(255), np.uint8(0))
    return found


def _gaussian(half: int, sigma: float) -> NDArray[np.float32]:
    x = np.arange(-half, half + 1, dtype=np.float32)
    weights = np.exp(-(x**2) / np.float32(2 * sigma * sigma))
    total: NDArray[np.float32] = weights / weights.sum()
    return total


def _part_around(mask: Mask, margin: int) -> tuple[slice, slice]:
    spans = []
    for axis in (0, 1):
        filled = np.flatnonzero(mask.any(1 - axis))
        low = max(int(filled[0]) - margin, 0) // BLOCK * BLOCK
        high = -(-min(int(filled[-1]) + 1 + margin, mask.shape[axis]) // BLOCK) * BLOCK
        spans.append(slice(low, min(high, mask.shape[axis])))
    return spans[0], spans[1]
