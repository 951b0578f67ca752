"""Our remap beside the article's formula."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import probe, report
from benchmarks.cases import Options
from harmonize.synthesis.optimization.histogram import channel_histogram, rank_table, remap

SHAPE = {"channels": 64, "n": 30_000, "bins": 256}
LEAST = {"seconds": 1e-6, "MiB": 1.0}  # what cannot be told from nothing
NOTE = """Seconds a call (least of several) and memory on top of the tensors that both are given,
each in a process of its own. `ours` is a step's share: a sort and a scatter with the table built
before the loop; `table` is built once a pass. `loss and gradient` adds the mean squared error and
its gradient to both. The article's listing is computed as printed, less its two slips (the
flattened index that looks up one channel's bins for all, the squeeze). Difference: the largest
between the two results. Bins span the reference's range, as in the authors' code."""


def article(x: Tensor, histogram: Tensor, span: tuple[Tensor, Tensor]) -> Tensor:
    """`x` [C, n] remapped to `histogram` [C, B] over `span` by the article's listing."""
    n, bins = x.shape[1], histogram.shape[1]
    sorted_x, order = x.sort(dim=1, stable=True)  # equal activations in one order, as in ours
    scaled = histogram * n / histogram.sum(1, keepdim=True)
    cumulative = scaled.cumsum(1)
    before = torch.cat((torch.zeros_like(cumulative[:, :1]), cumulative[:, :-1]), 1)
    ranks = torch.arange(1, n + 1)[None]
    index = (cumulative[:, None] - ranks[..., None] < 0).sum(2).clamp_max(bins - 1)
    low, high = span
    ratio = (ranks - before.gather(1, index)) / (1e-8 + scaled.gather(1, index))
    remapped = low + (ratio.clamp(0, 1) + index) * (high - low) / bins
    return remapped.gather(1, order.argsort(1))


def tensors(channels: int, n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, reference = (torch.randn(channels, n, generator=generator).relu_() for _ in range(2))
    return x, reference


def measure(kind: str, channels: int, n: int, bins: int, repeats: int) -> dict[str, Any]:
    x, reference = tensors(channels, n)
    histogram = channel_histogram(reference, bins)
    span = reference.aminmax(dim=1, keepdim=True)
    table = rank_table(reference, n, bins)
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: remap(x, table),
        "table": lambda: rank_table(reference, n, bins),
        "article": lambda: article(x, histogram, span),
        "ours, loss and gradient": lambda: _step(x, lambda y: remap(y, table)),
        "article, loss and gradient": lambda: _step(x, lambda y: article(y, histogram, span)),
    }
    before = probe.forget_peak()
    seconds = [_seconds(calls[kind]) for _ in range(repeats)]
    return {"seconds": min(seconds), "MiB": max(probe.peak_mib() - before, 0.0)}


def _step(x: Tensor, remapped: Callable[[Tensor], Tensor]) -> Tensor:
    variable = x.clone().requires_grad_()
    loss = (variable - remapped(variable.detach())).square().mean()
    return torch.autograd.grad(loss, variable)[0]


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def difference(channels: int, n: int, bins: int) -> float:
    x, reference = tensors(channels, n)
    ours = remap(x, rank_table(reference, n, bins))
    span = reference.aminmax(dim=1, keepdim=True)
    return float((ours - article(x, channel_histogram(reference, bins), span)).abs().max())


def run(options: Options) -> bool:
    shape = dict(SHAPE)
    if options.size:  # fewer activations, for a quick look
        shape["n"] = min(SHAPE["n"], options.size**2)
    repeats = {"ours": 10, "table": 5, "article": 2}
    rows = []
    for kind in (
        "ours",
        "table",
        "article",
        "ours, loss and gradient",
        "article, loss and gradient",
    ):
        times = repeats[kind.split(",")[0]]
        found = probe.call("benchmarks.histogram:measure", kind=kind, repeats=times, **shape)
        rows.append({"what": kind, **found})
    named = {row["what"]: row for row in rows}
    ratios = [
        {
            "what": f"article over ours{suffix}",
            **{
                unit: named[f"article{suffix}"][unit]
                / max(named[f"ours{suffix}"][unit], LEAST[unit])
                for unit in LEAST
            },
        }
        for suffix in ("", ", loss and gradient")
    ]
    apart = {"what": "largest difference", "value": difference(**shape)}
    title = "{channels} channels x {n} activations, {bins} bins".format(**shape)
    tables = {title: rows, "Ratios": ratios, "Results": [apart]}
    report.publish(options.out, "histogram", options.config(), tables, NOTE)
    return True
