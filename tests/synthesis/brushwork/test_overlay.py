from __future__ import annotations

import torch
from torch import Tensor

from harmonize.settings.goals import Matching
from harmonize.synthesis.brushwork.overlay import overlay, rough
from harmonize.synthesis.image_ops.filters import gaussian
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import match_layers, sites
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19


def picture(h: int = 24, w: int = 20, seed: int = 0) -> Tensor:
    noise = torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))
    return gaussian(noise, 1.5).mul(2).sub(0.5).clamp(0, 1)


def test_rough_strokes_of_the_painting_itself_are_the_painting(network: VGG19) -> None:
    painting, tap = picture(64, 80), "relu3_1"
    mask = torch.zeros(64, 80)
    mask[16:40, 24:56] = 1
    settings = Matching(kind="coherent", taps=(tap,), luma=8.0, chroma=8.0)
    where = sites(mask, [tap])
    studied = PaintingFeatures(Raster.of(painting), network, 1024)

    def strokes_of(image: Tensor) -> Tensor:
        features = network(image[None], [tap])
        matched = match_layers(settings, image, features, studied, where, [tap])
        return rough(matched, studied.painting, tap)

    torch.testing.assert_close(strokes_of(painting), painting)
    # Of another picture: the painting's pixels under the mask, its own far from it.
    image = picture(64, 80, seed=1)
    other = strokes_of(image)
    reach = 2 * STRIDE[tap] + 2 * STRIDE[tap]
    far = torch.ones_like(mask, dtype=torch.bool)
    far[16 - reach : 40 + reach, 24 - reach : 56 + reach] = False
    assert torch.equal(other[:, far], image[:, far])
    assert not torch.equal(other, image)


def test_outside_the_mask_nothing_is_laid_over() -> None:
    image, mask = picture(), torch.zeros(24, 20)
    mask[4:12, 4:12] = 1
    found = overlay(image, picture(seed=2), mask, amount=1.0, sigma=2.0)
    assert torch.equal(found[:, mask == 0], image[:, mask == 0])
    assert not torch.equal(found, image)


def test_no_strokes_are_no_strokes() -> None:
    image = picture()
    found = overlay(image, picture(seed=2), torch.ones(24, 20), amount=0.0, sigma=2.0)
    assert torch.equal(found, image)


def test_strokes_leave_the_tones_at_large() -> None:
    image = torch.full((3, 64, 64), 0.5)
    found = overlay(image, picture(64, 64, seed=2), torch.ones(64, 64), amount=1.0, sigma=3.0)
    assert float((gaussian(found, 8.0) - 0.5)[:, 24:40, 24:40].abs().max()) < 0.04
    assert float((found - 0.5).abs().max()) > 0.1
