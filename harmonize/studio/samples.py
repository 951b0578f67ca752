"""The shipped pictures, to try at once."""

from functools import cache
from pathlib import Path

from PIL import Image

from harmonize.errors import InputError
from harmonize.studio.files import encoded

FOLDERS = {"paintings": "painting", "cutouts": "element"}
THUMB = 240  # pixels


@cache
def _found() -> dict[str, tuple[Path, str]]:
    """Name → file and role."""
    package = Path(__file__).parent.parent
    inside = package / "samples"  # in a wheel; in a checkout they lie beside the package
    folder = inside if inside.is_dir() else package.parent / "samples"
    return {
        path.stem: (path, role)
        for name, role in FOLDERS.items()
        for path in sorted((folder / name).glob("*.*"))
    }


def listed() -> list[dict[str, str]]:
    """Return name and role of each."""
    return [{"name": name, "role": role} for name, (_, role) in _found().items()]


def find(name: object) -> tuple[Path, str]:
    """Return a shipped picture's file and role.

    Raises:
        InputError: there is none of that name.
    """
    found = _found().get(name) if isinstance(name, str) else None
    if found is None:
        raise InputError("there is no such sample")
    return found


@cache
def thumbnail(path: Path) -> bytes:
    """Return a shipped picture made small."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        image.load()
        return encoded(image, THUMB, quick=True)
