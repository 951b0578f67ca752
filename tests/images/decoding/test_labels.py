"""Colors, resolution and orientation as files tell them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import pyvips
from conftest import strokes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from profiles import ADOBE, ADOBE_ICC, P3, P3_ICC, converted

from harmonize.images.read import Source, open_picture

W, H = 48, 40
RGB = strokes(W, H)
D65_ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
D65_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def encoded(kind: str, pixels: np.ndarray = RGB, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def with_chunks(data: bytes, **chunks: bytes) -> bytes:
    more = b"".join(
        struct.pack(">I", len(body)) + name.encode() + body
        + struct.pack(">I", zlib.crc32(name.encode() + body))
        for name, body in chunks.items()
    )  # fmt: skip
    return data[:33] + more + data[33:]


def gamma(value: float) -> bytes:
    return struct.pack(">I", round(1e5 / value))


def points(values: tuple[float, ...]) -> bytes:
    return struct.pack(">8I", *(round(value * 1e5) for value in values))


def seen(source: Source) -> np.ndarray:
    return np.asarray(source.stored.shown).astype(float)


def expected(columns: Any, power: float) -> np.ndarray:
    """Colors of other primaries and another curve as sRGB, by the formulas."""
    linear = (RGB / 255) ** power if power else np.where(
        RGB / 255 <= 0.04045, RGB / 255 / 12.92, ((RGB / 255 + 0.055) / 1.055) ** 2.4
    )  # fmt: skip
    from profiles import SRGB

    there = np.clip(linear @ np.array(columns) @ np.linalg.inv(np.array(SRGB)), 0, 1)
    return 255 * np.where(there <= 0.0031308, there * 12.92, 1.055 * there ** (1 / 2.4) - 0.055)


def assert_seen(source: Source, picture: np.ndarray) -> None:
    assert source.warnings == ()
    off = np.abs(seen(source) - picture)
    assert off.max() < 4
    assert off.mean() < 0.6


# --- colors ---------------------------------------------------------------------------------------


def test_a_png_of_adobe_rgb_told_by_gamma_and_primaries() -> None:
    data = with_chunks(encoded("PNG"), gAMA=gamma(2.19921875), cHRM=points(D65_ADOBE))
    assert_seen(open_picture("painting", data), expected(ADOBE, 2.19921875))


def test_a_png_of_another_gamma() -> None:
    from profiles import SRGB

    data = with_chunks(encoded("PNG"), gAMA=gamma(1.0))
    assert_seen(open_picture("painting", data), expected(SRGB, 1.0))
    gray = with_chunks(encoded("PNG", RGB[..., 0]), gAMA=gamma(1.8))
    stored = open_picture("painting", gray).stored
    off = np.asarray(stored.shown)[..., 0] / 255 - expected(SRGB, 1.8)[..., 0] / 255
    assert np.abs(off).max() < 0.02
    assert stored.icc is not None


def test_a_png_that_says_in_numbers_that_it_is_srgb_has_no_profile() -> None:
    for chunks in (
        {"gAMA": struct.pack(">I", 45455)},
        {"gAMA": struct.pack(">I", 45455), "cHRM": points(D65_SRGB)},
        {"sRGB": b"\0", "gAMA": gamma(1.0)},
        {"cICP": b"\x01\x0d\0\x01"},
        {"cICP": b"\x02\x02\0\x01"},
    ):
        source = open_picture("painting", with_chunks(encoded("PNG"), **chunks))
        assert (source.stored.icc, source.warnings) == (None, ())


def test_numbers_of_a_png_come_before_its_profile() -> None:
    data = with_chunks(encoded("PNG", icc_profile=ADOBE_ICC), cICP=b"\x0c\x0d\0\x01")
    assert_seen(open_picture("painting", data), expected(P3, 0))
    data = with_chunks(encoded("PNG", icc_profile=ADOBE_ICC), gAMA=gamma(1.0))
    assert open_picture("painting", data).stored.icc == ADOBE_ICC


@pytest.mark.parametrize(
    ("numbers", "said"),
    [(b"\x09\x10", "HDR colors (PQ)"), (b"\x09\x12", "HDR colors (HLG)"), (b"\x63\x0d", "99")],
)
def test_colors_that_are_not_heeded_are_told(numbers: bytes, said: str) -> None:
    source = open_picture("painting", with_chunks(encoded("PNG"), cICP=numbers + b"\0\x01"))
    assert said in source.warnings[0]
    assert (source.stored.pixels == RGB).all()


@pytest.mark.parametrize("chunks", [{"gAMA": bytes(4)}, {"cHRM": bytes(32)}, {"gAMA": b"\xff" * 4},
                                    {"cHRM": b"\xff" * 32}, {"iCCP": b"x"}])  # fmt: skip
def test_numbers_that_cannot_be_do_no_harm(chunks: dict[str, bytes]) -> None:
    source = open_picture("painting", with_chunks(encoded("PNG"), **chunks))
    assert (source.stored.pixels == RGB).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("how", ["a number", "R03"])
def test_adobe_rgb_told_by_exif(kind: str, how: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"  # Pillow writes none without one
    exif.get_ifd(0x8769)[0xA001] = 2 if how == "a number" else 0xFFFF
    if how == "R03":
        exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    source = open_picture("painting", encoded(kind, exif=exif.tobytes(), **options))
    assert source.warnings == ()
    off = np.abs(seen(source) - expected(ADOBE, 2.19921875))
    assert off.mean() < 2
    assert open_picture("painting", encoded(kind, **options)).stored.icc is None
    mine = encoded(kind, exif=exif.tobytes(), icc_profile=P3_ICC, **options)
    assert open_picture("painting", mine).stored.icc == P3_ICC


def bmp(
    kind: bytes, icc: bytes = b"", ends: tuple[float, ...] = (0,) * 9, power: float = 0
) -> bytes:  # noqa: E501
    rows = b"".join(row[:, ::-1].tobytes() for row in RGB[::-1])
    head = struct.pack("<IiiHHIIiiII", 124, W, H, 1, 24, 0, len(rows), 0, 0, 0, 0)
    head += bytes(16) + kind[::-1]
    head += struct.pack("<9i", *(round(value * (1 << 30)) for value in ends))
    head += struct.pack("<3I", *[round(power * 65536)] * 3)
    head += struct.pack("<4I", 4, 124 + len(rows), len(icc), 0)
    start = 14 + len(head)
    return (
        b"BM" + struct.pack("<IHHI", start + len(rows) + len(icc), 0, 0, start) + head + rows + icc
    )


def test_the_color_spaces_of_a_bmp() -> None:
    assert_seen(open_picture("painting", bmp(b"MBED", P3_ICC)), expected(P3, 0))
    assert open_picture("painting", bmp(b"sRGB")).stored.icc is None
    assert open_picture("painting", bmp(bytes(4))).warnings == ()
    assert "in another file" in open_picture("painting", bmp(b"LINK")).warnings[0]
    adobe = (0.57667, 0.29734, 0.02703, 0.18556, 0.62736, 0.07069, 0.18823, 0.07529, 0.99134)
    calibrated = bmp(bytes(4), ends=adobe, power=2.19921875)
    assert_seen(open_picture("painting", calibrated), expected(ADOBE, 2.19921875))


def test_the_profile_of_a_gif() -> None:
    data = encoded("GIF", np.asarray(Image.fromarray(RGB).quantize(64).convert("RGB")))
    end = 13 + 3 * (2 << (data[10] & 7))
    parts = b"".join(bytes([len(P3_ICC[i : i + 255])]) + P3_ICC[i : i + 255]
                     for i in range(0, len(P3_ICC), 255))  # fmt: skip
    data = data[:end] + b"\x21\xff\x0bICCRGBG1012" + parts + b"\0" + data[end:]
    assert open_picture("painting", data).stored.icc == P3_ICC


def test_the_color_spaces_of_jpeg_2000() -> None:
    data = encoded("JPEG2000")
    old = struct.pack(">I4s3BI", 15, b"colr", 1, 0, 0, 16)
    assert old in data

    def replaced(box: bytes) -> bytes:
        place = data.index(b"jp2h") - 4
        (length,) = struct.unpack_from(">I", data, place)
        sized = data[:place] + struct.pack(">I", length + len(box) - len(old)) + data[place + 4 :]
        return sized.replace(old, box)

    icc = struct.pack(">I4s3B", 11 + len(P3_ICC), b"colr", 2, 0, 0) + P3_ICC
    source = open_picture("painting", replaced(icc))
    assert (source.stored.icc, source.warnings) == (P3_ICC, ())
    odd = open_picture("painting", replaced(struct.pack(">I4s3BI", 15, b"colr", 1, 0, 0, 99)))
    assert "number 99 of JPEG 2000" in odd.warnings[0]


def test_an_avif_of_p3_and_one_of_hdr() -> None:
    data = encoded("AVIF")
    old = b"nclx\0\x01\0\x0d"
    assert old in data
    source = open_picture("painting", data.replace(old, b"nclx\0\x0c\0\x0d"))
    assert source.warnings == ()
    assert source.stored.icc is not None
    plain = seen(open_picture("painting", data))
    assert np.ptp(seen(source) - plain) > 5  # more saturated
    hdr = open_picture("painting", data.replace(old, b"nclx\0\x09\0\x10"))
    assert "HDR colors (PQ)" in hdr.warnings[0]


def test_primaries_of_a_tiff_are_told() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[319] = 5
    tags[319] = D65_ADOBE[2:]
    source = open_picture("painting", encoded("TIFF", tiffinfo=tags))
    assert "primaries are told by tags" in source.warnings[0]


def test_bits_that_are_lost_are_told() -> None:
    data = b"P6 2 2 65535\n" + bytes(range(24))
    assert "16 bits a channel are read as 8" in open_picture("painting", data).warnings[0]


# --- resolution and orientation -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_no_resolution_is_none(kind: str) -> None:
    options = {"dpi": (0, 0)} if kind == "BMP" else {}
    assert open_picture("painting", encoded(kind, **options)).stored.dpi is None


def test_exif_without_a_resolution_is_none() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a title"
    data = encoded("JPEG", exif=exif)
    assert Image.open(io.BytesIO(data)).info["dpi"] == (72, 72)  # of Pillow's own
    assert open_picture("painting", data).stored.dpi is None


@given(st.integers(1, 8), st.sampled_from(["PNG", "JPEG", "TIFF"]))
def test_a_turned_picture_has_a_turned_resolution(turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    found = open_picture("painting", encoded(kind, exif=exif, dpi=(300, 100))).stored
    assert found.dpi is not None
    assert np.allclose(found.dpi, (300, 100) if turn < 5 else (100, 300), atol=0.1)
    assert found.size == ((W, H) if turn < 5 else (H, W))


def test_a_resolution_in_centimeters_and_one_of_no_unit() -> None:
    for unit, dpi in ((3, 254.0), (1, None)):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[282] = tags[283] = 100.0
        tags[296] = unit
        found = open_picture("painting", encoded("TIFF", tiffinfo=tags)).stored.dpi
        assert found is None if dpi is None else np.allclose(found, dpi)


def test_a_deep_png_is_turned_as_its_exif_says() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (H, W, 3)).astype(np.uint16)
    image = pyvips.Image.new_from_memory(deep, W, H, 3, "ushort").copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    found = open_picture("painting", image.pngsave_buffer()).stored
    assert (found.pixels == np.rot90(deep, -1)).all()


def test_converted_is_the_way_back() -> None:
    there = converted(expected(P3, 0) / 255, P3, 0)
    inside = np.abs(there - RGB / 255).max(-1) < 0.01
    assert inside.mean() > 0.5
