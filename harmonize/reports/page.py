"""Run records → one HTML page."""

import math
import os
import shlex
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from harmonize import __version__
from harmonize.errors import ConfigError, InputError
from harmonize.images.atomic_file import check_output, check_own, write_file
from harmonize.images.read import read_srgb
from harmonize.reports.chart import Chart, chart
from harmonize.reports.pictures import Inputs, Shown, Store
from harmonize.run.record import Record, differences, flat, read_record, read_tree
from harmonize.scene.loose import LOOSE_SIGMA
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, restore_settings

LONGEST_PICTURE = 1600  # pixels: long side of the largest picture
MANY = 8  # runs shown at that size; more share the pixels of so many
SMALLEST_PICTURE = 480  # pixels: no run's pictures get smaller than this
GALLERY_SIDE = 320  # pixels: in the gallery

TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Entry:
    """A run on the page."""

    name: str
    status: str  # done, skipped or failed
    record: Path | None  # its picture lies beside it
    error: str | None


@dataclass(frozen=True)
class PassView:
    """A pass on the page."""

    name: str
    steps: int
    seconds: float
    share: float  # of all seconds
    chart: Chart


@dataclass
class EntryView:
    """What the page says."""

    name: str
    status: str
    notes: list[str] = field(default_factory=list)
    seconds: float | None = None
    strength: float | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    passes: list[PassView] = field(default_factory=list)
    changed: list[tuple[str, str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    link: str | None = None
    command: str | None = None
    thumb: Shown | None = None
    before: Shown | None = None
    split: int = 50  # percent: where the slider begins
    after: Shown | None = None
    pictures: list[Shown] = field(default_factory=list)


def store_for(entries: int) -> Store:
    """Return a store for `entries` on a page."""
    crowd = math.sqrt(MANY / max(MANY, entries))
    return Store(max(SMALLEST_PICTURE, round(LONGEST_PICTURE * crowd)))


def check_page(path: Path, overwrite: bool = False, missing_folder: bool = False) -> None:
    """Refuse where no page can be, or another file is."""
    check_output(path, overwrite, missing_folder)
    check_own(path, "page of runs", lambda there: b"<footer>harmonize " in there.read_bytes())


def write_report(
    path: Path, entries: Sequence[Entry], overwrite: bool = False, store: Store | None = None
) -> None:
    """Write the runs' page; inputs that `store` looked at are not reread."""
    check_page(path, overwrite)
    store = store or store_for(len(entries))
    views = [_view(entry, path.parent, store) for entry in entries]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        views=views,
        store=store.uris,
        limit=store.limit,
        statuses=_counts(entries),
        version=__version__,
    )
    write_file(path, page.encode("utf-8", "replace"), overwrite)


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    found = [entry.status for entry in entries]
    return {status: found.count(status) for status in dict.fromkeys(found)}


def _view(entry: Entry, folder: Path, store: Store) -> EntryView:
    view = EntryView(entry.name, entry.status, [entry.error] if entry.error else [])
    if entry.record is None:
        return view
    try:
        tree = read_tree(entry.record)
        _tell(view, tree)
    except InputError as error:
        view.notes.append(str(error))
        return view
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        view.notes.append(
            f"record {entry.record}: not a whole run record ({error!r}); make the picture again"
        )
        return view
    picture = entry.record.parent / Path(str(tree.get("output"))).name
    image = _show_result(view, picture, folder, store)
    inputs = _show_inputs(view, entry.record, tree, folder, store)
    if image is not None:
        close = image.crop(inputs.close) if inputs and image.size == inputs.size else image
        view.thumb = store.add("Result", close, GALLERY_SIDE)
    return view


# --- words and figures ----------------------------------------------------------------------------


def _tell(view: EntryView, tree: dict[str, Any]) -> None:
    level, seconds = tree["strength"], float(tree["seconds"])
    view.seconds, view.strength = seconds, float(level["level"])
    if tree["interrupted"]:
        view.notes.append("Interrupted: the picture so far; make it again for the whole.")
    view.notes += map(str, tree.get("warnings", ()))
    estimated = " (estimated)" if level["estimated"] else ""
    view.facts = [
        ("style level", f"{view.strength:.1f}{estimated}"),
        ("working size", f"{tree['size']} px"),
        ("device", f"{tree['device']}, {tree['precision']}, {tree['threads']} thread(s)"),
        ("weights", f"{tree['weights']['name']} ({tree['weights']['sha256'][:12]}…)"),
        ("seed", str(tree["seed"])),
        ("placement", _placement_line(tree["placement"])),
        *(
            (f"{role.replace('_', ' ')} file", _input_line(item))
            for role, item in tree["inputs"].items()
        ),
        ("versions", ", ".join(f"{name} {v}" for name, v in tree["versions"].items())),
    ]
    view.passes = [
        PassView(
            name=str(item["name"]),
            steps=int(item["steps"]),
            seconds=float(item["seconds"]),
            share=min(1.0, float(item["seconds"]) / max(seconds, 1e-9)),
            chart=chart(item["losses"]),
        )
        for item in tree["passes"]
    ]
    view.settings = flat(tree["config"])
    view.changed = differences(Settings.preset().model_dump(mode="json"), tree["config"])


def _placement_line(placement: dict[str, Any]) -> str:
    return str(Placement.of_record(placement)) or "as large as the painting"


def _input_line(item: dict[str, Any]) -> str:
    return f"{item['path'] or 'none, from Python'} ({item['sha256'][:12]}…)"


# --- pictures -------------------------------------------------------------------------------------


def _show_result(view: EntryView, picture: Path, folder: Path, store: Store) -> Image.Image | None:
    try:
        image = read_srgb("picture", picture)
    except InputError as error:
        view.notes.append(str(error))
        return None
    view.after = store.add("Result", image)
    view.link = urllib.parse.quote(os.fsencode(_seen_from(folder, picture)))
    return image


def _seen_from(folder: Path, path: Path) -> str:
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return Path(relative).as_posix()


def _again(record: Path, folder: Path) -> str:
    output = f"{record.stem}-again.png"
    words = ["harmonize", "run", "--record", _seen_from(folder, record), "--output", output]
    return shlex.join(words)


def _show_inputs(
    view: EntryView, path: Path, tree: dict[str, Any], folder: Path, store: Store
) -> Inputs | None:
    inputs = store.inputs(tree)
    if inputs is None:
        try:
            record = read_record(path)
            sigma = _loose_sigma(view, record)
            files: dict[str, Any] = dict(record.inputs)
            place, asked = record.placement, LOOSE_SIGMA if sigma is None else sigma
            scene = load_scene(**files, placement=place, loose_sigma=asked)
        except (InputError, TypeError, ValueError) as error:
            view.notes.append(
                f"The pictures that went in cannot be shown; put them back to see them. {error}"
            )
            return None
        inputs = store.look(scene, place, sigma)
    view.command = _again(path, folder)
    view.before, view.split = inputs.pictures[1], inputs.split
    view.pictures = [*inputs.pictures]
    return inputs


def _loose_sigma(view: EntryView, record: Record) -> float | None:
    try:
        return restore_settings(record.config, (), f"record {record.path}").loose_sigma
    except ConfigError as error:
        view.notes.append(f"The loose mask cannot be shown. {error}")
        return None
