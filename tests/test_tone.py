from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmonize import tone
from harmonize.filters import chroma_span, gaussian, limit_chroma, to_opponent


def picture(h: int = 24, w: int = 20, seed: int = 0) -> Tensor:
    noise = torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))
    return gaussian(noise, 1.5).mul(2).sub(0.5).clamp(0, 1)


def gray(image: Tensor) -> Tensor:
    return image.mean(0, keepdim=True).expand(3, -1, -1).contiguous()


def test_nearest_colors_are_the_loop_over_the_palette() -> None:
    colors, palette = torch.rand(3, 7), torch.rand(3, 50)
    found = tone.nearest_colors(colors, palette, 0.1)
    weight = torch.tensor([tone.LUMA, 1.0, 1.0])
    for i in range(7):
        distance = [float(((colors[:, i] - p) * weight).square().sum()) for p in palette.T]
        order = sorted(range(50), key=lambda k: distance[k])[:5]
        shares = [1 - distance[k] / distance[order[-1]] + 1e-3 for k in order]
        mean = sum(s * palette[:, k] for s, k in zip(shares, order, strict=True)) / sum(shares)
        assert torch.allclose(found[:, i], mean, atol=1e-4)


def test_a_color_that_the_painting_uses_stays() -> None:
    palette = torch.cat((torch.full((3, 20), 0.2), torch.full((3, 20), 0.9)), dim=1)
    colors = torch.tensor([[0.2, 0.9], [0.2, 0.9], [0.2, 0.9]])
    assert torch.allclose(tone.nearest_colors(colors, palette, 0.1), colors, atol=1e-5)


def test_a_color_that_the_painting_lacks_becomes_the_nearest() -> None:
    palette = torch.cat((torch.full((3, 20), 0.2), torch.full((3, 20), 0.9)), dim=1)
    found = tone.nearest_colors(torch.full((3, 1), 0.3), palette, 0.1)
    assert torch.allclose(found, torch.full((3, 1), 0.2), atol=1e-5)


def test_the_palette_is_the_seeds() -> None:
    painting = picture(80, 90)
    assert torch.equal(tone.palette(painting, 3), tone.palette(painting, 3))
    assert not torch.equal(tone.palette(painting, 3), tone.palette(painting, 4))


def test_outside_the_mask_nothing_is_toned_or_stroked() -> None:
    image, mask = picture(), torch.zeros(24, 20)
    mask[4:12, 4:12] = 1
    toned = tone.toned(image, mask, tone.palette(picture(seed=1)), share=0.1)
    stroked = tone.stroked(image, picture(seed=2), mask, amount=1.0, sigma=2.0)
    for changed in (toned, stroked):
        assert torch.equal(changed[:, mask == 0], image[:, mask == 0])
        assert not torch.equal(changed, image)


def test_no_strokes_are_no_strokes() -> None:
    image = picture()
    found = tone.stroked(image, picture(seed=2), torch.ones(24, 20), amount=0.0, sigma=2.0)
    assert torch.equal(found, image)


def test_strokes_leave_the_tones_at_large() -> None:
    image = torch.full((3, 64, 64), 0.5)
    strokes = picture(64, 64, seed=2)
    found = tone.stroked(image, strokes, torch.ones(64, 64), amount=1.0, sigma=3.0)
    assert float((gaussian(found, 8.0) - 0.5)[:, 24:40, 24:40].abs().max()) < 0.04
    assert float((found - 0.5).abs().max()) > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_beside_a_gray_painting_no_color_is_left(seed: int) -> None:
    span = chroma_span(gray(picture(seed=seed + 5)))
    found = limit_chroma(picture(seed=seed), span)
    assert float(to_opponent(found)[1:].abs().max()) < 1e-5


def test_a_painting_keeps_nearly_all_of_its_own_hues() -> None:
    image = picture(60, 60)
    kept = (limit_chroma(image, chroma_span(image)) - image).abs().amax(0) < 1e-5
    assert float(kept.float().mean()) > 0.99
