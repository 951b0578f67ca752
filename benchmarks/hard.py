"""Hard cases made from the samples: a contact sheet, and a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks import measure, report
from benchmarks.cases import PAIRS, SAMPLES, Case, Options, cropped, views
from benchmarks.quality import network, score
from benchmarks.report import Row
from harmonize import Placement, harmonize

SIDE = 700  # long side of the paintings
GRAY = 2 / 255  # the largest difference between channels that still passes for gray
TALL = 260  # pixels: of a picture on the sheet
NOTE = f"""`gray`: on the engraving no pixel's channels differ by more than {GRAY * 255:.0f} of
255; color peak is the largest difference under the mask, 0 to 1. Other columns as in `quality`."""

Make = Callable[[Image.Image], Image.Image]


def _same(image: Image.Image) -> Image.Image:
    return image


def darkened(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.12)


def saturated(image: Image.Image) -> Image.Image:
    return ImageEnhance.Color(image).enhance(3.0)


def smooth(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.MedianFilter(9)).filter(ImageFilter.GaussianBlur(2))


def grainy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 22, pixels.shape[:2])
    return _image(pixels + grain[..., None])


def engraving(image: Image.Image) -> Image.Image:
    """Gray hatching, denser where the painting is darker."""
    gray = np.asarray(image.convert("L")).astype(np.float32) / 255
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]]
    lines = 0.5 + 0.5 * np.sin((x + 1.3 * y) * 2 * np.pi / 6)
    crossed = 0.5 + 0.5 * np.sin((x - 1.1 * y) * 2 * np.pi / 6)
    ink = np.minimum(np.clip((lines - 1 + 1.2 * gray) * 4 + 0.5, 0, 1), 1)
    ink *= np.where(gray < 0.45, np.clip((crossed - 0.6 + 1.6 * gray) * 4 + 0.5, 0, 1), 1)
    return _image(np.repeat((30 + 210 * ink)[..., None], 3, axis=2))


def _image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def placed(
    name: str,
    pair: str,
    *,
    area: float,
    at: tuple[float, float],
    on: Make = _same,
    of: Make = _same,
) -> Case:
    """The element of `pair`, changed by `of`, on its painting, changed by `on`.

    It covers the share `area`; its middle is at the shares `at`.
    """
    file, cutout_file, _, _ = PAIRS[pair]
    painting = Image.open(SAMPLES / "paintings" / file).convert("RGB")
    painting.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    cutout = Image.open(SAMPLES / "cutouts" / cutout_file)
    alpha = cutout.getchannel("A")
    colored = of(cutout.convert("RGB"))
    colored.putalpha(alpha)
    filled = float((np.asarray(alpha) > 127).mean())
    size = painting.width * painting.height
    width = (area * size / filled * cutout.width / cutout.height) ** 0.5
    height = width * cutout.height / cutout.width
    corner = (
        round(at[0] * painting.width - width / 2),
        round(at[1] * painting.height - height / 2),
    )
    place = Placement(at=corner, width=round(width), box="whole")
    inputs = {"painting": on(painting), "element": colored, "placement": place}
    return Case(name, inputs)


def hard_cases() -> list[Case]:
    return [
        placed("at the border", "duck", area=0.1, at=(0.97, 0.9)),
        placed("thin", "crab", area=0.05, at=(0.5, 0.75)),
        placed("very dark", "owl", area=0.08, at=(0.6, 0.6), of=darkened),
        placed("saturated", "macaw", area=0.1, at=(0.5, 0.55), of=saturated),
        placed("1 %", "sheep", area=0.01, at=(0.5, 0.75)),
        placed("50 %", "sheep", area=0.5, at=(0.5, 0.55)),
        placed("smooth painting", "duck", area=0.1, at=(0.6, 0.7), on=smooth),
        placed("grainy painting", "macaw", area=0.1, at=(0.5, 0.55), on=grainy),
        placed("engraving", "duck", area=0.12, at=(0.6, 0.65), on=engraving),
    ]


def run(options: Options) -> bool:
    """True if the engraving stayed gray."""
    vgg = network()
    rows: list[Row] = []
    board = []
    for case in hard_cases():
        result = harmonize(**case.inputs, settings=options.config())
        seen = views(case, options.size, ours=result.image)
        row: Row = {"case": case.name, **score(seen, vgg)["ours"]}
        if case.name == "engraving":
            peak = measure.chroma_peak(seen.others["ours"], seen.mask)
            row |= {"color peak": peak, "gray": peak <= GRAY}
        rows.append(row)
        parts = cropped([seen.composite, seen.others["ours"]], seen.mask)
        whole = cropped([seen.others["ours"]], seen.mask, margin=max(seen.mask.shape))
        labels = (case.name, "ours", "whole")
        board.append([(label, _fit(p)) for label, p in zip(labels, (*parts, *whole), strict=True)])
        print(f"  {case.name}", flush=True)
    report.sheet(options.out / "hard.png", board)
    report.publish(options.out, "hard", options.config(), {"Hard cases": rows}, NOTE)
    return all(row.get("gray", True) for row in rows)


def _fit(image: Image.Image) -> Image.Image:
    factor = min(TALL / image.height, 4.0)
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return image.resize(size, Image.Resampling.LANCZOS)
