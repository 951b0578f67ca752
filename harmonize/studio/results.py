"""What a finished run leaves, for the page to take away: picture, record, command line."""

import json
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmonize.errors import InputError, OutputError
from harmonize.images.write import write_picture
from harmonize.run.result import record_path, write_result
from harmonize.scene.placement import Placement
from harmonize.settings.load import presets
from harmonize.studio.files import File, Files, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harmonize.run.result import Result

FORMATS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
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
    """One picture to be painted.

    Attributes:
        painting: to paste into.
        element: what is pasted; its alpha says where it shows.
        placement: where.
        preset: name of the settings.
        options: the settings that the page changes, by the names that `Session` has for them.
    """

    painting: File
    element: File
    placement: Placement
    preset: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """What the picture is called, without an extension."""
        kind = "" if self.preset == "default" else f"-{self.preset}"
        return f"{self.painting.path.stem}-{self.element.path.stem}{kind}"

    @property
    def files(self) -> dict[str, File]:
        """Role → file."""
        return {"painting": self.painting, "element": self.element}

    @property
    def names(self) -> dict[str, str]:
        """Role → what its file is called where all lie in one folder."""
        painting, element = self.painting.name, self.element.name
        if painting == element or element.startswith(f"{self.name}."):
            element = f"element-{element}"
        return {"painting": painting, "element": element}


def asked_of(tree: "Mapping[str, Any]", files: Files) -> Asked:
    """Read what the page asks for.

    Raises:
        InputError: it names no pictures of the session, or a value is none.
    """
    preset = tree.get("preset", "default")
    if preset not in presets():
        raise InputError("there is no such preset")
    options = tree.get("options", {})
    placement = tree.get("placement", {})
    if not isinstance(options, dict) or not isinstance(placement, dict):
        raise InputError("a request of the page could not be read")
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise InputError(f"there is no option {sorted(unknown)[0]!r}")
    return Asked(
        painting=files.get(tree.get("painting")),
        element=files.get(tree.get("element")),
        placement=Placement.parse(placement),
        preset=str(preset),
        options={key: value for key, value in options.items() if value is not None},
    )


@dataclass(frozen=True, eq=False)
class Kept:
    """A finished run as the page can take it away.

    Attributes:
        asked: what was painted.
        picture: the picture as PNG; its record and other formats lie beside it.
        formats: format → file, of those that can hold the picture.
        view: the picture made smaller for the page.
        interrupted: whether it was stopped.
        notes: what the user should know, a sentence each.
    """

    asked: Asked
    picture: Path
    formats: dict[str, Path]
    view: bytes
    interrupted: bool
    notes: list[str]

    @property
    def told(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "name": self.picture.name,
            "formats": list(self.formats),
            "interrupted": self.interrupted,
            "notes": self.notes,
        }


def keep(asked: Asked, result: "Result", files: Files) -> Kept:
    """Write all files of a finished run, and return what is known of them.

    Raises:
        InputError: the session is full.
        OutputError: the disk is.
    """
    path = files.room(f"{asked.name}.png")
    write_result(path, result.picture, result.record)
    formats = {"png": path}
    for kind in ("jpeg", "tiff"):
        try:
            write_picture(path.with_suffix(FORMATS[kind]), result.picture)
        except OutputError:  # too long for the format
            continue
        formats[kind] = path.with_suffix(FORMATS[kind])
    record = json.loads(record_path(path).read_text(encoding="utf-8"))
    return Kept(
        asked=asked,
        picture=path,
        formats=formats,
        view=encoded(result.picture.shown),
        interrupted=bool(record["interrupted"]),
        notes=list(record["warnings"]),
    )


def record_of(kept: Kept, files: Files, *, together: bool = False) -> bytes:
    """Return the run's record; uploads are named as they are called, without the session's folder.

    With `together` all inputs are, for a folder that holds them beside the record.
    """
    tree = json.loads(record_path(kept.picture).read_text(encoding="utf-8"))
    names = kept.asked.names
    for role, file in kept.asked.files.items():
        if together or files.owns(file):
            tree["inputs"][role]["path"] = names[role]
    return f"{json.dumps(tree, indent=2, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")


def command_of(kept: Kept, files: Files, *, together: bool = False) -> str:
    """Return the command line that makes the same picture."""
    asked, names = kept.asked, kept.asked.names
    paths = {
        role: names[role] if together or files.owns(file) else str(file.path)
        for role, file in asked.files.items()
    }
    words = ["harmonize", "run", paths["painting"], paths["element"]]
    words += placement_words(asked.placement)
    if asked.preset != "default":
        words += ["--config", asked.preset]
    for key, flag in OPTIONS.items():
        if key in asked.options:
            words += [flag, str(asked.options[key])]
    return shlex.join([*words, "--output", kept.picture.name])


def placement_words(placement: Placement) -> list[str]:
    """Return the options of the command line that say a placement."""
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
    """Return a ZIP of the picture, its record, what it was made of, and the command line."""
    path = kept.picture.with_suffix(".zip")
    asked, names = kept.asked, kept.asked.names
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.write(kept.picture, kept.picture.name)
        file.writestr(record_path(kept.picture).name, record_of(kept, files, together=True))
        file.write(asked.painting.path, names["painting"])
        file.write(asked.element.path, names["element"])
        file.writestr("command.txt", f"{command_of(kept, files, together=True)} --overwrite\n")
    return path
