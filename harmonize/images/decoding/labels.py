"""Find color space, resolution and orientation.

A profile wins over numbers, these over EXIF; in PNG, cICP over all.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image

from harmonize.images import profiles
from harmonize.images.decoding import containers
from harmonize.images.profiles import Primaries

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 0x0112, 0x011A, 0x011B, 0x0128
EXIF, INTEROPERABILITY, COLOR_SPACE, ADOBE_RGB = 0x8769, 0xA005, 0xA001, 2
HDR = {16: "PQ", 18: "HLG"}
JP2_GRAY_OR_SRGB = (15, 16, 17, 18, 12)  # CMYK: 12; bilevel: 15; sYCC: 18
SAME_POINT = 0.005  # in x and y
ISO = {"AVIF": (b"meta", b"iprp", b"ipco"), "HEIF": (b"meta", b"iprp", b"ipco"),
       "JPEG2000": (b"jp2h",)}  # fmt: skip

AS_SRGB = "export it in sRGB if they look wrong"
LEFT_OUT = (
    "its color profile cannot be used and is left out; export it in sRGB if colors look wrong"
)

Resolution = tuple[float, float]


@dataclass(frozen=True)
class Labels:
    """What a file says of its picture."""

    icc: bytes | None = None  # None: sRGB
    dpi: Resolution | None = None  # x and y of the upright picture
    turn: int = 1  # EXIF's orientation, 1 (upright) to 8
    notes: tuple[str, ...] = ()  # what could not be heeded, a sentence each


@dataclass(frozen=True)
class _Space:
    icc: bytes | None = None
    note: str | None = None


def labels_of(image: Image.Image, data: bytes = b"") -> Labels:
    """Return an unloaded image's labels."""
    exif = exif_of(image)
    turn = exif.get(ORIENTATION, 1)
    turn = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
    dpi = _resolution(image, exif)
    if dpi is not None and turn > 4:
        dpi = dpi[::-1]
    space, notes = _Space(), []
    if image.mode != "LAB":
        gray = image.mode[0] in "1LIF"
        space = _space(image, data, gray) or _by_exif(exif, gray) or _Space()
    if space.note:
        notes.append(space.note)
    bits = _bits(image, data)
    if bits > 8:
        notes.append(f"{bits} bits a channel are read as 8; give a PNG or TIFF to keep them")
    return Labels(space.icc, dpi, turn, tuple(notes))


def exif_of(image: Image.Image) -> Image.Exif:
    """Return EXIF data, empty if damaged."""
    try:
        return image.getexif()
    except Exception:  # damaged EXIF data are no damage to the picture
        return Image.Exif()


# --- resolution -----------------------------------------------------------------------------------


def _resolution(image: Image.Image, exif: Image.Exif) -> Resolution | None:
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        return resolution(exif)
    if image.format == "TIFF":
        return resolution(getattr(image, "tag_v2", exif))
    return _two(image.info.get("dpi"))


def resolution(tags: Any) -> Resolution | None:
    """Return dots an inch by EXIF or TIFF tags."""
    unit = {2: 1.0, 3: 2.54}.get(tags.get(UNIT, 2))
    found = _two((tags.get(X_RESOLUTION), tags.get(Y_RESOLUTION)))
    return (found[0] * unit, found[1] * unit) if found and unit else None


