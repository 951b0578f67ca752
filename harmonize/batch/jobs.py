"""Jobs: what the lists ask for, named, checked as a whole before the first one starts."""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from harmonize.errors import ConfigError, HarmonizeError, InputError, JobsError
from harmonize.images.write import FORMATS, default_output
from harmonize.run.result import record_path
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, load
from harmonize.settings.yaml_reader import printable, show

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Draft:
    """One job as a list asks for it: globs and matrix expanded, nothing checked yet.

    Attributes:
        where: what messages call it.
        inputs: role (`painting`, `element`, `mask`, `loose_mask`) → file.
        placement: where the element goes.
        config: a preset or a file.
        overrides: settings, in the order in which they count.
        varied: dotted setting → the value that the matrix gives it here.
        output: template of the output's name, with or without an extension.
        name: the output's name without its extension, in place of a template.
    """

    where: str
    inputs: dict[str, Path]
    placement: Placement = Placement()
    config: str = "default"
    overrides: tuple[str, ...] = ()
    varied: dict[str, Any] = field(default_factory=dict)
    output: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Job:
    """One picture to be made.

    Attributes:
        name: the picture's path within the output folder.
        inputs: role → file.
        hashes: role → SHA-256 of the file when the list was checked.
        placement: where the element goes.
        config: its settings.
        output: the picture's file.
        absolute_paths: whether the record names files in the home in full.
        max_memory: bytes that it may take, as for `pipeline.harmonize`.
    """

    name: str
    inputs: dict[str, Path]
    hashes: dict[str, str]
    placement: Placement
    config: Settings
    output: Path
    absolute_paths: bool = False
    max_memory: int | None = None

    @property
    def painting(self) -> str:
        """The painting's hash: jobs that share it share its study."""
        return self.hashes["painting"]


def check(
    drafts: Sequence[Draft],
    folder: Path,
    config: str | None = None,
    overrides: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> list[Job]:
    """Return the jobs whose results go to `folder`, after looking at every one of them.

    `config` takes the place of every job's own preset or file, `overrides` have the last word.
    `problems` are those already found.

    Raises:
        JobsError: all that is wrong with them, and `problems`.
    """
    found: dict[str, list[str]] = {}  # message → which jobs it is about
    for problem in problems:
        found.setdefault(problem, [])
    scenes: dict[str, dict[str, str] | InputError] = {}
    jobs = []
    for index, draft in enumerate(drafts, 1):
        asked = replace(
            draft, config=config or draft.config, overrides=(*draft.overrides, *overrides)
        )
        try:
            jobs.append(_job(asked, folder, f"{index:0{len(str(len(drafts)))}}", scenes))
        except HarmonizeError as error:
            for problem in error.lines:
                found.setdefault(problem, []).append(draft.where)
    clashes = list(_clashes(jobs))
    if found or clashes:
        raise JobsError(*(_line(text, where) for text, where in found.items()), *clashes)
    return jobs


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs with those that share a painting next to one another."""
    first: dict[str, int] = {}
    for index, job in enumerate(jobs):
        first.setdefault(job.painting, index)
    return sorted(jobs, key=lambda job: first[job.painting])


def _line(problem: str, where: Sequence[str]) -> str:
    if not where:
        return problem
    more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
    return f"{where[0]}{more}: {problem}"


def _job(
    draft: Draft, folder: Path, index: str, scenes: dict[str, dict[str, str] | InputError]
) -> Job:
    """Check settings and pictures; what is wrong with both is raised together."""
    problems: list[str] = []
    hashes: dict[str, str] = {}
    try:
        hashes = _look(draft, scenes)
    except InputError as error:
        problems += error.lines
    try:
        config = load(draft.config, draft.overrides)
    except ConfigError as error:
        # The list has settings of its own; the command's `--set` says its own name.
        raise JobsError(
            *problems, *(line.removeprefix("--set: ") for line in error.lines)
        ) from None
    try:
        name = _name(draft, config, index)
        output = _inside(folder, name)
    except InputError as error:
        problems += error.lines
    if problems:
        raise JobsError(*problems)
    return Job(name, draft.inputs, hashes, draft.placement, config, output)


def _look(draft: Draft, scenes: dict[str, dict[str, str] | InputError]) -> dict[str, str]:
    """Return the inputs' hashes; pictures that many jobs share are looked at once."""
    key = repr((sorted(draft.inputs.items()), draft.placement))
    if key not in scenes:
        try:
            asked: dict[str, Any] = dict(draft.inputs)
            scenes[key] = load_scene(**asked, placement=draft.placement).hashes
        except InputError as error:
            scenes[key] = error
    found = scenes[key]
    if isinstance(found, InputError):
        raise found
    return found


# --- names ----------------------------------------------------------------------------------------


def _name(draft: Draft, config: Settings, index: str) -> str:
    """Fill the template in, and keep the painting's format family unless an extension is given."""
    own = default_output(draft.inputs["painting"]).suffix
    if draft.name is not None:
        return draft.name + own
    varied = "".join(f"-{{{key}}}" for key in draft.varied)
    template = draft.output or f"{{painting}}-{{patch}}{varied}"
    values = {"index": index, **{role: path.stem for role, path in draft.inputs.items()}}
    values["patch"] = values["element"]
    tree = config.model_dump(mode="json")
    short = {key.rpartition(".")[2]: value for key, value in draft.varied.items()}

    def fill(match: re.Match[str]) -> str:
        key = match[1]
        value = values.get(key, short.get(key, setting(tree, key)))
        if value is None or isinstance(value, (dict, list)):
            raise InputError(
                f"output {template}: {match[0]} is no setting with one value here; use "
                "{painting}, {patch}, {index} or a setting such as {strength}"
            )
        return _shown(value)

    name = PLACEHOLDER.sub(fill, template)
    if re.fullmatch(r"\.[A-Za-z]\w*", PurePath(template).suffix):
        if PurePath(name).suffix.lower() not in FORMATS:
            raise InputError(f"output {template}: unknown format; use one of {', '.join(FORMATS)}")
        return name
    return name + own


def setting(tree: Mapping[str, Any], dotted: str) -> Any:
    """Return the value at a key such as `passes.refine.steps`; None where there is none."""
    found: Any = tree
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _shown(value: Any) -> str:
    """A value as part of a file's name."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[/\\\0]", "_", text)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    root = os.path.realpath(folder)
    try:
        for written in (path, record_path(path)):
            if os.path.commonpath([root, os.path.realpath(written)]) != root:
                raise InputError(
                    f"output {printable(name)}: lies outside the output folder {folder}"
                )
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise InputError(f"output {path}: is a folder")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not a name that a file can have"
        raise InputError(f"output {show(name)}: {reason}") from error
    return path


def _clashes(jobs: Sequence[Job]) -> Iterator[str]:
    """Results of one name (records share it whatever the extension), and those that are inputs."""
    inputs = {os.path.realpath(path) for job in jobs for path in job.inputs.values()}
    taken: dict[str, Job] = {}
    for job in jobs:
        for path in (job.output, record_path(job.output)):
            if os.path.realpath(path) in inputs:
                yield f"output {path}: is one of the inputs, which are never replaced"
        other = taken.setdefault(os.path.realpath(record_path(job.output)).casefold(), job)
        if other is not job:
            yield (
                f"output {job.name}: two jobs have it (or {other.name}); give them different names "
                "with `output`, such as {painting}-{patch}-{index}"
            )


def override(key: str, value: Any) -> str:
    """Return a setting, or a tree of them, as `config.load` takes it."""
    return f"{key}={json.dumps(value, default=str)}"
