"""Pictures on a page: made smaller, encoded, each once."""

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from harmonize.scene.mask import Mask

QUALITY = 82  # of WebP
AROUND = 0.6  # of the element's size: what a close look shows on every side of it
LEAST = 96  # pixels: a close look is no smaller
SHAPE = 1.6  # the most that a close look is longer than wide


@dataclass(frozen=True)
class Shown:
    """A picture on the page; `key` names it in the store."""

    title: str
    key: str
    width: int
    height: int


class Store:
    """Pictures as data URIs."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.uris: dict[str, str] = {}

    def add(self, title: str, image: Image.Image, limit: int | None = None) -> Shown:
        """Take in a picture (sRGB or L) made smaller."""
        side = limit or self.limit
        small = ImageOps.contain(image, (side, side)) if max(image.size) > side else image
        data = io.BytesIO()
        small.save(data, "WEBP", quality=QUALITY)
        key = hashlib.sha256(data.getvalue()).hexdigest()[:16]
        uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
        self.uris.setdefault(key, uri)
        return Shown(title, key, small.width, small.height)


def close_look(tight: Mask) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the box to judge an element [H, W] by."""
    spans = [np.flatnonzero(tight.any(axis)) for axis in (0, 1)]
    shown = [(int(span[0]), int(span[-1]) + 1) for span in spans]
    sides = [max((1 + 2 * AROUND) * (end - start), LEAST) for start, end in shown]
    box = []
    for (start, end), side, whole in zip(shown, sides, tight.shape[::-1], strict=True):
        length = min(round(max(side, max(sides) / SHAPE)), whole)
        first = min(max(round((start + end - length) / 2), 0), whole - length)
        box.append((first, first + length))
    (left, right), (top, bottom) = box
    return left, top, right, bottom
