from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching import nearest as matching
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19, reach

TAPS = ("relu1_1", "relu2_1", "relu4_1", "relu5_1")
SHAPE = (151, 205)


@pytest.fixture(scope="module")
def plain() -> VGG19:
    """A network that adds plain sums: no rounding from beyond the reach."""
    return VGG19(weights.load_weights("oxford").state, precision=torch.float64)


def picture(h: int = SHAPE[0], w: int = SHAPE[1]) -> Tensor:
    noise = torch.rand(1, 3, h // 8, w // 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, (h, w), mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def whole(network: VGG19) -> PaintingFeatures:
    study = PaintingFeatures(Raster.of(picture()), network, 1024)
    return replace(study, seen=study.look(TAPS))


@pytest.fixture(scope="module")
def tiled(network: VGG19) -> PaintingFeatures:
    study = PaintingFeatures(Raster.of(picture()), network, 96)
    assert not study.single
    return study


@pytest.mark.parametrize("tap", TAPS)
def test_tiled_is_untiled(whole: PaintingFeatures, tiled: PaintingFeatures, tap: str) -> None:
    expected = whole.seen[tap].flatten(1)
    assert whole.grid(tap) == whole.seen[tap].shape[1:]
    places = torch.arange(expected.shape[1])
    for study in (whole, tiled):
        found = study.gather({tap: places})[tap]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


def test_many_taps_at_once_are_each_by_itself(
    whole: PaintingFeatures, tiled: PaintingFeatures
) -> None:
    generator = torch.Generator().manual_seed(1)
    places = {
        tap: torch.randint(whole.seen[tap][0].numel(), (5,), generator=generator) for tap in TAPS
    }
    found = tiled.gather(places)
    for tap, asked in places.items():
        expected = whole.seen[tap].flatten(1)[:, asked]
        torch.testing.assert_close(
            found[tap], expected, rtol=1e-4, atol=1e-4 * float(expected.max())
        )


@pytest.mark.parametrize("tap", ["relu2_1", "relu4_1"])
def test_the_tiles_parts_give_the_field_of_the_whole(
    whole: PaintingFeatures, tiled: PaintingFeatures, tap: str
) -> None:
    query = F.interpolate(whole.seen[tap][None], scale_factor=0.4)[0]
    guide = torch.rand(2, *whole.grid(tap), generator=torch.Generator().manual_seed(2))
    own = F.interpolate(guide[None], scale_factor=0.4)[0]
    positions = torch.arange(query[0].numel())[::7]
    for guides in ((None, None), (own, guide)):
        fields = [
            matching.nearest_places(query, parts, positions, guide=guides[0])
            for parts in (
                [matching.whole_part(whole.seen[tap], guides[1])],
                whole.parts(tap, guide=guides[1]),
                tiled.parts(tap, guide=guides[1]),
            )
        ]
        assert torch.equal(fields[0], fields[1])
        # Where two places are alike, rounding may decide between them.
        assert (fields[0] == fields[2]).float().mean() > 0.99


def test_only_what_is_asked_for_is_looked_at(
    tiled: PaintingFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    areas: list[int] = []
    look = PaintingFeatures._look

    def watched(self: PaintingFeatures, window: Window, taps: object) -> object:
        areas.append(window.area)
        return look(self, window, taps)

    monkeypatch.setattr(PaintingFeatures, "_look", watched)
    tiled.gather({"relu1_1": torch.tensor([100 * SHAPE[1] + 100])})
    assert len(areas) == 1
    assert areas[0] <= 48**2


@pytest.mark.parametrize("tap", [*TAPS, "relu3_4"])
def test_an_activation_sees_as_far_as_its_reach_and_no_farther(plain: VGG19, tap: str) -> None:
    stride, far = STRIDE[tap], reach(tap)
    side = 16 * (-(-(2 * far + stride) // 16) + 2)
    cell = side // 2 // stride
    image = torch.rand(3, side, side, generator=torch.Generator().manual_seed(3))
    before = plain(image[None], [tap])[tap][:, cell, cell]
    kept = Window(*(stride * cell,) * 2, *(stride * (cell + 1),) * 2).grown(far)
    other = torch.zeros_like(image)
    kept.crop(other).copy_(kept.crop(image))
    assert torch.equal(plain(other[None], [tap])[tap][:, cell, cell], before)
    less = kept.grown(-1)
    other = torch.zeros_like(image)
    less.crop(other).copy_(less.crop(image))
    assert not torch.equal(plain(other[None], [tap])[tap][:, cell, cell], before)
