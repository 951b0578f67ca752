from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis import postprocess
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import View
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window


def picture(h: int = 40, w: int = 48, seed: int = 0) -> Tensor:
    return torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))


def test_hue_that_changed_at_large_comes_back_and_that_of_single_pixels_stays() -> None:
    gray = torch.full((3, 60, 60), 50.0) * torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    before = filters.from_lab(gray)
    checks = (torch.arange(60)[:, None] + torch.arange(60)) % 2 * 2.0 - 1
    moved = gray + torch.stack((5 * torch.ones(60, 60), 12 + 3 * checks, 10 + 3 * checks))
    found = filters.to_lab(postprocess.keep_hue(filters.from_lab(moved), before, sigma=4.0))
    torch.testing.assert_close(found[0], moved[0], rtol=0, atol=0.5)
    torch.testing.assert_close(found[1:], 3 * checks.expand(2, 60, 60), rtol=0, atol=1)
    assert postprocess.keep_hue(before, picture(60, 60), sigma=0.0) is before


def test_patches_of_the_painting_find_themselves() -> None:
    painting = picture()
    mask = torch.zeros(40, 48)
    mask[8:30, 8:40] = 1
    positions, field = postprocess.patch_field(
        painting, Raster.of(painting), mask, size=5, stride=3
    )
    assert len(positions) > 20
    assert torch.equal(positions, field)


def test_patches_may_be_as_large_as_the_painting() -> None:
    painting = picture(9, 20)
    positions, field = postprocess.patch_field(
        painting, Raster.of(painting), torch.ones(9, 20), size=31, stride=4
    )
    assert len(field) == len(positions) > 0
    assert 0 <= int(field.min()) <= int(field.max()) < 180


def test_voting_the_painting_for_itself_gives_it_back_softly() -> None:
    painting = filters.gaussian(picture(), 1.0)
    mask = torch.zeros(40, 48)
    mask[8:30, 8:40] = 1
    found = postprocess.patch_vote(painting, Raster.of(painting), mask, size=5, stride=1)
    # base + (luma − its Gaussian), where the base is the image itself.
    luma = painting.mean(0, keepdim=True)
    expected = (painting + luma - filters.gaussian(luma, 1.0, 7)).clamp(0, 1)
    assert torch.allclose(found[:, 12:26, 12:36], expected[:, 12:26, 12:36], atol=1e-4)
    assert torch.equal(found[:, :2], painting[:, :2])


def test_voting_takes_the_pictures_own_color_speckle() -> None:
    painting = torch.full((3, 40, 48), 0.5)
    opponent = filters.to_opponent(painting + 0.2 * (picture() - 0.5))
    opponent[0] = filters.to_opponent(painting)[0]
    speckled = filters.from_opponent(opponent)
    found = postprocess.patch_vote(speckled, Raster.of(painting), torch.ones(40, 48), size=5)
    assert float((speckled - painting).abs().max()) > 0.05
    assert float((found - painting).abs().max()) < 1e-5


def test_cleaning_chroma_keeps_lightness() -> None:
    image = filters.gaussian(picture(), 2.0)
    found = postprocess.clean_chroma(image, image, radius=2, eps=0.01)
    assert torch.allclose(filters.to_lab(found)[0], filters.to_lab(image)[0], atol=0.5)


def test_cleaning_chroma_takes_speckle() -> None:
    speckle = 0.5 + 0.2 * (picture() - 0.5)
    found = postprocess.clean_chroma(speckle, torch.full_like(speckle, 0.5), radius=2, eps=0.01)
    before, after = (filters.to_lab(image)[1:].var() for image in (speckle, found))
    assert after < 0.2 * before


def halved(seed: int = 0, mask: Tensor | None = None) -> tuple[Tensor, View]:
    """A painting, and a view of all of it at half the size."""
    original = filters.gaussian(picture(64, 80, seed), 0.7)
    small = filters.resize(original, (32, 40)).clamp(0, 1)
    mask = torch.ones(32, 40) if mask is None else mask
    return original, View(Raster.of(small), Window(0, 0, 32, 40), small, small, mask, mask)


def enlarge(view: View, original: Tensor, window: Window, amount: float = 1.0) -> Tensor:
    return postprocess.enlarge(view.frame, view, Raster.of(original), window, amount=amount)


def test_the_paintings_own_detail_comes_back() -> None:
    original, view = halved()
    errors = []
    for amount in (0.0, 1.0):
        found = enlarge(view, original, Window(0, 0, 64, 80), amount)
        assert found.shape == original.shape
        errors.append(float((found - original)[:, 8:-8, 8:-8].square().mean()))
    assert errors[1] < 0.5 * errors[0]


def test_no_detail_is_added_outside_the_mask() -> None:
    mask = torch.zeros(32, 40)
    mask[8:16, 8:16] = 1
    original, view = halved(1, mask)
    plain, full = (enlarge(view, original, Window(0, 0, 64, 80), a) for a in (0.0, 1.0))
    assert torch.equal(plain[:, 40:], full[:, 40:])
    assert not torch.equal(plain, full)


def test_a_window_is_a_crop() -> None:
    original, view = halved(2)
    whole = enlarge(view, original, Window(0, 0, 64, 80))
    part = enlarge(view, original, Window(16, 20, 48, 60))
    assert torch.allclose(part, whole[:, 16:48, 20:60], atol=1e-6)
