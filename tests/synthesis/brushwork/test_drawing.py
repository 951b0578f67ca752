from __future__ import annotations

import torch
from conftest import drawn_on_brushwork
from torch import Tensor

from harmonize.settings.load import Settings
from harmonize.synthesis.brushwork.drawing import fine_share, outlined, outlines, without_texture
from harmonize.synthesis.image_ops import filters


def blots(h: int = 96, w: int = 120, seed: int = 0) -> Tensor:
    noise = torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 6 * (filters.gaussian(noise, 6.0) - 0.5)).clamp(0, 1)


def hatching(h: int = 96, w: int = 120) -> Tensor:
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    lines = ((x + y) % 4 < 2) & (blots(h, w)[0] < 0.5)
    return torch.where(lines, 0.1, 0.9).expand(3, h, w).contiguous()


def test_hatching_is_fine_and_soft_blots_are_not() -> None:
    low, high = Settings.preset().underpainting.fine  # type: ignore[union-attr]
    assert fine_share(hatching()) > high
    assert fine_share(blots()) < low
    assert 0 <= fine_share(torch.full((3, 20, 20), 0.5)) <= 1


def test_impasto_of_broad_hues_is_not_hatching() -> None:
    lab = filters.to_lab(hatching())
    lab[1:] = 200 * (
        filters.gaussian(
            torch.rand(2, 96, 120, generator=torch.Generator().manual_seed(2)) - 0.5, 8.0
        )
        * 8
    ).clamp(-0.3, 0.3)
    colored = filters.from_lab(lab).clamp(0, 1)
    assert fine_share(colored) < fine_share(hatching()) - 0.1


def test_fine_share_grows_with_grain() -> None:
    noise = torch.rand(3, 96, 120, generator=torch.Generator().manual_seed(1)) - 0.5
    shares = [fine_share((blots() + amount * noise).clamp(0, 1)) for amount in (0, 0.2, 0.5, 1)]
    assert shares == sorted(shares)


def test_weak_texture_is_not_to_be_kept_and_outlines_are() -> None:
    mapped, painting = drawn_on_brushwork()
    mask = torch.ones(1, 96, 120)
    drawn = without_texture(mapped, painting, mask)
    assert float(drawn[0, 48:50].mean()) < 12
    before, after = ((x[:1] - filters.gaussian(x[:1], 2.0))[:, :40].std() for x in (mapped, drawn))
    assert float(after) < 0.4 * float(before)
    torch.testing.assert_close(without_texture(mapped, painting, 0 * mask), mapped)


def test_a_lattice_is_texture_and_one_line_is_an_outline() -> None:
    mapped, painting = drawn_on_brushwork()
    lattice = mapped[:1].clone()
    lattice[:, ::6], lattice[:, :, ::6] = 5, 5
    line, bars = (outlines(luma, painting[:1]) for luma in (mapped[:1], lattice))
    assert float(line[0, 48:50, 30:90].mean()) > 0.8
    assert float(bars[0, 30:66:6, 30:90].mean()) < 0.5


def test_outlines_are_drawn_into_what_has_lost_them() -> None:
    mapped, painting = drawn_on_brushwork()
    lost = torch.cat((torch.full((1, 96, 120), 50.0), mapped[1:]))
    share = torch.ones(1, 96, 120)
    found = outlined(lost, mapped, painting, share)
    assert float(found[0, 48:50].mean()) < 20
    texture = float((mapped[0, :38] - 50).abs().mean())
    assert float((found[0, :38] - 50).abs().mean()) < 0.3 * texture
    torch.testing.assert_close(outlined(lost, mapped, painting, 0 * share), lost)
    torch.testing.assert_close(outlined(mapped, mapped, painting, share), mapped)


def test_dense_detail_is_drawn_as_far_as_it_is_no_texture() -> None:
    mapped, painting = drawn_on_brushwork()
    mapped[:1, ::6], mapped[:1, :, ::6] = 5, 5
    lost = torch.cat((torch.full((1, 96, 120), 50.0), mapped[1:]))
    share = torch.ones(1, 96, 120)
    bars = [
        float(outlined(lost, mapped, painting, share, texture)[0, 30:66:6, 30:90].mean())
        for texture in (1.0, 0.3, 0.0)
    ]
    assert bars[0] > bars[1] + 5 > bars[2] + 5
