"""A folder → drafts of jobs."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harmonize.batch.jobs import Draft, Refused
from harmonize.batch.lists.input_files import Skip, folded, is_beside, visible
from harmonize.errors import JobsError

NAMED_ROLES = {"painting": "painting", "patch": "element", "mask": "mask", "loose": "loose_mask"}
FILE_NAME = re.compile(
    rf"(?:(?P<stem>.*[^.])\.)?(?P<role>{'|'.join(NAMED_ROLES)})\.[^.]+", re.DOTALL | re.IGNORECASE
)

Group = dict[str, Path]  # role → file


def read_folder(folder: Path, skip: Skip) -> list[Draft | Refused]:
    """Return drafts from a folder and its subfolders."""
    if skip(folder):
        raise JobsError(f"{folder}: lies where results go; give another `output_dir`")
    found: list[Draft | Refused] = []
    for _, files in visible(folder, skip):
        named = [path for path in files if FILE_NAME.fullmatch(path.name)]
        found += _pair(folder, [path for path in named if not is_beside(path)])
    if not found:
        raise JobsError(f"{folder}: expected pictures in it such as x.patch.png, x.painting.jpg")
    return found


def _pair(folder: Path, files: Sequence[Path]) -> Iterator[Draft | Refused]:
    groups: dict[str, Group] = {}
    doubtful: set[str] = set()
    for path in files:
        stem, role = _parts(path)
        other = groups.setdefault(folded(stem), {}).setdefault(role, path)
        if other is not path:
            doubtful.add(folded(stem))
            doubt = f"stands for the same as {other.name}; leave one of them"
            yield Refused(str(path), doubt, (path, other))
    paintings = [group["painting"] for group in groups.values() if "painting" in group]
    used: set[Path] = set()
    for key, group in groups.items():
        element = group.get("element")
        if element is None:
            continue
        used |= set(group.values())
        if "painting" not in group and len(paintings) == 1:
            group = {**group, "painting": paintings[0]}
            used.add(paintings[0])
        if key not in doubtful:
            yield _draft(folder, element, group, len(paintings))
    for group in groups.values():
        for role, path in group.items():
            if path not in used:
                stem, what = _parts(path)[0], role.replace("_", " ")
                yield Refused(str(path), f"a {what} without a patch; add {stem}.patch.png", (path,))


def _draft(folder: Path, element: Path, group: Group, paintings: int) -> Draft | Refused:
    stem, _ = _parts(element)
    if "painting" not in group:
        return Refused(
            str(element),
            f"has no painting; put {stem}.painting.jpg beside it, or leave one painting in its "
            f"folder (there are {paintings})",
            tuple(group.values()),
        )
    name = element.relative_to(folder).with_name(stem or "harmonized").as_posix()
    return Draft(str(element), group, name=name)


def _parts(path: Path) -> tuple[str, str]:
    match = FILE_NAME.fullmatch(path.name)
    assert match is not None  # the files were chosen by it
    return match["stem"] or "", NAMED_ROLES[match["role"].lower()]
