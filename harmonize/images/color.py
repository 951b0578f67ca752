"""Convert colors to sRGB and back.

Without a profile, CMYK means red = (1 - cyan) x (1 - black).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harmonize.images import libvips
from harmonize.images.libvips import CHANNELS_OF
from harmonize.images.pixels import Pixels, largest_value, strips

COLOR_SPACES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
PROBE = 9  # steps of each channel at which profiles are compared


def fits(icc: bytes, mode: str) -> bool:
    """Tell whether a profile is for `mode`."""
    return icc[36:40] == b"acsp" and COLOR_SPACES.get(icc[16:20]) == mode


@lru_cache(maxsize=8)
def reachable(icc: bytes, mode: str) -> bool:
    """Tell whether colors can be converted to a profile."""
    try:
        found = libvips.vips_from_srgb(np.zeros((1, 1, 3), np.uint16), icc)
    except ValueError:
        return False
    return (1 if found.ndim == 2 else found.shape[2]) == CHANNELS_OF[mode]


@lru_cache(maxsize=8)
def is_srgb(icc: bytes | None, mode: str) -> bool:
    """Tell whether values are sRGB's, within 1 of 255."""
    if mode not in ("L", "RGB"):
        return False
    if icc is None:
        return True
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
        expected = probe[..., None].astype(int)
    else:
        steps = np.linspace(0, 255, PROBE).astype(np.uint8)
        probe = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        expected = probe.astype(int)
    return bool(np.abs(libvips.vips_to_srgb(probe, mode, icc) - expected).max() <= 1)


def to_srgb(pixels: Pixels, mode: str, icc: bytes | None) -> Pixels:
    """Return sRGB [H, W, 3] of the same depth; `icc` must fit."""
    if icc is not None and not is_srgb(icc, mode):
        return libvips.vips_to_srgb(pixels, mode, icc)
    if mode == "RGB":
        return pixels
    height, width = pixels.shape[:2]
    found: Pixels = np.empty((height, width, 3), pixels.dtype)
    for rows in strips(height, width):
        found[rows] = pixels[rows, :, None] if mode == "L" else _from_ink(pixels[rows])
    return found


def from_srgb(
    part: NDArray[np.float32], mode: str, icc: bytes | None, under: Pixels
) -> NDArray[np.float32]:
    """Convert sRGB [H, W, 3], 0 to 1: float32 in `under`'s range, its black ink kept."""
    scale = np.float32(largest_value(under))
    if icc is not None and not is_srgb(icc, mode):
        wide = np.rint(np.clip(part, 0, 1) * 65535).astype(np.uint16)
        return libvips.vips_from_srgb(wide, icc) * (scale / np.float32(65535))
    if mode == "L":
        return part @ LUMA * scale
    if mode == "RGB":
        return part * scale
    return _to_ink(part, under[..., 3].astype(np.float32) / scale) * scale


def _from_ink(ink: Pixels) -> NDArray[np.float32]:
    scale = np.float32(largest_value(ink))
    light = 1 - ink / scale
    return np.rint(light[..., :3] * light[..., 3:] * scale)


def _to_ink(part: NDArray[np.float32], black: NDArray[np.float32]) -> NDArray[np.float32]:
    black = np.minimum(black, 1 - part.max(-1))[..., None]
    color = 1 - part / np.maximum(1 - black, np.float32(1e-6))
    return np.concatenate([color, black], -1)
