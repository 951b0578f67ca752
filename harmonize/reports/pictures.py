"""Pictures on a page."""

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from harmonize.images.pixels import Box, eight_bits
from harmonize.scene.mask import Mask
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene

QUALITY = 82  # of WebP
CLOSE_AROUND = 0.6  # of the element's size: what a close look shows on every side of it
CLOSE_LEAST = 96  # pixels: a close look is no smaller
CLOSE_SHAPE = 1.6  # the most that a close look is longer than wide


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    title: str
    key: str  # in the store
    width: int
    height: int


@dataclass(frozen=True)
class Inputs:
    """What went into a run."""

    pictures: tuple[Shown, ...]
    split: int  # the element's middle, percent of the width
    close: Box  # around the element
    size: tuple[int, int]  # the painting's


class Store:
    """Pictures as data URIs."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.uris: dict[str, str] = {}
        self._inputs: dict[str, Inputs] = {}

    def look(self, scene: Scene, placement: Placement, loose_sigma: float | None) -> Inputs:
        pictures = [
            ("Painting", eight_bits(scene.painting)),
            ("Composite", eight_bits(scene.composite)),
            ("Mask", scene.tight),
        ]
        pictures += [] if loose_sigma is None else [("Loose mask", scene.loose)]
        columns = np.flatnonzero(scene.tight.any(0))
        high, wide = scene.tight.shape
        inputs = Inputs(
            tuple(self.add(title, Image.fromarray(pixels)) for title, pixels in pictures),
            round(100 * float(columns[0] + columns[-1] + 1) / 2 / wide),
            close_look(scene.tight),
            (wide, high),
        )
        self._inputs[_key(scene.hashes, placement.to_json(), loose_sigma)] = inputs
        return inputs

    def inputs(self, record: Mapping[str, Any]) -> Inputs | None:
        hashes = {role: entry["sha256"] for role, entry in record["inputs"].items()}
        sigma = record["config"].get("loose_sigma")
        return self._inputs.get(_key(hashes, record["placement"], sigma))

    def add(self, title: str, image: Image.Image, limit: int | None = None) -> Shown:
        side = limit or self.limit
        small = ImageOps.contain(image, (side, side)) if max(image.size) > side else image
        data = io.BytesIO()
        small.save(data, "WEBP", quality=QUALITY)
        key = hashlib.sha256(data.getvalue()).hexdigest()[:16]
        uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
        self.uris.setdefault(key, uri)
        return Shown(title, key, small.width, small.height)


def _key(hashes: Mapping[str, str], placement: Mapping[str, Any], sigma: object) -> str:
    return json.dumps([dict(hashes), dict(placement), sigma], sort_keys=True)


def close_look(tight: Mask) -> Box:
    """Return the box to judge an element by, [H, W]."""
    spans = [np.flatnonzero(tight.any(axis)) for axis in (0, 1)]
    shown = [(int(span[0]), int(span[-1]) + 1) for span in spans]
    sides = [max((1 + 2 * CLOSE_AROUND) * (end - start), CLOSE_LEAST) for start, end in shown]
    box = []
    for (start, end), side, whole in zip(shown, sides, tight.shape[::-1], strict=True):
        length = min(round(max(side, max(sides) / CLOSE_SHAPE)), whole)
        first = min(max(round((start + end - length) / 2), 0), whole - length)
        box.append((first, first + length))
    (left, right), (top, bottom) = box
    return left, top, right, bottom
