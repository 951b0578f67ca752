from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import disc, strokes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from profiles import ADOBE_ICC, gray_profile

from harmonize.errors import OutputError
from harmonize.images.image import StoredImage
from harmonize.images.read import open_picture
from harmonize.images.write import (
    check_sheet,
    default_output,
    encode_as,
    is_sealed,
    losses,
    sealed,
    sheet,
    write_picture,
    write_sheet,
)

PIXELS = strokes(48, 40)
LOSSLESS = ["a.png", "a.tif", "a.tiff", "a.webp", "a.bmp", "A.PNG"]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, StoredImage(PIXELS))
    with Image.open(tmp_path / name) as image:
        assert image.mode == "RGB"
        assert (np.asarray(image) == PIXELS).all()


@pytest.mark.parametrize("large", [48 * 40 - 1, 48 * 40])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_alpha_profile_and_hidden_colors_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, large: int
) -> None:
    monkeypatch.setattr("harmonize.images.write.LARGE", large)
    alpha = disc(48, 40)
    write_picture(tmp_path / name, StoredImage(PIXELS, icc=b"profile", alpha=alpha))
    with Image.open(tmp_path / name) as image:
        assert image.info["icc_profile"] == b"profile"
        assert (np.asarray(image) == np.dstack([PIXELS, alpha])).all()


def test_jpeg_is_fine_and_drops_alpha_only(tmp_path: Path) -> None:
    picture = StoredImage(PIXELS, icc=b"profile", alpha=disc(48, 40), dpi=(300.0, 300.0))
    write_picture(tmp_path / "a.jpg", picture)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.info["icc_profile"] == b"profile"
        assert image.info["dpi"] == (300, 300)
        assert {part[1:3] for part in image.layer} == {(1, 1)}  # chroma is not subsampled
        assert np.abs(np.asarray(image).astype(int) - picture.on_white().pixels).mean() < 2


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_a_gray_painting_gives_a_gray_picture(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, StoredImage(PIXELS[..., 0], "L", icc=b"gray profile"))
    with Image.open(tmp_path / name) as image:
        assert image.mode == ("RGB" if name == "a.webp" else "L")
        assert ("icc_profile" in image.info) == (name != "a.webp")
        assert np.ptp(np.asarray(image.convert("RGB")), axis=-1).max() == 0
        if name == "a.png":
            assert (np.asarray(image) == PIXELS[..., 0]).all()


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists; use `overwrite`"):
        write_picture(path, StoredImage(PIXELS))
    assert path.read_text() == "precious"
    write_picture(path, StoredImage(PIXELS), overwrite=True)
    with Image.open(path) as image:
        assert image.size == (48, 40)


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.xyz: unknown picture format; use one of \.png"):
        write_picture(tmp_path / "a.xyz", StoredImage(PIXELS))


def test_the_name_left_out_follows_the_painting() -> None:
    assert default_output("some/where/lake.JPG") == Path("lake-harmonized.JPG")
    assert default_output("lake.gif") == Path("lake-harmonized.png")
    assert default_output("lake") == Path("lake-harmonized.png")


def test_a_sheet_holds_its_pictures_side_by_side(tmp_path: Path) -> None:
    pictures = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[:20])]
    board = np.asarray(sheet(pictures))
    assert (board[:, :48] == PIXELS).all()
    assert (board[:20, -48:] == PIXELS[:20]).all()
    assert (board[20:, -48:] == 255).all()
    write_sheet(tmp_path / "a.png", pictures)
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == board).all()


def profile_of(mode: str, length: int) -> bytes:
    icc = gray_profile(1.8) if mode == "L" else ADOBE_ICC
    (count,) = struct.unpack(">I", icc[128:132])
    end = 132 + 12 * count
    table = b"".join(
        struct.pack(">4sII", name, start + 12, size)
        for name, start, size in struct.iter_unpack(">4sII", icc[132:end])
    )
    noise = b"text\0\0\0\0" + np.random.default_rng(0).bytes(length)
    body = icc[end:] + bytes(-len(icc) % 4)
    table += struct.pack(">4sII", b"zzzz", end + 12 + len(body), len(noise))
    whole = icc[4:128] + struct.pack(">I", count + 1) + table + body + noise
    return struct.pack(">I", len(whole) + 4) + whole


