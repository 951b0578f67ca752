"""Blind ranking: sheets for judges who don't know what made which picture, and their tally.

    python -m benchmarks.judge sheets OUT NAME=FOLDER [NAME=FOLDER ...] --cases FOLDER --seed N
    python -m benchmarks.judge tally OUT/key.json RANKING.json [RANKING.json ...]

A sheet shows the pasted picture, then the candidates under letters, in an order drawn by the seed.
Keep `key.json` from the judges. Candidates are folders of `CASE.png` or `CASE.jpg`; `published`
needs none where `--cases` holds `CASE_published.png`. A ranking is JSON, the best first: {"CASE":
{"order": "BAC", "unacceptable": "C"}, ...}.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.cases import cropped, find_cases, views
from benchmarks.report import sheet

Key = Mapping[str, Mapping[str, str]]  # case → letter → candidate

LETTERS = "ABCDEFGH"
HEIGHT = 640  # pixels of a crop on a sheet, at most enlarged to this


def sheets(out: Path, cases: Path | None, seed: int, folders: Mapping[str, Path]) -> None:
    """Write a sheet for each case that every candidate has, and the key."""
    out.mkdir(parents=True, exist_ok=True)
    draw, key = random.Random(seed), {}
    for case in find_cases(cases):
        found = {name: _picture(folder, case.name) for name, folder in folders.items()}
        if case.published is not None:
            found["published"] = case.published
        paths = {name: path for name, path in found.items() if path is not None}
        if len(paths) < 2:
            continue
        names = sorted(paths)
        draw.shuffle(names)
        key[case.name] = dict(zip(LETTERS, names, strict=False))
        seen = views(case, None, **{name: Image.open(paths[name]) for name in names})
        crops = cropped([seen.composite, *(seen.others[name] for name in names)], seen.mask)
        titles = ["pasted", *LETTERS[: len(names)]]
        row = [(title, _enlarged(crop)) for title, crop in zip(titles, crops, strict=True)]
        sheet(out / f"{case.name}.png", [row])
    (out / "key.json").write_text(json.dumps({"seed": seed, "cases": key}, indent=1))


def tally(key: Key, rankings: Sequence[Mapping[str, Mapping[str, str]]]) -> dict[str, Any]:
    """Count each candidate's mean place, pairwise wins, and rejections.

    Returns name → {"place": mean from 1, "votes", "unacceptable", "over": {other: share of wins}}.
    Raises ValueError for a ranking that does not name each letter once.
    """
    places: dict[str, list[int]] = {}
    wins: dict[tuple[str, str], list[int]] = {}
    rejected: dict[str, int] = {}
    for ranking in rankings:
        for case, said in ranking.items():
            letters = key[case]
            if sorted(said["order"]) != sorted(letters):
                raise ValueError(
                    f"case {case}: {said['order']!r} is no order of {''.join(letters)}"
                )
            order = [letters[letter] for letter in said["order"]]
            for place, name in enumerate(order, start=1):
                places.setdefault(name, []).append(place)
            for better, worse in combinations(order, 2):
                wins.setdefault((better, worse), []).append(1)
                wins.setdefault((worse, better), []).append(0)
            for letter in said.get("unacceptable", ""):
                rejected[letters[letter]] = rejected.get(letters[letter], 0) + 1
    return {
        name: {
            "place": sum(found) / len(found),
            "votes": len(found),
            "unacceptable": rejected.get(name, 0),
            "over": {
                other: sum(won) / len(won)
                for (one, other), won in sorted(wins.items())
                if one == name
            },
        }
        for name, found in sorted(places.items(), key=lambda item: sum(item[1]) / len(item[1]))
    }


def _picture(folder: Path, case: str) -> Path | None:
    found = (folder / f"{case}{suffix}" for suffix in (".png", ".jpg"))
    return next((path for path in found if path.exists()), None)


def _enlarged(crop: Image.Image) -> Image.Image:
    factor = max(1.0, min(HEIGHT / crop.height, 1.6 * HEIGHT / crop.width))
    size = (round(crop.width * factor), round(crop.height * factor))
    return crop.resize(size, Image.Resampling.LANCZOS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("sheets")
    make.add_argument("out", type=Path)
    make.add_argument("--cases", type=Path)
    make.add_argument("--seed", type=int, default=1)
    make.add_argument("candidates", nargs="*", metavar="NAME=FOLDER")
    count = commands.add_parser("tally")
    count.add_argument("key", type=Path)
    count.add_argument("rankings", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "sheets":
        folders = dict(item.split("=", 1) for item in given.candidates)
        paths = {name: Path(folder) for name, folder in folders.items()}
        sheets(given.out, given.cases, given.seed, paths)
        return 0
    key = json.loads(given.key.read_text())["cases"]
    found = tally(key, [json.loads(path.read_text()) for path in given.rankings])
    print("| candidate | mean place | votes | unacceptable | preferred to |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in found.items():
        over = ", ".join(f"{other} {share:.0%}" for other, share in row["over"].items())
        print(f"| {name} | {row['place']:.2f} | {row['votes']} | {row['unacceptable']} | {over} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
