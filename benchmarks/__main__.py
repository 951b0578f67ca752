"""`python -m benchmarks [NAME] [--cases FOLDER] [--out FOLDER] [--size PX] [--set KEY=VALUE]`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.cases import Options

NAMES = (
    "stages",
    "waiting",
    "histogram",
    "quality",
    "hard",
    "sweep",
    "scaling",
    "speed",
    "threads",
    "batch",
    "memory",
    "cutout",
)


def main() -> int:
    """Run one benchmark or all; 1 if one found something amiss."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=(*NAMES, "all"), default="all")
    parser.add_argument(
        "--cases",
        type=Path,
        help="folder of N_painting.jpg, N_composite.jpg, N_mask.jpg, N_loose_mask.jpg, "
        "N_published.png for quality; speed takes its first; else the shipped samples",
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="for results")
    parser.add_argument(
        "--size", type=int, help="working size in pixels, instead of each one's own"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for every run"
    )
    given = parser.parse_args()
    options = Options(given.cases, given.out, given.size, tuple(given.set))
    names = NAMES if given.name == "all" else (given.name,)
    amiss = [name for name in names if not import_module(f"benchmarks.{name}").run(options)]
    for name in amiss:
        print(f"{name}: something is amiss; see {given.out / name}.md")
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
