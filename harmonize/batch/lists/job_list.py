"""A list's entries → drafts of jobs."""

import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harmonize.batch.job_names import PLACEHOLDER, setting
from harmonize.batch.jobs import Draft, Refused, override
from harmonize.batch.lists.input_files import Skip, actual, matching, with_slashes
from harmonize.batch.lists.list_file import ListedJob, read_entries
from harmonize.errors import ConfigError, InputError, JobsError
from harmonize.run.record import find_home, nameable
from harmonize.scene.placement import Placement
from harmonize.scene.segmentation import Hints
from harmonize.settings.load import load, presets
from harmonize.settings.messages import nearest_word
from harmonize.settings.yaml_reader import Tree, dotted, show

MOST_JOBS = 10_000  # of a list: a few words can ask for any number

INPUTS = {"style": "painting", "patch": "element", "mask": "mask", "loose_mask": "loose_mask"}
SIZES = ("width", "height", "scale")
CUT = ("box", "mask_value", "invert_mask")
PLACEMENT_KEYS = ("at", *SIZES, "rotate", "flip")
SHORT = (
    "size",
    "strength",
    "keep",
    "keep_color",
    "weights",
    "device",
    "seed",
)  # options that are settings
JOB_OPTIONS = (*INPUTS, *CUT, *PLACEMENT_KEYS, "config", "set", "settings", *SHORT, "output")


def read_list(path: Path, skip: Skip) -> list[Draft | Refused]:
    """Return a list's drafts."""
    defaults, entries = read_entries(path)
    try:
        _check_keys(defaults)
    except InputError as error:
        raise JobsError(f"{path}: defaults: {error}") from error
    found: list[Draft | Refused] = []
    for entry in entries:
        found += itertools.islice(
            _drafts(entry, defaults, path.parent, skip), MOST_JOBS + 1 - len(found)
        )
        if len(found) > MOST_JOBS:
            raise JobsError(f"{entry.where}: makes more than {MOST_JOBS:,} jobs; use several lists")
    return found


def _drafts(entry: ListedJob, defaults: Tree, base: Path, skip: Skip) -> Iterator[Draft | Refused]:
    try:
        if entry.wrong:
            raise InputError(entry.wrong)
        _check_keys(entry.options)
        yield from _expand(entry.where, _job_over(defaults, entry.options), base, skip)
    except (InputError, ConfigError) as error:
        files = tuple(_named(defaults, base)) + tuple(_named(entry.options, base))
        yield Refused(entry.where, "; ".join(error.lines), files)


def _named(options: Any, base: Path) -> Iterator[Path]:
    for key in (*INPUTS, "config", "weights"):
        name = options.get(key) if isinstance(options, dict) else None
        if isinstance(name, str) and nameable(name):
            yield base / find_home(name)
            yield from matching(name, base) if glob.has_magic(name) else ()


def _check_keys(job: Any) -> None:
    if not isinstance(job, dict):
        raise InputError(f"expected options such as `patch: duck.png`, got {show(job)}")
    for key in job:
        if key not in JOB_OPTIONS:
            raise InputError(f"{dotted((key,))}: unknown option{nearest_word(key, JOB_OPTIONS)}")
    if not isinstance(job.get("settings") or {}, dict):
        raise InputError("settings: expected settings such as `strength: medium`")


def _job_over(defaults: Tree, job: Tree) -> Tree:
    kept = dict(defaults)
    if set(SIZES) & set(job):  # one takes the place of the others
        kept = {key: value for key, value in kept.items() if key not in SIZES}
    merged = {**kept, **job}
    merged["settings"] = _with_defaults(defaults.get("settings") or {}, job.get("settings") or {})
    merged["set"] = [*_overrides(defaults.get("set")), *_overrides(job.get("set"))]
    return merged


def _with_defaults(under: Tree, over: Tree) -> Tree:
    both = {
        key: _with_defaults(under[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(under.get(key), dict)
    }
    return {**under, **over, **both}


def _overrides(value: Any) -> list[str]:
    if value is None:
        return []
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) for word in words):
        raise InputError("set: expected KEY=VALUE, or a list of them")
    return words


# --- one entry → drafts ---------------------------------------------------------------------------


