"""Make ICC profiles (ICC.1:2022, ITU-T H.273, Adobe RGB (1998) 4.3)."""

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Chromaticity = tuple[float, float]  # CIE x and y
Curve = tuple[float, ...]  # a gamma, or g, a, b, c, d: ((a v + b) ** g) from d up, c v below

D50 = (0.9642, 1.0, 0.8249)
D65 = (0.3127, 0.3290)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class Primaries(NamedTuple):
    """Chromaticities of an RGB space."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity = D65


BT709 = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
ADOBE_GAMMA = (563 / 256,)

# Numbers of H.273; 2 stands for "not said".
PRIMARIES = {
    1: BT709,
    2: BT709,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
CURVES: dict[int, Curve] = {
    1: BT709_CURVE,
    2: SRGB_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: BT709_CURVE,
    8: (1.0,),
    13: SRGB_CURVE,
    14: BT709_CURVE,
    15: BT709_CURVE,
}


@lru_cache(maxsize=8)
def rgb_profile(primaries: Primaries, curve: Curve) -> bytes:
    """Return an RGB profile; ValueError: the primaries span no colors."""
    adaptation = _adaptation(primaries.white)
    columns = adaptation @ _columns(primaries)
    tags = {b"chad": _icc_numbers(b"sf32", adaptation.ravel())}
    for name, column in zip(b"rgb", columns.T, strict=True):
        tags[b"%cXYZ" % name] = _icc_numbers(b"XYZ ", column)
        tags[b"%cTRC" % name] = _curve(curve)
    return _profile(b"RGB ", tags)


@lru_cache(maxsize=8)
def gray_profile(curve: Curve) -> bytes:
    """Return a gray profile."""
    return _profile(b"GRAY", {b"kTRC": _curve(curve)})


def _columns(primaries: Primaries) -> NDArray[np.float64]:
    colors = np.array([_xyz(point) for point in primaries[:3]]).T
    if not np.isfinite(colors).all() or abs(np.linalg.det(colors)) < 1e-6:
        raise ValueError("primaries that span no colors")
    found: NDArray[np.float64] = colors * np.linalg.solve(colors, _xyz(primaries.white))
    return found


def _adaptation(white: Chromaticity) -> NDArray[np.float64]:
    there, here = BRADFORD @ _xyz(white), BRADFORD @ np.array(D50)
    found: NDArray[np.float64] = np.linalg.inv(BRADFORD) @ np.diag(here / there) @ BRADFORD
    return found


def _xyz(point: Chromaticity) -> NDArray[np.float64]:
    x, y = point
    if not y > 0:
        raise ValueError("a color without light")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _icc_numbers(kind: bytes, values: NDArray[np.float64]) -> bytes:
    return kind + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(curve: Curve) -> bytes:
    kind = {1: 0, 5: 3}[len(curve)]
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _icc_numbers(b"", np.array(curve))[4:]


def _icc_text(words: str) -> bytes:
    data = words.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _icc_text("Made from the numbers in the file"),
        b"cprt": _icc_text("No copyright"),
        b"wtpt": _icc_numbers(b"XYZ ", np.array(D50)),
        **tags,
    }
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4xI4s4s4s6H4s4x",
        start + len(body), 0x04200000, b"mntr", space, b"XYZ ", 2000, 1, 1, 0, 0, 0, b"acsp",
    )  # fmt: skip
    head = head.ljust(68, b"\0") + _icc_numbers(b"", np.array(D50))[4:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
