"""Options and what they ask for."""

import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

import harmonize
from harmonize.batch.lists.job_list import JOB_OPTIONS
from harmonize.errors import InputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.decoding.decode import limited_to
from harmonize.images.image import StoredImage
from harmonize.images.protected import files_under
from harmonize.images.write import (
    WRITABLE,
    check_sheet,
    default_output,
    picture_format,
    write_sheet,
)
from harmonize.run.record import Record
from harmonize.run.result import check_record, record_path
from harmonize.run.snapshots import check_folder, frames_in
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import LEVELS, Settings, files_read, load, presets, restore_settings

# Words of the library that the command's flags and the keys of a list have other names for.
FLAG_NAMES = {"painting": "style", "element": "patch", "settings": "config"}


NAMED = re.compile(r"`([a-z][a-z_]*)(?:=([^`]*))?`")  # a parameter in a message

STDIN = Path("/dev/stdin")  # what `-` stands for


# --- how options look -----------------------------------------------------------------------------


def option(panel: str, text: str, *names: str, metavar: str | None = "FILE", **more: Any) -> Any:
    """Return an option of a `panel`."""
    if "complete" in more:
        more["autocompletion"] = complete(more.pop("complete"))
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **more)


def complete(words: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Complete by the tab key."""

    def begun(incomplete: str) -> list[str]:
        return [word for word in words() if word.startswith(incomplete)]

    return begun


def settings_keys() -> Iterator[str]:
    """List settings as `--set` takes them."""

    def leaves(tree: Mapping[Any, Any], path: str) -> Iterator[str]:
        for key, value in tree.items():
            if isinstance(value, dict) and all(isinstance(name, str) for name in value):
                yield from leaves(value, f"{path}{key}.")
            else:
                yield f"{path}{key}="

    return leaves(load().model_dump(), "")


COMPLETE: dict[str, Callable[[], Iterable[str]]] = {
    "config": presets,
    "set": settings_keys,
    "strength": lambda: ["auto", *LEVELS],
    "device": lambda: ["auto", "cpu", "cuda", "mps"],
    "weights": lambda: ["oxford", "torchvision"],
    "size": lambda: ["native"],
}


def in_flags(text: str) -> str:
    """Write a message's `size=400` as --size 400."""

    def flag(match: re.Match[str]) -> str:
        word = "--" + FLAG_NAMES.get(match[1], match[1]).replace("_", "-")
        return word if match[2] in (None, "True") else f"{word} {match[2]}"

    return NAMED.sub(flag, text)


def in_keys(text: str) -> str:
    """Write a message in a list's keys."""

    def key(match: re.Match[str]) -> str:
        name = FLAG_NAMES.get(match[1], match[1])
        if name not in JOB_OPTIONS:
            return in_flags(match[0])
        return f"`{name}`" if match[2] is None else f"`{name}: {match[2]}`"

    return NAMED.sub(key, text)


PLACEMENT = "Placement, of the box around what shows of the element"
At = Annotated[
    str | None, option(PLACEMENT, "Its top left corner, or center. [center]", metavar="X,Y|X%,Y%")
]
Width = Annotated[
    str | None,
    option(PLACEMENT, "Its width before turning. [a third of the painting]", metavar="PX|N%"),
]
Height = Annotated[str | None, option(PLACEMENT, "Its height, instead or too.", metavar="PX|N%")]
Scale = Annotated[
    float | None, option(PLACEMENT, "Of its own size, instead. [1 with a corner]", metavar="S")
]
Rotate = Annotated[float | None, option(PLACEMENT, "Turn it counter-clockwise.", metavar="DEGREES")]
Flip = Annotated[str | None, option(PLACEMENT, "Mirror it: horizontal or vertical.", metavar="WAY")]


def _limit_pixels(context: Any, text: str | None) -> str | None:
    if text is not None and not context.resilient_parsing:
        context.with_resource(limited_to(text))
    return text


EXPERT = "For experts"
MaxPixels = Annotated[
    str | None,
    option(EXPERT, "Open no larger picture. [178956970]", metavar="N", callback=_limit_pixels),
]


# --- what they ask for ----------------------------------------------------------------------------


def given_pictures(asked: Any) -> dict[str, Path | None]:
    """Return the command line's files by role."""
    for word, flag in (("painting", "style"), ("element", "patch")):
        if getattr(asked, word) and getattr(asked, flag):
            raise InputError(f"{getattr(asked, word)}: leave it or --{flag}; both say the {word}")
    given = {
        "painting": asked.style or asked.painting,
        "element": asked.patch or asked.element,
        "mask": asked.mask,
        "loose_mask": asked.loose_mask,
    }
    found, pipes = from_stdin(given)
    if pipes and (asked.resume or asked.checkpoint):
        raise InputError(f"{pipes[0]}: a pipe can be read once; give files to --resume")
    return found


def from_stdin(given: Mapping[str, Path | None]) -> tuple[dict[str, Path | None], list[Path]]:
    """Return role → file, standard input for `-`; and the pipes."""
    found = {role: STDIN if path == Path("-") else path for role, path in given.items()}
    pipes = [path for path in found.values() if path is not None and _is_pipe(path)]
    if len(set(pipes)) < len(pipes):
        raise InputError(f"{pipes[0]}: a pipe can be read once; give a file for one of the two")
    return found, pipes


def _is_pipe(path: Path) -> bool:
    try:
        return path == STDIN or stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):  # said when it is read
        return False


