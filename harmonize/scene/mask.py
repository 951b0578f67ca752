"""A stored picture → a mask: uint8 [H, W], white where it holds."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harmonize.images.color import LUMA
from harmonize.images.image import StoredImage
from harmonize.images.pixels import eight_bits, strips

Mask = NDArray[np.uint8]

FAINT = 12  # of 255: a mask with nothing above it is empty
FULL = 242  # a mask with nothing below it leaves no outside
BLACK, WHITE = 32, 223  # of a picture of a mask: what is beyond is compression noise


def mask_of(stored: StoredImage) -> Mask:
    """Return the grays of a picture as a mask; beyond `BLACK` and `WHITE` they are 0 and 255."""
    values = np.arange(256) - BLACK
    levels = np.clip(np.rint(values * 255 / (WHITE - BLACK)), 0, 255).astype(np.uint8)
    mask: Mask = np.empty(stored.pixels.shape[:2], np.uint8)
    plain = replace(stored, icc=None)  # a mask's values are no colors
    for rows in strips(*stored.pixels.shape[:2]):
        part = replace(plain, pixels=stored.pixels[rows], alpha=None)
        gray = part.pixels if part.mode == "L" else np.rint(part.srgb() @ LUMA)
        mask[rows] = levels[eight_bits(gray.astype(part.pixels.dtype))]
    return mask if stored.alpha is None else times(mask, eight_bits(stored.alpha))


def times(a: Mask, b: Mask) -> Mask:
    """Return the product of two masks of one size, 255 standing for 1."""
    product = np.empty(a.shape, np.uint8)
    for rows in strips(*a.shape):
        product[rows] = (a[rows].astype(np.uint16) * b[rows] + 127) // 255
    return product


def looks_inverted(mask: Mask) -> bool:
    """Whether a mask is white along its border and has black in its middle."""
    white = mask > 127
    height, width = mask.shape
    border = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    middle = white[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(border.mean() > 0.97 and not middle.all())
