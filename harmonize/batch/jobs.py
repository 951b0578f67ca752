"""Jobs: what a list asks for, named and checked before the first one starts."""

import json
import os
import stat
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harmonize.batch.job_names import filled, inside, with_format
from harmonize.errors import ConfigError, HarmonizeError, InputError, JobsError
from harmonize.images.protected import clashes
from harmonize.images.read import Source, open_picture
from harmonize.run.result import record_path
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, load

KEPT = 1 << 29  # bytes of opened pictures that are kept for the jobs to come

Named = tuple[str, Path]  # what messages call a file; where it is


@dataclass(frozen=True)
class Draft:
    """One job as a list asks for it, nothing checked yet.

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
class Refused:
    """Something a list asks for that cannot be done.

    Attributes:
        where: what messages call it.
        reason: why, on one line.
        files: those it names.
    """

    where: str
    reason: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Job:
    """One picture to be made.

    Attributes:
        name: the picture's path within the output folder.
        inputs: role → file.
        hashes: role → SHA-256 of the file when it was checked.
        placement: where the element goes.
        config: its settings.
        output: the picture's file.
        absolute_paths: whether the record names files in the home in full.
        max_memory: bytes that it may take.
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


@dataclass(frozen=True)
class Checked:
    """A list that was looked through: what can be done, what cannot, and what must stay.

    Attributes:
        jobs: those that can be done.
        refused: the others.
        inputs: every file that the list names, with what messages call it.
    """

    jobs: list[Job]
    refused: list[Refused]
    inputs: list[Named]


def check(
    items: Sequence[Draft | Refused],
    folder: Path,
    config: str | None = None,
    overrides: Sequence[str] = (),
    listed: Path | None = None,
) -> Checked:
    """Look at every job whose result is to go to `folder`.

    `config` takes the place of every job's own preset or file, `overrides` have the last word.
    `listed` is the list's own file.
    """
    seen = _Seen([item for item in items if isinstance(item, Draft)])
    jobs: list[tuple[str, Job]] = []
    refused: list[Refused] = []
    for index, item in enumerate(items, 1):
        if isinstance(item, Refused):
            refused.append(item)
            continue
        draft = replace(item, config=config or item.config, overrides=(*item.overrides, *overrides))
        number = f"{index:0{len(str(len(items)))}}"
        try:
            jobs.append((draft.where, _job(draft, folder, number, seen)))
        except HarmonizeError as error:
            refused.append(Refused(draft.where, "; ".join(error.lines)))
    inputs = [] if listed is None else [("the list", listed)]
    for item in items:
        if isinstance(item, Refused):
            inputs += [("a file of the list", path) for path in item.files]
        else:
            inputs += [
                (f"the {role.replace('_', ' ')}", path) for role, path in item.inputs.items()
            ]
            inputs.append(("the settings", Path(config or item.config)))
    inputs += [("the weights", Path(job.config.weights)) for _, job in jobs]
    return Checked(_apart(jobs, refused, inputs), refused, inputs)


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs with those that share a painting next to one another."""
    first: dict[str, int] = {}
    for index, job in enumerate(jobs):
        first.setdefault(job.painting, index)
    return sorted(jobs, key=lambda job: first[job.painting])


def lines(refused: Iterable[Refused]) -> list[str]:
    """Return what was refused, a line for each reason."""
    found: dict[str, list[str]] = {}
    for item in refused:
        found.setdefault(item.reason, []).append(item.where)
    return [_line(reason, where) for reason, where in found.items()]


def override(key: str, value: Any) -> str:
    """Return a setting, or a tree of them, as `settings.load` takes it."""
    return f"{key}={json.dumps(value, default=str)}"


def _line(reason: str, where: Sequence[str]) -> str:
    more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
    return f"{where[0]}{more}: {reason}"


def _apart(
    jobs: Sequence[tuple[str, Job]], refused: list[Refused], inputs: Sequence[Named]
) -> list[Job]:
    """The jobs that write no input, and nothing that an earlier one writes; others are refused."""
    # A record has one name for all extensions: two jobs' pictures clash in it.
    names = {
        f"job {number} ({job.name})": (where, job) for number, (where, job) in enumerate(jobs, 1)
    }
    outputs = [
        (name, path)
        for name, (_, job) in names.items()
        for path in (record_path(job.output), job.output)
    ]
    wrong: dict[str, str] = {}
    for name, problem in clashes(inputs, outputs):
        wrong.setdefault(name, f"output {problem}, such as {{painting}}-{{patch}}-{{index}}")
    refused += [Refused(names[name][0], text) for name, text in wrong.items()]
    return [job for name, (_, job) in names.items() if name not in wrong]


def _job(draft: Draft, folder: Path, index: str, seen: "_Seen") -> Job:
    """Check settings and pictures; what is wrong with both is raised together."""
    problems: list[str] = []
    hashes: dict[str, str] = {}
    try:
        hashes = seen.hashes(draft)
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
        output = inside(folder, name)
    except InputError as error:
        problems += error.lines
    if problems:
        raise JobsError(*problems)
    return Job(name, draft.inputs, hashes, draft.placement, config, output)


class _Seen:
    """What pictures were found to be: each is opened once, and kept for the jobs that share it."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self._uses = Counter(path for draft in drafts for path in draft.inputs.values())
        self._kept: OrderedDict[Path, Source] = OrderedDict()
        self._found: dict[str, dict[str, str] | InputError] = {}

    def hashes(self, draft: Draft) -> dict[str, str]:
        """Return the hashes of a draft's pictures, which together make up a scene.

        Raises:
            InputError: they do not.
        """
        key = repr((sorted(draft.inputs.items()), draft.placement))
        if key not in self._found:
            try:
                asked: dict[str, Any] = {
                    role: self._open(role, path) for role, path in draft.inputs.items()
                }
                self._found[key] = load_scene(**asked, placement=draft.placement).hashes
            except InputError as error:
                self._found[key] = error
        for path in draft.inputs.values():
            self._uses[path] -= 1
            if not self._uses[path]:
                self._kept.pop(path, None)
        found = self._found[key]
        if isinstance(found, InputError):
            raise found
        return found

    def _open(self, role: str, path: Path) -> Source:
        if path not in self._kept:
            _check_kind(role, path)
            self._kept[path] = open_picture(role, path)
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]


def _size(source: Source) -> int:
    stored = source.stored
    return stored.pixels.nbytes + (0 if stored.alpha is None else stored.alpha.nbytes)


def _check_kind(role: str, path: Path) -> None:
    """A pipe gives its bytes once, and a batch looks at a picture twice."""
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError):  # said when it is read
        return
    if not stat.S_ISREG(kind):
        raise InputError(
            f"{role.replace('_', ' ')} {path}: is no ordinary file, which a batch needs; give a "
            "picture's file"
        )


def _name(draft: Draft, config: Settings, index: str) -> str:
    painting = draft.inputs["painting"]
    if draft.name is not None:
        return with_format(draft.name, painting)
    varied = "".join(f"-{{{key}}}" for key in draft.varied)
    values: dict[str, Any] = {
        **{key.rpartition(".")[2]: value for key, value in draft.varied.items()},
        **{role: path.stem for role, path in draft.inputs.items()},
        "patch": draft.inputs["element"].stem,
        "index": index,
    }
    template = draft.output or f"{{painting}}-{{patch}}{varied}"
    return filled(template, painting, values, config.model_dump(mode="json"))