def _expand(where: str, options: Tree, base: Path, skip: Skip) -> Iterator[Draft]:
    placement, cut = _placement(options), _hints(options)
    config = _config(options, base)
    explicit = {key for key in SHORT if options.get(key) is not None}
    tree = {**options["settings"], **{key: options[key] for key in explicit}}
    output = _name_at(options, "output")
    choices = dict(_lists(tree, _native(config)))
    for painting, element in itertools.product(
        _files(options, "style", base, skip), _files(options, "patch", base, skip)
    ):
        masks = _masks(options, base, painting, element)
        inputs = {"painting": painting, "element": element, **masks}
        for values in itertools.product(*choices.values()):
            varied = dict(zip(choices, values, strict=True))
            settings = _with_weights(_filled(tree, varied), base)
            first = [override(key, settings[key]) for key in settings if key not in explicit]
            last = [override(key, settings[key]) for key in settings if key in explicit]
            overrides = (*first, *options["set"], *last)
            hints = cut and replace(cut, mask=inputs.get("mask"))
            yield Draft(where, inputs, placement, config, overrides, varied, output, cut=hints)


def _placement(options: Tree) -> Placement:
    try:
        return Placement.parse({key: options.get(key) for key in PLACEMENT_KEYS})
    except InputError as error:
        raise InputError(str(error).removeprefix("placement: ")) from None


def _hints(options: Tree) -> Hints | None:
    kinds = {"box": (str, list), "mask_value": (int,), "invert_mask": (bool,)}
    said = {"box": "x,y,width,height", "mask_value": "a number", "invert_mask": "true or false"}
    given = {key: options[key] for key in CUT if options.get(key) is not None}
    for key, value in given.items():
        if type(value) not in kinds[key]:
            raise InputError(f"{key}: expected {said[key]}; got {show(value)}")
    return Hints(**given) if given.keys() - {"invert_mask"} or given.get("invert_mask") else None


def _config(options: Tree, base: Path) -> str:
    name = _name_at(options, "config") or "default"
    return name if name in presets() else str(actual(base / find_home(name)))


def _name_at(options: Tree, key: str) -> str | None:
    value = options.get(key)
    if isinstance(value, dict) and len(value) == 1 and None in value.values():
        name = f"{{{next(iter(value))}}}"
        raise InputError(f'{key}: YAML takes {name} for its own; put it in quotes: "{name}"')
    if value is not None and (not isinstance(value, str) or not value):
        cure = f'; put it in quotes: "{value}"' if isinstance(value, (int, float)) else ""
        if isinstance(value, list) and value:
            cure = "; for many files give a pattern such as *.png, or a job for each"
        raise InputError(f"{key}: expected a name; got {show(value)}{cure}")
    if value is not None and not nameable(value):
        raise InputError(f"{key}: {show(value)} is not a name that a file can have; give another")
    return value


def _files(options: Tree, key: str, base: Path, skip: Skip) -> Sequence[Path]:
    named = _name_at(options, key)
    if named is None:
        raise InputError(f"no {key} given; add `{key}: FILE`")
    pattern = str(find_home(named))
    literal = actual(base / pattern)
    if os.path.lexists(literal) or not glob.has_magic(pattern):
        return [literal]
    found = matching(pattern, base) or matching(with_slashes(pattern), base)
    files = [path for path in found if not skip(path)]
    if found and not files:
        raise InputError(f"{key}: only results match {literal}; give other pictures")
    if not files:
        braces = "braces mean nothing in a pattern, give a job for each"
        cure = braces if "{" in pattern else "check its name"
        raise InputError(f"{key}: no file matches {literal}; {cure}")
    return files


def _masks(options: Tree, base: Path, painting: Path, element: Path) -> dict[str, Path]:
    stems = {"painting": painting.stem, "patch": element.stem, "element": element.stem}
    named = {role: _name_at(options, role) for role in ("mask", "loose_mask")}
    return {
        role: actual(base / find_home(PLACEHOLDER.sub(lambda m: stems.get(m[1], m[0]), name)))
        for role, name in named.items()
        if name is not None
    }


# --- the matrix -----------------------------------------------------------------------------------


def _native(config: str) -> Tree:
    try:
        return load(config).model_dump()
    except ConfigError:  # said when the job is checked
        return load().model_dump()


def _lists(tree: Tree, native: Tree, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    for key, value in tree.items():
        dotted = f"{path}{key}"
        if isinstance(value, dict):
            yield from _lists(value, native, f"{dotted}.")
        elif isinstance(value, list) and not isinstance(setting(native, dotted), tuple):
            if not value:
                raise InputError(
                    f"{dotted}: expected a value or a list of values; got an empty list"
                )
            yield dotted, value


def _filled(tree: Tree, varied: Mapping[str, Any], path: str = "") -> Tree:
    return {
        key: _filled(value, varied, f"{path}{key}.")
        if isinstance(value, dict)
        else varied.get(f"{path}{key}", value)
        for key, value in tree.items()
    }


def _with_weights(tree: Tree, base: Path) -> Tree:
    weights = tree.get("weights")
    if isinstance(weights, str) and nameable(weights):
        path = actual(base / find_home(weights))
        if os.path.isfile(path):
            return {**tree, "weights": str(path)}
    return tree
