from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.underpainting.feature_guides import COUNT, feature_guides

TAP = "relu3_1"


def picture(seed: int, h: int = 64, w: int = 80) -> Tensor:
    return torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))


def test_guides_are_the_features_along_their_main_directions(network: VGG19) -> None:
    painting, mapped = picture(0), picture(1)
    features = PaintingFeatures(Raster.of(painting), network, 1024)
    with torch.no_grad():
        whole, own = (network(x[None], [TAP])[TAP] for x in (painting, mapped))
    flat = whole.flatten(1)
    match = Match(mapped, {}, {}, {}, {TAP: flat}, {})
    known, wanted = feature_guides(match, mapped, features, TAP)
    assert known.shape == (COUNT, 64, 80) and wanted.shape == (COUNT, 64, 80)
    # By another way: the principal components of features of length 1.
    unit = F.normalize(flat, dim=0)
    middle = unit.mean(1, keepdim=True)
    u, s, _ = torch.linalg.svd(unit - middle, full_matrices=False)
    scale = s[0] / unit.shape[1] ** 0.5
    for guide, seen in ((known, whole), (wanted, own)):
        parts = u[:, :COUNT].T @ (F.normalize(seen.flatten(1), dim=0) - middle) / scale
        expected = F.interpolate(
            parts.view(1, COUNT, *seen.shape[1:]), (64, 80), mode="bilinear", align_corners=False
        )[0]
        for one, other in zip(guide, expected, strict=True):  # a direction has no sign
            sign = torch.sign((one * other).sum())
            torch.testing.assert_close(one, sign * other, rtol=0, atol=0.02)
