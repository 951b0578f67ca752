"""Ours beside the published result and the composite."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from benchmarks import measure, report
from benchmarks.cases import Case, Options, Views, cropped, find_cases, views
from benchmarks.report import Row
from benchmarks.strokes import known_differences, stroke_scale
from harmonize import harmonize
from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import VGG19

NOTE = """style: distance of channel statistics, at taps that are not optimized, from the
painting's places nearest to the patch (0: the same). stroke: how far the handling is from the
painting's (1: as any place of it). content: the composite's edges kept (1: all). speckle: fine
color detail (1: the painting's own). seam: fine detail along the contour (1: as beside it). halo:
contour lighter or darker than both sides, in the painting's contrast (0: none). Style, stroke,
seam and halo: less is better. Pictures of known difference: the whole painting is changed ever
more and seen through the case's mask at places all over it; monotone: each is further from the
painting than the one before."""


def network() -> VGG19:
    return VGG19(weights.load_weights("oxford").state)


def score(seen: Views, vgg: VGG19) -> dict[str, Row]:
    with torch.no_grad():
        strokes = stroke_scale(seen.painting, seen.mask)
        style = measure.style_reference(vgg, seen.painting, seen.composite, seen.mask)
        return {
            name: {
                "style": style.distance(picture, seen.mask),
                "stroke": strokes(picture, seen.mask),
                "content": measure.content_kept(picture, seen.composite, seen.mask),
                "speckle": measure.speckle(picture, seen.painting, seen.mask),
                "seam": measure.seam(picture, seen.mask),
                "halo": measure.halo(picture, seen.painting, seen.mask),
            }
            for name, picture in {"composite": seen.composite, **seen.others}.items()
        }


def self_check(name: str, seen: Views) -> list[Row]:
    rows = []
    with torch.no_grad():
        strokes = stroke_scale(seen.painting, seen.mask)
        for kind, series in known_differences(seen.painting).items():
            values = [strokes.typical(picture, seen.mask) for _, picture in series]
            rows.append(
                {
                    "case": name,
                    "painting": kind,
                    "by": " ".join(label for label, _ in series),
                    "stroke": " ".join(f"{value:.2f}" for value in values),
                    "monotone": measure.rises(values),
                }
            )
    return rows


def agreement(rows: Sequence[Row]) -> list[Row]:
    """In how many cases each series is in order."""
    kinds = dict.fromkeys(row["painting"] for row in rows)
    found = []
    for kind in kinds:
        chosen = [row["monotone"] for row in rows if row["painting"] == kind]
        found.append({"painting": kind, "monotone in": f"{sum(chosen)} of {len(chosen)} cases"})
    return found


def medians(rows: Sequence[Row]) -> list[Row]:
    kinds = dict.fromkeys(row["picture"] for row in rows)
    return [
        {"picture": kind, **report.median([row for row in rows if row["picture"] == kind])}
        for kind in kinds
    ]


def run(options: Options) -> bool:
    config = options.config()
    vgg = network()
    rows: list[Row] = []
    checks: list[Row] = []
    for case in find_cases(options.cases):
        seen, about = _picture(case, options)
        for name, numbers in score(seen, vgg).items():
            rows.append({"case": case.name, "picture": name, **numbers, **about.get(name, {})})
        checks += self_check(case.name, seen)
        _sheet(case, seen, options)
    tables = {
        "Medians": medians(rows),
        "Cases": rows,
        "The stroke number on pictures of known difference": agreement(checks),
        "The same, by case": checks,
    }
    report.publish(options.out, "quality", config, tables, NOTE)
    return True


def _picture(case: Case, options: Options) -> tuple[Views, dict[str, Row]]:
    began = time.perf_counter()
    result = harmonize(**case.inputs, settings=options.config())
    seconds = time.perf_counter() - began
    seen = views(case, options.size, published=case.published, ours=result.image)
    level = float(result.record["strength"]["level"])
    return seen, {"ours": {"strength": level, "seconds": seconds}}


def _sheet(case: Case, seen: Views, options: Options) -> None:
    pictures = {"composite": seen.composite, **seen.others}
    parts = cropped(list(pictures.values()), seen.mask)
    row = [(f"{case.name}: {name}", part) for name, part in zip(pictures, parts, strict=True)]
    report.sheet(options.out / "quality" / f"{case.name}.png", [row])
