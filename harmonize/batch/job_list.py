"""JOBS.yaml → drafts of jobs: defaults, globs and matrices, with the run command's option names."""

import glob
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harmonize.batch.jobs import PLACEHOLDER, Draft, override, setting
from harmonize.errors import ConfigError, InputError, JobsError
from harmonize.run.record import nameable
from harmonize.scene.placement import Placement
from harmonize.settings.load import load, presets, read_yaml
from harmonize.settings.messages import nearest
from harmonize.settings.yaml_reader import dotted, show

Tree = dict[str, Any]
Skip = Callable[[Path], bool]

MOST_JOBS = 10_000  # of a list: a few words can ask for any number

INPUTS = {"style": "painting", "patch": "element", "mask": "mask", "loose_mask": "loose_mask"}
PLACEMENT = ("at", "width", "height", "scale", "rotate", "flip")
SHORT = ("size", "strength", "keep", "weights", "device", "seed")  # options that are settings
OPTIONS = (*INPUTS, *PLACEMENT, "config", "set", "settings", *SHORT, "output")


def read_listing(path: Path, skip: Skip) -> tuple[list[Draft], list[str]]:
    """Return the drafts in a YAML file, and what is wrong with it.

    A glob in `style` or `patch` gives a draft for each file that `skip` does not leave out, a list
    of values for a setting a draft for each value. Relative paths are relative to the file.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.
        JobsError: it is no list of jobs.
    """
    tree = read_yaml(path)
    unknown = sorted(map(str, set(tree) - {"defaults", "jobs"}))
    if unknown:
        raise JobsError(f"{path}: {dotted((unknown[0],))}: unknown key; valid: defaults, jobs")
    defaults, jobs = tree.get("defaults") or {}, tree.get("jobs")
    if not isinstance(jobs, list) or not jobs:
        raise JobsError(f"{path}: jobs: expected a list such as `- {{style: a.jpg, patch: b.png}}`")
    drafts: list[Draft] = []
    problems: list[str] = []
    for number, job in enumerate([defaults, *jobs]):
        where = f"{path}: job {number}" if number else f"{path}: defaults"
        try:
            _check_keys(job)
            if number:
                found = _expand(where, _over(defaults, job), path.parent, skip)
                drafts += itertools.islice(found, MOST_JOBS + 1 - len(drafts))
        except (InputError, ConfigError) as error:
            problems += [f"{where}: {problem}" for problem in error.lines]
            if not number:
                break  # every job would say the same
        if len(drafts) > MOST_JOBS:
            raise JobsError(f"{where}: makes more than {MOST_JOBS:,} jobs; use several lists")
    return drafts, problems


def _check_keys(job: Any) -> None:
    if not isinstance(job, dict):
        raise InputError(f"expected options such as `patch: duck.png`, got {show(job)}")
    for key in job:
        if key not in OPTIONS:
            raise InputError(f"{dotted((key,))}: unknown option{nearest(key, OPTIONS)}")
    if not isinstance(job.get("settings") or {}, dict):
        raise InputError("settings: expected settings such as `strength: medium`")


def _over(defaults: Tree, job: Tree) -> Tree:
    """Put a job over the defaults: settings merged key by key, `set` one after the other."""
    kept = dict(defaults)
    sizes = {"width", "height", "scale"}
    if sizes & set(job):  # one takes the place of the other
        kept = {key: value for key, value in kept.items() if key not in sizes}
    merged = {**kept, **job}
    merged["settings"] = _merge(defaults.get("settings") or {}, job.get("settings") or {})
    merged["set"] = [*_words(defaults.get("set")), *_words(job.get("set"))]
    return merged


def _merge(under: Tree, over: Tree) -> Tree:
    both = {
        key: _merge(under[key], value) for key, value in over.items() if _trees(under, key, value)
    }
    return {**under, **over, **both}


def _trees(under: Tree, key: str, value: Any) -> bool:
    return isinstance(value, dict) and isinstance(under.get(key), dict)


