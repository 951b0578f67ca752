from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import drawn_on_brushwork, shallow
from torch import Tensor

from harmonize.settings.goals import PaletteGoal, SynthesisGoal
from harmonize.settings.load import Settings, load
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import Canvas
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.painter import Painter
from harmonize.synthesis.start import (
    Start,
    bring_back_contour,
    bring_back_light,
    bring_back_outlines,
    soft_mask,
)


def goal() -> PaletteGoal:
    found = resolve_settings(Settings.preset(), 1.0).palette
    assert found is not None
    return found


def blots(h: int = 96, w: int = 120, seed: int = 0) -> Tensor:
    noise = torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 6 * (filters.gaussian(noise, 6.0) - 0.5)).clamp(0, 1)


def canvas() -> Canvas:
    painting = (255 * blots(64, 80)).byte().permute(1, 2, 0).numpy()
    tight = np.zeros((64, 80), np.uint8)
    tight[20:44, 24:56] = 255
    loose = np.zeros_like(tight)
    loose[16:48, 20:60] = 255
    composite = painting.copy()
    composite[tight > 0] = (200, 60, 40)
    return Canvas(Raster(painting), Raster(composite), loose, Raster(tight[..., None]))


def paint(network: VGG19, level: float, fine: float, *more: str) -> Tensor:
    passes = Settings.preset().passes
    steps = [f"passes.{name}.steps=2" for name in passes]
    steps += [setting for name in passes for setting in shallow(name)]
    steps += ["underpainting.fine=[0.3, 0.4]", "underpainting.steps=[1, 1]"]
    steps += ["palette.field.taps=[relu2_1]"]
    resolved = resolve_settings(load("default", [*steps, *more]), level, fine)
    painter = Painter(resolved, network, recall=lambda key, make: make())
    whole = canvas()
    painted, _, _ = painter.paint(whole, whole.view((64, 80), 16))
    return painted.image


def test_between_the_two_limits_one_turns_into_the_other(network: VGG19) -> None:
    asked = load("default", ["underpainting.fine=[0.3, 0.4]"])
    leads = [resolve_settings(asked, 1.0, fine).lead for fine in (0.0, 0.3, 0.325, 0.35, 0.4, 0.9)]
    assert leads == pytest.approx([1, 1, 0.75, 0.5, 0, 0])
    pictures = {fine: paint(network, 1.0, fine) for fine in (0.2, 0.3001, 0.35, 0.3999, 0.5)}

    def apart(one: float, other: float) -> float:
        return float((pictures[one] - pictures[other]).abs().mean())

    whole = apart(0.2, 0.5)
    assert whole > 0.005
    assert apart(0.2, 0.3001) < 0.35 * whole
    assert apart(0.3999, 0.5) < 0.35 * whole
    assert apart(0.2, 0.35) < 1.2 * whole and apart(0.35, 0.5) < 1.2 * whole


def test_from_smooth_to_bold_one_turns_into_the_other(network: VGG19) -> None:
    levels = sorted(load("default").underpainting.lead)  # type: ignore[union-attr, arg-type]
    least, most = levels[-2:]
    leads = [
        resolve_settings(load("default"), level).lead
        for level in (1.0, least, (least + most) / 2, most, 10.0)
    ]
    assert leads == pytest.approx([1, 1, 0.5, 0, 0])
    pictures = [paint(network, level, 0.0) for level in (least, least + 1e-3, most - 1e-3, most)]
    first, last, whole = (
        float((pictures[a] - pictures[b]).abs().mean()) for a, b in ((0, 1), (2, 3), (0, 3))
    )
    # A pass has whole steps, so there is one: of about a gray level in the mean.
    assert max(first, last) < 1.25 / 255 < whole / 2


