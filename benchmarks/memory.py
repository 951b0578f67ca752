"""The memory that runs are said to take beside what they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import probe, report
from benchmarks.cases import PAIRS, SAMPLES, Options
from benchmarks.report import Row
from benchmarks.scaling import element

TOLERANCE = 0.25  # of the measured peak: how far what was told may lie from it

# The painting's long side, the working size, the patch's share of the long side, the preset.
RUNS: tuple[tuple[int, int | str, float, str], ...] = (
    (350, 350, 0.3, "preview"),
    (700, 350, 0.3, "default"),
    (700, 700, 0.1, "default"),
    (700, 700, 0.3, "default"),
    (700, 700, 0.6, "default"),
    (1100, 1000, 0.3, "fine"),
    (2000, 700, 0.3, "default"),
    (2000, "native", 0.1, "default"),
    (6000, 700, 0.2, "default"),
    (300, "native", 0.3, "paper"),
)
LIMITS = (1_400_000_000, 1_600_000_000, 1_900_000_000)  # for the largest patch
NOTE = f"""Each run in a process of its own, two steps a pass: the peak is reached in the first of
one, or before. told: what `--dry-run` says, before the run; peak: the process's largest resident
size. A limit is `--max-memory`; size and tile are what it led to. Amiss: what was told is more than
{TOLERANCE:.0%} off, or a limit was not kept to."""


def measure(
    painting: str, patch: str, at: Sequence[int], preset: str, limit: int | None, **more: Any
) -> dict[str, Any]:
    from harmonize import Placement, harmonize
    from harmonize.settings.load import Settings, load

    steps = [f"passes.{name}.steps=2" for name in Settings.preset(preset).passes]
    config = load(preset, [*steps, *more["overrides"]])
    x, y = at
    place = Placement(at=(x, y))
    result = harmonize(painting, patch, placement=place, settings=config, max_memory=limit)
    taken = result.record["config"]
    return {
        "size": result.record["size"],
        "tile": taken["tile"],
        "told MB": result.record["memory"] / 1e6,
        "peak MB": probe.peak_mib() * probe.MIB / 1e6,
    }


class Runs:
    def __init__(self, options: Options) -> None:
        self.folder = options.out / "memory"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.overrides = ["strength=medium", *options.overrides]
        painting, cutout, _, _ = PAIRS["duck"]
        self.painting = Image.open(SAMPLES / "paintings" / painting).convert("RGB")
        self.cutout = Image.open(SAMPLES / "cutouts" / cutout)

    def row(
        self, long: int, size: int | str, share: float, preset: str, limit: int | None = None
    ) -> Row:
        scale = long / max(self.painting.size)
        shape = (round(self.painting.width * scale), round(self.painting.height * scale))
        painting = self.folder / "painting.png"
        self.painting.resize(shape, Image.Resampling.BICUBIC).save(painting, compress_level=1)
        cutout, _ = element(self.cutout, round(share * long))
        patch = self.folder / "patch.png"
        cutout.save(patch)
        at = [max((a - b) // 2, 0) for a, b in zip(shape, cutout.size, strict=True)]
        found = probe.call(
            "benchmarks.memory:measure",
            painting=str(painting.resolve()),
            patch=str(patch.resolve()),
            at=at,
            preset=preset,
            limit=limit,
            overrides=[*self.overrides, f"size={size}"],
        )
        about = {"painting": f"{shape[0]} x {shape[1]}", "patch": cutout.width, "preset": preset}
        limited = {"limit MB": limit / 1e6} if limit else {}
        row = {**about, "asked size": size, **limited, **found}
        row["told over peak"] = row["told MB"] / row["peak MB"]
        print("  " + ", ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
        return row


def _short(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 100
        else f"{value:.0f}"
        if (isinstance(value, float))
        else str(value)
    )


def run(options: Options) -> bool:
    """Whether all was within bounds; `--size` adds a native run that long."""
    runs = Runs(options)
    asked = [*RUNS, *([(options.size, "native", 0.03, "default")] if options.size else [])]
    told = [runs.row(*each) for each in asked]
    kept = [runs.row(700, 700, 0.6, "default", limit) for limit in LIMITS]
    for path in runs.folder.glob("*.png"):
        path.unlink()
    tables = {"Told and taken": told, "With a limit": kept}
    report.publish(options.out, "memory", options.config(), tables, NOTE)
    close = np.abs([row["told over peak"] - 1 for row in told]).max() <= TOLERANCE
    return bool(close and all(row["peak MB"] <= row["limit MB"] for row in kept))
