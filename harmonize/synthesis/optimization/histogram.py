"""Match histograms of activations (Wilmot, Risser and Barnes, 2017)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

# Channels sorted at once.
SORTED_AT_ONCE = 16


def rank_positions(counts: Tensor, n: int) -> Tensor:
    """Return where ranks fall among B bins, 0 to B.

    Rank i falls in the first bin whose cumulative count · n / total reaches i.
    """
    counts = counts.long()
    cumulative = counts.cumsum(1)
    total = cumulative[:, -1:]
    ranks = torch.arange(1, n + 1, device=counts.device) * total
    bins = torch.searchsorted(cumulative * n, ranks.contiguous())
    below = (cumulative - counts).gather(1, bins) * n
    inside = counts.gather(1, bins) * n
    return bins + ((ranks - below).double() / inside).clamp(0, 1)


def channel_histogram(reference: Tensor, bins: int) -> Tensor:
    """Count activations between each channel's extremes."""
    low, high = reference.aminmax(dim=1, keepdim=True)
    width = (high - low).clamp_min(torch.finfo(reference.dtype).tiny)
    index = ((reference - low) / width * bins).long().clamp_(0, bins - 1)
    counts = torch.zeros(len(reference), bins, dtype=torch.long, device=reference.device)
    return counts.scatter_add_(1, index, torch.ones_like(index))


def rank_table(reference: Tensor, n: int, bins: int = 256) -> Tensor:
    """Return the values [C, n] of `n` ranks."""
    # In float64 on the CPU: once a pass, and not every device has float64.
    values = reference.detach().cpu()
    low, high = (edge.double() for edge in values.aminmax(dim=1, keepdim=True))
    unit = rank_positions(channel_histogram(values, bins), n) / bins
    return (low + unit * (high - low)).to(reference.dtype).to(reference.device)


def ascending(x: Tensor) -> Tensor:
    """Return indices that sort each row stably."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return x.argsort(dim=1, stable=True)
    # Value and place in one whole number, so that a plain sort will do: NumPy's is vectorized, and
    # several times faster than any that carries indices along. As bits, positive floats are in
    # order, negative ones in reverse.
    bits = x.detach().contiguous().numpy().view(np.int32).astype(np.int64)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    bits <<= 32
    bits |= np.arange(x.shape[1])
    bits.sort(axis=1)
    bits &= 0xFFFFFFFF
    return torch.from_numpy(bits)


def remap(x: Tensor, table: Tensor) -> Tensor:
    """Replace each channel's i-th smallest activation by the table's; no gradient flows."""
    with torch.no_grad():
        result = torch.empty_like(table)

        def fill(first: int) -> None:
            part = slice(first, first + SORTED_AT_ONCE)
            with torch.no_grad():  # a thread of its own begins with gradients
                result[part].scatter_(1, ascending(x[part]), table[part])

        # A few channels at a time: what sorting needs stays small, and in the cache. NumPy sorts
        # in one thread, and lets others run meanwhile.
        count = torch.get_num_threads() if x.device.type == "cpu" else 1
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(fill, range(0, len(x), SORTED_AT_ONCE)))
        return result