@settings(max_examples=80)
@given(
    name=st.sampled_from(["a.png", "a.tif", "a.jpg", "a.webp", "a.bmp"]),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
    deep=st.booleans(),
    transparent=st.booleans(),
    profile=st.sampled_from([None, 100, 1_200_000]),
    dpi=st.none() | st.tuples(*[st.sampled_from([2.0, 72.0, 300.5, 70_000.0, 900_000.0])] * 2),
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, mode: str, deep: bool, transparent: bool,
    profile: int | None, dpi: tuple[float, float] | None,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("written") / name
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    smooth = np.dstack([PIXELS, 255 - PIXELS[..., 0]])[..., :channels]
    pixels = (smooth.astype(np.uint16) * 257) if deep else smooth
    pixels = pixels[..., 0] if mode == "L" else pixels
    alpha = np.maximum(disc(48, 40), 9).astype(pixels.dtype) if transparent else None
    icc = None if profile is None or mode == "CMYK" else profile_of(mode, profile)
    picture = StoredImage(pixels, mode, icc, alpha, dpi)
    said = " ".join(losses(path, picture))
    write_picture(path, picture)

    with Image.open(path) as image:
        image.load()
        assert image.size == (48, 40)
        told = image.info.get("dpi")
    found = open_picture("painting", path)
    assert found.warnings == ()
    assert ("profile" in said) == (found.stored.icc != icc and "BMP" not in path.name.upper()
                                   and not (mode == "L" and name == "a.webp"))  # fmt: skip
    assert ("transparency" in said) == (transparent and found.stored.alpha is None)
    off = np.asarray(found.stored.shown).astype(int) - np.asarray(picture.shown)
    assert np.abs(off).mean() < (3 if name == "a.jpg" else 2 if transparent else 0.7)
    if dpi is None:
        assert told == ((1, 1) if name == "a.tif" else None)  # what Pillow tells where none is
        assert found.stored.dpi is None
    elif name in ("a.png", "a.tif"):
        assert found.stored.dpi is not None
        assert np.allclose(found.stored.dpi, dpi, rtol=0.1)
    if name in ("a.png", "a.tif") and found.stored.mode == mode and found.stored.icc == icc:
        assert (found.stored.pixels == picture.on_white().pixels).all() or transparent
        assert found.stored.alpha is not None or not transparent or mode == "CMYK"


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp"])
def test_what_is_transparent_comes_out_white_where_there_is_no_transparency(
    tmp_path: Path, name: str
) -> None:
    hidden = np.where(disc(48, 40)[..., None] > 0, PIXELS, np.uint8(13))
    picture = StoredImage(hidden, alpha=disc(48, 40))
    assert "no transparency, it comes out white" in losses(tmp_path / name, picture)[0]
    write_picture(tmp_path / name, picture)
    found = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    corner = found[:8, :8].astype(int)
    assert corner.min() > 245
    assert (np.asarray(picture.shown)[:8, :8] == 255).all()


def test_a_sheet_too_wide_for_its_format_is_found_beforehand() -> None:
    check_sheet(Path("a.png"), [(9000, 40)] * 2)
    with pytest.raises(OutputError, match="WEBP holds pictures of up to 16383 pixels"):
        check_sheet(Path("a.webp"), [(9000, 40)] * 2)


def test_a_sealed_picture_is_known_until_a_byte_of_it_changes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 7, 3), np.uint8)
    picture = StoredImage(pixels, alpha=pixels[..., 0].copy())
    file = tmp_path / "a.png"
    data = sealed(picture)
    file.write_bytes(data)
    assert is_sealed(file)
    with Image.open(file) as image:
        assert np.array_equal(np.asarray(image), np.dstack([pixels, pixels[..., 0]]))
    for place in rng.integers(0, len(data), 60):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert not is_sealed(file)
    for other in (b"", data[:40], data[:-1], data + b"x", encode_as("PNG", picture)):
        file.write_bytes(other)
        assert not is_sealed(file)
    assert not is_sealed(tmp_path) and not is_sealed(tmp_path / "gone")
