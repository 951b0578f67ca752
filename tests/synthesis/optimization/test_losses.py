from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.histogram import rank_table, remap

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_mask(n: int, seed: int = 0) -> Tensor:
    values = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * values - 0.5).clamp(0, 1)


def histogram(x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return losses.masked_mse(x, remap(x, rank_table(target, x.shape[1], bins=4096)), mask)


def gram(x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return losses.gram_distance(x, mask, losses.gram(target, mask))


LOSSES: dict[str, Loss] = {"content": losses.masked_mse, "gram": gram, "histogram": histogram}
by_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# --- on activations -------------------------------------------------------------------------------


@by_loss
def test_zero_at_its_target(loss: Loss) -> None:
    x = normal(5, 40)
    near = 1e-5 if loss is histogram else 1e-20  # the width of a bin remains
    assert float(loss(x, x, some_mask(40))) == pytest.approx(0, abs=near)


@by_loss
@given(seed=st.integers(0, 10_000))
def test_never_negative_and_positive_elsewhere(loss: Loss, seed: int) -> None:
    x, target = normal(3, 12, seed=seed), normal(3, 12, seed=seed + 1)
    assert float(loss(x, target, some_mask(12, seed))) > 0


@by_loss
def test_no_gradient_outside_the_mask(loss: Loss) -> None:
    x, mask = normal(5, 40).requires_grad_(), some_mask(40)
    loss(x, normal(5, 40, seed=1), mask).backward()
    assert (x.grad[:, mask == 0] == 0).all()
    assert (x.grad[:, mask > 0] != 0).all()


@pytest.mark.parametrize("name", ["content", "gram"])
def test_what_is_outside_the_mask_does_not_count(name: str) -> None:
    mask, target = some_mask(40), normal(5, 40, seed=1)
    x = normal(5, 40)
    other = torch.where(mask > 0, x, normal(5, 40, seed=2))
    assert LOSSES[name](other, target, mask) == LOSSES[name](x, target, mask)


@by_loss
def test_gradcheck(loss: Loss) -> None:
    x, mask = normal(3, 14).requires_grad_(), some_mask(14)
    target = normal(3, 14, seed=1)
    if loss is histogram:  # its remap counts as constant
        target = remap(x, rank_table(target, 14))
        loss = losses.masked_mse
    assert gradcheck(lambda v: loss(v, target, mask), (x,))


def test_a_mask_of_ones_is_no_mask() -> None:
    x, target, ones = normal(4, 30), normal(4, 30, seed=1), torch.ones(30).double()
    torch.testing.assert_close(losses.masked_mse(x, target, ones), (x - target).square().mean())
    torch.testing.assert_close(losses.gram(x, ones), x @ x.T / 30)


@by_loss
def test_the_masks_scale_does_not_matter(loss: Loss) -> None:
    x, target, mask = normal(4, 30), normal(4, 30, seed=1), some_mask(30)
    torch.testing.assert_close(loss(x, target, mask / 8), loss(x, target, mask))


def test_content_is_the_naive_loop() -> None:
    x, target, mask = normal(4, 30), normal(4, 30, seed=1), some_mask(30)
    total = 0.0
    for channel in range(4):
        for position in range(30):
            apart = float(x[channel, position] - target[channel, position])
            total += float(mask[position]) * apart**2
    assert float(losses.masked_mse(x, target, mask)) == pytest.approx(total / (4 * mask.sum()))


def test_gram_is_the_naive_loop() -> None:
    x, target, mask = normal(4, 20), normal(4, 20, seed=1), some_mask(20)

    def entry(values: Tensor, a: int, b: int) -> float:
        products = (float(mask[q] * values[a, q] * values[b, q]) for q in range(20))
        return sum(products) / float(mask.sum())

    pairs = [(a, b) for a in range(4) for b in range(4)]
    for a, b in pairs:
        assert float(losses.gram(x, mask)[a, b]) == pytest.approx(entry(x, a, b))
    expected = sum((entry(x, a, b) - entry(target, a, b)) ** 2 for a, b in pairs) / 16
    assert float(gram(x, target, mask)) == pytest.approx(expected)


def test_gram_is_symmetric_and_positive_semidefinite() -> None:
    found = losses.gram(normal(6, 4), some_mask(4))
    assert torch.allclose(found, found.T)
    assert torch.linalg.eigvalsh(found).min() > -1e-12


@given(seed=st.integers(0, 1000))
def test_permuting_positions_changes_no_statistics(seed: int) -> None:
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    x, target, mask = normal(4, 30), normal(4, 30, seed=1), some_mask(30)
    torch.testing.assert_close(losses.gram(x[:, order], mask[order]), losses.gram(x, mask))
    moved = histogram(x[:, order], target, mask[order])
    torch.testing.assert_close(moved, histogram(x, target, mask))
    torch.testing.assert_close(histogram(x, target[:, order], mask), histogram(x, target, mask))
    # Content does see where things are.
    straight = losses.masked_mse(x, target, mask)
    assert not torch.isclose(losses.masked_mse(x[:, order], target, mask), straight, rtol=1e-9)


@given(times=st.integers(2, 5))
def test_tiling_with_the_mask_changes_nothing(times: int) -> None:
    x, target, mask = normal(4, 30), normal(4, 30, seed=1), some_mask(30)
    tiled = losses.gram(x.repeat(1, times), mask.repeat(times))
    torch.testing.assert_close(tiled, losses.gram(x, mask))
    more = losses.masked_mse(x.repeat(1, times), target.repeat(1, times), mask.repeat(times))
    torch.testing.assert_close(more, losses.masked_mse(x, target, mask))
    table, longer = rank_table(target, 30), rank_table(target.repeat(1, times), 30)
    torch.testing.assert_close(remap(x, longer), remap(x, table))


def test_histogram_sees_what_gram_does_not() -> None:
    # Equal mean squares, other distributions: half the positions at √2 times, half at zero.
    flat = torch.ones(1, 40, dtype=torch.float64)
    spiky = torch.cat((torch.zeros(1, 20), torch.full((1, 20), 2.0**0.5)), 1).double()
    ones = torch.ones(40, dtype=torch.float64)
    assert float(gram(flat, spiky, ones)) == pytest.approx(0, abs=1e-12)
    assert float(histogram(flat, spiky, ones)) > 0.1


# --- on images ------------------------------------------------------------------------------------


def blob(h: int, w: int) -> Tensor:
    mask = torch.zeros(h, w, dtype=torch.float64)
    mask[h // 4 : h // 2, w // 3 : w // 2] = 1
    mask[h // 2, w // 3] = 0.5
    return mask


def test_total_variation_is_the_naive_loop() -> None:
    image, mask = normal(3, 7, 9), some_mask(63).view(7, 9)
    total = 0.0
    for y in range(6):
        for x in range(8):
            for c in range(3):
                dy = float(image[c, y + 1, x] - image[c, y, x])
                dx = float(image[c, y, x + 1] - image[c, y, x])
                total += float(mask[y, x]) * (dy**2 + dx**2)
    expected = total / float(mask.sum())
    assert float(losses.total_variation(image, mask)) == pytest.approx(expected)


def test_total_variation_of_a_constant_is_zero() -> None:
    image = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1).expand(3, 6, 8)
    assert losses.total_variation(image, torch.ones(6, 8)) == 0


def test_total_variation_pulls_only_at_the_mask_and_its_next_pixels() -> None:
    image, mask = normal(3, 12, 12).requires_grad_(), blob(12, 12)
    losses.total_variation(image, mask).backward()
    reach = mask.clone()
    reach[1:] += mask[:-1]
    reach[:, 1:] += mask[:, :-1]
    assert (image.grad[:, reach == 0] == 0).all()
    assert (image.grad[:, mask > 0] != 0).all()


def test_gradcheck_of_the_variation() -> None:
    image, mask = normal(3, 6, 7).requires_grad_(), blob(6, 7)
    assert gradcheck(lambda v: losses.total_variation(v, mask), (image,))


def test_noise_is_the_median_of_squared_differences() -> None:
    image = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(0))
    found = []
    for c in range(3):
        for y in range(7):
            for x in range(8):
                dy = float(image[c, y + 1, x] - image[c, y, x])
                dx = float(image[c, y, x + 1] - image[c, y, x])
                found.append((dy**2 + dx**2) / 2)
    assert float(losses.noise([image])) == pytest.approx(sorted(found)[(len(found) - 1) // 2])
    assert losses.noise([torch.full((3, 5, 5), 0.3)]) == 0


def test_one_hard_edge_is_no_noise() -> None:
    image = torch.zeros(3, 20, 20)
    image[:, :, 10:] = 1
    assert losses.noise([image]) == 0


def test_total_variation_weight() -> None:
    weight = losses.total_variation_weight
    assert weight(0.0025) == pytest.approx(5)
    assert weight(0.0) == pytest.approx(10, abs=1e-9)
    for coarse in (0.01, 0.1, 1.0):
        assert 0 <= weight(coarse) < 1e-9 + 10 * exp(-70)
    assert weight(0.002) == pytest.approx(10 / (1 + exp(-5)))
    found = [weight(step / 10_000) for step in range(100)]
    assert found == sorted(found, reverse=True)


def test_gradients_are_those_of_the_formulas() -> None:
    mask, target = some_mask(30), normal(4, 30, seed=1)
    x = normal(4, 30).requires_grad_()
    known = losses.gram(target, mask) + normal(4, 4, seed=2)
    pairs = (
        (
            losses.masked_mse(x, target, mask),
            ((x - target).square() * mask).sum() / (4 * mask.sum()),
        ),
        (
            losses.gram_distance(x, mask, known),
            ((x * mask) @ x.T / mask.sum() - known).square().mean(),
        ),
    )
    for found, plain in pairs:
        one, other = (torch.autograd.grad(3 * value, x)[0] for value in (found, plain))
        torch.testing.assert_close(one, other)
