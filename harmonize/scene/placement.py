"""Where a picture lies on the painting, and the part of it that shows there.

Only that part is ever resized, however large the whole would be.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import InputError
from harmonize.images.pixels import Pixels, largest_value
from harmonize.scene.mask import Mask

Size = tuple[int, int]  # width and height

MOST = 16  # times the painting's pixels that a placed patch may have, mostly outside
HUGE = 10**9  # pixels of width: beyond any picture


@dataclass(frozen=True)
class Window:
    """The part of the painting that a placed picture covers.

    Attributes:
        rows: of the painting.
        columns: of the painting.
        size: of the whole picture once placed, width and height.
        box: the part of the picture that lies there: left, top, right, bottom in its own pixels.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are covered."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def window_of(
    patch: Size,
    canvas: Size,
    at: tuple[int, int] | None,
    width: int | None,
    scale: float | None,
) -> Window:
    """Return where a patch lies on the canvas; arguments as in `inputs.load_scene`.

    Raises:
        InputError: the placement is none, or lies outside the canvas.
    """
    corner = _corner(patch, canvas, at, width, scale)
    size = patch
    if corner is None:
        corner = (0, 0)
    else:
        size = _pasted_size(patch, canvas, width, scale)
        _check_overlap(corner, size, canvas)
    (left, right), (up, down) = (
        (max(start, 0), min(start + length, limit))
        for start, length, limit in zip(corner, size, canvas, strict=True)
    )
    x, y = patch[0] / size[0], patch[1] / size[1]
    box = (
        (left - corner[0]) * x,
        (up - corner[1]) * y,
        (right - corner[0]) * x,
        (down - corner[1]) * y,
    )
    return Window(slice(up, down), slice(left, right), size, box)


def _corner(
    patch: Size,
    canvas: Size,
    at: tuple[int, int] | None,
    width: int | None,
    scale: float | None,
) -> tuple[int, int] | None:
    """Return the corner to paste at; None for a patch that is aligned with the painting."""
    if width is not None and scale is not None:
        raise InputError("placement: give --width or --scale, not both")
    if at is not None:
        return at
    if patch == canvas and width is None and scale is None:
        return None
    raise InputError(
        f"patch: {show(patch)} pixels on a painting of {show(canvas)}; say where its top left "
        "corner goes with --at X,Y"
    )


def _pasted_size(patch: Size, canvas: Size, width: int | None, scale: float | None) -> Size:
    if width is None and scale is None:
        return patch
    if width is not None and width < 1:
        raise InputError(f"placement: --width {width}, expected a whole number of pixels from 1 up")
    if scale is not None and not 0 < scale <= HUGE:
        raise InputError(f"placement: --scale {scale}, expected a number above 0")
    factor = scale if scale is not None else min(width or 0, HUGE) / patch[0]
    area = factor * patch[0] * factor * patch[1]
    if area > MOST * canvas[0] * canvas[1]:
        raise InputError(
            f"placement: the patch would have {area:.3g} pixels on a painting of "
            f"{show(canvas)}; check --width and --scale"
        )
    return max(round(patch[0] * factor), 1), max(round(patch[1] * factor), 1)


def _check_overlap(corner: Size, size: Size, canvas: Size) -> None:
    for start, length, limit in zip(corner, size, canvas, strict=True):
        if start >= limit or start + length <= 0:
            raise InputError(
                f"placement: a patch of {show(size)} pixels at {corner[0]},{corner[1]} lies "
                f"outside the painting of {show(canvas)}; check --at"
            )


def fitted(mask: Mask, window: Window) -> Mask:
    """Return the part of a mask that lies in the window, resized."""
    if size_of(mask) == window.size:
        return mask[_cut(window)]
    height, width = window.shape
    image = Image.fromarray(np.ascontiguousarray(mask))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=window.box))


def fitted_element(colors: Pixels, alpha: Mask, window: Window) -> tuple[Pixels, Mask]:
    """Return the part of the element that lies in the window, resized.

    Its colors are weighed by alpha, so that none bleeds in from outside. Not by Pillow's own
    weighing, which clips alpha and leaves the ringing in the colors.
    """
    if size_of(alpha) == window.size:
        return colors[_cut(window)], alpha[_cut(window)]
    weight = _lanczos(alpha.astype(np.float32), window)
    resized: Pixels = np.empty((*window.shape, 3), colors.dtype)
    for channel in range(3):
        shown = _lanczos(np.multiply(colors[..., channel], alpha, dtype=np.float32), window)
        shown /= np.maximum(weight, 1)
        resized[..., channel] = np.clip(np.rint(shown), 0, largest_value(colors))
    return resized, np.clip(np.rint(weight), 0, 255).astype(np.uint8)


def _lanczos(plane: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    height, width = window.shape
    image = Image.fromarray(plane)
    return np.array(image.resize((width, height), Image.Resampling.LANCZOS, box=window.box))


def _cut(window: Window) -> tuple[slice, slice]:
    """The box of a picture that keeps its size, as slices."""
    left, up, right, down = map(round, window.box)
    return slice(up, down), slice(left, right)


def on_canvas(mask: Mask, window: Window, canvas: Size) -> Mask:
    """Return a mask of the canvas's size that is black outside the window."""
    whole = np.zeros(canvas[::-1], np.uint8)
    whole[window.rows, window.columns] = mask
    return whole


def size_of(mask: Mask) -> Size:
    """Return the width and height of a mask."""
    height, width = mask.shape
    return width, height


def show(size: Size) -> str:
    """Return a size as messages have it."""
    return f"{size[0]} x {size[1]}"
