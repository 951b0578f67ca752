"""Every format, mode and profile, read as Pillow and LittleCMS read it."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
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
    "PNG": ("1 L LA P RGB RGBA I;16", True),
    "JPEG": ("1 L RGB CMYK YCbCr", True),
    "TIFF": ("1 L LA P PA RGB RGBA CMYK YCbCr I;16", True),
    "WEBP": ("L LA P RGB RGBA CMYK YCbCr", True),
    "AVIF": ("1 L LA P RGB RGBA", True),
    "HEIF": ("1 L LA RGB RGBA", True),
    "BMP": ("1 L P RGB RGBA", False),
    "GIF": ("1 L P RGB RGBA", False),
    "PPM": ("1 L RGB I;16", False),
    "TGA": ("1 L LA P RGB RGBA", False),
    "JPEG2000": ("L LA RGB RGBA I;16", False),
    "ICO": ("L LA P RGB RGBA", False),
}
GRAY = ("1", "L", "LA", "I;16", "I;16B", "I")
LEFT_OUT = "painting: its color profile cannot be used and is left out; export it in sRGB if "
LEFT_OUT += "colors look wrong"
COMPRESSIONS = (
    "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg", "group3", "group4",
)  # fmt: skip


@cache
def ink_profile() -> bytes:
    paper = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    icc: bytes = paper.icc_export(output_profile="cmyk").get("icc-profile-data")
    return icc


# name → what Pillow calls the colors that it is for, and the profile
PROFILES: dict[str, tuple[str | None, Callable[[], bytes | None]]] = {
    "none": (None, lambda: None),
    "srgb": ("RGB", lambda: SRGB_ICC),
    "p3": ("RGB", lambda: P3_ICC),
    "adobe": ("RGB", lambda: ADOBE_ICC),
    "gamma": ("L", lambda: gray_profile(1.8)),
    "inks": ("CMYK", ink_profile),
    "damaged": (None, lambda: b"no profile"),
}


def drawn(mode: str) -> Image.Image:
    rgb = Image.fromarray(strokes(W, H))
    if mode in ("LA", "RGBA"):
        image = rgb.convert(mode[:-1])
        image.putalpha(Image.fromarray(np.maximum(disc(W, H), 40)))
        return image
    if mode == "I;16":
        return Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    return rgb.convert("P").convert("PA") if mode == "PA" else rgb.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reference(image: Image.Image, icc: bytes | None) -> np.ndarray:
    """Pillow's and LittleCMS's reading: 8-bit sRGB on white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colors = image if image.mode == "CMYK" else image.convert(kind_of(image))
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


def kind_of(image: Image.Image) -> str:
    return "L" if image.mode in GRAY else "CMYK" if image.mode == "CMYK" else "RGB"


def assert_read_right(data: bytes, profile: str = "none") -> None:
    """A fitting profile is heeded; any other is warned of."""
    source = open_picture("painting", data)
    image = Image.open(io.BytesIO(data))
    image.load()
    icc = image.info.get("icc_profile")
    usable = icc is None or PROFILES[profile][0] == kind_of(image)
    assert source.warnings == (() if usable else (LEFT_OUT,))
    off = np.abs(np.asarray(source.stored.shown) - reference(image, icc if usable else None))
    assert off.max() <= 3, off.max()
    assert off.mean() < 0.7


CASES = [
    (kind, mode, name)
    for kind, (modes, profiled) in WRITTEN.items()
    for mode in modes.split()
    for name in (PROFILES if profiled else ["none"])
]


@pytest.fixture(autouse=True)
def heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pillow write and read HEIC in these tests."""
    Image.init()  # else what Pillow fills in now would be taken away again
    for table in ("OPEN", "SAVE", "SAVE_ALL", "MIME", "EXTENSION"):
        monkeypatch.setattr(Image, table, dict(getattr(Image, table)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    pillow_heif.register_heif_opener()


@pytest.mark.parametrize(("kind", "mode", "profile"), CASES, ids=lambda each: str(each))
def test_a_picture_looks_as_in_littlecms(kind: str, mode: str, profile: str) -> None:
    icc = PROFILES[profile][1]()
    options: dict[str, Any] = {} if icc is None else {"icc_profile": icc}
    if kind == "WEBP":
        options["lossless"] = True
    if kind == "ICO":
        options["sizes"] = [(W, H)]
    assert_read_right(encoded(drawn(mode), kind, **options), profile)


def test_the_docs_tell_how_many_were_tried() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"{len(CASES)} combinations of format, mode and profile" in docs


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_compression_of_tiff(mode: str, compression: str) -> None:
    if compression.startswith("group") != (mode == "1") or (mode, compression) == ("RGBA", "jpeg"):
        return
    assert_read_right(encoded(drawn(mode), "TIFF", compression=compression))


@pytest.mark.parametrize(("icc", "warned"), [(None, ()), (P3_ICC, (LEFT_OUT,))])
def test_a_tiff_in_lab(icc: bytes | None, warned: tuple[str, ...]) -> None:
    to_lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(drawn("RGB"), *to_lab, outputMode="LAB")
    assert image is not None
    options = {} if icc is None else {"icc_profile": icc}
    source = open_picture("painting", encoded(image, "TIFF", **options))
    assert source.warnings == warned
    off = np.abs(np.asarray(source.stored.shown) - strokes(W, H).astype(float))
    assert off.mean() < 4


def test_webp_in_a_tiff_that_pillow_does_not_read() -> None:
    pixels = strokes(W, H)
    image = pyvips.Image.new_from_memory(pixels, W, H, 3, "uchar").copy(interpretation="srgb")
    data = image.tiffsave_buffer(compression="webp", lossless=True)
    assert (open_picture("painting", data).stored.pixels == pixels).all()
