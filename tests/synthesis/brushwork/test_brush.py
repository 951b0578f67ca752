from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harmonize.settings.load import Settings
from harmonize.settings.resolve import BrushGoal, resolve_settings
from harmonize.synthesis.brushwork.brush import brushed, dotted_again
from harmonize.synthesis.image_ops import filters

GOAL = BrushGoal(planes=1.0, radius=2.0, strokes=1.0, seed=0)


def scene() -> tuple[Tensor, Tensor, Tensor]:
    """A lively painting, a gray square with one dark line pasted into it, its mask."""
    noise = torch.randn(1, 72, 90, generator=torch.Generator().manual_seed(0))
    painting = (0.5 + 0.3 * filters.gaussian(noise, 1.0)).clamp(0, 1).expand(3, 72, 90).contiguous()
    mask = torch.zeros(1, 72, 90)
    mask[:, 16:56, 20:70] = 1
    pasted = torch.where(mask > 0, 0.6, painting)
    pasted[:, 48:50, 25:65] = 0.05
    return painting, pasted, mask


def fine(image: Tensor) -> Tensor:
    luma = filters.to_lab(image)[:1]
    return (luma - filters.gaussian(luma, 4.0))[:, 20:33, 26:64].std()


def test_a_flat_thing_is_brushed_and_nothing_else() -> None:
    painting, pasted, mask = scene()
    found = brushed(pasted, painting, painting, mask, GOAL)
    outside = mask[0] == 0
    torch.testing.assert_close(found[:, outside], pasted[:, outside], rtol=0, atol=2e-3)
    assert float(fine(found)) > 2 * float(fine(pasted))
    assert float(found.min()) >= 0 and float(found.max()) <= 1


def test_what_is_drawn_stays_drawn() -> None:
    painting, pasted, mask = scene()
    found = brushed(pasted, painting, painting, mask, replace(GOAL, strokes=0.0))
    assert float(found[:, 48:50, 30:60].mean()) < 0.2


def test_both_shares_at_zero_leave_the_picture() -> None:
    painting, pasted, mask = scene()
    found = brushed(pasted, painting, painting, mask, replace(GOAL, planes=0.0, strokes=0.0))
    torch.testing.assert_close(found, pasted, rtol=0, atol=2e-3)


def test_smooth_paintings_and_hatching_are_not_brushed_and_keep_weakens_it() -> None:
    settings = Settings.preset()
    assert resolve_settings(settings, 1.0).brushwork is None
    assert resolve_settings(settings, 5.0, fine=0.9).brushwork is None
    assert resolve_settings(Settings.preset("paper"), 5.0).brushwork is None
    whole = resolve_settings(settings, 5.0).brushwork
    half = resolve_settings(settings.model_copy(update={"keep": 2.0}), 5.0).brushwork
    assert whole is not None and half is not None
    assert half.strokes == whole.strokes / 2 and half.planes == whole.planes / 2


def test_dots_are_laid_on_the_element_of_a_dotted_painting() -> None:
    _, pasted, mask = scene()
    noise = torch.rand(pasted.shape, generator=torch.Generator().manual_seed(1))
    painting = noise.mean(0, keepdim=True).expand_as(pasted)
    found = dotted_again(pasted, painting, mask, GOAL)
    outside = mask[0] == 0
    torch.testing.assert_close(found[:, outside], pasted[:, outside], rtol=0, atol=2e-3)
    assert float(fine(found)) > 2 * float(fine(pasted))
