"""A folder → drafts of jobs: files that belong together by the first part of their names."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harmonize.batch.jobs import Draft
from harmonize.errors import JobsError

ROLES = {"painting": "painting", "patch": "element", "mask": "mask", "loose": "loose_mask"}
NAME = re.compile(rf"(?:(?P<stem>.*[^.])\.)?(?P<role>{'|'.join(ROLES)})\.[^.]+", re.DOTALL)

Group = dict[str, Path]  # role → file


def read_folder(folder: Path, skip: Callable[[Path], bool]) -> tuple[list[Draft], list[str]]:
    """Return the drafts in a folder and its subfolders, and what is wrong with them.

    `x.patch.*` goes with `x.painting.*`, `x.mask.*` and `x.loose.*`; without a painting of its own
    it goes with the only painting of its folder. Paths for which `skip` says so are left out.

    Raises:
        JobsError: there is no patch at all.
    """
    found: list[Draft | str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not skip(Path(place, name)))
        files = [Path(place, name) for name in sorted(names) if NAME.fullmatch(name)]
        pictures = [path for path in files if path.suffix != ".json" and not skip(path)]
        found += _pair(folder, pictures)
    if not found:
        raise JobsError(f"{folder}: no x.patch.png with x.painting.jpg in it")
    drafts = [item for item in found if isinstance(item, Draft)]
    return drafts, [item for item in found if isinstance(item, str)]


def _pair(folder: Path, files: Sequence[Path]) -> Iterator[Draft | str]:
    """The drafts in one folder, and a message for every file that has no place in them."""
    groups: dict[str, Group] = {}
    for path in files:
        stem, role = _parts(path)
        other = groups.setdefault(stem, {}).setdefault(role, path)
        if other is not path:
            yield f"{path}: stands for the same as {other.name}; leave one of them"
    paintings = [group["painting"] for group in groups.values() if "painting" in group]
    used: set[Path] = set()
    for stem, group in groups.items():
        patch = group.get("element")
        if patch is None:
            continue
        used |= set(group.values())
        if "painting" in group or len(paintings) == 1:
            inputs = {**group, "painting": group.get("painting", paintings[0])}
            used.add(inputs["painting"])
            name = patch.relative_to(folder).with_name(stem or "harmonized").as_posix()
            yield Draft(str(patch), inputs, name=name)
        else:
            yield (
                f"{patch}: has no painting; put {stem}.painting.jpg beside it, or leave one "
                f"painting in its folder (there are {len(paintings)})"
            )
    for group in groups.values():
        for role, path in group.items():
            if path not in used:
                yield f"{path}: a {role.replace('_', ' ')} without a patch"


def _parts(path: Path) -> tuple[str, str]:
    match = NAME.fullmatch(path.name)
    assert match is not None  # the files were chosen by it
    return match["stem"] or "", ROLES[match["role"]]