def test_the_composites_passes_are_left_out_where_the_underpainting_leads() -> None:
    config = load("default", ["underpainting.fine=[0.3, 0.4]"])

    def names(level: float, fine: float) -> list[str]:
        return [name for name, _ in resolve_settings(config, level, fine).steps]

    assert names(1.0, 0.1) == ["refine"]
    assert names(1.0, 0.35) == ["coarse", "strokes", "refine"]
    assert names(1.0, 0.5) == names(5.0, 0.1) == ["coarse", "strokes"]
    engraved = resolve_settings(config, 5.0, 0.5)
    assert engraved.underpainting is None and engraved.lead == engraved.broad == 0


def test_strokes_before_the_underpainting_fade_as_it_leads() -> None:
    config = load("default", ["underpainting.fine=[0.3, 0.4]"])

    def shares(fine: float) -> list[float]:
        passes = resolve_settings(config, 1.0, fine).passes
        laid = [item.strokes for item in passes if item.strokes]
        return [share for item in laid for share in (item.amount, item.underpainting)]

    assert shares(0.1) == []
    assert shares(0.35) == pytest.approx([share / 2 for share in shares(0.5)])


def test_strokes_of_the_underpainting_are_laid_over_the_composites_passes(
    network: VGG19,
) -> None:
    still = [f"passes.{name}.rate=1e-9" for name in ("coarse", "strokes")]
    still += [
        "palette.light=0",
        "palette.shade=0",
        "palette.hue=0",
        "passes.strokes.strokes.amount=0",
    ]
    once, without, twice = (
        paint(network, 5.0, 0.0, *still, f"passes.strokes.strokes.underpainting={share}")
        for share in (0.2, 0, 0.4)
    )
    assert float((once - without).abs().max()) > 0.01
    inside = (twice - without).abs() < 0.2  # nothing of it is clipped
    torch.testing.assert_close(
        (twice - without)[inside], 2 * (once - without)[inside], rtol=0, atol=0.02
    )


def test_a_seed_makes_another_picture_and_the_same_one_again(network: VGG19) -> None:
    for level in (1.0, 5.0):
        one, again, other = (paint(network, level, 0.0, f"seed={seed}") for seed in (3, 3, 0))
        assert torch.equal(one, again)
        assert float((one - other).abs().max()) > 0.01


# --- light that comes back ------------------------------------------------------------------------


def start(mapped: Tensor, own: float = 1.0, image: Tensor | None = None) -> Start:
    mask = torch.zeros(1, *mapped.shape[1:])
    mask[:, 20:70, 30:90] = 1
    image = mapped if image is None else image
    return Start(mapped, mapped, mapped, image, mask, torch.full_like(mask, own))


def test_what_equals_the_map_stays() -> None:
    image = filters.from_lab(filters.to_lab(blots()))
    found = bring_back_light(image, start(image), goal())
    torch.testing.assert_close(found, image, rtol=0, atol=2e-3)


def test_light_that_was_lost_comes_back_inside_only() -> None:
    image = 0.2 + 0.5 * blots()
    mapped = (image + 0.15).clamp(0, 1)
    begun = start(mapped)
    found = bring_back_light(image, begun, goal())
    outside = begun.mask[0] == 0
    torch.testing.assert_close(found[:, outside], image[:, outside], rtol=0, atol=2e-3)
    middle = (slice(None), slice(40, 50), slice(50, 70))
    before, after = ((mapped - x)[middle].mean() for x in (image, found))
    assert float(after) < 0.6 * float(before)
    asked = replace(goal(), light=0.0, shade=1.0, hue=0.0)
    torch.testing.assert_close(bring_back_light(image, begun, asked), image, rtol=0, atol=2e-3)


def test_shade_that_was_lost_comes_back_by_its_own_share() -> None:
    image = 0.3 + 0.5 * blots()
    begun = start(image - 0.15)
    middle = (slice(0, 1), slice(40, 50), slice(50, 70))
    lost, back = [], []
    for share in (0.0, 0.5, 1.0):
        asked = replace(goal(), light=1.0, shade=share, hue=0.0)
        found = bring_back_light(image, begun, asked)
        back.append(float((filters.to_lab(found) - filters.to_lab(image))[middle].mean()))
        lost.append(float((filters.to_lab(begun.mapped) - filters.to_lab(image))[middle].mean()))
    assert back == pytest.approx([0.0, lost[1] / 2, lost[2]], abs=0.3)


