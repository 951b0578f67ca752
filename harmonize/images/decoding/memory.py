"""PIL images and arrays → `StoredImage`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import InputError
from harmonize.images import libvips
from harmonize.images.decoding.labels import Labels
from harmonize.images.image import StoredImage
from harmonize.images.pixels import Pixels, strips


def from_image(image: Image.Image, labels: Labels) -> StoredImage:
    """Convert a loaded image, its labels read before."""
    mode, transparent, read = _reader(image)
    turn = 1 if hasattr(image, "tag_v2") else labels.turn  # Pillow has turned a TIFF by now
    size = image.size if turn < 5 else image.size[::-1]
    sample = read(image.crop((0, 0, 1, 1)))
    pixels = np.empty((*size[::-1], libvips.CHANNELS_OF[mode]), sample.dtype)
    alpha = np.empty(size[::-1], sample.dtype) if transparent else None
    for rows in strips(image.height, image.width):
        strip = read(image.crop((0, rows.start, image.width, rows.stop)))
        _lying(pixels, turn)[rows] = strip[..., : pixels.shape[2]]
        if alpha is not None:
            _lying(alpha, turn)[rows] = strip[..., -1]
    flat = pixels[..., 0] if mode == "L" else pixels
    return StoredImage(flat, mode, labels.icc, alpha, labels.dpi, image.format)


def upright(pixels: Pixels, turn: int) -> Pixels:
    """Turn pixels by an EXIF orientation."""
    if turn == 1:
        return pixels
    height, width = pixels.shape[:2]
    found = np.empty(((height, width) if turn < 5 else (width, height)) + pixels.shape[2:],
                     pixels.dtype)  # fmt: skip
    _lying(found, turn)[:] = pixels
    return found


def _reader(image: Image.Image) -> tuple[str, bool, Callable[[Image.Image], NDArray[Any]]]:
    if image.mode[0] in "IF":
        return "L", False, _deep_gray(image)
    if image.mode == "LAB":
        return "RGB", False, _from_lab
    if image.mode == "CMYK":
        return "CMYK", False, np.asarray
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    transparent = image.has_transparency_data
    through = mode + "A" * transparent

    def read(strip: Image.Image) -> NDArray[np.uint8]:
        return np.atleast_3d(np.asarray(strip.convert(through)))

    return mode, transparent, read


def _deep_gray(image: Image.Image) -> Callable[[Image.Image], NDArray[Any]]:
    largest: Any = image.getextrema()[1] if image.mode in ("I", "F") else 65535
    factor = 1.0
    if image.mode == "F":
        factor = 65535.0 if largest <= 1 else 257.0 if largest <= 255 else 1.0
    dtype = np.uint8 if image.mode == "I" and largest <= 255 else np.uint16

    def read(strip: Image.Image) -> NDArray[Any]:
        values = np.nan_to_num(np.asarray(strip, np.float64) * factor)
        return np.clip(np.rint(values), 0, 65535).astype(dtype)[..., None]

    return read


def _from_lab(strip: Image.Image) -> NDArray[Any]:
    stored = np.asarray(strip)  # the last two channels have a sign
    light = stored[..., :1] * np.float32(100 / 255)
    lab = np.concatenate([light, stored[..., 1:].view(np.int8)], -1, dtype=np.float32)
    return libvips.lab_to_srgb(lab)


def _lying(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    down, across = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    turned = upright[:: -1 if down else 1, :: -1 if across else 1]
    return turned if orientation < 5 else turned.swapaxes(0, 1)


# --- arrays ---------------------------------------------------------------------------------------


def from_array(where: str, array: NDArray[Any]) -> StoredImage:
    """Convert an array, or raise an InputError."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4) or not array.size:
        raise InputError(
            f"{where}: array of shape {array.shape}, expected [H, W] or [H, W, 1 to 4]"
        )
    whole = _whole_numbers(where, array[..., None] if array.ndim == 2 else array)
    channels = whole.shape[2]
    alpha: Pixels | None = np.ascontiguousarray(whole[..., -1]) if channels in (2, 4) else None
    if channels < 3:
        return StoredImage(np.ascontiguousarray(whole[..., 0]), "L", alpha=alpha)
    return StoredImage(np.ascontiguousarray(whole[..., :3]), "RGB", alpha=alpha)


def _whole_numbers(where: str, array: NDArray[Any]) -> NDArray[Any]:
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{where}: array of {array.dtype}, expected uint8, uint16, or float in [0, 1]"
        )
    if not (array.min() >= 0 and array.max() <= 1):  # neither is so for NaN
        raise InputError(f"{where}: float array with values outside [0, 1]; scale them into it")
    whole = np.empty(array.shape, np.uint8)
    for rows in strips(*array.shape[:2]):
        whole[rows] = np.rint(array[rows] * 255)
    return whole
