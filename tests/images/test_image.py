"""Colors as stored to sRGB and back, and what is painted into a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import disc, strokes
from profiles import ADOBE, ADOBE_ICC, P3, P3_ICC, SRGB_ICC, converted, gray_profile

from harmonize.images import color
from harmonize.images.image import StoredImage
from harmonize.images.pixels import eight_bits, largest_value

DEEP = np.random.default_rng(0).integers(0, 65536, (40, 48, 3)).astype(np.uint16)
EIGHT = strokes(48, 40)
INK = np.random.default_rng(1).integers(0, 256, (40, 48, 4)).astype(np.uint8)
ALL: dict[str, StoredImage] = {
    "gray": StoredImage(EIGHT[..., 0], "L"),
    "gray 16": StoredImage(DEEP[..., 0], "L"),
    "gray gamma": StoredImage(EIGHT[..., 0], "L", icc=gray_profile(1.8)),
    "rgb": StoredImage(EIGHT, alpha=disc(48, 40)),
    "rgb 16": StoredImage(DEEP, alpha=DEEP[..., 1]),
    "rgb srgb": StoredImage(EIGHT, icc=SRGB_ICC),
    "rgb p3": StoredImage(EIGHT, icc=P3_ICC),
    "rgb 16 adobe": StoredImage(DEEP, icc=ADOBE_ICC),
    "cmyk": StoredImage(INK, "CMYK"),
}


@pytest.fixture(params=ALL)
def stored(request: pytest.FixtureRequest) -> StoredImage:
    return ALL[request.param]


def test_srgb_has_the_pictures_depth_and_is_no_copy_of_srgb(stored: StoredImage) -> None:
    found = stored.srgb()
    assert found.shape == (40, 48, 3)
    assert found.dtype == stored.pixels.dtype
    if stored.mode == "RGB" and stored.icc in (None, SRGB_ICC):
        assert found is stored.pixels
    if stored.mode == "L" and stored.icc is None:
        assert (found == stored.pixels[..., None]).all()


@pytest.mark.parametrize(
    ("icc", "columns", "gamma"), [(P3_ICC, P3, 0.0), (ADOBE_ICC, ADOBE, 2.19921875)]
)
def test_profiles_are_converted_as_their_formulas_say(
    icc: bytes, columns: Any, gamma: float
) -> None:
    srgb = np.random.default_rng(2).uniform(0.1, 0.9, (8, 8, 3))
    there = np.rint(converted(srgb, columns, gamma) * 65535).astype(np.uint16)
    back = StoredImage(there, icc=icc).srgb() / 65535
    assert np.abs(back - srgb).max() < 1 / 255
    again = color.from_srgb(srgb.astype(np.float32), "RGB", icc, there)
    assert np.abs(again - there).max() < 257


def test_a_gray_profile_is_heeded() -> None:
    values = np.linspace(0.1, 1, 10)
    gray = np.rint(values[None] * 65535).astype(np.uint16)
    found = StoredImage(gray, "L", icc=gray_profile(1.0)).srgb() / 65535
    expected = 1.055 * values ** (1 / 2.4) - 0.055
    assert np.abs(found - expected[None, :, None]).max() < 2e-3


def test_ink_on_paper() -> None:
    ink = np.array([[[0, 255, 255, 0], [0, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    assert StoredImage(ink, "CMYK").srgb().tolist() == [
        [[255, 0, 0], [0, 0, 0], [0, 255, 255], [204, 204, 204]]
    ]


def test_what_is_not_changed_keeps_every_bit(stored: StoredImage) -> None:
    changed = disc(20, 16) > 0
    part = np.random.default_rng(3).uniform(0, 1, (16, 20, 3)).astype(np.float32)
    found = stored.pasted(part, np.ones((16, 20), np.float32), changed, top=7, left=9)
    outside = np.ones((40, 48), bool)
    outside[7:23, 9:29] = ~changed
    assert (found.pixels[outside] == stored.pixels[outside]).all()
    assert (found.pixels[~outside] != stored.pixels[~outside]).any()
    assert found.pixels.dtype == stored.pixels.dtype
    assert found.alpha is stored.alpha
    assert (found.icc, found.mode) == (stored.icc, stored.mode)


def test_what_is_painted_is_seen(stored: StoredImage) -> None:
    shade = strokes(48, 40, seed=5).astype(np.float32) / 255
    if stored.mode == "L":
        shade = shade[..., :1].repeat(3, -1)
    everywhere = np.ones((40, 48), bool)
    found = stored.pasted(shade, everywhere.astype(np.float32), everywhere)
    seen = found.srgb() / float(largest_value(found.pixels))
    assert np.abs(seen - shade).max() < 0.012
    wide = np.rint(shade * 65535).astype(np.uint16)
    again = stored.pasted(wide, everywhere.astype(np.float32), everywhere)
    assert np.abs(again.pixels.astype(int) - found.pixels).max() <= 1


def test_the_pictures_own_colors_painted_into_it_change_nothing(stored: StoredImage) -> None:
    own = (stored.srgb() / largest_value(stored.pixels)).astype(np.float32)
    share = np.linspace(0, 1, 48, dtype=np.float32)[None].repeat(40, 0)
    found = stored.pasted(own, share, np.ones((40, 48), bool))
    off = np.abs(found.pixels.astype(int) - stored.pixels)
    if stored.icc in (None, SRGB_ICC) and stored.mode != "CMYK":
        assert off.max() == 0
    assert np.median(off) <= 2
    seen = np.abs(found.srgb().astype(float) - stored.srgb()) / largest_value(stored.pixels)
    assert seen.max() < 0.02


def test_the_share_blends_in_the_pictures_own_values() -> None:
    gray = StoredImage(np.full((4, 4), 1000, np.uint16), "L")
    part = np.ones((4, 4, 3), np.float32)
    found = gray.pasted(part, np.full((4, 4), 0.25, np.float32), np.ones((4, 4), bool))
    assert set(found.pixels.ravel()) == {round(1000 + 0.25 * (65535 - 1000))}


def test_eight_bits_and_back() -> None:
    every = np.arange(256, dtype=np.uint16)[None] * 257
    assert (eight_bits(every) == np.arange(256)).all()
    assert (eight_bits(every[:, 1:] - 100) == np.arange(1, 256)).all()


def test_a_picture_for_pillow(stored: StoredImage) -> None:
    image = stored.image
    assert image.size == (48, 40)
    assert image.mode == stored.mode + "A" * (stored.alpha is not None)
    assert image.info.get("icc_profile") == stored.icc
    colored = image.convert(stored.mode)  # without alpha
    assert (np.asarray(colored) == eight_bits(stored.pixels)).all()
    assert stored.shown.mode == "RGB"
    seen = eight_bits(stored.in_8_bits().srgb())
    opaque = stored.alpha == largest_value(stored.alpha) if stored.alpha is not None else ...
    assert (np.asarray(stored.shown)[opaque] == seen[opaque]).all()
