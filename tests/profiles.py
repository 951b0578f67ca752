"""ICC profiles made here, and PNG and TIFF of 16 bits."""

from __future__ import annotations

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Columns: what red, green and blue are in the profile connection space (XYZ, D50).
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def curve(numbers: tuple[float, ...]) -> bytes:
    kind = {1: 0, 5: 3}[len(numbers)]
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(fixed, numbers))


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def text(words: str) -> bytes:
    data = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, len(data), 28) + data


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": text("made for a test"), b"cprt": text("none"), b"wtpt": xyz(D50), **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s4sIIIQI12s",
        start + len(body), b"\0\0\0\0", 0x04200000, b"mntr", space, b"XYZ ", b"\x07\xe6\0\1" * 3,
        b"acsp", b"\0\0\0\0", 0, 0, 0, 0, 0, b"".join(map(fixed, D50)),
    )  # fmt: skip
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(columns: tuple[tuple[float, ...], ...], gamma: tuple[float, ...]) -> bytes:
    tags = {b"%cXYZ" % c: xyz(column) for c, column in zip(b"rgb", columns, strict=True)}
    return profile(b"RGB ", tags | {b"%cTRC" % c: curve(gamma) for c in b"rgb"})


def gray_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve((gamma,))})


SRGB_ICC = rgb_profile(SRGB, SRGB_CURVE)
P3_ICC = rgb_profile(P3, SRGB_CURVE)
ADOBE_ICC = rgb_profile(ADOBE, (2.19921875,))


def converted(srgb: np.ndarray, columns: tuple[tuple[float, ...], ...], gamma: float) -> np.ndarray:
    """sRGB in other primaries; gamma 0 stands for sRGB's curve."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    there = linear @ np.array(SRGB) @ np.linalg.inv(np.array(columns))
    there = np.clip(there, 0, 1)
    if gamma:
        return there ** (1 / gamma)
    return np.where(there <= 0.0031308, there * 12.92, 1.055 * there ** (1 / 2.4) - 0.055)
