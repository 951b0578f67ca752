from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.image_ops import filters, tiled_image
from harmonize.synthesis.image_ops.tiled_image import Raster, resample, support, tiles
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching.nearest import patches


def picture(h: int, w: int, seed: int = 0) -> Tensor:
    return torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_parts_go_from_zero_to_one_whatever_the_depth(dtype: type, top: int) -> None:
    values = np.random.default_rng(0).random((9, 7, 3))
    pixels = (values * top).astype(dtype)
    held = Raster(pixels)
    expected = torch.from_numpy(pixels.astype(np.float32) / np.float32(top)).permute(2, 0, 1)
    window = Window(2, 1, 8, 6)
    assert torch.equal(held.crop(window), window.crop(expected))
    places = torch.tensor([0, 62, 30, 30])
    assert torch.equal(held.pick(places), expected.flatten(1)[:, places])
    assert torch.equal(held.sample(), expected.flatten(1))


@pytest.mark.parametrize("size", [1, 3, 6, 7])
def test_patches_are_those_of_the_tensor(size: int) -> None:
    image = picture(9, 7)
    places = torch.arange(63)
    if size % 2:
        assert torch.equal(Raster.of(image).patches(places, size), patches(image, places, size))
    assert Raster.of(image).patches(places, size).shape == (63, 3 * size**2)


@pytest.mark.parametrize("shape", [(17, 23), (50, 65), (100, 100), (33, 130), (160, 20)])
def test_resized_is_resize(shape: tuple[int, int]) -> None:
    image = picture(100, 130)
    expected = filters.resize(image, shape)
    torch.testing.assert_close(Raster.of(image).resized(shape), expected, rtol=0, atol=1e-5)
    at = Raster.of(image).at(shape)
    assert at.shape == shape
    every = Window(0, 0, *shape)
    torch.testing.assert_close(at.crop(every), expected.clamp(0, 1), rtol=0, atol=1e-5)


@given(data=st.data())
def test_a_window_of_the_resized_is_a_crop_of_it(data: st.DataObject) -> None:
    shape, target = (
        (data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))) for _ in range(2)
    )
    top, left = (data.draw(st.integers(0, side - 1)) for side in target)
    bottom = data.draw(st.integers(top + 1, target[0]))
    right = data.draw(st.integers(left + 1, target[1]))
    window, held = Window(top, left, bottom, right), Raster.of(picture(*shape))
    whole = held.resized(target)
    found = held.resized(target, window)
    torch.testing.assert_close(found, window.crop(whole), rtol=0, atol=1e-5)
    there = support(window, shape, target)
    if shape != target:
        again = resample(held.crop(there), there, shape, window, target)
        torch.testing.assert_close(again, found, rtol=0, atol=1e-5)


def test_no_more_than_a_few_pieces_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_image, "AREA", 1 << 12)
    image = picture(300, 400)
    seen: list[int] = []
    crop = Raster.crop

    def watched(self: Raster, window: Window) -> Tensor:
        seen.append(window.area)
        return crop(self, window)

    monkeypatch.setattr(Raster, "crop", watched)
    found = Raster.of(image).resized((60, 80))
    torch.testing.assert_close(found, filters.resize(image, (60, 80)), rtol=0, atol=1e-5)
    assert max(seen) < 4 * (1 << 12) < 300 * 400


@given(h=st.integers(1, 300), w=st.integers(1, 300), side=st.integers(16, 128))
def test_tiles_cover_everything_once(h: int, w: int, side: int) -> None:
    count = np.zeros((h, w), int)
    for tile in tiles((h, w), side):
        tile.crop_pixels(count)[:] += 1
        assert tile.top % 16 == tile.left % 16 == 0
        assert max(tile.shape) < side + 16
    assert (count == 1).all()


def test_bands_share_a_row_and_hold_the_rest_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(50, 20)
    monkeypatch.setattr(tiled_image, "AREA", 20 * 8)
    bands = list(Raster.of(image).bands())
    assert torch.equal(torch.cat([band[:, :8] for band in bands[:-1]] + [bands[-1]], 1), image)
    assert all(band.shape[1] == 9 for band in bands[:-1])
    some = list(Raster.of(image).bands(400))
    assert 0 < sum(band[0].numel() for band in some) <= 600
    assert torch.equal(some[0], bands[0])


def test_a_sample_is_spread_evenly() -> None:
    held = Raster.of(picture(80, 90))
    assert 400 < held.sample(500).shape[1] < 700
    assert torch.equal(held.sample(500)[:, 0], held.pick(torch.tensor([0]))[:, 0])
