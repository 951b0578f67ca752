"""Every format, mode and profile that can be made here, read as Pillow and LittleCMS read it."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pyvips
from conftest import disc, strokes
from PIL import Image, ImageCms
from profiles import ADOBE_ICC, P3_ICC, SRGB_ICC, gray_profile

from harmonize.images.read import open_picture

W, H = 48, 40
# format → modes that Pillow writes to it, and whether with a profile
WRITTEN = {
    "PNG": (("1", "L", "LA", "P", "RGB", "RGBA"), True),
    "JPEG": (("L", "RGB", "CMYK", "YCbCr"), True),
    "TIFF": (("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"), True),
    "WEBP": (("RGB", "RGBA"), True),
    "AVIF": (("RGB", "RGBA"), True),
    "HEIF": (("RGB", "RGBA"), True),
    "BMP": (("1", "L", "P", "RGB", "RGBA"), False),
    "GIF": (("L", "P"), False),
    "PPM": (("1", "L", "RGB"), False),
    "TGA": (("L", "LA", "P", "RGB", "RGBA"), False),
    "JPEG2000": (("L", "LA", "RGB", "RGBA"), False),
    "ICO": (("RGBA",), False),
}
COMPRESSIONS = (
    "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg", "group3", "group4",
)  # fmt: skip


@cache
def ink_profile() -> bytes:
    """A profile of CMYK that libvips brings."""
    paper = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    icc: bytes = paper.icc_export(output_profile="cmyk").get("icc-profile-data")
    return icc


def profiles_of(mode: str) -> dict[str, bytes | None]:
    if mode == "CMYK":
        return {"none": None, "inks": ink_profile()}
    if mode in ("1", "L", "LA"):
        return {"none": None, "gamma": gray_profile(1.8)}
    return {"none": None, "srgb": SRGB_ICC, "p3": P3_ICC, "adobe": ADOBE_ICC}


def drawn(mode: str) -> Image.Image:
    rgb = Image.fromarray(strokes(W, H))
    if mode in ("LA", "RGBA"):
        image = rgb.convert(mode[:-1])
        image.putalpha(Image.fromarray(np.maximum(disc(W, H), 40)))
        return image
    return rgb.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reference(data: bytes) -> np.ndarray:
    """What Pillow and LittleCMS make of a file: 8-bit sRGB [H, W, 3] on white."""
    image = Image.open(io.BytesIO(data))
    image.load()
    icc = image.info.get("icc_profile")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    gray = image.mode in ("1", "L", "LA")
    colors = image if image.mode == "CMYK" else image.convert("L" if gray else "RGB")
    if icc:
        shown = ImageCms.profileToProfile(
            colors, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
        )  # fmt: skip
        assert shown is not None
    else:
        shown = colors.convert("RGB")
    found = np.asarray(shown).astype(float)
    if alpha is None:
        return found
    share = np.asarray(alpha)[..., None] / 255
    return 255 + share * (found - 255)


def assert_read_right(data: bytes) -> None:
    source = open_picture("painting", data)
    assert source.warnings == ()
    off = np.abs(np.asarray(source.stored.shown) - reference(data))
    assert off.max() <= 3, off.max()
    assert off.mean() < 0.7


CASES = [
    (kind, mode, name)
    for kind, (modes, _) in WRITTEN.items()
    for mode in modes
    for name in (profiles_of(mode) if WRITTEN[kind][1] else ["none"])
]


@pytest.fixture(autouse=True)
def heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pillow write and read HEIC in these tests; the program does not ask it to."""
    for table in ("OPEN", "SAVE", "SAVE_ALL", "MIME", "EXTENSION"):
        monkeypatch.setattr(Image, table, dict(getattr(Image, table)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    pillow_heif.register_heif_opener()


@pytest.mark.parametrize(("kind", "mode", "profile"), CASES, ids=lambda each: str(each))
def test_a_picture_looks_as_in_littlecms(kind: str, mode: str, profile: str) -> None:
    icc = profiles_of(mode)[profile]
    options: dict[str, Any] = {} if icc is None else {"icc_profile": icc}
    if kind == "WEBP":
        options["lossless"] = True
    if kind == "ICO":
        options["sizes"] = [(W, H)]
    assert_read_right(encoded(drawn(mode), kind, **options))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_compression_of_tiff(mode: str, compression: str) -> None:
    if compression.startswith("group") != (mode == "1") or (mode, compression) == ("RGBA", "jpeg"):
        return
    assert_read_right(encoded(drawn(mode), "TIFF", compression=compression))


def test_webp_in_a_tiff_that_pillow_does_not_read() -> None:
    pixels = strokes(W, H)
    image = pyvips.Image.new_from_memory(pixels, W, H, 3, "uchar").copy(interpretation="srgb")
    data = image.tiffsave_buffer(compression="webp", lossless=True)
    assert (open_picture("painting", data).stored.pixels == pixels).all()
