"""The wheel that people install holds all that the package reads."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
READ = {  # beside the package → in it
    "harmonize": ("harmonize", "*"),
    "configs": ("harmonize/configs", "*"),
    "samples/paintings": ("harmonize/samples/paintings", "*.jpg"),
    "samples/cutouts": ("harmonize/samples/cutouts", "*.png"),
}


def test_every_file_of_the_package_is_in_the_wheel(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        held = {item.filename: item.file_size for item in archive.infolist()}
    wanted = {
        f"{there}/{path.relative_to(ROOT / here).as_posix()}": path.stat().st_size
        for here, (there, pattern) in READ.items()
        for path in (ROOT / here).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        f"harmonize/studio/pages/{name}" for name in ("index.html", "main.js", "studio.css")
    } < set(wanted)
    assert wanted.items() <= held.items()
