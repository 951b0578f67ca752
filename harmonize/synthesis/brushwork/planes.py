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
FILTERED_AT_ONCE = 1 << 14  # pixels


def planes(image: Tensor, angles: Tensor, radius: float, mask: Tensor) -> Tensor:
    """Return Lab `image` in planes about `radius` pixels wide, stretched along `angles`.

    Each sector's mean counts 1 / (1 + (variance / `VARIANCE`)^`CHOICE`).
    """
    kernels = _kernels(radius).to(image)
    reach = kernels.shape[-1] // 2
    squares = image.square().sum(0, keepdim=True)
    padded = F.pad(torch.cat((image, squares))[None], (reach,) * 4, mode="replicate")[0]
    wide = padded.shape[2]
    corners = torch.arange(padded[0].numel(), device=image.device).view(padded.shape[1:])
    inside = mask[0] > 0
    place = torch.nonzero(inside.flatten())[:, 0]
    corner = corners[: image.shape[1], : image.shape[2]][inside]
    turn = torch.remainder(angles[inside] / math.pi * ANGLES, ANGLES)
    number = turn.long().clamp(max=ANGLES - 1)
    found = image.flatten(1).clone()
    for one in range(ANGLES):
        # The two angles that a pixel's own lies between, and what either of them covers.
        pair = kernels[[one, (one + 1) % ANGLES]].flatten(0, 1)
        y, x = torch.nonzero(pair.sum(0), as_tuple=True)
        for these in torch.nonzero(number == one)[:, 0].split(FILTERED_AT_ONCE):
            around = padded.flatten(1)[:, corner[these, None] + y * wide + x]
            low, high = _calmest(around @ pair[:, y, x].T).unbind(2)
            found[:, place[these]] = torch.lerp(low, high, turn[these] - one)
    return found.view_as(image)


def _calmest(means: Tensor) -> Tensor:
    means = means.unflatten(2, (-1, SECTORS))
    variance = (means[3] - means[:3].square().sum(0)).clamp_min(0)
    weight = 1 / (1 + (variance / VARIANCE) ** CHOICE)
    return (weight * means[:3]).sum(3) / weight.sum(2).clamp_min(1e-12)


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
    return torch.stack(found).view(ANGLES, SECTORS, *x.shape)
