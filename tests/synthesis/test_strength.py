from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.style_level import estimate_level, measure

PAINTINGS = Path(__file__).parents[2] / "samples" / "paintings"
SIZE = (240, 320)


def grid(shape: tuple[int, int] = SIZE) -> tuple[Tensor, Tensor]:
    y, x = torch.linspace(0, 1, shape[0]), torch.linspace(0, 1, shape[1])
    return y[:, None].expand(shape), x.expand(shape)


def gradient(shape: tuple[int, int] = SIZE) -> Tensor:
    """A smooth sky over land."""
    y, x = grid(shape)
    light = 0.8 - 0.5 * y + 0.1 * torch.sin(3 * x)
    return torch.stack((light, 0.95 * light, 0.85 * light))


def portrait() -> Tensor:
    """A soft light face before a dark ground."""
    y, x = grid()
    face = torch.exp(-((((x - 0.5) / 0.1) ** 2 + ((y - 0.4) / 0.16) ** 2) ** 2))
    coat = torch.sigmoid((y - 0.65 - (x - 0.5) ** 2) * 60)
    light = (0.25 + 0.1 * x) * (1 - coat) + 0.1 * coat
    return torch.stack((light + 0.6 * face, 0.8 * light + 0.45 * face, 0.6 * light + 0.3 * face))


def strokes(strength: float, seed: int = 0) -> Tensor:
    """`gradient` under short strokes that turn over the canvas."""
    generator = torch.Generator().manual_seed(seed)
    y, x = grid()
    angle = 3 * torch.sin(3 * x + 2 * y)
    noise = torch.randn((1, 1, *SIZE), generator=generator)
    stroke = torch.zeros(SIZE)
    for step in torch.linspace(-6, 6, 13).tolist():  # noise smeared along the angle
        across = 2 * x - 1 + 2 * step * torch.cos(angle) / SIZE[1]
        down = 2 * y - 1 + 2 * step * torch.sin(angle) / SIZE[0]
        where = torch.stack((across, down), -1)[None]
        moved = F.grid_sample(noise, where, padding_mode="reflection", align_corners=True)
        stroke = stroke + moved[0, 0]
    stroke = filters.gaussian(stroke[None], 1.0)[0]
    return (gradient() + strength * stroke / stroke.std()).clamp(0, 1)


def planes(seed: int = 0, *, vivid: bool = True) -> Tensor:
    """Large saturated planes, cut by straight black contours."""
    generator = torch.Generator().manual_seed(seed)
    y, x = grid()
    code, contour = torch.zeros(SIZE, dtype=torch.long), torch.zeros(SIZE, dtype=torch.bool)
    for line in range(6):
        a, b = torch.rand(2, generator=generator).tolist()
        turn = torch.tensor(3.1416 * a)
        side = (x - 0.5) * torch.cos(turn) + (y - 0.5) * torch.sin(turn) + 0.7 * (b - 0.5)
        code = code + (side > 0).long() * 2**line
        contour |= side.abs() < 0.008
    palette = torch.tensor(
        [[0.9, 0.1, 0.1], [0.1, 0.2, 0.8], [0.95, 0.8, 0.1], [0.1, 0.6, 0.2], [0.95, 0.5, 0.1]]
    )
    image = palette[(code * 7) % 5].permute(2, 0, 1) * ~contour
    return image if vivid else 0.75 * image.mean(0).expand(3, -1, -1)


def engraving() -> Tensor:
    """Hatched lines, black on white."""
    y, x = grid()
    tone = 0.5 + 0.35 * torch.sin(4 * x) * torch.cos(3 * y)
    return torch.sigmoid(12 * (0.5 + 0.5 * torch.sin(240 * y + 120 * x) - tone)).expand(3, -1, -1)


def grain(image: Tensor, sigma: float) -> Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    return (image + sigma * noise).clamp(0, 1)


def at(path: Path, side: int) -> Tensor:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


