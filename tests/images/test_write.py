from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import disc, strokes
from PIL import Image

from harmonize.errors import OutputError
from harmonize.images.image import StoredImage
from harmonize.images.write import default_output, sheet, write_picture, write_sheet

PIXELS = strokes(48, 40)
LOSSLESS = ["a.png", "a.tif", "a.tiff", "a.webp", "a.bmp", "A.PNG"]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, StoredImage(PIXELS))
    with Image.open(tmp_path / name) as image:
        assert image.mode == "RGB"
        assert (np.asarray(image) == PIXELS).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_alpha_profile_and_hidden_colors_are_kept(tmp_path: Path, name: str) -> None:
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
        assert np.abs(np.asarray(image).astype(int) - PIXELS).mean() < 2


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