def test_a_stain_goes_and_the_variety_of_strokes_stays() -> None:
    gray = torch.full((3, 96, 120), 0.5)
    red = gray + torch.tensor([0.2, -0.08, -0.08]).view(3, 1, 1)
    stripes = (torch.arange(120) // 15 % 2 * 0.1 - 0.05).expand(96, 120)
    painted = gray + torch.stack((stripes, -stripes / 2, -stripes / 2))
    middle = (slice(1, None), slice(35, 55), slice(45, 75))
    hue = filters.to_lab(red)[middle].mean((1, 2))
    variety = []
    for own in (0.0, 1.0):
        begun = start(red, own, painted)
        found = filters.to_lab(bring_back_light(gray, begun, goal()))[middle]
        # Nothing of the map's hue was in the patches.
        assert float((found.mean((1, 2)) - hue).norm()) < 0.35 * float(hue.norm())
        variety.append(float(found[0].std()))
    assert variety[0] > 1.2 * variety[1]


# --- the contour ----------------------------------------------------------------------------------


def test_a_contour_that_passes_blurred_is_told_apart_again() -> None:
    frame = torch.full((3, 96, 120), 0.6)
    begun = start(torch.where(start(frame).mask > 0, 0.2, frame))
    worn = torch.where(begun.mask > 0, 0.57, frame)
    found = bring_back_contour(worn, frame, begun, goal())
    outside, rim = begun.mask[0] == 0, (slice(None), slice(40, 50), slice(30, 33))
    torch.testing.assert_close(found[:, outside], worn[:, outside], rtol=0, atol=2e-3)
    assert float((worn - found)[rim].min()) > 0.04
    kept = bring_back_contour(worn, frame, begun, replace(goal(), silhouette=0.0))
    torch.testing.assert_close(kept, worn, rtol=0, atol=2e-3)


# --- drawing --------------------------------------------------------------------------------------


def drawing_by(amount: float) -> SynthesisGoal:
    found = resolve_settings(Settings.preset(), 5.0).underpainting
    assert found is not None
    return replace(found, drawing=amount)


def test_outlines_that_passes_took_come_back_inside_only() -> None:
    drawing, painting = drawn_on_brushwork()
    mapped = filters.from_lab(drawing)
    begun, worn = start(mapped), filters.from_lab(0 * drawing + 50)
    line = (slice(None), slice(48, 50), slice(40, 80))
    before, half, whole = (
        (bring_back_outlines(worn, begun, filters.from_lab(painting), drawing_by(amount)) - mapped)[
            line
        ]
        .abs()
        .mean()
        for amount in (0.0, 0.5, 1.0)
    )
    assert float(whole) < float(half) < float(before)
    found = bring_back_outlines(worn, begun, filters.from_lab(painting), drawing_by(1.0))
    outside = begun.mask[0] == 0
    torch.testing.assert_close(found[:, outside], worn[:, outside], rtol=0, atol=2e-3)


# --- the soft edge --------------------------------------------------------------------------------


def test_an_edge_is_softened_and_thin_parts_stay() -> None:
    tight = torch.zeros(60, 80)
    tight[10:50, 10:40] = 1
    tight[29:31, 40:75] = 1
    found = soft_mask(tight, 1.5)
    torch.testing.assert_close(
        found[0, 10:50, 12:30], filters.gaussian(tight[None], 1.5)[0, 10:50, 12:30]
    )
    assert 0.3 < float(found[0, 30, 10]) < 0.7
    assert torch.equal(found[0, :, 60:], tight[:, 60:])
    assert torch.equal(soft_mask(tight, 0.0)[0], tight)