@pytest.mark.parametrize("image", [gradient(), portrait()])
def test_smooth_paintings_are_low(image: Tensor) -> None:
    assert estimate_level(image).level < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_dense_strokes_are_in_the_middle(seed: int) -> None:
    assert 4 < estimate_level(strokes(0.12, seed)).level < 6.5


@pytest.mark.parametrize("seed", range(3))
def test_flat_saturated_planes_are_high(seed: int) -> None:
    assert estimate_level(planes(seed)).level > 8


def test_flat_gray_planes_are_no_higher() -> None:
    assert estimate_level(planes(vivid=False)).level < estimate_level(planes()).level


def test_the_level_rises_with_the_strokes() -> None:
    levels = [
        estimate_level(strokes(strength)).level for strength in (0, 0.01, 0.02, 0.04, 0.08, 0.16)
    ]
    assert levels == sorted(levels)
    assert levels[-1] > levels[0] + 3


@pytest.mark.parametrize("image", [gradient(), portrait()])
def test_grain_is_no_brushwork(image: Tensor) -> None:
    large = filters.resize(image, (480, 640)).clamp(0, 1)
    assert estimate_level(grain(large, 0.06)).level < 2.5


def test_an_engraving_is_measured_by_its_lightness_alone() -> None:
    found = estimate_level(engraving())
    assert found.statistics["vividness"] < 1e-3
    assert 2 < found.level < 7


@pytest.mark.parametrize("image", [strokes(0.12), portrait(), planes()])
@pytest.mark.parametrize("gain, offset", [(0.5, 0.0), (0.5, 0.5)])
def test_dark_and_pale_paintings_keep_their_brushwork(
    image: Tensor, gain: float, offset: float
) -> None:
    own = measure(image)["brushwork"]
    assert measure(image * gain + offset)["brushwork"] == pytest.approx(own, rel=0.35, abs=0.2)


@pytest.mark.parametrize("side", [160, 240, 480])
def test_the_level_hardly_changes_with_the_resolution(side: int) -> None:
    for image, within in ((strokes(0.12), 1.0), (portrait(), 0.5), (planes(), 1.5)):
        shape = (side * 3 // 4, side)
        resized = filters.resize(image, shape).clamp(0, 1)
        assert estimate_level(resized).level == pytest.approx(
            estimate_level(image).level, abs=within
        )


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 400), (64, 700), (5, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_plain_and_tiny_paintings_are_level_1(shape: tuple[int, int], value: float) -> None:
    assert estimate_level(torch.full((3, *shape), value)).level == pytest.approx(1, abs=1e-3)


def test_small_paintings_are_measured() -> None:
    assert 1 <= estimate_level(gradient((64, 64))).level < 2
    assert estimate_level(filters.resize(strokes(0.12), (64, 85)).clamp(0, 1)).level > 2


@pytest.mark.parametrize("image", [gradient(), strokes(0.05), strokes(0.3), planes(), engraving()])
def test_the_level_lies_within_its_bounds_and_repeats(image: Tensor) -> None:
    found = estimate_level(image)
    assert 1 <= found.low <= found.level <= found.high <= 10
    assert found.high - found.low >= 1
    assert all(value >= 0 for value in found.statistics.values())
    assert estimate_level(image) == found


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (3, 0, 8), (1, 3, 8, 8)])
def test_anything_but_a_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[3, H, W\]"):
        estimate_level(torch.zeros(shape))


@pytest.mark.skipif(not PAINTINGS.is_dir(), reason="the sample paintings are not here")
def test_the_sample_paintings_make_sense() -> None:
    levels = {path.stem: estimate_level(at(path, 700)).level for path in PAINTINGS.glob("*.jpg")}
    smooth = levels.pop("ducks")
    assert smooth < 3
    assert all(3 < level < 7 for level in levels.values()), levels
    for path in PAINTINGS.glob("*.jpg"):
        assert estimate_level(at(path, 350)).level == pytest.approx(
            levels.get(path.stem, smooth), abs=0.5
        )
