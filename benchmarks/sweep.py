"""Strength and keep over their ranges: do they act in one direction?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image

from benchmarks import measure, report
from benchmarks.cases import Case, Options, cropped, find_cases, planned, views
from benchmarks.report import Row
from benchmarks.strokes import stroke_scale
from harmonize import Session

STRENGTHS = (1.0, 2.5, 5.0, 7.5, 10.0)
KEEPS = (0.25, 0.5, 1.0, 2.0, 4.0)
KNOBS = {
    "strength": {value: [f"strength={value}"] for value in STRENGTHS},
    "keep": {value: ["strength=medium", f"keep={value}"] for value in KEEPS},
}
# Over each knob: numbers, and which way they should go.
WANTED: Mapping[str, Mapping[str, Callable[[Sequence[float], float], bool]]] = {
    "strength": {"content": measure.falls, "stroke": measure.falls},
    "keep": {"content": measure.rises, "stroke": measure.rises},
}
SLACK = 0.005  # differences below this are not seen
MOST = 7 / 8  # of the cases
NOTE = f"""Content kept should fall with strength and rise with keep; the distance from the
painting's handling, stroke, should fall with strength and rise with keep, in at least {MOST:.1%} of
the cases. Steps back of up to {SLACK} are let pass. Columns as in `quality`."""

Pictures = list[tuple[str, Image.Image]]


def directions(rows: Sequence[Row]) -> list[Row]:
    """In how many cases each number goes one way over each knob."""
    found = []
    for knob, numbers in WANTED.items():
        for number, goes in numbers.items():
            cases: dict[str, list[float]] = {}
            for row in rows:
                if row["over"] == knob:
                    cases.setdefault(row["case"], []).append(row[number])
            right = [name for name, values in cases.items() if goes(values, SLACK)]
            found.append(
                {
                    "over": knob,
                    "number": number,
                    "should": "fall" if goes is measure.falls else "rise",
                    "does in": f"{len(right)} of {len(cases)}",
                    "enough": len(right) >= MOST * len(cases),
                    "not in": ", ".join(name for name in cases if name not in right),
                }
            )
    return found


def swept(case: Case, session: Session, knob: str, options: Options) -> tuple[list[Row], Pictures]:
    rows, strip = [], []
    for value, overrides in KNOBS[knob].items():
        using = session.using(options.config("default", *overrides))
        seen = views(case, options.size, ours=using.run(planned(using, case)).image)
        ours = seen.others["ours"]
        with torch.no_grad():
            content = measure.content_kept(ours, seen.composite, seen.mask)
            stroke = stroke_scale(seen.painting, seen.mask)(ours, seen.mask)
        rows.append(
            {"case": case.name, "over": knob, "at": value, "content": content, "stroke": stroke}
        )
        strip.append((f"{case.name}, {knob} {value:g}", cropped([ours], seen.mask)[0]))
    composite = ("composite", cropped([seen.composite], seen.mask)[0])
    return rows, [composite, *strip]


def run(options: Options) -> bool:
    session = Session(options.config())
    rows: list[Row] = []
    for knob in KNOBS:
        board = []
        for case in find_cases(options.cases):
            found, strip = swept(case, session, knob, options)
            rows += found
            board.append(strip)
            print(f"  {case.name}, {knob}", flush=True)
        report.sheet(options.out / f"sweep-{knob}.png", board)
    found = directions(rows)
    report.publish(
        options.out, "sweep", options.config(), {"Direction": found, "Cases": rows}, NOTE
    )
    return all(row["enough"] for row in found)
