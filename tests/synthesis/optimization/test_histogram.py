from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.optimization.histogram import (
    ascending,
    channel_histogram,
    rank_positions,
    rank_table,
    remap,
)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def activations(*shape: int, seed: int = 0) -> Tensor:
    return (3 * uniform(*shape, seed=seed) - 1).clamp_min(0) ** 3


def counted(values: list[float], bins: int) -> list[int]:
    low, high = min(values), max(values)
    counts = [0] * bins
    for value in values:
        share = (value - low) / (high - low) if high > low else 0.0
        counts[min(int(share * bins), bins - 1)] += 1
    return counts


def places(counts: list[int], n: int) -> list[Fraction]:
    """Return index + ratio of each rank, in the article's words."""
    scaled = [Fraction(count * n, sum(counts)) for count in counts]
    found = []
    for i in range(1, n + 1):
        index, before = 0, Fraction(0)
        while before + scaled[index] < i:
            before += scaled[index]
            index += 1
        ratio = (i - before) / scaled[index]
        found.append(index + min(max(ratio, Fraction(0)), Fraction(1)))
    return found


def naive_remap(x: Tensor, reference: Tensor, bins: int) -> Tensor:
    result = x.clone()
    for channel, (row, ref) in enumerate(zip(x.tolist(), reference.tolist(), strict=True)):
        low, high = min(ref), max(ref)
        values = places(counted(ref, bins), len(row))
        for rank, position in enumerate(sorted(range(len(row)), key=row.__getitem__)):
            result[channel, position] = low + float(values[rank]) * (high - low) / bins
    return result


def article(x: Tensor, hist_ref: Tensor, reference: Tensor) -> Tensor:
    """Return the article's listing's result, less its two slips (the index, the squeeze)."""
    n, bins = x.shape[1], hist_ref.shape[1]
    sorted_x, sort_idx = x.sort(1)
    hist = hist_ref * n / hist_ref.sum(1, keepdim=True)
    cum_ref = hist.cumsum(1)
    cum_prev = torch.cat([torch.zeros_like(cum_ref[:, :1]), cum_ref[:, :-1]], 1)
    rng = torch.arange(1, n + 1)[None]
    idx = (cum_ref[:, None] - rng[..., None] < 0).sum(2).clamp_max(bins - 1)
    low, high = reference.amin(1, keepdim=True), reference.amax(1, keepdim=True)
    ratio = (rng - cum_prev.gather(1, idx)) / (1e-8 + hist.gather(1, idx))
    new_x = low + (ratio.clamp(0, 1) + idx) * (high - low) / bins
    return new_x.gather(1, sort_idx.argsort(1))


# --- the remap against a loop ---------------------------------------------------------------------

CASES = {
    "random": (uniform(4, 60), uniform(4, 60, seed=1)),
    "fewer than the reference": (uniform(3, 37), uniform(3, 101, seed=1)),
    "more than the reference": (uniform(3, 101), uniform(3, 37, seed=1)),
    "many zeros": (uniform(3, 80), activations(3, 90)),
    "constant reference": (uniform(2, 20), torch.full((2, 30), 0.7, dtype=torch.float64)),
    "constant output": (torch.full((1, 6), 0.4, dtype=torch.float64), uniform(1, 9)),
    "one constant channel": (uniform(2, 9), torch.stack((uniform(11), torch.zeros(11).double()))),
    "one activation": (uniform(3, 1), uniform(3, 40)),
    "one reference activation": (uniform(3, 40), uniform(3, 1)),
    "one of each": (uniform(2, 1), uniform(2, 1, seed=1)),
    "one channel": (uniform(1, 33), uniform(1, 44)),
    "two values, empty bins between": (uniform(1, 12), (uniform(1, 18) > 0.4).double()),
    "an outlier": (uniform(1, 50), torch.cat((uniform(1, 49), torch.full((1, 1), 1e4)), 1)),
    "negative values": (uniform(2, 40) - 5, -uniform(2, 30)),
}


@pytest.mark.parametrize("bins", [2, 7, 256])
@pytest.mark.parametrize("case", CASES)
def test_the_remap_is_the_articles_loop(case: str, bins: int) -> None:
    x, reference = CASES[case]
    table = rank_table(reference, x.shape[1], bins)
    found, expected = remap(x, table), naive_remap(x, reference, bins)
    if case == "constant output":  # which of the equal activations gets which value is open
        found, expected = found.sort(1).values, expected.sort(1).values
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_it_is_the_articles_listing() -> None:
    x, reference = uniform(5, 400), activations(5, 400)
    found = remap(x, rank_table(reference, 400))
    expected = article(x, channel_histogram(reference, 256), reference)
    torch.testing.assert_close(found, expected)


def test_float32_as_the_network_gives_it() -> None:
    x, reference = uniform(8, 300).float(), activations(8, 500).float()
    table = rank_table(reference, 300, bins=256)
    found = remap(x, table)
    assert found.dtype == torch.float32
    expected = remap(x.double(), rank_table(reference.double(), 300, bins=256))
    # A value on a bin's edge may be counted on either side of it.
    width = reference.amax(1) - reference.amin(1)
    assert ((found - expected).abs().amax(1) <= width / 256 * 1.001).all()
    assert (found - expected).abs().mean() < 1e-4


