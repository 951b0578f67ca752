"""What benchmarks paint: a folder of cases, or the shipped samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harmonize import Plan, Session
from harmonize.images.pixels import largest_value
from harmonize.run.memory_limit import at_work
from harmonize.run.prepare import canvas_of
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, load
from harmonize.synthesis.image_ops import filters, windows
from harmonize.synthesis.image_ops.crops import Canvas

SAMPLES = Path(__file__).parent.parent / "samples"
LONG = 700  # long side at which pictures are measured, unless a size is given

# Name: painting, cut-out, width, corner (samples/SOURCES.md).
PAIRS = {
    "duck": ("the-garden-at-bougival-1884.jpg", "duck.png", 330, (690, 480)),
    "macaw": ("roses-tremieres-hollyhocks-1884.jpg", "scarlet_macaw.png", 300, (420, 464)),
    "owl": ("starry_night_cropped.jpg", "owl.png", 220, (490, 210)),
    "sheep": ("villa-with-orange-trees-nice.jpg", "sheep.png", 260, (520, 730)),
    "crab": ("playing-in-the-sand.jpg", "crab.png", 310, (110, 982)),
}


@dataclass(frozen=True)
class Options:
    cases: Path | None
    out: Path
    size: int | None
    overrides: tuple[str, ...] = ()

    def config(self, preset: str = "default", *overrides: str, size: int | None = None) -> Settings:
        wanted = self.size or size
        sized = [] if wanted is None else [f"size={wanted}"]
        return load(preset, [*sized, *overrides, *self.overrides])


@dataclass(frozen=True)
class Case:
    """One painting and one element; `inputs` are keyword arguments of `harmonize`."""

    name: str
    inputs: Mapping[str, Any]
    published: Path | None = None


@dataclass(frozen=True)
class Views:
    painting: Tensor
    composite: Tensor
    mask: Tensor
    others: Mapping[str, Tensor] = field(default_factory=dict)


def sample(name: str) -> Case:
    painting, cutout, width, corner = PAIRS[name]
    paths = {"painting": SAMPLES / "paintings" / painting, "element": SAMPLES / "cutouts" / cutout}
    return Case(name, {**paths, "placement": Placement(at=corner, width=width, box="whole")})


def find_cases(folder: Path | None) -> list[Case]:
    """The cases in `folder` by number, or the shipped samples.

    N_painting.jpg, N_composite.jpg, N_mask.jpg, perhaps N_loose_mask.jpg and N_published.png.
    """
    if folder is None:
        return [sample(name) for name in PAIRS]
    stems = sorted((p.name.split("_")[0] for p in folder.glob("*_painting.*")), key=_by_number)
    if not stems:
        raise SystemExit(f"{folder}: no N_painting.jpg in it")
    return [_case(folder, stem) for stem in stems]


def _by_number(stem: str) -> tuple[bool, int, str]:
    return (not stem.isdigit(), int(stem) if stem.isdigit() else 0, stem)


def _case(folder: Path, stem: str) -> Case:
    def file(role: str) -> Path | None:
        return next(iter(sorted(folder.glob(f"{stem}_{role}.*"))), None)

    roles = {"painting": "painting", "element": "composite", "mask": "mask"}
    inputs = {key: file(role) for key, role in roles.items()}
    missing = [roles[key] for key, path in inputs.items() if path is None]
    if missing:
        raise SystemExit(f"{folder}: case {stem} has no {', '.join(missing)}")
    return Case(stem, {**inputs, "loose_mask": file("loose_mask")}, file("published"))


def planned(session: Session, case: Case) -> Plan:
    given = dict(case.inputs)
    pictures = [given.pop(name, None) for name in ("painting", "element", "mask", "placement")]
    return session.plan(*pictures, **given)


# --- as tensors -----------------------------------------------------------------------------------


def to_tensor(pixels: Any) -> Tensor:
    """Image, or uint8 or uint16 array [H, W, 3] → [3, H, W]."""
    if isinstance(pixels, Image.Image):
        pixels = np.asarray(pixels.convert("RGB"))
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / largest_value(pixels)


def to_image(picture: Tensor) -> Image.Image:
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels.numpy())


def canvas(case: Case, config: Settings) -> Canvas:
    return at_work(canvas_of(load_scene(**case.inputs, loose_sigma=config.loose_sigma)), config)


def views(case: Case, size: int | None, **others: Image.Image | Path | None) -> Views:
    """All at the long side `size`, never enlarged."""
    scene = load_scene(**case.inputs)
    h, w = scene.tight.shape
    scale = min(1.0, (size or LONG) / max(h, w))
    shape = (round(h * scale), round(w * scale))

    def view(picture: Any) -> Tensor:
        pixels = Image.open(picture) if isinstance(picture, Path) else picture
        return filters.resize(to_tensor(pixels), shape).clamp(0, 1)

    tight = torch.from_numpy(scene.tight).float() / 255
    mask = filters.resize(tight[None], shape)[0].clamp(0, 1)
    found = {name: view(picture) for name, picture in others.items() if picture is not None}
    return Views(view(scene.painting), view(scene.composite), mask, found)


def box(mask: Tensor, margin: int = 40) -> tuple[int, int, int, int]:
    window = windows.box(mask.numpy()).grown(margin).aligned(windows.ALIGN, mask.shape)
    return window.left, window.top, window.right, window.bottom


def cropped(pictures: Sequence[Tensor], mask: Tensor, margin: int = 40) -> list[Image.Image]:
    return [to_image(picture).crop(box(mask, margin)) for picture in pictures]
