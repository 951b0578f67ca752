from __future__ import annotations

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.image_ops import windows
from harmonize.synthesis.image_ops.windows import ALIGN, Window, paste_mask


def box(h: int, w: int, top: int, left: int, bottom: int, right: int) -> Tensor:
    mask = torch.zeros(h, w)
    mask[top:bottom, left:right] = 1
    return mask


def around(mask: Tensor, margin: int) -> Window:
    return windows.box(mask.numpy()).grown(margin).aligned(ALIGN, mask.shape)


@given(data=st.data(), margin=st.integers(0, 40))
def test_a_window_holds_the_mask_and_its_margin_and_little_more(
    data: st.DataObject, margin: int
) -> None:
    sides = []
    for _ in range(2):
        limit = data.draw(st.integers(1, 120))
        first = data.draw(st.integers(0, limit - 1))
        sides.append((limit, first, data.draw(st.integers(first + 1, limit))))
    (h, top, bottom), (w, left, right) = sides
    found = around(box(h, w, top, left, bottom, right), margin)
    for limit, first, last, low, high in (
        (h, top, bottom, found.top, found.bottom),
        (w, left, right, found.left, found.right),
    ):
        wanted_low, wanted_high = max(first - margin, 0), min(last + margin, limit)
        assert 0 <= low <= wanted_low
        assert wanted_high <= high <= limit
        assert low % ALIGN == 0
        assert high % ALIGN == 0 or high == limit
        assert wanted_low - low < ALIGN
        assert high - wanted_high < ALIGN


def test_faint_parts_of_a_mask_count() -> None:
    mask = box(64, 64, 30, 30, 34, 34)
    mask[2, 60] = 1e-3
    found = around(mask, 0)
    assert found.top <= 2
    assert found.right >= 61


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        around(torch.zeros(32, 32), 8)


def test_a_crop_is_a_view_of_what_is_inside() -> None:
    image, window = torch.rand(3, 20, 30), Window(4, 7, 12, 25)
    assert torch.equal(window.crop(image), image[:, 4:12, 7:25])
    assert torch.equal(window.crop(image[0]), image[0, 4:12, 7:25])
    window.crop(image).zero_()
    assert (image[:, 4:12, 7:25] == 0).all()


# --- masks ----------------------------------------------------------------------------------------


def kernel(size: int, sigma: float) -> list[float]:
    half = size // 2
    values = [exp(-(d**2) / (2 * sigma**2)) for d in range(-half, half + 1)]
    return [value / sum(values) for value in values]


def test_the_paste_mask_is_full_inside_and_twice_the_blur_outside() -> None:
    tight = box(60, 70, 20, 20, 40, 50)
    found = paste_mask(tight, torch.ones_like(tight), 3.0)
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6
    taps = kernel(7, 3.0)
    middle = [float(value) for value in found[30, 14:26]]
    blurred = [sum(t for d, t in enumerate(taps, -3) if x + d >= 20) for x in range(14, 26)]
    expected = [1.0 if x >= 20 else min(2 * b, 1.0) for x, b in enumerate(blurred, 14)]
    assert middle == pytest.approx(expected, abs=1e-5)
    narrow = torch.zeros_like(tight)
    narrow[25:35, 25:45] = 1
    assert (paste_mask(tight, narrow, 3.0)[narrow == 0] == 0).all()


def test_without_a_blur_the_paste_mask_is_the_tight_one() -> None:
    tight = box(60, 70, 20, 20, 40, 50)
    for sigma in (0.0, 1e-300):
        assert torch.equal(paste_mask(tight, torch.ones_like(tight), sigma), tight)
