from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import Canvas, Painted, View, scaled
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window


def canvas(h: int = 120, w: int = 150, box: tuple[int, int, int, int] = (40, 50, 80, 90)) -> Canvas:
    generator = np.random.default_rng(0)
    painting = generator.integers(0, 256, (h, w, 3), np.uint8)
    loose = np.zeros((h, w), np.uint8)
    window = Window(*box)
    window.crop_pixels(loose)[:] = 1
    composite = painting.copy()
    window.crop_pixels(composite)[:] = generator.integers(0, 256, (*window.shape, 3), np.uint8)
    return Canvas(Raster(painting), Raster(composite), loose, Raster(255 * loose[..., None]))


@pytest.mark.parametrize("shape", [(120, 150), (60, 75), (47, 58), (240, 300)])
@pytest.mark.parametrize("margin", [None, 0, 10])
def test_a_view_is_a_window_of_the_resized_canvas(
    shape: tuple[int, int], margin: int | None
) -> None:
    whole = canvas()
    view = whole.view(shape, margin)
    every = Window(0, 0, 120, 150)
    assert view.shape == shape
    for part, full in ((view.frame, whole.painting), (view.composite, whole.composite)):
        expected = filters.resize(full.crop(every), shape).clamp(0, 1)
        torch.testing.assert_close(part, view.window.crop(expected), rtol=0, atol=1e-5)
    if margin is None:
        assert view.window == Window(0, 0, *shape)
    assert view.loose.sum() > 0
    # Nothing changes outside the mask: all that differs is under it, but for the resizing's blur.
    scale = shape[0] / 120
    assert float(view.loose.mean()) * view.window.area == pytest.approx(
        1600 * scale**2, rel=0.15 if scale < 1 else 0.01
    )


@given(data=st.data())
def test_every_island_is_at_work_at_every_scale(data: st.DataObject) -> None:
    h, w = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    places = data.draw(st.lists(st.integers(0, h * w - 1), min_size=1, max_size=4))
    shape = (data.draw(st.integers(16, 60)), data.draw(st.integers(16, 60)))
    loose = np.zeros((h, w), np.uint8)
    loose.flat[places] = 1
    plain = Raster(np.zeros((h, w, 3), np.uint8))
    view = Canvas(plain, plain, loose, Raster(255 * loose[..., None])).view(shape, 4)
    whole = torch.zeros(shape)
    view.window.crop(whole).copy_(view.loose)
    for place in places:
        y = int((place // w + 0.5) * shape[0] / h)
        x = int((place % w + 0.5) * shape[1] / w)
        assert whole[y, x] == 1


def test_the_picture_so_far_is_the_painting_outside_the_mask() -> None:
    view = canvas().view((60, 75), 8)
    painted = Painted.on(view, torch.rand(3, *view.window.shape))
    outside = view.loose == 0
    assert torch.equal(painted.image[:, outside], view.frame[:, outside])
    assert not torch.equal(painted.image, view.frame)


@pytest.mark.parametrize("shape", [(60, 75), (120, 150), (50, 60)])
@pytest.mark.parametrize("margin", [0, 8, 30, None])
def test_another_view_sees_the_whole_picture_resized(
    shape: tuple[int, int], margin: int | None
) -> None:
    whole = canvas()
    view = whole.view((60, 75), 8)
    painted = Painted.on(view, torch.rand(3, *view.window.shape))
    other: View = whole.view(shape, margin)
    everything = view.painting.crop(Window(0, 0, 60, 75))
    view.window.crop(everything).copy_(painted.image)
    expected = other.window.crop(filters.resize(everything, shape).clamp(0, 1))
    torch.testing.assert_close(painted.seen(other), expected, rtol=0, atol=1e-5)


def test_the_shortest_side_at_work_is_enough_for_the_network() -> None:
    assert scaled((1, 1), 1.0) == (16, 16)
    assert scaled((700, 3), 0.5) == (350, 16)
    assert scaled((700, 537), 0.5) == (350, 268)
