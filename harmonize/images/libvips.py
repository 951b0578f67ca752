"""libvips on arrays: uint8 or uint16, [H, W] (`L`) or [H, W, C] (`RGB`, `CMYK`).

Damage raises a ValueError.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmonize.images.pixels import Pixels

SPACES = {"L": ("b-w", "grey16"), "RGB": ("srgb", "rgb16"), "CMYK": ("cmyk", "cmyk")}
MODES = {space: mode for mode, spaces in SPACES.items() for space in spaces}
CHANNELS_OF = {"L": 1, "RGB": 3, "CMYK": 4}
PROFILE = "icc-profile-data"
CONVERSION = {"intent": "relative", "black_point_compensation": True}
LOADERS = {"PNG": "pngload_buffer", "TIFF": "tiffload_buffer"}
SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("pngsave_buffer", {"compression": 6, "keep": "icc"}),
    "TIFF": ("tiffsave_buffer", {"compression": "lzw", "resunit": "inch", "keep": "icc"}),
}


class UnknownValues(ValueError):
    """Values or colors that are not read."""


def read(data: bytes, kind: str, fail_on: str = "error") -> tuple[Pixels, str, Pixels | None]:
    """Decode, but do not turn, a `PNG` or `TIFF`: pixels, mode, further channels [H, W, C].

    Lab becomes sRGB, premultiplied colors straight. Raises `UnknownValues`.
    """
    with _errors() as vips:
        image = getattr(vips.Image, LOADERS[kind])(data, fail_on=fail_on)
        if image.interpretation in ("lab", "labq", "labs"):
            image = image.colourspace("lab").icc_export(output_profile="srgb", depth=16)
        mode = MODES.get(image.interpretation)
        if image.format not in ("uchar", "ushort"):
            raise UnknownValues(
                f"a {kind} of {image.format} values; save it with 8 or 16 bits a channel"
            )
        if mode is None:
            raise UnknownValues(f"a {kind} of an unknown kind of colors; save it as RGB")
        whole = _picture(image)
    count = CHANNELS_OF[mode]
    if whole.shape[2] <= count:
        return _flat(whole), mode, None
    return _flat(np.ascontiguousarray(whole[..., :count])), mode, whole[..., count:]


def is_whole_jpeg(data: bytes) -> bool:
    """Tell whether libvips has no complaint."""
    try:
        with _errors() as vips:
            vips.Image.jpegload_buffer(data, fail_on="warning").avg()
    except ValueError:
        return False
    return True


def encode(
    pixels: Pixels,
    mode: str,
    alpha: Pixels | None,
    kind: str,
    icc: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """Encode a `PNG` (no CMYK) or `TIFF`."""
    saver, options = SAVERS[kind]
    with _errors():
        image = _vips_image(pixels, mode)
        if alpha is not None:
            image = image.bandjoin(_vips_image(alpha, "L"))
        if dpi:
            image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
        data: bytes = getattr(_with_profile(image, icc), saver)(**options)
        return data


def vips_to_srgb(pixels: Pixels, mode: str, icc: bytes) -> Pixels:
    """Convert to sRGB [H, W, 3] of the same depth; unreadable profiles count as sRGB."""
    with _errors():
        connected = _with_profile(_vips_image(pixels, mode), icc).icc_import(
            embedded=True, **CONVERSION
        )
        depth = pixels.dtype.itemsize * 8
        return _picture(connected.icc_export(output_profile="srgb", depth=depth, **CONVERSION))


def vips_from_srgb(pixels: NDArray[np.uint16], icc: bytes) -> Pixels:
    """Convert sRGB [H, W, 3] to uint16 in a profile."""
    with _errors():
        connected = _vips_image(pixels, "RGB").icc_import(input_profile="srgb", **CONVERSION)
        return _flat(_picture(_with_profile(connected, icc).icc_export(depth=16, **CONVERSION)))


def lab_to_srgb(lab: NDArray[np.float32]) -> Pixels:
    """Convert CIE Lab [H, W, 3] (D50, L to 100) to 8-bit sRGB."""
    with _errors() as vips:
        height, width, _ = lab.shape
        data = np.ascontiguousarray(lab)
        image = vips.Image.new_from_memory(data, width, height, 3, "float")
        image = image.copy(interpretation="lab")
        return _picture(image.icc_export(output_profile="srgb", depth=8, **CONVERSION))


@lru_cache(maxsize=1)
def _library() -> Any:
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips


@contextmanager
def _errors() -> Iterator[Any]:
    vips = _library()
    try:
        yield vips
    except vips.Error as error:
        said = " ".join(str(error).split())
        if "out of memory" in said or "unable to allocate" in said:
            raise MemoryError(said) from error
        raise ValueError(said) from error


def _vips_image(pixels: Pixels, mode: str) -> Any:
    height, width = pixels.shape[:2]
    wide = pixels.dtype == np.uint16
    image = _library().Image.new_from_memory(
        np.ascontiguousarray(pixels),
        width,
        height,
        1 if pixels.ndim == 2 else pixels.shape[2],
        "ushort" if wide else "uchar",
    )
    return image.copy(interpretation=SPACES[mode][wide])


def _with_profile(image: Any, icc: bytes | None) -> Any:
    image = image.copy()
    if icc:
        image.set_type(_library().GValue.blob_type, PROFILE, icc)
    return image


def _picture(image: Any) -> Pixels:
    shape = (image.height, image.width, image.bands)
    depth = np.uint8 if image.format == "uchar" else np.uint16
    return np.frombuffer(image.write_to_memory(), depth).reshape(shape)


def _flat(pixels: Pixels) -> Pixels:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
