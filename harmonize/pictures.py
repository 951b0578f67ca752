"""Files, PIL images and arrays → opened pictures with 8-bit pixels, as a viewer shows them.

EXIF rotation is applied; 16-bit, palette and bilevel pictures turned to 8 bits a channel; color
profiles are heeded where colors are converted.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from harmonize.errors import InputError

Picture = str | os.PathLike[str] | Image.Image | NDArray[Any]


@dataclass(frozen=True)
class Source:
    """One picture as it was given: its role, the opened image, where from, and its hash."""

    role: str
    image: Image.Image
    path: str | None
    sha256: str

    @property
    def where(self) -> str:
        """What to call the picture in a message."""
        return self.role.replace("_", " ") + (f" {self.path}" if self.path else "")


def open_picture(role: str, picture: Picture) -> Source:
    """Open and decode one picture; `role` names it in messages.

    Raises:
        InputError: no such file, not an image, damaged, or an array of the wrong shape or range.
    """
    if isinstance(picture, (str, os.PathLike)):
        return _open_file(role, Path(picture))
    if isinstance(picture, np.ndarray):
        picture = _from_array(role, picture)
    if not isinstance(picture, Image.Image):
        raise InputError(f"{role}: expected a path, a PIL image or an array, got {type(picture)}")
    try:
        pixels = picture.tobytes()
    except OSError as error:
        raise InputError(f"{role}: truncated image") from error
    digest = hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + pixels)
    return Source(role, _upright(picture), None, digest.hexdigest())


def _open_file(role: str, path: Path) -> Source:
    where = f"{role.replace('_', ' ')} {path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: {error.strerror or 'cannot be read'}") from error
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise InputError(f"{where}: not an image in a format that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{where}: too many pixels to open safely; make it smaller") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{where}: damaged image file") from error
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{where}: damaged or truncated image file; export it again") from error
    return Source(role, _upright(image), os.path.abspath(path), hashlib.sha256(data).hexdigest())


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation; keep the format's name, which Pillow drops with it."""
    turned = ImageOps.exif_transpose(image)
    turned.format = image.format
    return turned


def _from_array(role: str, array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4) or not array.size:
        raise InputError(f"{role}: array of shape {array.shape}, expected [H, W] or [H, W, 1 to 4]")
    if array.dtype == np.uint16:
        array = (array + 128.0) // 257
    elif array.dtype == np.bool_:
        array = array * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise InputError(f"{role}: float array with values outside [0, 1]")
        array = np.rint(array * 255)
    elif array.dtype != np.uint8:
        raise InputError(f"{role}: array of {array.dtype}, expected uint8, or float in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array.astype(np.uint8)))


def split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an 8-bit picture without alpha (L, RGB, CMYK, LAB, …), and its alpha channel."""
    if image.mode == "1":
        image = image.convert("L")
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit(image), None
    if image.has_transparency_data:
        gray = image.mode in ("L", "LA", "La")
        image = image.convert("LA" if gray else "RGBA")
        return image.convert("L" if gray else "RGB"), image.getchannel("A")
    return (image.convert("RGB") if image.mode == "P" else image), None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Turn 16-bit, 32-bit and floating grays to 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode in ("I", "F") and values.max() <= 255:  # their range is not said anywhere
        values = values * (65535 if image.mode == "F" and values.max() <= 1 else 257)
    return Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8))


def to_profile(image: Image.Image, source: bytes | None, target: bytes | None) -> Image.Image:
    """Convert an image without alpha to RGB in the profile `target` (None: sRGB)."""
    if source is None and image.mode != "LAB":
        image, source = image.convert("RGB"), None
    if source == target and image.mode == "RGB":
        return image
    try:
        return _through_profiles(image, source, target)
    except (ImageCms.PyCMSError, OSError, ValueError):  # a broken profile: as without it
        return image.convert("RGB")


def read_srgb(role: str, path: Path) -> Image.Image:
    """Read a finished picture as a viewer shows it: RGB in sRGB, without alpha.

    Raises:
        InputError: it cannot be read.
    """
    image, _ = split(open_picture(role, path).image)
    return to_profile(image, image.info.get("icc_profile"), None)


def _through_profiles(
    image: Image.Image, source: bytes | None, target: bytes | None
) -> Image.Image:
    standard = ImageCms.createProfile("LAB" if image.mode == "LAB" else "sRGB")
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(source) if source else standard),
        ImageCms.ImageCmsProfile(io.BytesIO(target) if target else ImageCms.createProfile("sRGB")),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # only None with inPlace
    return converted
