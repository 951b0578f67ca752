from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harmonize.settings.goals import PaletteGoal
from harmonize.settings.load import Settings
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match, Site
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.palette.reference import SAMPLED_PIXELS, match_element, reference_of

TAP, STRIDE = "relu4_1", 8


def goal() -> PaletteGoal:
    found = resolve_settings(Settings.preset(), 5.0).palette
    assert found is not None
    return found


def picture(h: int = 48, w: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))


def matched(painting: Tensor, field: Tensor, likeness: float) -> Match:
    """A picture matched by `field`, its features `likeness` alike."""
    cells = (painting.shape[1] // STRIDE, painting.shape[2] // STRIDE)
    count = cells[0] * cells[1]
    places, uses = torch.unique(field, return_inverse=True)
    references = torch.zeros(2, len(places))
    references[0] = 1
    features = torch.tensor([likeness, (1 - likeness**2) ** 0.5]).view(2, 1, 1).expand(2, *cells)
    site = Site(torch.arange(count), torch.ones(count), cells)
    image = torch.full_like(painting, 0.5)
    return Match(image, {TAP: features}, {TAP: site}, {TAP: field}, {TAP: references}, {TAP: uses})


def test_the_matched_colors_are_all_pixels_of_the_places() -> None:
    painting = picture()
    field = torch.randint(48, (48,), generator=torch.Generator().manual_seed(1))
    # The network is not asked: the match is made already.
    features = PaintingFeatures(Raster.of(painting), None, 1024)  # type: ignore[arg-type]
    found = reference_of(matched(painting, field, 0.9), features, goal())
    lab = filters.to_lab(painting)
    expected = torch.cat(
        [
            lab[:, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8].flatten(1)
            for y, x in ((int(place) // 8, int(place) % 8) for place in field)
        ],
        1,
    )
    assert found.matched.shape == expected.shape
    for channel in range(3):
        one, other = found.matched[channel].sort().values, expected[channel].sort().values
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_places_laid_where_they_are_matched_show_the_painting_again() -> None:
    painting = filters.gaussian(picture(), 3.0)
    features = PaintingFeatures(Raster.of(painting), None, 1024)  # type: ignore[arg-type]
    found = reference_of(matched(painting, torch.arange(48), 0.9), features, goal())
    torch.testing.assert_close(found.near, filters.to_lab(painting), rtol=0, atol=0.1)


def test_a_match_is_sure_where_features_are_alike() -> None:
    painting = picture()
    features = PaintingFeatures(Raster.of(painting), None, 1024)  # type: ignore[arg-type]
    chosen = replace(goal(), sure=0.7)
    sure = [
        reference_of(matched(painting, torch.arange(48), x), features, chosen).sure
        for x in (0.4, 0.7, 0.95)
    ]
    assert float(sure[0].max()) < 0.01
    torch.testing.assert_close(sure[1], torch.full_like(sure[1], 0.5), rtol=0, atol=1e-2)
    assert float(sure[2].min()) > 0.99


def test_the_sample_is_of_the_whole_painting_and_not_too_large() -> None:
    painting = picture(160, 200)
    features = PaintingFeatures(Raster.of(painting), None, 1024)  # type: ignore[arg-type]
    match = matched(painting, torch.arange(20 * 25), 0.9)
    sample = reference_of(match, features, goal()).sample
    assert SAMPLED_PIXELS / 3 < sample.shape[1] <= SAMPLED_PIXELS
    whole = filters.to_lab(painting).flatten(1)
    torch.testing.assert_close(sample.mean(1), whole.mean(1), rtol=0, atol=2.0)


def test_the_painting_pasted_on_itself_is_matched_to_itself(network: VGG19) -> None:
    painting = filters.gaussian(picture(64, 96), 2.0)
    features = PaintingFeatures(Raster.of(painting), network, 1024)
    mask = torch.zeros(64, 96)
    mask[16:48, 24:72] = 1
    match = match_element(painting, mask, features, goal())
    assert torch.equal(match.fields[TAP], match.where[TAP].positions)
    assert float(reference_of(match, features, goal()).sure[:, 24:40, 32:64].min()) > 0.8
