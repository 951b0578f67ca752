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
from harmonize.scene.cutout import cut_out, quick_mask
from harmonize.scene.matting import bounds
from harmonize.scene.scene import load_scene

LEAST = 0.75  # of overlap: below it something is amiss
NOTE = """Overlap: intersection over union of what is more than half inside, with the true mask.
The photograph is the case's composite, the box that of its mask, and nothing else is given. Of a
sample, the composite is the cut-out pasted on its painting. Quick: the first mask, of a copy of
0.05 megapixels."""


def overlap(found: NDArray[Any], true: NDArray[Any]) -> float:
    """Intersection over union of two masks."""
    a, b = found > 127, true > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def run(options: Options) -> bool:
    """Cut out all cases; whether the worst overlap is fair."""
    rows: list[Row] = []
    pictures = []
    for case in find_cases(options.cases):
        scene = load_scene(**case.inputs)
        photo = eight_bits(scene.composite)
        if options.cases:  # the composite itself, not pasted once more
            photo = eight_bits(open_picture("photo", case.inputs["element"]).stored.srgb())
        rows_, columns = bounds(scene.tight > 127) or (slice(0), slice(0))  # type: ignore[arg-type]
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
        rows.append(
            {
                "case": case.name,
                "overlap": overlap(found[..., 3], scene.tight),
                "quick overlap": overlap(quick, scene.tight),
                "CPU s": middle - began,
                "quick CPU s": time.process_time() - middle,
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


def _on_gray(rgba: NDArray[np.uint8]) -> Image.Image:
    ground = Image.new("RGBA", rgba.shape[1::-1], (128, 128, 128, 255))
    return Image.alpha_composite(ground, Image.fromarray(rgba)).convert("RGB")
