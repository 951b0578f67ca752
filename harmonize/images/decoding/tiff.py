"""Read a TIFF's tags."""

import io
import math
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

from harmonize.images.decoding.labels import AS_SRGB, SAME_POINT, Labels, resolution
from harmonize.images.profiles import BT709

BITS = (1, 2, 4, 8, 16, 32)  # of a channel that are read; 32 as grays
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RAW_PHOTO = 'a camera\'s raw file; develop it and export it as "TIFF, 16 bits", or JPEG'
# Channels of a photometric.
COLOR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}
YCBCR, CFA, LINEAR_RAW = 6, 32803, 34892
RAW_TAGS = (50706, 33421)  # version of DNG, pattern of the sensor
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2  # kinds of extra channels
FOR_VIPS = {1: "none", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old JPEG", 7: "JPEG",
            8: "Deflate", 32773: "PackBits", 32946: "Deflate", 50001: "WebP"}  # fmt: skip
FOR_PILLOW = {34925: "LZMA", 50000: "Zstandard"}
OTHERS = {32809: "ThunderScan", 34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv",
          34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000", 34887: "LERC",
          34933: "PNG", 50002: "JPEG XL", 52546: "JPEG XL"}  # fmt: skip


@dataclass(frozen=True)
class Tags:
    """What the first picture's tags say."""

    size: tuple[int, int]
    compression: int
    photometric: int
    bits: int  # of a channel
    extra: tuple[int, ...]  # kinds of the extra channels
    labels: Labels
    raw: bool  # a camera's raw data, or a thumbnail of them
    odd: bool  # an orientation that does not exist

    @property
    def alpha(self) -> int | None:
        for place, kind in enumerate(self.extra):
            if kind in (PREMULTIPLIED, STRAIGHT):
                return place
        return None

    @property
    def is_for_pillow(self) -> bool:
        """Whether libvips cannot unpack it or mistakes its colors."""
        uncooked = self.photometric == YCBCR and self.compression not in (6, 7)
        return self.compression in FOR_PILLOW or uncooked

    @property
    def unknown_compression(self) -> str | None:
        if self.compression in FOR_VIPS or self.compression in FOR_PILLOW:
            return None
        return OTHERS.get(self.compression, f"number {self.compression}")


def read_tags(data: bytes) -> Tags:
    """Read tags; damage raises a Value-, Syntax-, Key- or TypeError."""
    header = data[: 16 if data[2:3] == b"+" or data[3:4] == b"+" else 8]
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    photometric = int(tags.get(262, 0))
    told = tags.get(274, 1)
    turn = told if isinstance(told, int) and 1 <= told <= 8 else 1
    dpi = resolution(tags)
    if dpi is not None and turn > 4:
        dpi = dpi[::-1]
    icc = tags.get(34675)
    return Tags(
        size=(int(tags[256]), int(tags[257])),
        compression=int(tags.get(259, 1)),
        photometric=photometric,
        bits=max(_tag_numbers(tags.get(258, 1))),
        extra=_extra(tags, photometric),
        labels=Labels(icc if isinstance(icc, bytes) and icc else None, dpi, turn, _tag_notes(tags)),
        raw=photometric in (CFA, LINEAR_RAW)
        or any(tag in tags for tag in RAW_TAGS)
        or (data[8:10] == b"CR" and data[:4] in SIGNATURES)
        or (int(tags.get(254, 0)) & 1 == 1 and 330 in tags),
        odd=told != turn,
    )


def _tag_notes(tags: Any) -> tuple[str, ...]:
    notes = []
    told = tags.get(319, ())
    if 34675 not in tags and len(told) == 6:
        points = [tuple(map(float, told[i : i + 2])) for i in (0, 2, 4)]
        if max(map(math.dist, points, BT709[:3])) > SAME_POINT:
            notes.append(
                f"its primaries are told by tags, but its colors are taken as sRGB; {AS_SRGB}"
            )
    if tags.get(332, 1) != 1:
        notes.append(f"its inks are others than CMYK, but are taken as CMYK; {AS_SRGB}")
    return tuple(notes)


def _extra(tags: Any, photometric: int) -> tuple[int, ...]:
    count = max(int(tags.get(277, 1)) - COLOR_CHANNELS.get(photometric, 1), 0)
    told = _tag_numbers(tags.get(338, (STRAIGHT,)))[:count]
    return told + (UNSPECIFIED,) * (count - len(told))


def _tag_numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, (tuple, list)) else (int(value),)
