"""Strength and keep over their ranges: do they act in one direction?"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import report
from benchmarks.cases import Options, cropped, find_cases, sample, views
from benchmarks.measure import falls, rises
from benchmarks.quality import network, score
from benchmarks.report import Row
from harmonize import harmonize

STRENGTHS = (1.0, 2.5, 5.0, 7.5, 10.0)
KEEPS = (0.25, 0.5, 1.0, 2.0, 4.0)
SLACK = 0.005  # differences below this are not seen
NOTE = f"""Content kept should fall with strength and rise with keep; the distance from the
painting's handling, stroke, should fall with strength and rise with keep. Steps back of up to
{SLACK} are let pass. Columns as in `quality`. The column style is shown but not judged: it looks at
the places matched to the pasted picture, which a picture painted freely leaves."""


def verdict(strength: Sequence[Row], keep: Sequence[Row]) -> list[Row]:
    """Whether each number goes one way over each sweep."""
    wanted = (
        ("strength", strength, "content", falls),
        ("strength", strength, "stroke", falls),
        ("keep", keep, "content", rises),
        ("keep", keep, "stroke", rises),
    )
    return [
        {
            "over": knob,
            "number": name,
            "should": check.__name__,
            "monotone": check([row[name] for row in rows], SLACK),
        }
        for knob, rows, name, check in wanted
    ]


def run(options: Options) -> bool:
    case = find_cases(options.cases)[0] if options.cases else sample("duck")
    vgg = network()
    settings = {
        "strength": [(value, [f"strength={value}"]) for value in STRENGTHS],
        "keep": [(value, ["strength=medium", f"keep={value}"]) for value in KEEPS],
    }
    tables: dict[str, list[Row]] = {}
    board = []
    for knob, values in settings.items():
        rows, strip = [], []
        for value, overrides in values:
            result = harmonize(**case.inputs, settings=options.config("default", *overrides))
            seen = views(case, options.size, ours=result.image)
            rows.append({knob: value, **score(seen, vgg)["ours"]})
            strip.append((f"{knob} {value:g}", cropped([seen.others["ours"]], seen.mask)[0]))
            print(f"  {knob} {value:g}", flush=True)
        tables[knob] = rows
        board.append([("composite", cropped([seen.composite], seen.mask)[0]), *strip])
    found = verdict(tables["strength"], tables["keep"])
    report.sheet(options.out / "sweep.png", board)
    tables = {"Direction": found, **tables}
    report.publish(options.out, "sweep", options.config(), tables, NOTE)
    return all(row["monotone"] for row in found)