def pictures_of(before: Record | None, given: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return role → file of record and command line."""
    named = {role: path for role, path in given.items() if path is not None}
    pictures = {**(before.inputs if before else {}), **named}
    for role, flag in (("painting", "--style"), ("element", "--patch")):
        if role not in pictures:
            raise InputError(f"no {role} given; say harmonize run PAINTING ELEMENT, or {flag} FILE")
    return pictures


def placement_of(asked: Any, before: Record | None) -> Placement:
    """Return the placement of record and command line."""
    words = ("at", "width", "height", "scale", "rotate", "flip")
    said = {word: value for word in words if (value := getattr(asked, word)) is not None}
    kept = before.placement if before else Placement()
    if {"width", "height", "scale"} & set(said):  # one takes the place of the other
        kept = replace(kept, width=None, height=None, scale=None)
    return replace(kept, **said)


def settings_of(asked: Any, before: Record | None) -> Settings:
    """Return settings with the options on top."""
    options = {
        "size": asked.size,
        "strength": asked.strength,
        "keep": asked.keep,
        "keep_color": asked.keep_color,
        "seed": asked.seed,
        "weights": _as_yaml_string(asked.weights),
        "device": _as_yaml_string(asked.device),
    }
    overrides = asked.set_ or []
    if before and asked.config is None:
        return restore_settings(before.config, overrides, f"record {before.path}", options)
    return load(asked.config or "default", overrides, options)


def _as_yaml_string(text: str | None) -> str | None:
    return None if text is None else json.dumps(text)


def _default_target(before: Record | None, painting: Path) -> Path:
    if before and before.output:
        found = Path(before.output)
        return Path(f"{found.stem}-again{found.suffix}")
    return default_output(painting)


# --- the files of a run -------------------------------------------------------------------------


@dataclass(frozen=True)
class Targets:
    """The files that a run writes."""

    picture: Path
    sheet: Path | None
    page: Path | None
    frames: Path | None

    @property
    def record(self) -> Path:
        return record_path(self.picture)

    @property
    def files(self) -> list[tuple[str, Path]]:
        named = {
            "--output": self.picture,
            "the record of --output": self.record,
            "--sheet": self.sheet,
            "--report": self.page,
        }
        return [(name, path) for name, path in named.items() if path is not None]

    @property
    def old_frames(self) -> list[tuple[str, Path]]:
        if self.frames is None or not os.path.isdir(self.frames):
            return []
        return [("--frames", path) for path in frames_in(self.frames)]

    @property
    def all(self) -> list[Path]:
        return [path for _, path in self.files] + ([self.frames] if self.frames else [])

    def check(self, inputs: Sequence[Path], overwrite: bool, missing_folder: bool) -> None:
        if self.sheet is not None:
            picture_format(self.sheet)
        files = [path for _, path in self.files]
        for path in files:
            check_output(path, overwrite, missing_folder)
        check_record(self.record, overwrite, missing_folder)
        if self.page is not None:
            from harmonize.reports.page import check_page

            check_page(self.page, overwrite, missing_folder)
        if self.frames is not None:
            check_folder(self.frames, [*inputs, *files], overwrite, missing_folder)


def targets_of(asked: Any, before: Record | None, painting: Path) -> Targets:
    """Return the files to write."""
    if asked.format_ and f".{asked.format_.lower()}" not in WRITABLE:
        known = ", ".join(name[1:] for name in WRITABLE)
        raise InputError(f"--format {asked.format_}: expected one of {known}")
    target = asked.output or _default_target(before, painting)
    if asked.format_ and not asked.output:
        target = target.with_suffix(f".{asked.format_}")
    elif asked.format_ and not asked.to_stdout:
        raise InputError("--format goes with --output -; for a file, give --output that extension")
    picture_format(target)  # so that it is a name to make others of
    page = target.with_suffix(".html") if asked.report else None
    return Targets(target, asked.sheet, page, asked.frames)


def inputs_of(
    asked: Any,
    before: Record | None,
    given: Mapping[str, Path | None],
    pictures: Mapping[str, Path],
    settings: Settings,
) -> Iterator[tuple[str, Path]]:
    """Return inputs, and what messages call them."""
    words = {"patch": "element"}
    for role, path in {**pictures, **given}.items():
        if path is not None:
            yield f"the {words.get(role, role).replace('_', ' ')}", path
    if before is not None:
        yield "the record", before.path
        yield from ((f"the record's {role}", path) for role, path in before.named.items())
        if before.output:
            yield "the record's picture", before.path.with_name(before.output)
    yield from files_read(asked.config, settings)
    own = Path(harmonize.__file__).parent
    yield from (("a file of this program", path) for path in files_under(own))


def write_pasted(sheet: Path, wanted: Mapping[str, Any], overwrite: bool) -> None:
    """Write painting and composite side by side."""
    given = {key: item for key, item in wanted.items() if key != "max_memory"}
    scene = load_scene(**given)
    pasted = [StoredImage(part).shown for part in (scene.painting, scene.composite)]
    check_sheet(sheet, [picture.size for picture in pasted])
    with made_folders([sheet]):
        write_sheet(sheet, pasted, overwrite)


@contextmanager
def run_to_stdout(asked: Any) -> Iterator[None]:
    """Send a run's picture to standard output."""
    beside = ("report", "save_every", "resume", "checkpoint")
    wrong = [name for name in beside if getattr(asked, name)]
    if wrong:
        raise InputError(f"--{wrong[0].replace('_', '-')} needs a file: give --output FILE")
    kind = asked.format_ or (asked.style or asked.painting or Path("x.png")).suffix[1:]
    with to_stdout(kind if f".{kind.lower()}" in WRITABLE else "png") as asked.output:
        yield


@contextmanager
def to_stdout(kind: str) -> Iterator[Path]:
    """Yield a file that goes to standard output."""
    with tempfile.TemporaryDirectory(prefix="harmonize-") as folder:
        path = Path(folder, f"picture.{kind}")
        try:
            yield path
        finally:  # Ctrl-C keeps the picture so far
            if path.exists():
                sys.stdout.buffer.write(path.read_bytes())
                sys.stdout.buffer.flush()