@given(
    counts=st.lists(st.integers(0, 5), min_size=2, max_size=9).filter(any),
    n=st.integers(1, 30),
)
def test_ranks_fall_where_exact_fractions_say(counts: list[int], n: int) -> None:
    found = rank_positions(torch.tensor([counts]), n)[0]
    expected = torch.tensor([float(place) for place in places(counts, n)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@given(
    counts=st.lists(st.integers(0, 10_000), min_size=1, max_size=256).filter(any),
    n=st.integers(1, 3000),
)
def test_the_last_rank_is_the_upper_edge_of_the_last_filled_bin(counts: list[int], n: int) -> None:
    found = rank_positions(torch.tensor([counts]), n)[0]
    last = max(index for index, count in enumerate(counts) if count)
    assert found[-1] == last + 1
    assert found[0] > next(index for index, count in enumerate(counts) if count)
    assert (found.diff() > 0).all()


def test_rank_n_stays_on_the_last_bin_where_floats_would_not() -> None:
    # In float32 the scaled cumulative counts of such sizes end below n for many n.
    counts = torch.randint(0, 500, (16, 256), generator=torch.Generator().manual_seed(0)) + 1
    for n in (29_999, 30_000, 30_001):
        assert (rank_positions(counts, n)[:, -1] == 256).all()


def test_counts_of_channels() -> None:
    reference = activations(6, 500)
    found = channel_histogram(reference, 32)
    assert found.tolist() == [counted(row, 32) for row in reference.tolist()]
    assert (found.sum(1) == 500).all()


def test_the_maximum_is_counted_in_the_last_bin() -> None:
    assert channel_histogram(torch.tensor([[0.0, 0.1, 1.0, 1.0]]), 4).tolist() == [[2, 0, 0, 2]]


# --- what a remap is for --------------------------------------------------------------------------


@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 60),
    n_ref=st.integers(1, 60),
    bins=st.integers(2, 300),
)
def test_it_has_the_references_quantiles_within_one_bin(
    seed: int, n: int, n_ref: int, bins: int
) -> None:
    x, reference = uniform(2, n, seed=seed), activations(2, n_ref, seed=seed + 1)
    found = remap(x, rank_table(reference, n, bins=bins)).sort(1).values
    # The smallest value that at least i/n of the reference does not exceed.
    index = torch.tensor([-(-i * n_ref // n) - 1 for i in range(1, n + 1)])
    quantiles = reference.sort(1).values[:, index]
    width = (reference.amax(1, keepdim=True) - reference.amin(1, keepdim=True)) / bins
    assert ((found - quantiles).abs() <= width + 1e-12).all()


def test_with_ever_more_bins_as_many_values_become_the_references() -> None:
    x, reference = uniform(3, 500), uniform(3, 500, seed=1)
    values = reference.sort(1).values
    apart = [
        float((remap(x, rank_table(reference, 500, bins)).sort(1).values - values).abs().max())
        for bins in (4, 64, 1024, 1 << 14)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 1e-4 < apart[0]


def test_it_spans_the_references_values() -> None:
    x, reference = uniform(3, 200) * 7 - 1, uniform(3, 300, seed=1)
    found = remap(x, rank_table(reference, 200))
    assert (found <= reference.amax(1, keepdim=True)).all()
    assert (found >= reference.amin(1, keepdim=True)).all()


def test_permuting_the_positions_permutes_the_remap() -> None:
    x, reference = uniform(4, 90), activations(4, 70)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    table = rank_table(reference, 90)
    assert torch.equal(remap(x[:, order], table), remap(x, table)[:, order])


def test_each_channel_by_itself() -> None:
    x, reference = uniform(4, 50), activations(4, 70)
    whole = remap(x, rank_table(reference, 50))
    for channel in range(4):
        one = slice(channel, channel + 1)
        assert torch.equal(remap(x[one], rank_table(reference[one], 50)), whole[one])


@given(times=st.integers(1, 5), seed=st.integers(0, 100))
def test_tiling_the_reference_changes_nothing(times: int, seed: int) -> None:
    reference = activations(2, 17, seed=seed)
    x = uniform(2, 23, seed=seed)
    found = remap(x, rank_table(reference.repeat(1, times), 23))
    torch.testing.assert_close(found, remap(x, rank_table(reference, 23)), rtol=1e-12, atol=1e-12)


def test_tiling_the_output_keeps_its_ranks() -> None:
    reference = activations(2, 30)
    once, thrice = rank_table(reference, 40), rank_table(reference, 120)
    torch.testing.assert_close(thrice[:, 2::3], once)


def test_order_is_kept() -> None:
    x, reference = uniform(3, 80), activations(3, 50)
    found = remap(x, rank_table(reference, 80))
    assert (found.gather(1, x.argsort(1)).diff(dim=1) >= 0).all()


def test_no_gradient_flows_through() -> None:
    x = uniform(2, 10).requires_grad_()
    assert not remap(x, rank_table(uniform(2, 12), 10)).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ascending_is_a_stable_sort(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 301, generator=generator, dtype=dtype)
    x[1] = x[1].relu()  # many equal values
    x[2] = (x[2] * 3).round().abs() * x[2].sign()
    x[2] += 0.0  # no negative zeros
    x[4, :5] = torch.tensor([1e-42, -1e-42, 3e38, -3e38, torch.inf], dtype=dtype)
    found = ascending(x)
    assert torch.equal(found, x.argsort(dim=1, stable=True))
    assert torch.equal(ascending(x.T[:, :3]), x.T[:, :3].argsort(dim=1, stable=True))
