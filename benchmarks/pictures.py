"""The pictures of the README, from the samples: `python -m benchmarks.pictures [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from benchmarks.cases import Case, cropped, sample, views
from harmonize import Session

FOLDER = Path("docs/images")
STRENGTHS = (1.0, 3.0, 5.0, 7.5, 10.0)
BEST = "duck"  # what `make demo` paints
HEIGHT, GAP = 460, 6


def painted(case: Case, session: Session) -> Image.Image:
    inputs = dict(case.inputs)
    plan = session.plan(
        inputs["painting"], inputs["element"], inputs.get("mask"), inputs.get("placement")
    )
    return session.run(plan).image


def row(pictures: list[Image.Image], height: int) -> Image.Image:
    sized = [
        picture.resize((round(picture.width * height / picture.height), height), 1)
        for picture in pictures
    ]
    board = Image.new("RGB", (sum(p.width + GAP for p in sized) - GAP, height), "white")
    left = 0
    for picture in sized:
        board.paste(picture, (left, 0))
        left += picture.width + GAP
    return board


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    case, session = sample(BEST), Session()
    seen = views(case, None, ours=painted(case, session))
    pair = cropped([seen.composite, seen.others["ours"]], seen.mask, 90)
    row(pair, HEIGHT).save(folder / "before-after.jpg", quality=88)
    free = [painted(case, session.using(strength=value)) for value in STRENGTHS]
    seen = views(case, None, **{str(index): picture for index, picture in enumerate(free)})
    row(cropped(list(seen.others.values()), seen.mask, 10), HEIGHT // 2).save(
        folder / "strength.jpg", quality=88
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