def _words(value: Any) -> list[str]:
    if value is None:
        return []
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) for word in words):
        raise InputError("set: expected KEY=VALUE, or a list of them")
    return words


# --- one entry of the file → drafts ---------------------------------------------------------------


def _expand(where: str, options: Tree, base: Path, skip: Skip) -> Iterator[Draft]:
    placement = _placement(options)
    config = _config(options, base)
    explicit = {key for key in SHORT if options.get(key) is not None}
    tree = {**options["settings"], **{key: options[key] for key in explicit}}
    output = _text(options, "output")
    choices = dict(_lists(tree, _native(config)))
    for painting, patch in itertools.product(
        _files(options, "style", base, skip), _files(options, "patch", base, skip)
    ):
        inputs = {"painting": painting, "element": patch, **_masks(options, base, painting, patch)}
        for values in itertools.product(*choices.values()):
            varied = dict(zip(choices, values, strict=True))
            settings = _with_weights(_filled(tree, varied), base)
            first = [override(key, settings[key]) for key in settings if key not in explicit]
            last = [override(key, settings[key]) for key in settings if key in explicit]
            overrides = (*first, *options["set"], *last)
            yield Draft(where, inputs, placement, config, overrides, varied, output)


def _placement(options: Tree) -> Placement:
    try:
        return Placement.parse({key: options.get(key) for key in PLACEMENT})
    except InputError as error:
        raise InputError(str(error).removeprefix("placement: ")) from None


def _config(options: Tree, base: Path) -> str:
    name = _text(options, "config") or "default"
    return name if name in presets() else str(base / name)


def _text(options: Tree, key: str) -> str | None:
    value = options.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise InputError(f"{key}: expected a name; got {show(value)}")
    if value is not None and not nameable(value):
        raise InputError(f"{key}: {show(value)} is not a name that a file can have")
    return value


def _files(options: Tree, key: str, base: Path, skip: Skip) -> list[Path]:
    pattern = _text(options, key)
    if pattern is None:
        raise InputError(f"no {key} given; add `{key}: FILE`")
    literal = base / pattern
    if os.path.exists(literal) or not glob.has_magic(pattern):
        return [literal]
    once = re.sub(r"(\*\*/)+", "**/", pattern)  # each further one would find all again
    found = sorted(glob.glob(once, root_dir=base, recursive=True))
    files = [base / name for name in found if (base / name).is_file() and not skip(base / name)]
    if not files:
        raise InputError(f"{key}: no file matches {literal}")
    return files


def _masks(options: Tree, base: Path, painting: Path, patch: Path) -> dict[str, Path]:
    """The masks; `{painting}` and `{patch}` in their names stand for those files' stems."""
    stems = {"{painting}": painting.stem, "{patch}": patch.stem, "{element}": patch.stem}
    named = {role: _text(options, role) for role in ("mask", "loose_mask")}
    return {
        role: base / PLACEHOLDER.sub(lambda match: stems.get(match[0], match[0]), name)
        for role, name in named.items()
        if name is not None
    }


# --- the matrix -----------------------------------------------------------------------------------


def _native(config: str) -> Tree:
    """The settings as they are, to know which of them are lists by nature."""
    try:
        return load(config).model_dump()
    except ConfigError:  # said when the job is checked
        return load().model_dump()


def _lists(tree: Tree, native: Tree, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Dotted setting → its values, for every list where a single value belongs."""
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
    """The settings with one value in place of each list."""
    return {
        key: _filled(value, varied, f"{path}{key}.")
        if isinstance(value, dict)
        else varied.get(f"{path}{key}", value)
        for key, value in tree.items()
    }


def _with_weights(tree: Tree, base: Path) -> Tree:
    """A weights file beside the list goes before a name."""
    weights = tree.get("weights")
    if isinstance(weights, str) and os.path.isfile(base / weights):
        return {**tree, "weights": str(base / weights)}
    return tree
