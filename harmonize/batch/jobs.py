"""Jobs, checked before any starts."""

import json
import os
import stat
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harmonize.batch.job_names import fill_template, inside, with_format
from harmonize.errors import ConfigError, HarmonizeError, InputError, JobsError, OutputError
from harmonize.images.atomic_file import check_name, made_folders
from harmonize.images.protected import Named, clashes
from harmonize.images.read import Source, open_picture
from harmonize.run.record import check_own_picture, write_cutout
from harmonize.run.result import check_own_record, record_path
from harmonize.scene.loose import LOOSE_SIGMA
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene, load_scene
from harmonize.scene.segmentation import Hints, as_picture, cut_from, cut_source
from harmonize.settings.load import Settings, load, weights_file

KEPT_PICTURES = 1 << 29  # bytes of opened pictures that are kept for the jobs to come

Look = Callable[[Scene, Placement, float], object]  # the last one is the loose mask's sigma


@dataclass(frozen=True)
class Draft:
    """One job as a list asks for it."""

    where: str  # what messages call it
    inputs: dict[str, Path]  # by role: painting, element, mask, loose_mask
    placement: Placement = Placement()
    config: str = "default"
    overrides: tuple[str, ...] = ()
    varied: dict[str, Any] = field(default_factory=dict)  # dotted setting → the matrix's value
    output: str | None = None  # the name's template
    name: str | None = None  # instead: without extension
    cut: Hints | None = None


@dataclass(frozen=True)
class Refused:
    """An entry that cannot be done."""

    where: str
    reason: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Job:
    """One picture to be made."""

    name: str  # its path within the output folder
    inputs: dict[str, Path]
    hashes: dict[str, str]  # role → SHA-256
    placement: Placement
    config: Settings
    output: Path
    absolute_paths: bool = False
    max_memory: int | None = None  # bytes
    held: int | None = None  # bytes that a worker is taken to hold besides pictures
    cut: Hints | None = None  # how the element's file is cut out of `photo` first
    photo: Path | None = None
    overwrite: bool = False  # any picture may be replaced

    @property
    def files(self) -> list[Path]:
        made = [] if self.cut is None else [self.inputs["element"]]
        return [record_path(self.output), self.output, *made]

    @property
    def painting(self) -> str:
        return self.hashes["painting"]


@dataclass(frozen=True)
class Checked:
    """What a list comes to."""

    jobs: list[Job]
    refused: list[Refused]
    inputs: Sequence[Named]  # all files of the list


def check_jobs(
    items: Sequence[Draft | Refused],
    folder: Path,
    config: str | None = None,
    overrides: Sequence[str] = (),
    listed: Path | None = None,
    looks: Sequence[Look] = (),
    **own: Any,
) -> Checked:
    """Check jobs whose results go to `folder`.

    `config` replaces every job's, `overrides` win, `looks` are shown each scene.
    """
    seen = _OpenedPictures([item for item in items if isinstance(item, Draft)], looks)
    found: dict[int, Job | Refused] = {}
    for index, item in sorted(enumerate(items, 1), key=_painting):  # each needs to be kept once
        if isinstance(item, Refused):
            found[index] = item
            continue
        draft = replace(item, config=config or item.config, overrides=(*item.overrides, *overrides))
        number = f"{index:0{len(str(len(items)))}}"
        try:
            found[index] = _job(draft, folder, number, seen)
        except HarmonizeError as error:
            found[index] = Refused(draft.where, "; ".join(error.lines))
    in_list = [found[index] for index in range(1, len(items) + 1)]
    refused = [one for one in in_list if isinstance(one, Refused)]
    jobs = [
        (item.where, one) for item, one in zip(items, in_list, strict=True) if isinstance(one, Job)
    ]
    inputs = [] if listed is None else [("the list", listed)]
    for item in items:
        if isinstance(item, Refused):
            inputs += [("a file of the list", path) for path in item.files]
        else:
            inputs += [
                (f"the {role.replace('_', ' ')}", path) for role, path in item.inputs.items()
            ]
            inputs.append(("the settings", Path(config or item.config)))
    weights = [weights_file(job.config) for _, job in jobs]
    inputs += [("the weights", file) for file in weights if file is not None]
    jobs = [(where, replace(job, **own)) for where, job in jobs]
    return Checked(_apart(jobs, refused, inputs), refused, inputs)


def _painting(numbered: tuple[int, Draft | Refused]) -> str:
    item = numbered[1]
    return "" if isinstance(item, Refused) else str(item.inputs.get("painting", ""))


def without(found: Checked, problem: Callable[[Job], str | None]) -> Checked:
    """Refuse jobs that have a problem."""
    said = [(job, problem(job)) for job in found.jobs]
    refused = [Refused(job.name, text) for job, text in said if text]
    jobs = [job for job, text in said if not text]
    return replace(found, jobs=jobs, refused=[*found.refused, *refused])


