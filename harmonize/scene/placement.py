"""Where an element goes; mistakes raise an InputError."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

from harmonize.errors import InputError

Number = int | float
Length = Number | str  # pixels, or a share of the painting such as "30%"
Corner = tuple[Length, Length]

CENTER = "center"
FLIPS = ("horizontal", "vertical")
HUGE = 10**9  # pixels, times or turns: beyond any picture
PERCENT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*%")


@dataclass(frozen=True)
class Placement:
    """Where an element lies: mirrored, scaled, turned, then put there.

    Lengths are pixels, or shares of the painting such as `"30%"`; the visible box is the smallest
    upright one around what shows.

    Attributes:
        at: top left corner x, y of the final visible box, or `"center"`. None: centered, but
            aligned if it has the painting's size and nothing else is said.
        width, height: of the visible box before turning; a side left out follows.
        scale: instead: 1 keeps the element's pixels, as `at` alone does. Else it fits in a third
            of the painting's width and two thirds of its height.
        rotate: degrees counter-clockwise.
        flip: `"horizontal"` or `"vertical"`.
        box: `"whole"` counts the transparent margin.
    """

    at: Corner | str | None = None
    width: Length | None = None
    height: Length | None = None
    scale: Number | None = None
    rotate: Number = 0.0
    flip: str | None = None
    box: str = "visible"

    def __post_init__(self) -> None:
        clean = {
            "at": _at(self.at),
            "width": _side("width", self.width),
            "height": _side("height", self.height),
            "scale": _scale(self.scale),
            "rotate": _rotate(self.rotate),
            "flip": _choice("flip", self.flip, (*FLIPS, None)),
            "box": _choice("box", self.box, ("visible", "whole")),
        }
        for key, value in clean.items():
            object.__setattr__(self, key, value)
        if self.scale is not None and (self.width, self.height) != (None, None):
            other = "width" if self.width is not None else "height"
            raise InputError(f"placement: `{other}` and `scale`: leave one")

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Placement:
        known = [item.name for item in fields(cls)]
        for key in mapping:
            if key not in known:
                raise InputError(f"placement: {key!r} is not known; use {', '.join(known)}")
        return cls(**{key: value for key, value in mapping.items() if value is not None})

    @classmethod
    def of_record(cls, mapping: Mapping[str, Any]) -> Placement:
        return cls.parse({"box": "whole", **mapping})

    def to_json(self) -> dict[str, Any]:
        tree = asdict(self)
        return {**tree, "at": list(self.at) if isinstance(self.at, tuple) else self.at}

    @property
    def is_default(self) -> bool:
        return Placement(box=self.box) == self

    def __str__(self) -> str:
        said = {key: value for key, value in asdict(self).items() if value not in (None, 0)}
        if isinstance(self.at, tuple):
            said["at"] = ",".join(map(str, self.at))
        if said.pop("box") == "whole" and said:
            said["box"] = "whole"
        return ", ".join(f"{key} {value}" for key, value in said.items())


def in_pixels(length: Length, whole: int) -> float:
    """Return a length, or share of `whole`, in pixels."""
    if isinstance(length, str):
        return float(length.removesuffix("%")) / 100 * whole
    return float(length)


def box_in(box: Sequence[Length], width: int, height: int) -> tuple[float, float, float, float]:
    """Return a box's left, top, right and bottom in pixels."""
    lengths = _lengths(box)
    if len(lengths) != 4 or None in lengths:
        raise InputError(
            f"`box={box}`: expected left, top, width and height in pixels or percent, such as "
            "120,40,300,200"
        )
    x, y, w, h = (
        in_pixels(length, side)  # type: ignore[arg-type]
        for length, side in zip(lengths, (width, height, width, height), strict=True)
    )
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if right - left < 2 or bottom - top < 2:
        raise InputError(
            f"`box={box}`: lies outside the photo of {width} x {height}; give one within it"
        )
    return left, top, right, bottom


def point_in(point: Sequence[Length], width: int, height: int) -> tuple[float, float]:
    """Return a point's x and y in pixels."""
    lengths = _lengths(point)
    if len(lengths) != 2 or None in lengths:
        raise InputError(f"point {point}: expected x and y in pixels or percent, such as 120,40")
    x, y = (in_pixels(length, side) for length, side in zip(lengths, (width, height), strict=True))  # type: ignore[arg-type]
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"point {x:g},{y:g}: lies outside the photo of {width} x {height}; give one within it"
        )
    return x, y


def _lengths(values: Sequence[Any]) -> list[Length | None]:
    return list(map(length_of, values.split(",") if isinstance(values, str) else values))


def _at(at: Any) -> Corner | str | None:
    if at is None:
        return None
    if isinstance(at, str):
        if at.strip().lower() in (CENTER, "centre"):
            return CENTER
        parts: list[Any] = at.split(",")
    elif isinstance(at, Iterable):
        parts = list(at)
    else:
        parts = []
    if len(parts) != 2:
        raise _wrong_corner(at)
    x, y = (length_of(part) for part in parts)
    if x is None or y is None:
        raise _wrong_corner(at)
    return x, y


def _wrong_corner(at: Any) -> InputError:
    return InputError(
        f"placement: `at={_short(at)}`: expected x,y in pixels or percent of the painting, such as "
        "120,40 or 30%,60%, or center"
    )


def _side(key: str, side: Any) -> Length | None:
    if side is None:
        return None
    length = length_of(side)
    if length is None or in_pixels(length, 100) <= 0:
        raise InputError(
            f"placement: `{key}={_short(side)}`: expected pixels above 0, or percent of the "
            "painting such as 25%"
        )
    return length


def _scale(scale: Any) -> Number | None:
    if scale is None:
        return None
    number = _number(scale)
    if number is None or number <= 0:
        raise InputError(f"placement: `scale={_short(scale)}`: expected a number above 0")
    return number


def _rotate(angle: Any) -> Number:
    number = _number(angle)
    if number is None:
        raise InputError(f"placement: `rotate={_short(angle)}`: expected degrees, such as -15")
    return float(number)


def _choice(key: str, value: Any, choices: tuple[Any, ...]) -> Any:
    found = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(found, str | None) or found not in choices:
        raise InputError(
            f"placement: `{key}={_short(value)}`: expected "
            + " or ".join(str(choice) for choice in choices if choice)
        )
    return found


def length_of(value: Any) -> Length | None:
    """Read pixels or a share like `30%`, else None."""
    if isinstance(value, str) and (share := PERCENT.fullmatch(value.strip())):
        number = _number(share[1])
        return None if number is None else f"{number}%"
    return _number(value)


def _number(value: Any) -> Number | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not (math.isfinite(number) and abs(number) <= HUGE):
        return None
    return int(number) if number.is_integer() else number


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
