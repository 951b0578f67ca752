"""Pictures as stored."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.images import color
from harmonize.images.pixels import Pixels, eight_bits, largest_value, strips


@dataclass(frozen=True, eq=False)
class StoredImage:
    """A picture, upright, in its file's own values."""

    pixels: Pixels  # uint8 or uint16, [H, W] or [H, W, C]
    mode: str = "RGB"  # or L, CMYK
    icc: bytes | None = None  # None: sRGB, its grays, or inks of no known printer
    alpha: Pixels | None = None  # [H, W], of the same depth
    dpi: tuple[float, float] | None = None  # x and y
    format: str | None = None  # Pillow's name of the file's

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.pixels.shape[:2]
        return width, height

    @property
    def bits(self) -> int:
        return self.pixels.dtype.itemsize * 8

    @property
    def image(self) -> Image.Image:
        """For Pillow: 8 bits, with profile and (except CMYK) alpha."""
        image = _pillow(self.pixels, self.mode)
        if self.alpha is not None and self.mode != "CMYK":
            image.putalpha(_pillow(self.alpha, "L"))
        if self.icc:
            image.info["icc_profile"] = self.icc
        if self.dpi:
            image.info["dpi"] = self.dpi
        return image

    @property
    def shown(self) -> Image.Image:
        """As a viewer shows it: 8-bit sRGB on white."""
        return replace(self, dpi=None).in_8_bits().in_srgb().on_white().image

    def srgb(self) -> Pixels:
        """Return sRGB [H, W, 3] of the same depth."""
        return color.to_srgb(self.pixels, self.mode, self.icc)

    def in_srgb(self) -> "StoredImage":
        return replace(self, pixels=self.srgb(), mode="RGB", icc=None)

    def in_8_bits(self) -> "StoredImage":
        alpha = None if self.alpha is None else eight_bits(self.alpha)
        return replace(self, pixels=eight_bits(self.pixels), alpha=alpha)

    def on_white(self) -> "StoredImage":
        if self.alpha is None:
            return self
        white = 0 if self.mode == "CMYK" else largest_value(self.pixels)
        pixels = self.pixels.copy()
        for rows in strips(*self.alpha.shape):
            share = self.alpha[rows] / np.float32(largest_value(self.alpha))
            share = share if pixels.ndim == 2 else share[..., None]
            pixels[rows] = np.rint(white + share * (pixels[rows] - np.float32(white)))
        return replace(self, pixels=pixels, alpha=None)

    def pasted(
        self,
        part: NDArray[np.float32] | NDArray[np.uint16],
        share: NDArray[np.float32],
        changed: NDArray[np.bool_],
        *,
        top: int = 0,
        left: int = 0,
    ) -> "StoredImage":
        """Return a copy with sRGB `part` [h, w, 3] (float32 0 to 1, or uint16) blended in.

        `share` [h, w] is 0 to 1, of `part`; where not `changed` [h, w], every bit stays.
        """
        pixels = self.pixels.copy()
        height, width = share.shape
        area = pixels[top : top + height, left : left + width]
        limit = largest_value(area)
        for rows in strips(height, width):
            under, where = area[rows], changed[rows]
            if not where.any():
                continue
            weight = share[rows] if under.ndim == 2 else share[rows, :, None]
            over = color.from_srgb(_unit(part[rows]), self.mode, self.icc, under)
            blended = np.clip(np.rint(under + weight * (over - under)), 0, limit)
            under[where] = blended.astype(under.dtype)[where]
        return replace(self, pixels=pixels)


def _unit(part: NDArray[np.float32] | NDArray[np.uint16]) -> NDArray[np.float32]:
    if part.dtype == np.uint16:
        return part.astype(np.float32) / np.float32(65535)
    return np.asarray(part, np.float32)


def _pillow(pixels: Pixels, mode: str) -> Image.Image:
    found = np.ascontiguousarray(eight_bits(pixels))
    return Image.frombytes(mode, found.shape[1::-1], found.data)