def missing_weights(job: Job) -> str | None:
    """Return why a job's file of weights cannot be read, if so."""
    file = weights_file(job.config)
    if file is None or os.path.isfile(file):
        return None
    reason = "no ordinary file" if os.path.exists(file) else "No such file or directory"
    return f"weights {file}: {reason}; expected oxford, torchvision, or a file"


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Bring jobs of one painting together."""
    first: dict[str, int] = {}
    for index, job in enumerate(jobs):
        first.setdefault(job.painting, index)
    return sorted(jobs, key=lambda job: first[job.painting])


def write_element(job: Job) -> list[str]:
    """Cut out a job's element if asked; return warnings."""
    if job.cut is None:
        return []
    found, notes = cut_from(open_picture("element", job.photo or ""), job.cut)
    file = job.inputs["element"]
    with made_folders([file]):
        write_cutout(file, as_picture(found), job.output, overwrite=True)
    return notes


def check_own_files(job: Job) -> None:
    """Refuse to replace what a job may not."""
    check_own_record(record_path(job.output))
    if not job.overwrite:
        check_own_picture(job.output)


def lines(refused: Iterable[Refused]) -> list[str]:
    """Say each reason in a line."""
    found: dict[str, list[str]] = {}
    for item in refused:
        found.setdefault(item.reason, []).append(item.where)
    return [_refusal_line(reason, where) for reason, where in found.items()]


def override(key: str, value: Any) -> str:
    """Return a setting, or a tree of them, for `load`."""
    return f"{key}={json.dumps(value, default=str)}"


def _refusal_line(reason: str, where: Sequence[str]) -> str:
    more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
    return f"{where[0]}{more}: {reason}"


def _apart(
    jobs: Sequence[tuple[str, Job]], refused: list[Refused], inputs: Sequence[Named]
) -> list[Job]:
    # A record has one name for all extensions: two jobs' pictures clash in it.
    names = {
        f"job {number} ({job.name})": (where, job) for number, (where, job) in enumerate(jobs, 1)
    }
    outputs = [(name, path) for name, (_, job) in names.items() for path in job.files]
    wrong: dict[str, str] = {}
    for name, problem in clashes(inputs, outputs):
        wrong.setdefault(name, f"output {problem}, such as {{painting}}-{{patch}}-{{index}}")
    for name in [name for name in names if name not in wrong]:
        try:
            check_own_files(names[name][1])
        except OutputError as error:
            wrong[name] = str(error)
    refused += [Refused(names[name][0], text) for name, text in wrong.items()]
    return [job for name, (_, job) in names.items() if name not in wrong]


def _job(draft: Draft, folder: Path, index: str, seen: "_OpenedPictures") -> Job:
    problems: list[str] = []
    hashes: dict[str, str] = {}
    config: Settings | None = None
    try:
        config = load(draft.config, draft.overrides)
    except ConfigError as error:
        # The list has settings of its own; the command's `--set` says its own name.
        problems = [line.removeprefix("--set: ") for line in error.lines]
    try:
        hashes = seen.hashes(draft, config.loose_sigma if config else LOOSE_SIGMA)
    except InputError as error:
        problems = [*error.lines, *problems]
    if config is None:
        raise JobsError(*problems)
    try:
        name = _output_name(draft, config, index)
        output = inside(folder, name)
    except InputError as error:
        problems += error.lines
    if problems:
        raise JobsError(*problems)
    inputs, photo = draft.inputs, draft.inputs["element"]
    if draft.cut is not None:
        cut_out = output.with_name(f"{output.stem}-cutout.png")
        inputs = {role: path for role, path in inputs.items() if role != "mask"}
        inputs["element"] = cut_out
    job = Job(name, inputs, hashes, draft.placement, config, output, cut=draft.cut, photo=photo)
    for file in job.files:
        check_name(file)
    return job


class _OpenedPictures:
    def __init__(self, drafts: Sequence[Draft], looks: Sequence[Look]) -> None:
        self._looks = looks
        self._uses = Counter(path for draft in drafts for path in draft.inputs.values())
        self._kept: OrderedDict[Path, Source] = OrderedDict()
        self._found: dict[str, dict[str, str] | InputError] = {}

    def hashes(self, draft: Draft, sigma: float) -> dict[str, str]:
        key = repr((sorted(draft.inputs.items()), draft.placement, draft.cut, sigma))
        if key not in self._found:
            try:
                asked: dict[str, Any] = {
                    role: self._open(role, path) for role, path in draft.inputs.items()
                }
                if draft.cut is not None:
                    asked["element"] = cut_source(asked["element"], draft.cut)
                    asked.pop("mask", None)
                scene = load_scene(**asked, placement=draft.placement, loose_sigma=sigma)
                self._found[key] = scene.hashes
                for look in self._looks:
                    look(scene, draft.placement, sigma)
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
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > KEPT_PICTURES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]


def _size(source: Source) -> int:
    stored = source.stored
    return stored.pixels.nbytes + (0 if stored.alpha is None else stored.alpha.nbytes)


def _check_kind(role: str, path: Path) -> None:
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError):  # said when it is read
        return
    if not stat.S_ISREG(kind):
        raise InputError(
            f"{role.replace('_', ' ')} {path}: is no ordinary file, which a batch needs; give a "
            "picture's file"
        )


def _output_name(draft: Draft, config: Settings, index: str) -> str:
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
    return fill_template(template, painting, values, config.model_dump(mode="json"))
