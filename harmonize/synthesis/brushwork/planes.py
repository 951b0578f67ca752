"""Planes of paint in place of fine detail.

The anisotropic Kuwahara filter (Kyprianidis, Kang and Döllner, 2009): the mean of the sectors that
vary least, in a disk stretched along the form. Departure: `ANGLES` angles, mixed between.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

ANGLES, SECTORS = 8, 8
STRETCH = 2.0  # how much longer the disk is along the form
FALL = 2.0  # weights fall as exp(-FALL · (distance / radius)²)
NARROWING = 3  # power of the cosine that a sector's weight falls with, sidewards
VARIANCE = 6.0  # Lab squared: what a plane may vary
CHOICE = 4.0  # power: how surely the calmest sector is taken
FILTERED_AT_ONCE = 1 << 18  # pixels


def planes(image: Tensor, angles: Tensor, radius: float) -> Tensor:
    """Return Lab `image` in planes about `radius` pixels wide, stretched along `angles`.

    Each sector's mean counts 1 / (1 + (variance / `VARIANCE`)^`CHOICE`).
    """
    kernels = _kernels(radius).to(image)
    reach = kernels.shape[-1] // 2
    squares = image.square().sum(0, keepdim=True)
    padded = F.pad(torch.cat((image, squares))[None], (reach,) * 4, mode="replicate")[0]
    rows = max(1, FILTERED_AT_ONCE // image.shape[2])
    parts = [
        _calmest(padded[:, top : top + part.shape[0] + 2 * reach], part, kernels)
        for top, part in zip(range(0, image.shape[1], rows), angles.split(rows), strict=True)
    ]
    return torch.cat(parts, dim=1)


def _calmest(padded: Tensor, angles: Tensor, kernels: Tensor) -> Tensor:
    turn = torch.remainder(angles / math.pi * ANGLES, ANGLES)
    total = torch.zeros(3, *angles.shape, device=angles.device)
    for number, sectors in enumerate(kernels.split(SECTORS)):
        away = (torch.remainder(turn - number + ANGLES / 2, ANGLES) - ANGLES / 2).abs()
        share = (1 - away).clamp_min(0)
        means = F.conv2d(padded[:, None], sectors)
        variance = (means[3] - means[:3].square().sum(0)).clamp_min(0)
        weight = 1 / (1 + (variance / VARIANCE) ** CHOICE)
        total += share * (weight * means[:3]).sum(1) / weight.sum(0).clamp_min(1e-12)
    return total


@cache
def _kernels(radius: float) -> Tensor:
    reach = math.ceil(radius * STRETCH)
    steps = torch.arange(-reach, reach + 1.0)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    found = []
    for number in range(ANGLES):
        angle = math.pi * number / ANGLES
        along = (x * math.cos(angle) + y * math.sin(angle)) / STRETCH
        across = y * math.cos(angle) - x * math.sin(angle)
        distance, around = torch.hypot(along, across) / radius, torch.atan2(across, along)
        disk = torch.exp(-FALL * distance.square()) * (distance <= 1)
        for sector in range(SECTORS):
            side = torch.cos(around - 2 * math.pi * sector / SECTORS).clamp_min(0) ** NARROWING
            weight = disk * torch.where(distance > 0, side, 1 / SECTORS)
            found.append(weight / weight.sum())
    return torch.stack(found)[:, None]