def _two(dpi: Any) -> Resolution | None:
    try:
        x, y = float(dpi[0]), float(dpi[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


# --- colors ---------------------------------------------------------------------------------------


def _space(image: Image.Image, data: bytes, gray: bool) -> _Space | None:
    if image.format == "PNG":
        return _by_chunks(containers.png_labels(data), image, gray)
    if icc := image.info.get("icc_profile"):
        return _Space(icc)
    if image.format == "GIF":
        return _Space(icc) if (icc := containers.gif_profile(data)) else None
    if image.format == "BMP":
        return _by_bmp(data)
    if image.format in ISO:
        return _by_boxes(data, ISO[image.format], gray)
    return None


def _by_chunks(chunks: dict[bytes, bytes], image: Image.Image, gray: bool) -> _Space | None:
    if len(numbers := chunks.get(b"cICP", b"")) >= 2:
        return by_numbers(numbers[0], numbers[1], gray)
    if b"iCCP" in chunks:
        icc = containers.png_profile(chunks[b"iCCP"])
        if icc is None:
            return _Space(
                note=f"its color profile is damaged; its colors are taken as sRGB; {AS_SRGB}"
            )
        return _Space(icc)
    if icc := image.info.get("icc_profile"):  # of an image without its file
        return _Space(icc)
    if b"sRGB" in chunks or (b"gAMA" not in chunks and b"cHRM" not in chunks):
        return _Space() if b"sRGB" in chunks else None
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big") or 45455
    points = chunks.get(b"cHRM", b"")
    if len(points) < 32:
        return _calibrated(profiles.BT709, 1e5 / gamma, gray)
    x = [value / 1e5 for value in struct.unpack(">8I", points[:32])]
    primaries = Primaries((x[2], x[3]), (x[4], x[5]), (x[6], x[7]), (x[0], x[1]))
    return _calibrated(primaries, 1e5 / gamma, gray)


def _calibrated(primaries: Primaries, gamma: float, gray: bool) -> _Space:
    off = max(math.dist(a, b) for a, b in zip(primaries, profiles.BT709, strict=True))
    curve = profiles.SRGB_CURVE if abs(gamma - 2.2) < 0.03 else (gamma,)
    if not 0.2 < gamma < 6:
        return _Space(
            note=f"its gamma of {gamma:.3g} cannot be; its colors are taken as sRGB; {AS_SRGB}"
        )
    if gray:
        return _Space() if curve == profiles.SRGB_CURVE else _Space(profiles.gray_profile(curve))
    if off < SAME_POINT:
        if curve == profiles.SRGB_CURVE:
            return _Space()
        primaries = profiles.BT709
    elif curve == profiles.SRGB_CURVE:
        curve = (gamma,)
    try:
        return _Space(profiles.rgb_profile(primaries, curve))
    except ValueError:
        return _Space(note=f"its primaries cannot be; its colors are taken as sRGB; {AS_SRGB}")


def by_numbers(primaries: int, curve: int, gray: bool) -> _Space:
    """Return the color space of ITU-T H.273 numbers."""
    if curve in HDR:
        return _Space(
            note=f"its HDR colors ({HDR[curve]}) are taken as sRGB and come out flat; "
            "export it in SDR"
        )
    told, shape = profiles.PRIMARIES.get(primaries), profiles.CURVES.get(curve)
    if told is None or shape is None:
        return _Space(
            note=f"its color space (primaries {primaries}, curve {curve}) is not known here; "
            f"its colors are taken as sRGB; {AS_SRGB}"
        )
    if shape == profiles.SRGB_CURVE and (gray or told == profiles.BT709):
        return _Space()
    return _Space(profiles.gray_profile(shape) if gray else profiles.rgb_profile(told, shape))


def _by_exif(exif: Image.Exif, gray: bool) -> _Space | None:
    try:
        inner = exif.get_ifd(EXIF)
        space, rule = inner.get(COLOR_SPACE), exif.get_ifd(INTEROPERABILITY).get(1)
    except Exception:  # damaged EXIF data are no damage to the picture
        return None
    rule = rule.decode("latin-1") if isinstance(rule, bytes) else str(rule)
    if space == ADOBE_RGB or (space == 0xFFFF and rule.startswith("R03")):
        gamma = profiles.ADOBE_GAMMA
        return _Space(
            profiles.gray_profile(gamma) if gray else profiles.rgb_profile(profiles.ADOBE, gamma)
        )
    return None


def _by_bmp(data: bytes) -> _Space | None:
    if len(data) < 122 or int.from_bytes(data[14:18], "little") < 108:
        return None
    kind = data[70:74][::-1]
    if kind == b"LINK":
        return _Space(
            note="its color profile is in another file and left out; save it with the profile in it"
        )
    if kind == b"MBED":
        start, length = struct.unpack_from("<II", data, 126)
        return _Space(data[14 + start : 14 + start + length])
    if kind != b"\0\0\0\0":
        return None
    xyz = [value / (1 << 30) for value in struct.unpack_from("<9i", data, 74)]
    gamma = struct.unpack_from("<I", data, 110)[0] / 65536
    ends = [xyz[:3], xyz[3:6], xyz[6:]]
    ends.append([sum(column) for column in zip(*ends, strict=True)])
    if min(map(sum, ends)) <= 0 or gamma <= 0:  # left empty
        return None
    points = [(end[0] / sum(end), end[1] / sum(end)) for end in ends]
    return _calibrated(Primaries(*points), gamma, gray=False)


def _by_boxes(data: bytes, path: tuple[bytes, ...], gray: bool) -> _Space | None:
    found = None
    for name, body in containers.inner_boxes(data, *path):
        if name != b"colr" or len(body) < 7:
            continue
        if body[:4] in (b"prof", b"rICC"):
            return _Space(body[4:])
        if body[:4] == b"nclx" and len(body) >= 8:
            found = by_numbers(body[5], body[7], gray)
        elif body[0] in (2, 3):  # the method of JPEG 2000
            return _Space(body[3:])
        elif body[0] == 1 and int.from_bytes(body[3:7], "big") not in JP2_GRAY_OR_SRGB:
            number = int.from_bytes(body[3:7], "big")
            found = _Space(
                note=f"its color space (number {number} of JPEG 2000) is not known here; its "
                "colors are taken as sRGB"
            )
    return found


def _bits(image: Image.Image, data: bytes) -> int:
    if image.mode[0] in "IF":
        return 8
    if image.format == "PPM":
        return containers.ppm_bits(data)
    if image.format not in ISO:
        return 8
    if data[:4] == b"\xff\x4f\xff\x51":  # a bare codestream
        return (data[42] & 0x7F) + 1 if len(data) > 42 else 8
    for name, body in containers.inner_boxes(data, *ISO[image.format]):
        if name == b"pixi" and len(body) > 5:
            return max(body[5:])
        if name == b"ihdr" and len(body) > 10:
            return (body[10] & 0x7F) + 1 if body[10] != 255 else 8
    return 8
