"""Read what Pillow leaves out."""

import re
import struct
import zlib
from collections.abc import Iterator

LARGEST_PROFILE = 64 << 20  # bytes
LARGEST_TEXT = 1 << 16  # bytes of a PNG's text that Pillow gets to see
PNG = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
RESOLUTION = (282, 283, 296)  # tags of TIFF
GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, and where its body lies."""
    place = len(PNG)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, place + 8, min(place + 8 + length, len(data))
        place += 12 + length


def png_labels(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks that describe colors."""
    found: dict[bytes, bytes] = {}
    for name, start, end in png_chunks(data):
        if name == b"IDAT":
            break
        if name in (b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM"):
            found.setdefault(name, data[start:end])
    return found


def png_profile(body: bytes) -> bytes | None:
    """Unpack an iCCP chunk's profile; None if damaged."""
    _, _, packed = body.partition(b"\0")
    try:
        unpacker = zlib.decompressobj()
        icc = unpacker.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return None
    return icc if unpacker.eof and icc else None


def without_texts(data: bytes) -> bytes:
    """Remove a PNG's profile and large texts, but not EXIF."""
    parts, kept = [data[: len(PNG)]], len(PNG)
    for name, start, end in png_chunks(data):
        whole = slice(start - 8, min(end + 4, len(data)))
        packed = name == b"zTXt" or (name == b"iTXt" and _is_packed(data[start:end]))
        exif = data[start : start + 21] == b"Raw profile type exif"
        long = end - start > LARGEST_TEXT or (packed and not exif)
        if name == b"iCCP" or (name in TEXT_CHUNKS and long):
            parts.append(data[kept : whole.start])
            kept = whole.stop
    return b"".join([*parts, data[kept:]]) if kept > len(PNG) else data


def png_without_resolution(data: bytes) -> bytes:
    """Remove what libvips always writes."""
    for name, start, end in png_chunks(data):
        if name == b"pHYs":
            return data[: start - 8] + data[end + 4 :]
    return data


def tiff_without_resolution(data: bytes) -> bytes:
    """Remove what libvips always writes."""
    order = "<" if data[:2] == b"II" else ">"
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    end = place + 2 + 12 * count
    entries = [data[start : start + 12] for start in range(place + 2, end, 12)]
    kept = [each for each in entries if struct.unpack(f"{order}H", each[:2])[0] not in RESOLUTION]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + data[end : end + 4]
    return data[:place] + directory.ljust(end + 4 - place, b"\0") + data[end + 4 :]


def _is_packed(body: bytes) -> bool:
    _, _, rest = body.partition(b"\0")
    return rest[:1] == b"\1"


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield each ISO box's name, and where its body lies."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if length == 0 else min(start + length, end)
        if stop < start + head:
            return
        yield name, start + head, stop
        start = stop


def inner_boxes(data: bytes, *path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of boxes along `path`."""
    start, end = 0, len(data)
    for step in path:
        found = next(((a, b) for name, a, b in boxes(data, start, end) if name == step), None)
        if found is None:
            return
        start, end = found[0] + (4 if step == b"meta" else 0), found[1]  # it has a version
    for name, a, b in boxes(data, start, end):
        yield name, data[a:b]


def gif_profile(data: bytes) -> bytes | None:
    """Return a GIF's profile, if any."""
    place = data.find(GIF_PROFILE)
    if place < 0:
        return None
    place, parts = place + len(GIF_PROFILE), []
    while place < len(data) and data[place]:
        parts.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    return b"".join(parts)


def ppm_bits(data: bytes) -> int:
    """Return a color PPM's bits a channel, else 8."""
    numbers = re.match(rb"P[36]\s+(?:#.*\s+)*\d+\s+(?:#.*\s+)*\d+\s+(?:#.*\s+)*(\d+)", data[:1000])
    return int(numbers[1]).bit_length() if numbers else 8
