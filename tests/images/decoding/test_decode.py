"""What is sound is read, and what is not read is named."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pyvips
from conftest import disc, strokes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin
from profiles import ADOBE_ICC

from harmonize.errors import InputError
from harmonize.images.decoding.signatures import FORMATS, what_is
from harmonize.images.read import open_picture

W, H = 48, 40
RGB, ALPHA = strokes(W, H), disc(W, H)


def encoded(kind: str, image: Any = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(RGB) if image is None else image).save(file, kind, **options)
    return file.getvalue()


def long_profile(length: int = 1_500_000) -> bytes:
    """Adobe RGB with a tag of noise that nobody reads."""
    (count,) = struct.unpack(">I", ADOBE_ICC[128:132])
    end = 132 + 12 * count
    table = b"".join(
        struct.pack(">4sII", name, start + 12, size)
        for name, start, size in struct.iter_unpack(">4sII", ADOBE_ICC[132:end])
    )
    noise = b"text\0\0\0\0" + np.random.default_rng(0).bytes(length)
    body = ADOBE_ICC[end:].ljust(len(ADOBE_ICC) - end + (-len(ADOBE_ICC) % 4), b"\0")
    table += struct.pack(">4sII", b"zzzz", end + 12 + len(body), len(noise))
    whole = ADOBE_ICC[4:128] + struct.pack(">I", count + 1) + table + body + noise
    return struct.pack(">I", len(whole) + 4) + whole


# --- sound files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_long_texts_in_a_png_are_no_damage(packed: bool, deep: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * 2_000_000, zip=packed)
    info.add_text("Comment", "y" * 3_000_000, zip=packed)
    image = Image.fromarray((RGB[..., 0] * np.uint16(257)) if deep else RGB)
    source = open_picture("painting", encoded("PNG", image, pnginfo=info))
    assert source.warnings == ()
    assert (source.stored.image.convert("L") if deep else source.stored.image).size == (W, H)
    assert (source.stored.pixels == np.asarray(image)).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_profile_of_several_megabytes_is_heeded(kind: str) -> None:
    icc = long_profile()
    source = open_picture("painting", encoded(kind, icc_profile=icc))
    assert (source.stored.icc, source.warnings) == (icc, ())


def test_a_png_turned_by_imagemagicks_exif_stays_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    info = PngImagePlugin.PngInfo()
    lines = [raw.hex()[i : i + 72] for i in range(0, 2 * len(raw), 72)]
    info.add_text(
        "Raw profile type exif", "\n".join(["", "exif", f"{len(raw):8}", *lines]), zip=True
    )  # noqa: E501
    stored = open_picture("painting", encoded("PNG", pnginfo=info)).stored
    assert (stored.pixels == np.rot90(RGB, -1)).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_only_its_end_is_read_and_told(progressive: bool) -> None:
    data = encoded("JPEG", quality=95, progressive=progressive)
    whole = open_picture("painting", data).stored.pixels
    for cut in (data[:-2], data[:-1]):
        source = open_picture("painting", cut)
        assert "end marker is missing" in source.warnings[0]
        assert (source.stored.pixels == whole).all()
    with pytest.raises(InputError, match="damaged or truncated"):
        open_picture("painting", data[: len(data) * 2 // 3])


def test_a_tiff_compression_of_16_bits_that_only_pillow_has_is_told(tmp_path: Any) -> None:
    gray = Image.fromarray(RGB[..., 0] * np.uint16(257))
    source = open_picture("painting", encoded("TIFF", gray, compression="zstd"))
    assert source.warnings == ()
    assert (source.stored.pixels == np.asarray(gray)).all()


# --- channels -------------------------------------------------------------------------------------


def tiff(channels: list[np.ndarray], photometric: int, extra: tuple[int, ...]) -> bytes:
    pixels = np.dstack(channels).astype(np.uint8)
    height, width, count = pixels.shape
    body = pixels.tobytes()
    entries = {256: (3, [width]), 257: (3, [height]), 258: (3, [8] * count), 259: (3, [1]),
               262: (3, [photometric]), 273: (4, [8]), 277: (3, [count]), 278: (3, [height]),
               279: (4, [len(body)])}  # fmt: skip
    if extra:
        entries[338] = (3, list(extra))
    table, more, start = b"", b"", 8 + len(body)
    tail = start + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{'HI'[kind - 3]}", *values)
        if len(packed) > 4:
            place, more = tail + len(more), more + packed + b"\0" * (len(packed) % 2)
            packed = struct.pack("<I", place)
        table += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return (
        b"II*\0"
        + struct.pack("<I", start)
        + body
        + struct.pack("<H", len(entries))
        + table
        + bytes(4)
        + more
    )  # noqa: E501


SELECTION, STRAIGHT, PREMULTIPLIED = 0, 2, 1


@pytest.mark.parametrize(
    ("extra", "alpha", "left"),
    [((SELECTION,), None, 1), ((STRAIGHT,), 0, 0), ((), 0, 0), ((STRAIGHT, SELECTION), 0, 1),
     ((SELECTION, STRAIGHT), 1, 1), ((SELECTION, SELECTION), None, 2)],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_only_transparency_is_taken_for_it(
    mode: str, extra: tuple[int, ...], alpha: int | None, left: int
) -> None:
    colors = np.asarray(Image.fromarray(RGB).convert(mode))
    planes = [ALPHA, 255 - ALPHA][: max(len(extra), 1)]
    data = tiff([colors, *planes], {"L": 1, "RGB": 2, "CMYK": 5}[mode], extra)
    source = open_picture("painting", data)
    assert source.stored.mode == mode
    assert (source.stored.pixels == colors).all()
    if alpha is None:
        assert source.stored.alpha is None
    else:
        assert (source.stored.alpha == planes[alpha]).all()
    assert len(source.warnings) == (left > 0)
    if left:
        assert "left out (saved selections or spot colors" in source.warnings[0]


def test_premultiplied_colors_are_divided() -> None:
    alpha = np.full((H, W), 128, np.uint8)
    darker = np.rint(RGB * (128 / 255)).astype(np.uint8)
    stored = open_picture("painting", tiff([darker, alpha], 2, (PREMULTIPLIED,))).stored
    assert np.abs(stored.pixels.astype(int) - RGB).max() <= 2
    assert (stored.alpha == alpha).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TGA", "WEBP"])
def test_transparent_everywhere_is_taken_as_opaque_and_told(kind: str) -> None:
    image = Image.fromarray(np.dstack([RGB, np.zeros((H, W), np.uint8)]))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    source = open_picture("painting", encoded(kind, image, **options))
    assert source.stored.alpha is None
    assert (source.stored.pixels == RGB).all()
    assert "transparent everywhere" in source.warnings[0]


# --- files that are not read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"8BPS\0\1" + bytes(40), r"Photoshop document \(PSD\): export it as PNG, TIFF or JPEG"),
        (b"gimp xcf v011" + bytes(40), "GIMP document"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0" + bytes(40), r"raw file \(CR3\)"),
        (b"\0\0\0\x18ftypisom\0\0\0\0" + bytes(40), "a video"),
        (b"<!DOCTYPE html><html>", "a web page, not a picture"),
        (b'<?xml version="1.0"?><svg>', "SVG: export it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xff\xd8\xff\xc1\0\x11\x0c" + bytes(40), "a JPEG of 12 bits a channel"),
        (b"\xff\xd8\xff\xc3\0\x11\x08" + bytes(40), "a lossless JPEG"),
        (b"P7\nWIDTH 1\nHEIGHT 1\n", "PAM: export it"),
        (b"PF\n1 1\n-1.0\n", "PFM: export it"),
        (b"SIMPLE  =                    T", "FITS: export it"),
        (b"\xd7\xcd\xc6\x9a\0\0" + bytes(40), "a Windows metafile .*: export it"),
        (b"\0\0\2\0\1\0\x20\x20\0\0\1\0\1\0\x30\0\0\0\x16\0\0\0", "a cursor of Windows"),
        (b"\0\0\0\0\x11\xaf" + bytes(40), "an animation .*: export it"),
        (b"\x59\xa6\x6a\x95" + bytes(40), "a Sun raster: export it"),
        (b"/* a comment */\n#define thing_width 8\n#define thing_height 1\n", "XBM: export it"),
        (b"Image type: RGB image\r\nName: a\r\nImage size (x*y): 4*4\r\n", "IM: export it"),
        (b"\0\0\1\xb3" + bytes(40), "a video"),
        (b"RIFF\x40\0\0\0AVI LIST" + bytes(40), "a video"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "Office document"),
        (b"\xff\xd8\xff\xf7\0\x11\x08" + bytes(40), "a lossless JPEG"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "damaged|raw file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "damaged or truncated"),
        (b"words, and no picture", "not an image in a format that is read here: use PNG, JPEG"),
        (b"", "is empty"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_picture("painting", data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of formats that Pillow will drop
def test_every_format_that_pillow_writes_is_read_or_named() -> None:
    Image.init()
    named = set()
    for kind in Image.SAVE:
        for mode in ("RGB", "P", "1"):
            try:
                data = encoded(kind, Image.fromarray(RGB).convert(mode))
            except (OSError, ValueError, RuntimeError):  # not in this mode, or not without more
                continue
            if kind in (*FORMATS, "MPO", "HEIF"):
                open_picture("painting", data)
                continue
            with pytest.raises(InputError, match=rf"painting: .*\b{kind}\b.*: export ") as caught:
                open_picture("painting", data)
            assert "\n" not in str(caught.value)
            named.add(kind)
    assert named >= {"DIB", "EPS", "MSP", "PALM", "PCX", "PDF", "SGI", "SPIDER", "XBM"}


@given(st.binary(max_size=400), st.sampled_from([b"", b"(\0\0\0", b"\1\xda", b"#define", b"P7"]))
@settings(max_examples=200, deadline=None)
def test_what_is_unknown_is_named_on_one_line_or_not_at_all(data: bytes, start: bytes) -> None:
    said = what_is(start + data)
    assert said is None or (said == said.strip() and "\n" not in said and ": " in said)


def test_heic_is_read_with_its_package_and_named_without(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(file, quality=-1)
    found = open_picture("painting", file.getvalue()).stored.pixels.astype(int)
    assert np.abs(found - RGB).mean() < 15
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(InputError, match="HEIC: install pillow-heif .*, or export as JPEG"):
        open_picture("painting", file.getvalue())


def test_a_compression_that_nobody_here_reads_is_named() -> None:
    data = bytearray(tiff([RGB], 2, ()))
    place = data.index(struct.pack("<HHIH", 259, 3, 1, 1)) + 8
    for number, name in ((34712, "JPEG 2000"), (50002, "JPEG XL"), (4711, "number 4711")):
        data[place : place + 2] = struct.pack("<H", number)
        with pytest.raises(InputError, match=f"TIFF compression {name} is not read here; save it"):
            open_picture("painting", bytes(data))


@pytest.mark.parametrize("bits", [10, 12, 14, 24, 64])
def test_a_depth_that_nobody_here_reads_is_named(bits: int) -> None:
    data = bytearray(tiff([RGB[..., 0]], 1, ()))
    place = data.index(struct.pack("<HHIH", 258, 3, 1, 8)) + 8
    data[place : place + 2] = struct.pack("<H", bits)
    with pytest.raises(InputError, match=f"a TIFF of {bits} bits a channel is not read here"):
        open_picture("painting", bytes(data))


@pytest.mark.parametrize("orientation", [0, 9])
def test_a_turn_that_there_is_not_is_no_damage(orientation: int) -> None:
    for pixels in (RGB, RGB.astype(np.uint16) * 257):
        kind = "uchar" if pixels.dtype == np.uint8 else "ushort"
        image = pyvips.Image.new_from_memory(pixels.tobytes(), W, H, 3, kind)
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", 8)
        data = bytearray(image.tiffsave_buffer())
        place = data.index(struct.pack("<HHIH", 274, 3, 1, 8)) + 8
        data[place : place + 2] = struct.pack("<H", orientation)
        assert (open_picture("painting", bytes(data)).stored.pixels == pixels).all()


def test_a_cameras_raw_file_is_not_taken_for_its_thumbnail() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[50706] = 1
    tags[50706] = b"\1\4\0\0"
    with pytest.raises(InputError, match="a camera's raw file; develop it"):
        open_picture("painting", encoded("TIFF", tiffinfo=tags))


def test_a_bomb_of_text_or_profile_is_no_harm() -> None:
    bomb = zlib.compress(bytes(80 << 20), 9)
    chunk = b"iCCPbomb\0\0" + bomb
    data = encoded("PNG")
    data = (
        data[:33]
        + struct.pack(">I", len(chunk) - 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + data[33:]
    )  # noqa: E501
    source = open_picture("painting", data)
    assert source.warnings[0].startswith("painting: its color profile is damaged; its colors are")
    assert (source.stored.pixels == RGB).all()


def test_threads_leave_the_filters_of_warnings_alone() -> None:
    data = encoded("PNG")
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [open_picture("painting", data) for _ in range(10)], range(16)))
    assert list(warnings.filters) == before
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_deep_tiff_with_an_extra_channel() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (H, W, 4)).astype(np.uint16)
    image = pyvips.Image.new_from_memory(deep, W, H, 4, "ushort").copy(interpretation="rgb16")
    stored = open_picture("painting", image.tiffsave_buffer()).stored
    assert (stored.pixels == deep[..., :3]).all()
    assert (stored.alpha == deep[..., 3]).all()
