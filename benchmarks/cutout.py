"""How well a box alone cuts an element out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import report
from benchmarks.cases import Options, find_cases
from benchmarks.report import Row
from harmonize.images.pixels import eight_bits
from harmonize.images.read import open_picture
from harmonize.images.write import encode_as
from harmonize.scene.matting import bounds
from harmonize.scene.scene import load_scene
from harmonize.scene.segmentation import as_picture, cut_out, quick_mask

LEAST = 0.75  # of overlap: below it something is amiss
NOTE = """Overlap: intersection over union of what is more than half inside, with the true mask.
The photograph is the case's composite, the box that of its mask, and nothing else is given. Of a
sample, the composite is the cut-out pasted on its painting. Quick: the first mask, of a copy of
0.05 megapixels. With `--size PX` the first case is enlarged to that long side, a little noise is
added, and the PNG is timed too."""


def overlap(found: NDArray[Any], true: NDArray[Any]) -> float:
    """Intersection over union of two masks."""
    a, b = found > 127, true > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def run(options: Options) -> bool:
    """Cut out all cases; whether the worst overlap is fair."""
    rows: list[Row] = []
    pictures = []
    cases = find_cases(options.cases)
    for case in cases[:1] if options.size else cases:
        scene = load_scene(**case.inputs)
        photo = eight_bits(scene.composite)
        if options.cases:  # the composite itself, not pasted once more
            photo = eight_bits(open_picture("photo", case.inputs["element"]).stored.srgb())
        true = scene.tight
        if options.size:
            photo, true = _enlarged(photo, options.size), _enlarged(true, options.size)
            noise = np.random.default_rng(0).integers(-6, 7, photo.shape, np.int8)
            photo = np.clip(photo.astype(np.int16) + noise, 0, 255).astype(np.uint8)
        rows_, columns = bounds(true > 127) or (slice(0), slice(0))  # type: ignore[arg-type]
        box = (
            columns.start,
            rows_.start,
            columns.stop - columns.start,
            rows_.stop - rows_.start,
        )
        began = time.process_time()
        found = cut_out(photo, box=box)
        middle = time.process_time()
        quick = quick_mask(photo, box=box)
        after = time.process_time()
        encode_as("PNG", as_picture(found))
        rows.append(
            {
                "case": case.name,
                "overlap": overlap(found[..., 3], true),
                "quick overlap": overlap(quick, true),
                "CPU s": middle - began,
                "quick CPU s": after - middle,
                "PNG CPU s": time.process_time() - after,
            }
        )
        pictures.append((photo, found))
    overlaps = [float(row["overlap"]) for row in rows]
    worst = min(overlaps)
    print(f"overlap: median {np.median(overlaps):.3f}, worst {worst:.3f}")
    report.publish(options.out, "cutout", options.config(), {"From a box alone": rows}, NOTE)
    sheet = [
        [("photograph", Image.fromarray(photo)), ("cut out", _on_gray(found))]
        for photo, found in pictures
    ]
    report.sheet(options.out / "cutout.png", sheet)
    return worst >= LEAST


def _enlarged(pixels: NDArray[Any], longest: int) -> NDArray[Any]:
    scale = longest / max(pixels.shape[:2])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _on_gray(rgba: NDArray[np.uint8]) -> Image.Image:
    ground = Image.new("RGBA", rgba.shape[1::-1], (128, 128, 128, 255))
    return Image.alpha_composite(ground, Image.fromarray(rgba)).convert("RGB")
