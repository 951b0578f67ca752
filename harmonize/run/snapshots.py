"""Pictures so far, and frames."""

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output, check_own, write_file
from harmonize.images.image import StoredImage
from harmonize.images.read import read_srgb
from harmonize.images.write import is_marked, marked, write_picture

if TYPE_CHECKING:
    from harmonize.run.session import Progress

FRAME = re.compile(r"frame-\d+\.png")
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
FRAME_SIDE = 16383  # pixels, width or height: what a WebP can have


class Keeper:
    """Writes pictures so far to `output` and `folder`; old frames and `record` go."""

    def __init__(
        self,
        output: Path | None,
        folder: Path | None,
        record: Path,
        overwrite: bool,
        on_loss: Callable[[OutputError], None] | None = None,  # told once; None: it is raised
    ) -> None:
        self._output, self._folder, self._record = output, folder, record
        self._overwrite, self._on_loss = overwrite, on_loss
        self._lost = False
        self.count = 0  # pictures kept

    @property
    def wanted(self) -> bool:
        return self._output is not None or self._folder is not None

    @property
    def replaces(self) -> bool:
        return self._overwrite or (self._output is not None and self.count > 0)

    def left(self) -> str:
        return "the last picture saved stays" if self.count else "nothing written"

    def see(self, progress: "Progress", every: int = 1) -> None:
        if not self.wanted or self._lost:
            return
        if progress.stage == "finish":
            self.count = progress.done // every
        elif progress.done % every == 0 and (picture := progress.picture()) is not None:
            self.count = progress.done // every - 1  # a resumed run goes on from what it had
            self._attempt(self.keep, picture)

    def end(self, picture: StoredImage) -> None:
        self._attempt(self.keep_frame, picture)

    def _attempt(self, keep: Callable[[StoredImage], None], picture: StoredImage) -> None:
        if self._lost:
            return
        try:
            keep(picture)
        except OutputError as error:
            if self._on_loss is None:
                raise
            self._lost = True
            self._on_loss(error)

    def keep(self, picture: StoredImage) -> None:
        self.keep_frame(picture)
        if self._output is not None:
            if self.count == 0 and self._overwrite:
                _remove([self._record])
            write_picture(self._output, picture, self.replaces, mark=True)
        self.count += 1

    def keep_frame(self, picture: StoredImage) -> None:
        if self._folder is None:
            return
        if self.count == 0:
            _make(self._folder)
            _remove(frames_in(self._folder) if self._overwrite else [])
        name = f"frame-{self.count + 1:04}.png"
        write_picture(self._folder / name, picture, self._overwrite, mark=True)


def frames_in(folder: Path) -> list[Path]:
    """Return a folder's frames in order."""
    try:
        found = [path for path in folder.iterdir() if FRAME.fullmatch(path.name)]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its name") from error
    return sorted(found, key=lambda path: int(path.stem.removeprefix("frame-")))


def check_folder(
    folder: Path, others: Sequence[Path], overwrite: bool, missing_folder: bool = False
) -> None:
    """Refuse a folder that cannot take frames."""
    own = os.path.realpath(folder)
    for path in others:
        place = os.path.realpath(path)
        if place == own:
            raise OutputError(f"{path}: is meant for a file and for frames; use another folder")
        if os.path.dirname(place) == own and FRAME.fullmatch(path.name):
            raise OutputError(f"{path}: would be replaced by a frame; use another folder")
    if not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise OutputError(f"{folder}: is a file; give a folder for the frames")
        check_output(folder, overwrite, missing_folder)
        return
    frames = frames_in(folder)
    for path in frames:
        check_own(path, "frame of a run", is_marked)
    if frames and not overwrite:
        raise OutputError(
            f"{folder}: holds frames already; use `overwrite` to replace them, or another folder"
        )
    check_output(folder / "frame-0001.png", overwrite)


def animate(
    folder: Path, target: Path, *, fps: float, width: int | None = None, overwrite: bool = False
) -> int:
    """Write frames as a GIF or WebP, `width` pixels wide; return their number."""
    kind = ANIMATIONS.get(target.suffix.lower())
    if kind is None:
        raise OutputError(f"{target}: unknown kind of animation; use {' or '.join(ANIMATIONS)}")
    check_output(target, overwrite)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; give the one that `frames` wrote to")
    paths = frames_in(folder)
    if not paths:
        raise InputError(f"{folder}: no frames (frame-0001.png, …); make them with `frames`")
    pictures = _pictures(paths, width)
    pause = round(1000 / fps)
    data = io.BytesIO()
    next(pictures).save(
        data,
        kind,
        save_all=True,
        append_images=pictures,
        duration=[pause] * (len(paths) - 1) + [max(2000, pause)],
        loop=0,
    )
    write_file(target, marked(kind, data.getvalue()), overwrite)
    return len(paths)


def _pictures(paths: Sequence[Path], width: int | None) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for path in paths:
        image = read_srgb("frame", path)
        if size is None:
            wide = image.width if width is None else width
            # In whole numbers: a width of hundreds of digits is no float.
            size = (wide, max(1, (2 * image.height * wide + image.width) // (2 * image.width)))
            if max(size) > FRAME_SIDE:
                raise InputError(
                    f"{paths[0]}: the animation would be larger than {FRAME_SIDE} pixels a side; "
                    "give a smaller `width`"
                )
        yield image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); choose another place"
        ) from error


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be replaced ({error.strerror}); choose another place"
            ) from error
