"""Seconds and memory against the painting's area, the element's, and bins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from benchmarks import probe, report
from benchmarks.cases import LONG, PAIRS, SAMPLES, Options
from benchmarks.report import Row

TILES = {1: (1, 1), 2: (2, 1), 4: (2, 2), 9: (3, 3)}  # area: columns and rows of mirrored copies
PATCHES = (0.02, 0.05, 0.1, 0.2, 0.4)  # the element's share of the painting
BINS = (16, 64, 256, 1024, 4096)
NOTE = """Each run in a process of its own, at the painting's native size, style level 5. seconds:
the library call; MiB: the process's peak; base MiB: after loading program and weights. The
painting grows by mirrored copies of itself around the same patch, with the same loose mask."""


def measure(overrides: Sequence[str], **inputs: Any) -> dict[str, Any]:
    from harmonize import Placement, Settings, harmonize
    from harmonize.settings.load import load
    from harmonize.synthesis.network import weights

    config: Settings = load("default", list(overrides))
    weights.load_weights(config.weights)
    base = probe.peak_mib()
    inputs["placement"] = Placement(at=inputs.pop("at"))
    began = time.perf_counter()
    result = harmonize(**inputs, settings=config)
    seconds = time.perf_counter() - began
    passes = {f"{log['name']} s": log["seconds"] for log in result.record["passes"]}
    return {"seconds": seconds, "MiB": probe.peak_mib(), "base MiB": base, **passes}


def mirrored(image: Image.Image, columns: int, rows: int) -> Image.Image:
    """`image` with mirrored copies to its right and below."""
    pixels = np.asarray(image)
    h, w = pixels.shape[:2]
    grown = np.pad(pixels, ((0, h * (rows - 1)), (0, w * (columns - 1)), (0, 0)), "symmetric")
    return Image.fromarray(grown)


def element(image: Image.Image, width: int) -> tuple[Image.Image, Image.Image]:
    height = round(image.height * width / image.width)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    room = 14
    padded = Image.new("RGBA", (width + 2 * room, height + 2 * room))
    padded.paste(small, (room, room))
    alpha = padded.getchannel("A").point([255 if value > 127 else 0 for value in range(256)])
    return padded, alpha.filter(ImageFilter.MaxFilter(2 * room - 1))


def share(cutout: Image.Image, painting: Image.Image) -> float:
    inside = (np.asarray(cutout.getchannel("A")) > 127).sum()
    return float(inside / (painting.width * painting.height))


class Runs:
    def __init__(self, options: Options) -> None:
        self.folder = options.out / "scaling"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.overrides = ["size=native", "strength=medium", *options.overrides]
        painting, cutout, _, _ = PAIRS["duck"]
        self.painting = Image.open(SAMPLES / "paintings" / painting).convert("RGB")
        self.painting.thumbnail((options.size or LONG,) * 2, Image.Resampling.LANCZOS)
        self.cutout = Image.open(SAMPLES / "cutouts" / cutout)

    def row(self, area: int = 1, patch: float = 0.1, bins: int | None = None) -> Row:
        """Run on `area` times the painting."""
        big = mirrored(self.painting, *TILES[area])
        whole = self.painting.width * self.painting.height
        filled = share(self.cutout, self.cutout)
        width = (patch * whole / filled * self.cutout.width / self.cutout.height) ** 0.5
        cutout, loose = element(self.cutout, round(width))
        at = [
            max((side - length) // 2, 0)
            for side, length in zip(self.painting.size, cutout.size, strict=True)
        ]
        files = {"painting": big, "element": cutout, "loose_mask": loose}
        inputs = {name: self._save(name, image) for name, image in files.items()}
        overrides = list(self.overrides)
        if bins:
            overrides += [f"passes.{p}.terms.histogram.bins={bins}" for p in ("coarse", "refine")]
        found = probe.call("benchmarks.scaling:measure", overrides=overrides, at=at, **inputs)
        print(f"  painting {big.size}, patch {cutout.size}: {found['seconds']:.1f} s", flush=True)
        about = {"painting": f"{big.width} x {big.height}", "patch share": share(cutout, big)}
        return {**about, **({"bins": bins} if bins else {}), **found}

    def _save(self, name: str, image: Image.Image) -> str:
        path = self.folder / f"{name}.png"
        image.save(path)
        return str(path.resolve())


def relative(rows: Sequence[Row]) -> list[Row]:
    first = rows[0]
    over = {"time x": "seconds", "memory x": "MiB"}
    return [{**row, **{k: row[v] / first[v] for k, v in over.items()}} for row in rows]


def run(options: Options) -> bool:
    runs = Runs(options)
    tables = {
        "Painting's area, fixed patch": relative([runs.row(area=n) for n in TILES]),
        "Patch's area, fixed painting": relative([runs.row(patch=n) for n in PATCHES]),
        "Histogram bins": relative([runs.row(bins=n) for n in BINS]),
    }
    for path in runs.folder.glob("*.png"):
        path.unlink()
    report.publish(options.out, "scaling", options.config(), tables, NOTE)
    return True
