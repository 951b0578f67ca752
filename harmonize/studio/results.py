"""What a finished run leaves."""

import contextlib
import json
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmonize.errors import InputError, OutputError
from harmonize.images.read import open_picture
from harmonize.images.write import write_picture
from harmonize.run.record import read_tree
from harmonize.run.result import record_path, write_result
from harmonize.scene.placement import Placement
from harmonize.settings.load import presets
from harmonize.studio.files import MISREAD, File, Files, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from harmonize.run.result import Result

DOWNLOADS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
OPTIONS = {
    "strength": "--strength",
    "keep": "--keep",
    "keep_color": "--keep-color",
    "size": "--size",
    "seed": "--seed",
}
KEYS = ("painting", "element", "placement", "preset", "options")  # of a request


@dataclass(frozen=True)
class Asked:
    """One picture to be painted."""

    painting: File
    element: File
    placement: Placement
    preset: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        kind = "" if self.preset == "default" else f"-{self.preset}"
        return f"{self.painting.path.stem}-{self.element.path.stem}{kind}"

    @property
    def files(self) -> dict[str, File]:
        return {"painting": self.painting, "element": self.element}

    @property
    def names(self) -> dict[str, str]:
        painting, element = self.painting.name, self.element.name
        if painting == element or element.startswith(f"{self.name}."):
            element = f"element-{element}"
        return {"painting": painting, "element": element}


def asked_of(tree: "Mapping[str, Any]", files: Files) -> Asked:
    """Read a page's request."""
    preset = tree.get("preset", "default")
    if preset not in presets():
        raise InputError("there is no such preset; load the page again")
    options = tree.get("options", {})
    placement = tree.get("placement", {})
    if not isinstance(options, dict) or not isinstance(placement, dict):
        raise InputError(MISREAD)
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise InputError(f"there is no option {sorted(unknown)[0]!r}; load the page again")
    return Asked(
        painting=files.get(tree.get("painting")),
        element=files.get(tree.get("element")),
        placement=Placement.parse(placement),
        preset=str(preset),
        options={key: value for key, value in options.items() if value is not None},
    )


@dataclass(frozen=True, eq=False)
class Kept:
    """A finished run."""

    asked: Asked
    picture: Path
    formats: dict[str, Path]  # beside the picture, as its record
    view: bytes
    interrupted: bool
    notes: list[str]

    @property
    def told(self) -> dict[str, Any]:
        return {
            "name": self.picture.name,
            "formats": list(self.formats),
            "interrupted": self.interrupted,
            "notes": self.notes,
        }


def keep(asked: Asked, result: "Result", files: Files) -> Kept:
    """Write a finished run's files."""
    path = files.room(f"{asked.name}.png")
    for kind in ("jpeg", "tiff"):
        with contextlib.suppress(OutputError):  # too long for the format
            write_picture(path.with_suffix(DOWNLOADS[kind]), result.picture)
    write_result(path, result.picture, result.record)
    return kept_at(asked, path, result.picture.shown)


def kept_at(asked: Asked, path: Path, shown: "Image | None" = None) -> Kept:
    """Return a picture's finished run."""
    record = read_tree(record_path(path))
    beside = {kind: path.with_suffix(suffix) for kind, suffix in DOWNLOADS.items()}
    return Kept(
        asked=asked,
        picture=path,
        formats={kind: file for kind, file in beside.items() if file.is_file()},
        view=encoded(shown or open_picture("picture", path).stored.shown),
        interrupted=bool(record["interrupted"]),
        notes=list(record["warnings"]),
    )


def record_for(kept: Kept, files: Files, *, together: bool = False) -> bytes:
    """Return the record; `together`: to lie beside all inputs."""
    tree = json.loads(record_path(kept.picture).read_text(encoding="utf-8"))
    names = kept.asked.names
    for role, file in kept.asked.files.items():
        if together or files.owns(file):
            tree["inputs"][role]["path"] = names[role]
    return f"{json.dumps(tree, indent=2, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")


def command_of(kept: Kept, files: Files, *, together: bool = False) -> str:
    """Return the command for the same picture."""
    asked, names = kept.asked, kept.asked.names
    paths = {
        role: names[role] if together or files.owns(file) else str(file.path)
        for role, file in asked.files.items()
    }
    words = ["harmonize", "run", paths["painting"], paths["element"]]
    words += _placement_words(asked.placement)
    if asked.preset != "default":
        words += ["--config", asked.preset]
    for key, flag in OPTIONS.items():
        if key in asked.options:
            words += [flag, str(asked.options[key])]
    return shlex.join([*words, "--output", kept.picture.name])


def _placement_words(placement: Placement) -> list[str]:
    words = []
    if placement.at is not None:
        at = placement.at
        words += ["--at", at if isinstance(at, str) else ",".join(map(str, at))]
    for key in ("width", "height", "scale", "flip"):
        value = getattr(placement, key)
        if value is not None:
            words += [f"--{key}", str(value)]
    return [*words, "--rotate", str(placement.rotate)] if placement.rotate else words


def bundle(kept: Kept, files: Files) -> Path:
    """ZIP picture, record, inputs and command."""
    path = kept.picture.with_suffix(".zip")
    asked, names = kept.asked, kept.asked.names
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.write(kept.picture, kept.picture.name)
        file.writestr(record_path(kept.picture).name, record_for(kept, files, together=True))
        file.write(asked.painting.path, names["painting"])
        file.write(asked.element.path, names["element"])
        file.writestr("command.txt", f"{command_of(kept, files, together=True)} --overwrite\n")
    return path
