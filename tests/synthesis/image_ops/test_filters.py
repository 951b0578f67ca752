from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.image_ops.filters import (
    from_lab,
    from_opponent,
    gaussian,
    guided,
    limit_chroma,
    opponent_span,
    resize,
    to_lab,
    to_opponent,
)


def picture(h: int, w: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(channels, h, w, generator=generator, dtype=torch.float64)


def constant(*color: float) -> Tensor:
    return torch.tensor(color, dtype=torch.float64).view(-1, 1, 1).expand(-1, 9, 12).clone()


# --- colors ---------------------------------------------------------------------------------------


def test_opponent_and_back() -> None:
    image = picture(8, 9)
    torch.testing.assert_close(from_opponent(to_opponent(image)), image)
    torch.testing.assert_close(to_opponent(from_opponent(image)), image)


def test_opponent_keeps_distances_and_gray_has_no_chroma() -> None:
    image = picture(8, 9)
    torch.testing.assert_close(to_opponent(image).norm(dim=0), image.norm(dim=0))
    gray = to_opponent(constant(0.3, 0.3, 0.3))
    torch.testing.assert_close(gray[0], torch.full_like(gray[0], 0.3 * 3**0.5))
    assert gray[1:].abs().max() < 1e-12


def test_lab_and_back() -> None:
    image = picture(16, 16)
    torch.testing.assert_close(from_lab(to_lab(image)), image, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_lab_of_known_colors(color: tuple[float, ...], lab: tuple[float, ...]) -> None:
    found = to_lab(constant(*color))[:, 0, 0]
    torch.testing.assert_close(found, torch.tensor(lab, dtype=torch.float64), rtol=0, atol=0.06)


def test_from_lab_is_clipped_to_the_gamut() -> None:
    found = from_lab(constant(60.0, 120.0, -120.0))
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_beside_a_gray_painting_no_color_is_left(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    painting = torch.rand(1, 24, 20, generator=generator).expand(3, -1, -1)
    span = opponent_span(painting.flatten(1))
    found = limit_chroma(torch.rand(3, 24, 20, generator=generator), span)
    assert float(to_opponent(found)[1:].abs().max()) < 1e-5


def test_a_painting_keeps_nearly_all_of_its_own_hues() -> None:
    image = picture(60, 60)
    kept = (limit_chroma(image, opponent_span(image.flatten(1))) - image).abs().amax(0) < 1e-5
    assert float(kept.float().mean()) > 0.99


# --- blurs ----------------------------------------------------------------------------------------


def naive_gaussian(image: Tensor, sigma: float, size: int) -> Tensor:
    c, h, w = image.shape
    half = size // 2
    kernel = [exp(-(d**2) / (2 * sigma**2)) for d in range(-half, half + 1)]
    result = torch.zeros_like(image)
    for y in range(h):
        for x in range(w):
            for i, a in enumerate(kernel, start=-half):
                for j, b in enumerate(kernel, start=-half):
                    there = image[:, min(max(y + i, 0), h - 1), min(max(x + j, 0), w - 1)]
                    result[:, y, x] += a * b * there / sum(kernel) ** 2
    return result


@pytest.mark.parametrize(("sigma", "size"), [(1.0, 7), (3.0, 7), (0.6, 3)])
def test_gaussian_is_the_naive_loop(sigma: float, size: int) -> None:
    image = picture(6, 8, channels=2)
    torch.testing.assert_close(gaussian(image, sigma, size), naive_gaussian(image, sigma, size))


def test_a_window_larger_than_the_image_is_the_largest_that_fits() -> None:
    image = torch.rand(2, 5, 9, generator=torch.manual_seed(0))
    largest = guided(image, image, 4, 0.1)
    assert torch.equal(guided(image, image, 100, 0.1), largest)


def test_gaussians_own_size_is_three_sigma_to_each_side() -> None:
    image = picture(10, 12)
    assert torch.equal(gaussian(image, 1.4), gaussian(image, 1.4, 11))


@pytest.mark.parametrize("sigma", [0.3, 2.0, 12.0])
def test_gaussian_keeps_constants_shape_and_range(sigma: float) -> None:
    flat = constant(0.2, 0.5, 0.9)
    torch.testing.assert_close(gaussian(flat, sigma), flat)
    image = picture(9, 12)
    blurred = gaussian(image, sigma)
    assert blurred.shape == image.shape
    assert (blurred.amin((1, 2)) >= image.amin((1, 2))).all()
    assert (blurred.amax((1, 2)) <= image.amax((1, 2))).all()


def test_a_gaussian_of_one_pixel_is_the_image() -> None:
    image = picture(5, 6)
    torch.testing.assert_close(gaussian(image, 2.0, 1), image)


def test_guided_keeps_constants_and_edges_of_the_guide() -> None:
    flat = constant(0.3, 0.6)
    torch.testing.assert_close(guided(flat, picture(9, 12), 2, 0.01), flat)
    guide = torch.zeros(3, 20, 20, dtype=torch.float64)
    guide[:, :, 10:] = 1
    noise = 0.05 * (picture(20, 20, channels=2) - 0.5)
    image = guide[:2] + noise
    found = guided(image, guide, 2, 1e-4)
    assert (found[..., :10].mean((1, 2)).abs() < 0.01).all()
    edge = (found[..., 10] - found[..., 9]).mean()
    assert edge > 0.95
    assert (found - guide[:2]).std() < 0.5 * noise.std()
    # A guide without the edge lets it be blurred.
    assert (guided(image, torch.zeros_like(guide), 2, 1e-4)[..., 10] < 0.9).all()


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (9, 12), (18, 24), (16, 16)])
def test_resize(shape: tuple[int, int]) -> None:
    flat = constant(0.2, 0.5, 0.9)
    found = resize(flat, shape)
    assert found.shape == (3, *shape)
    assert torch.allclose(found, flat[:, :1, :1].expand_as(found))


def test_resize_to_its_own_shape_is_the_image_itself() -> None:
    image = picture(9, 12)
    assert resize(image, (9, 12)) is image


def test_shrinking_averages() -> None:
    comb = (torch.arange(32) % 4 == 0).double().expand(1, 32, 32)
    found = resize(comb, (8, 8))[..., 1:-1]
    assert (found - 0.25).abs().max() < 0.05
