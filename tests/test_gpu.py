"""What a GPU computes is what the CPU computes, within rounding."""

from __future__ import annotations

import pytest
import torch

from harmonize.synthesis.matching.nearest import nearest_places, whole_part
from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.histogram import rank_table, remap

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


def test_matching_is_the_cpus() -> None:
    query, reference = torch.rand(16, 12, 14), torch.rand(16, 20, 22)
    positions = torch.arange(12 * 14)
    here = nearest_places(query, [whole_part(reference)], positions)
    there = nearest_places(query.cuda(), [whole_part(reference.cuda())], positions.cuda()).cpu()
    assert float((here == there).float().mean()) > 0.99


def test_the_remap_is_the_cpus() -> None:
    x, reference = torch.randn(8, 500), torch.randn(8, 300)
    here = remap(x, rank_table(reference, 500))
    there = remap(x.cuda(), rank_table(reference.cuda(), 500)).cpu()
    assert torch.allclose(here, there, atol=1e-5)


def test_features_and_grams_are_the_cpus() -> None:
    state = weights.load_weights("oxford").state
    image = torch.rand(1, 3, 64, 64)
    here = VGG19(state)(image, ["relu4_1"])["relu4_1"]
    there = VGG19(state, device="cuda")(image.cuda(), ["relu4_1"])["relu4_1"]
    grams = [
        losses.gram(x.flatten(1), torch.ones(x[0].numel(), device=x.device)) for x in (here, there)
    ]
    assert torch.allclose(grams[0], grams[1].cpu(), rtol=1e-2, atol=1e-2 * float(grams[0].max()))
