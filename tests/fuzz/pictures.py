"""Pictures of every mode and format, perhaps damaged."""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image, ImageCms

Size = tuple[int, int]  # width, height
Damage = tuple[str, float, int]  # kind, where from 0 to 1, a number

COLORS = ("waves", "noise", "flat", "black", "white")
SHAPES = (
    "disc", "soft", "islands", "line", "dot", "edge", "most", "inverted", "full", "empty",
)  # fmt: skip
MODES = (
    "RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "YCbCr", "LAB", "I;16", "I", "F", "RGB16", "PA",
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "ICO")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
OWN_SUFFIX = {"JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif"}
MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x10JFIF", b"II*\0\x08\0\0\0", b"MM\0*", b"GIF89a",
    b"BM", b"RIFF\0\0\0\0WEBP", b"%!PS-Adobe-3.0 EPSF", b"P6 9 9 255\n", b"\0\0\1\0\1\0", b"8BPS",
    b"\0\0\0\x0cjP  ", b"DDS ", b"<svg>", b"%PDF-1.4", b"\x1f\x8b",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A picture file; `look` is one of `COLORS` or `SHAPES`, `alpha` one of `SHAPES`."""

    size: Size = (48, 40)
    look: str = "waves"
    seed: int = 0
    mode: str = "RGB"
    alpha: str | None = None
    format: str = "PNG"
    orientation: int | None = None
    profile: str | None = None
    frames: int = 1
    damage: tuple[Damage, ...] = ()

    def put(self, path: Path) -> None:
        path.write_bytes(self.data())

    def data(self) -> bytes:
        data = _encoded(self)
        for kind, where, number in self.damage:
            data = damaged(data, kind, where, number)
        return data

    @property
    def suffix(self) -> str:
        return OWN_SUFFIX.get(self.format, ".png")

    @property
    def shown(self) -> Size:
        return self.size[::-1] if (self.orientation or 1) > 4 else self.size


def plane(look: str, size: Size, seed: int = 0) -> np.ndarray:
    width, height = size
    y, x = np.mgrid[:height, :width]
    u, v = (x + 0.5) / width, (y + 0.5) / height
    radius = np.hypot(u - 0.5, v - 0.5)
    planes = {
        "waves": 0.5 + 0.3 * np.sin((x + y) / 4 + seed) + 0.2 * np.cos((x - 2 * y) / 9 + seed),
        "noise": np.random.default_rng(seed).random((height, width)),
        "flat": np.full((height, width), 0.5),
        "black": np.zeros((height, width)),
        "white": np.ones((height, width)),
        "disc": radius < 0.3,
        "soft": np.clip(1.2 - 3 * radius, 0, 1),
        "islands": (x // 3 + y // 4) % 5 == 0,
        "line": np.abs(u - v) < 0.02,
        "dot": (np.abs(x - width // 2) <= 1) & (np.abs(y - height // 2) <= 1),
        "edge": u < 0.3,
        "most": radius < 0.66,
        "inverted": radius > 0.3,
        "full": np.ones((height, width)),
        "empty": np.zeros((height, width)),
    }
    return planes[look].astype(np.float64)


def _image(drawn: Drawn) -> Image.Image:
    seeds = [drawn.seed + channel * (drawn.look in COLORS) for channel in range(3)]
    planes = [plane(drawn.look, drawn.size, seed) for seed in seeds]
    channels = [Image.fromarray(np.rint(255 * each).astype(np.uint8)) for each in planes]
    if drawn.mode == "I;16":
        return Image.fromarray(np.rint(65535 * planes[0]).astype(np.uint16))
    if drawn.mode == "I":
        return Image.fromarray(np.rint(65535 * planes[0]).astype(np.int32))
    if drawn.mode == "F":
        return Image.fromarray(planes[0].astype(np.float32))
    if drawn.mode == "LAB":
        return Image.merge("LAB", channels)
    image = Image.merge("RGB", channels)
    if drawn.mode in ("P", "PA"):
        image = image.quantize(16)
        return image.convert("PA") if drawn.mode == "PA" else image
    if drawn.alpha is not None:
        alpha = np.rint(255 * plane(drawn.alpha, drawn.size)).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))
    return image.convert(drawn.mode)


def _encoded(drawn: Drawn) -> bytes:
    if drawn.mode == "RGB16":
        return _deep_png(drawn)
    image = _image(drawn)
    options: dict[str, object] = {}
    if drawn.orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = drawn.orientation
        options["exif"] = exif.tobytes()
    if drawn.profile is not None:
        options["icc_profile"] = _profile(drawn.profile)
    if drawn.mode == "P" and drawn.alpha is not None:
        options["transparency"] = 0
    if drawn.frames > 1 and drawn.format in ("GIF", "WEBP", "PNG", "TIFF"):
        options |= {"save_all": True, "append_images": [image.rotate(180)] * (drawn.frames - 1)}
    for form, picture in ((drawn.format, image), (drawn.format, image.convert("RGB"))):
        data = io.BytesIO()
        try:
            picture.save(data, form, **options)
        except (OSError, ValueError, KeyError, TypeError, SystemError, DeprecationWarning):
            continue  # the format has no such mode, or is to lose it
        return data.getvalue()
    data = io.BytesIO()
    image.convert("RGB").save(data, "PNG")
    return data.getvalue()


def _deep_png(drawn: Drawn) -> bytes:
    """16 bits a channel, RGB; Pillow writes none."""
    planes = [plane(drawn.look, drawn.size, drawn.seed + channel) for channel in range(3)]
    pixels = np.rint(65535 * np.dstack(planes)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *drawn.size, 16, 2, 0, 0, 0))
    return MAGIC[0] + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _profile(name: str) -> bytes:
    if name in ("sRGB", "LAB", "XYZ"):
        return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]
    return {"broken": b"no profile at all" * 9, "short": b"x"}[name]


def damaged(data: bytes, kind: str, where: float, number: int) -> bytes:
    at = int(where * len(data))
    changed = {
        "cut": data[:at],
        "flip": data[:at] + bytes(byte ^ (number | 1) for byte in data[at : at + 1])
        + data[at + 1 :],
        "zeros": data[:at] + bytes(len(data[at : at + 64])) + data[at + 64 :],
        "ones": data[:at] + b"\xff" * len(data[at : at + 4]) + data[at + 4 :],
        "splice": data[:at] + data[at // 2 :],
        "swap": data[at:] + data[:at],
        "junk": data[:at] + random.Random(number).randbytes(16) + data[at + 16 :],
        "magic": MAGIC[number % len(MAGIC)] + data[8:],
        "doubled": data[:64] + data,
        "tail": data + random.Random(number).randbytes(100),
        "empty": b"",
        "random": random.Random(number).randbytes(200),
        "text": b"This is no picture.\n",
    }  # fmt: skip
    return changed[kind]


KINDS = (
    "cut", "flip", "zeros", "ones", "splice", "swap", "junk", "magic", "doubled", "tail", "empty",
    "random", "text",
)  # fmt: skip


def damages(most: int = 2) -> SearchStrategy[tuple[Damage, ...]]:
    where = st.floats(0, 1) | st.floats(0, 0.1)
    one = st.tuples(st.sampled_from(KINDS), where, st.integers(0, 255))
    some = st.lists(one, min_size=1, max_size=most).map(tuple)
    return st.one_of(st.just(()), st.just(()), some)


SIDES = st.integers(1, 80) | st.integers(16, 48)
SIZES = st.tuples(SIDES, SIDES) | st.sampled_from([(48, 40), (33, 47), (1, 1), (3, 900), (900, 3)])


def drawings(
    size: SearchStrategy[Size] = SIZES,
    look: SearchStrategy[str] | None = None,
    alpha: SearchStrategy[str | None] | None = None,
    damage: SearchStrategy[tuple[Damage, ...]] | None = None,
    mode: SearchStrategy[str] | None = None,
) -> SearchStrategy[Drawn]:
    """Pictures of any kind, but for what is given."""
    return st.builds(
        Drawn,
        size=size,
        look=st.sampled_from(COLORS) if look is None else look,
        seed=st.integers(0, 9),
        mode=st.sampled_from(MODES) if mode is None else mode,
        alpha=st.none() | st.sampled_from(SHAPES) if alpha is None else alpha,
        format=st.sampled_from(FORMATS),
        orientation=st.none() | st.integers(0, 9),
        profile=st.none() | st.sampled_from(["sRGB", "LAB", "XYZ", "broken", "short"]),
        frames=st.sampled_from([1, 1, 1, 2]),
        damage=damages() if damage is None else damage,
    )
