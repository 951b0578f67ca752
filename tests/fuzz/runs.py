"""`harmonize run` as a case, and what its picture must be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from fuzz.case import Content, Files, Outcome, played
from harmonize import Settings
from harmonize.images.write import default_output
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene, load_scene

QUICK = (*(f"--set=passes.{name}.steps=1" for name in Settings.preset().passes), "--set=size=32")
PLAIN = ("L", "LA", "RGB", "RGBA")  # modes that come out as they went in
PROFILED = (".png", ".tif", ".tiff")  # what holds any painting's profile
LOSSLESS = (".png", ".tif", ".tiff", ".webp", ".bmp")
WIDEST = 11.667 / 700 * 1.5  # half of the kernel that widens the mask, per pixel of the long side


@dataclass(frozen=True)
class Run:
    """Names of files, what is in them, and options as typed."""

    painting: str
    patch: str
    files: Files
    mask: str | None = None
    loose_mask: str | None = None
    at: str | None = None
    width: str | None = None
    scale: str | None = None
    output: str | None = "out.png"
    sheet: str | None = None
    frames: str | None = None
    options: tuple[str, ...] = ()
    more: dict[str, Content] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        given = {
            "--style": self.painting,
            "--patch": self.patch,
            "--mask": self.mask,
            "--loose-mask": self.loose_mask,
            "--at": self.at,
            "--width": self.width,
            "--scale": self.scale,
            "--output": self.output,
            "--sheet": self.sheet,
            "--frames": self.frames,
        }
        pairs = [(flag, value) for flag, value in given.items() if value is not None]
        return ["run", *(word for pair in pairs for word in pair), *self.options, *QUICK]

    @property
    def target(self) -> Path:
        return Path(self.output) if self.output else default_output(self.painting)


@contextmanager
def ran(run: Run) -> Iterator[Outcome]:
    with played({**run.files, **run.more}, run.words) as outcome:
        assert outcome.code in (0, 2)
        if outcome.code == 0:
            _check_files(run, outcome)
            _check_picture(run)
        yield outcome


def _check_files(run: Run, outcome: Outcome) -> None:
    target = run.target
    own = [target, target.with_suffix(".json"), run.sheet, run.frames]
    own += [target.with_suffix(".html")] if "--report" in run.options else []
    allowed = {_place(path) for path in own if path is not None}
    allowed |= {str(folder) for path in allowed for folder in Path(path).parents}  # made for them
    touched = {path for path in outcome.new | outcome.changed if not _is_frame(path, run.frames)}
    assert touched <= allowed, touched
    assert _place(target) in touched
    json.loads(target.with_suffix(".json").read_bytes())
    assert not touched & outcome.changed or "--overwrite" in run.options, touched


def _place(path: str | Path) -> str:
    """Where it is written, links followed."""
    return os.path.relpath(os.path.realpath(path))


def _is_frame(path: str, folder: str | None) -> bool:
    if folder is None or not os.path.basename(path).startswith("frame-"):
        return False
    return os.path.realpath(os.path.dirname(path)) == os.path.realpath(folder)


def _check_picture(run: Run) -> None:
    painting, result = _seen(run.painting), _seen(run.target)
    assert result.size == painting.size
    scene = _scene(run)
    may_change = _may_change(run, scene)
    assert may_change.shape == painting.size[::-1]
    after = np.asarray(result.convert("RGB"))
    profiled = "icc_profile" in painting.info and run.target.suffix.lower() not in PROFILED
    if painting.mode in PLAIN and run.target.suffix.lower() in LOSSLESS and not profiled:
        before = np.asarray(painting.convert("RGB"))
        assert (after[~may_change] == before[~may_change]).all()
    inside = scene.tight > 127
    darkest = min(scene.painting.min(), scene.composite.min())
    if inside.any() and darkest > 0.15 * np.iinfo(scene.painting.dtype).max:
        assert after[inside].mean() > 10, "black"


def _seen(path: str | Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).copy()


def _scene(run: Run) -> Scene:
    return load_scene(
        Path(run.painting),
        Path(run.patch),
        None if run.mask is None else Path(run.mask),
        loose_mask=None if run.loose_mask is None else Path(run.loose_mask),
        placement=Placement(
            at=run.at, width=run.width, scale=None if run.scale is None else float(run.scale)
        ),
    )


def _may_change(run: Run, scene: Scene) -> np.ndarray:
    """The loose mask given, or a square around what shows."""
    if run.loose_mask is not None:
        return scene.loose > 127
    half = max(1, int(WIDEST * max(scene.tight.shape)))
    shows = Image.fromarray(np.where(scene.tight > 0, 255, 0).astype(np.uint8))
    wide = ImageOps.expand(shows, half).filter(ImageFilter.MaxFilter(2 * half + 1))
    return np.asarray(ImageOps.crop(wide, half)) > 0
