"""Cutting out: outline, soft edge, colors, refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import disc, strokes
from PIL import Image

from harmonize.errors import InputError
from harmonize.scene.matting import element_colors, soft_alpha, with_alpha
from harmonize.scene.segmentation import cut_out, doubts, quick_mask, with_rembg

WIDTH, HEIGHT = 160, 120
TRUE = disc(WIDTH, HEIGHT)
LEFT, TOP = int(np.flatnonzero(TRUE.any(0))[0]), int(np.flatnonzero(TRUE.any(1))[0])
BOX = (LEFT, TOP, int(TRUE.any(0).sum()), int(TRUE.any(1).sum()))


def photo() -> np.ndarray:
    ground = strokes(WIDTH, HEIGHT)
    ground[..., 0] //= 4
    thing = strokes(WIDTH, HEIGHT, seed=3)
    thing[..., 1:] //= 4
    return np.where(TRUE[..., None] > 0, thing, ground)


def overlap(mask: np.ndarray) -> float:
    a, b = mask > 127, TRUE > 127
    return float((a & b).sum() / (a | b).sum())


def test_a_box_is_enough() -> None:
    found = cut_out(photo(), box=BOX)
    assert found.shape == (HEIGHT, WIDTH, 4)
    assert overlap(found[..., 3]) > 0.95
    assert (found[found[..., 3] == 0] == 0).all()
    sure = found[..., 3] == 255
    assert (found[sure][:, :3] == photo()[sure]).all()


def test_lengths_may_be_shares_and_numbers_numpys() -> None:
    shares = [
        f"{100 * value / side}%" for value, side in zip(BOX, (160, 120, 160, 120), strict=True)
    ]
    expected = cut_out(photo(), box=BOX)
    assert (cut_out(photo(), box=shares) == expected).all()
    assert (cut_out(photo(), box=np.array(BOX, np.int16)) == expected).all()


def test_a_quick_mask_is_the_same_but_for_its_edge() -> None:
    mask = quick_mask(photo(), box=BOX)
    assert mask.shape == (HEIGHT, WIDTH)
    assert overlap(mask) > 0.95


def test_points_and_rough_masks_lead_too() -> None:
    middle = (WIDTH // 2, HEIGHT // 2)
    corner = [(2, 2), ("98%", "98%")]
    assert overlap(cut_out(photo(), foreground=[middle], background=corner)[..., 3]) > 0.95
    rough = np.roll(TRUE, (2, -3), (0, 1))
    assert overlap(cut_out(photo(), rough=rough)[..., 3]) > 0.95


def test_points_have_the_last_word() -> None:
    two = photo()
    two[:, : WIDTH // 8] = two[HEIGHT // 2, WIDTH // 2]  # a red bar at the left
    box = (0, 0, WIDTH, HEIGHT)
    with_bar = cut_out(two, box=box, foreground=[(WIDTH // 2, HEIGHT // 2), (5, 60)])
    without = cut_out(two, box=box, background=[(5, y) for y in range(5, HEIGHT, 6)])
    assert with_bar[60, 5, 3] == 255
    assert without[60, 5, 3] == 0


def test_the_same_hints_give_the_same_bytes() -> None:
    assert (cut_out(photo(), box=BOX) == cut_out(photo(), box=BOX)).all()


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ({"box": (500, 0, 10, 10)}, "lies outside the photo of 160 x 120"),
        ({"box": (1, 2, 3)}, "expected left, top, width and height"),
        ({"box": (1, 2, "wide", 4)}, "expected left, top, width and height"),
        ({"foreground": [(200, 3)]}, "point 200,3: lies outside the photo"),
        ({"background": [(1, 2, 3)]}, "expected x and y"),
        ({"rough": TRUE[:50]}, "rough mask: 160 x 50 pixels, but the photo has 160 x 120"),
    ],
)
def test_hints_that_cannot_be(hints: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        cut_out(photo(), **hints)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_photo() -> None:
    for odd in (photo()[..., 0], photo() / 255, photo()[:5]):
        with pytest.raises(InputError, match="photo: "):
            cut_out(odd, box=BOX)


def test_what_looks_wrong_is_told() -> None:
    nothing = np.zeros((60, 60), np.uint8)
    assert "empty" in doubts(nothing)[0]
    assert "whole picture" in doubts(nothing + 255)[0]
    pieces = nothing.copy()
    pieces[::10, ::10] = 255
    assert "36 pieces" in doubts(pieces)[0]
    assert doubts(TRUE) == []


def test_rembg_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(InputError, match="pip install"):
        with_rembg(photo())


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write a module `rembg` with these lines."""

    def write(text: str) -> None:
        (tmp_path / "rembg.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(sys.modules, "rembg", None)
        del sys.modules["rembg"]

    return write


def test_rembg_is_given_the_photo_and_asked_for_the_mask(stand_in: Callable[[str], None]) -> None:
    # What rembg says of itself: a Pillow image in, with `only_mask` a gray one of its size out.
    stand_in("""from PIL import Image
given = []
def remove(data, alpha_matting=False, *args, session=None, only_mask=False, **kwargs):
    assert only_mask and isinstance(data, Image.Image) and data.mode == "RGB"
    given.append(data)
    return data.getchannel("R").point(lambda value: 255 if value > 140 else value // 2)
""")
    found = with_rembg(photo())
    (given,) = sys.modules["rembg"].given
    assert (np.asarray(given) == photo()).all()
    red = photo()[..., 0].astype(int)
    alpha = np.where(red > 140, 255, red // 2)
    assert (found[..., 3] == alpha).all()
    assert (found[alpha == 255][:, :3] == photo()[alpha == 255]).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nprint('No onnxruntime')\nsys.exit(1)", "pip install"),
        ("def remove(data, only_mask): raise OSError('no network')", "rembg: no network"),
        ("def remove(data, only_mask): return data.resize((9, 9))", "not the photo's size"),
        ("def remove(data, only_mask): return None", "rembg: "),
    ],
)
def test_what_rembg_fails_at_is_said(
    stand_in: Callable[[str], None], capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    stand_in(text)
    with pytest.raises(InputError, match=said):
        with_rembg(photo())
    assert capsys.readouterr().out == ""


# --- alpha and colors -----------------------------------------------------------------------------


def blended(alpha: np.ndarray) -> np.ndarray:
    red, green = np.array([200.0, 40, 40]), np.array([30.0, 180, 60])
    share = alpha[..., None] / 255
    return np.rint(share * red + (1 - share) * green).astype(np.uint8)


def soft() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    return np.rint(np.clip((40 - distance) / 6 + 0.5, 0, 1) * 255).astype(np.uint8)


def test_a_soft_edge_is_found_from_a_hard_one() -> None:
    true = soft()
    hard = np.where(true > 127, 255, 0).astype(np.uint8)
    found = soft_alpha(blended(true), hard, 6)
    before = np.abs(hard.astype(int) - true).mean()
    assert np.abs(found.astype(int) - true).mean() < before / 2
    assert (found[true == 0] <= 40).all()
    assert found[HEIGHT // 2, WIDTH // 2] == 255
    assert found[0, 0] == 0


def test_a_contour_is_freed_of_the_ground() -> None:
    true = soft()
    photo = blended(true)
    found = element_colors(photo, true)
    assert (found[true == 255] == photo[true == 255]).all()
    edge = (true > 40) & (true < 255)
    assert np.abs(found[edge].astype(int) - (200, 40, 40)).mean() < 6
    assert np.abs(photo[edge].astype(int) - (200, 40, 40)).mean() > 40


def test_a_large_picture_is_done_by_way_of_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    true = soft()
    hard = np.where(true > 127, 255, 0).astype(np.uint8)
    photo = blended(true)
    monkeypatch.setattr("harmonize.scene.matting.LARGEST_COPY", 5000)
    found = soft_alpha(photo, hard, 6)
    assert np.abs(found.astype(int) - true).mean() < np.abs(hard.astype(int) - true).mean()
    colors = element_colors(photo, true)
    edge = (true > 100) & (true < 255)
    assert np.abs(colors[edge].astype(int) - (200, 40, 40)).mean() < 12
    assert (colors[true == 255] == photo[true == 255]).all()


@pytest.mark.parametrize("side", [40, 7])
def test_tiles_along_the_contour_leave_no_trace(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    def edge() -> tuple[np.ndarray, np.ndarray]:
        hard = np.where(soft() > 127, 255, 0).astype(np.uint8)
        return soft_alpha(blended(soft()), hard, 6), with_alpha(blended(soft()), soft())

    in_one = edge()
    monkeypatch.setattr("harmonize.scene.matting.ALONG", side)
    assert all((a == b).all() for a, b in zip(edge(), in_one, strict=True))


def test_the_cut_of_an_enlarged_photo_is_the_enlarged_cut() -> None:
    def larger(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((12 * WIDTH, 12 * HEIGHT)))

    small = cut_out(photo(), box=BOX)
    found = cut_out(larger(photo()), box=[12 * length for length in BOX])
    expected = larger(small)
    assert overlap(found[6::12, 6::12, 3]) > 0.95
    assert np.abs(found[..., 3].astype(int) - expected[..., 3]).mean() < 4
    sure = (found[..., 3] == 255) & (expected[..., 3] == 255)
    assert (found[sure][:, :3] == larger(photo())[sure]).all()


def test_odd_shapes_have_colors_too() -> None:
    for height, width in ((1, 9), (9, 1), (8, 8), (3, 50)):
        alpha = np.full((height, width), 128, np.uint8)
        found = element_colors(strokes(width, height), alpha)
        assert found.shape == (height, width, 3)


def test_nothing_stays_nothing() -> None:
    assert not with_alpha(photo(), TRUE * 0).any()
