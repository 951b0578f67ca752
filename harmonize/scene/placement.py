"""Where an element goes on a painting, as a person says it: a value to parse, store and compare."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
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
    """Where an element lies on a painting: mirrored, then scaled, then turned, then put there.

    The visible box is the smallest upright box around what shows of the element; its transparent
    margin does not count. Lengths are pixels of the painting, or shares of it such as `"30%"`.

    Attributes:
        at: x and y of the visible box's top left corner, after all else; `"center"` centers the
            box. None: an element of the painting's size is aligned with it if nothing else is
            said; any other is centered.
        width: of the visible box, before turning.
        height: likewise; alone, or left out, the other side follows.
        scale: in place of both: 1 keeps the element's own pixels. With a corner in `at` and no
            size, 1; else the element is as wide as a third of the painting, and fits into it.
        rotate: degrees, counter-clockwise.
        flip: `"horizontal"` (left and right change places), `"vertical"`, or None.
        box: `"visible"`; `"whole"` counts the transparent margin, as records without this key do.

    Raises:
        InputError: a value is of the wrong type, out of range, or at odds with another.
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
            raise InputError(f"placement: `{other}` or `scale`, not both")

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Placement:
        """Read a placement from the keys of a list; absent keys keep their defaults.

        Raises:
            InputError: an unknown key, or a value that is none.
        """
        known = [item.name for item in fields(cls)]
        for key in mapping:
            if key not in known:
                raise InputError(f"placement: {key!r} is not known; use {', '.join(known)}")
        return cls(**{key: value for key, value in mapping.items() if value is not None})

    @classmethod
    def of_record(cls, mapping: Mapping[str, Any]) -> Placement:
        """Read the placement of a run record; older records counted the transparent margin.

        Raises:
            InputError: it is no placement.
        """
        return cls.parse({"box": "whole", **mapping})

    def to_json(self) -> dict[str, Any]:
        """Return what `of_record` reads back, for JSON."""
        tree = asdict(self)
        return {**tree, "at": list(self.at) if isinstance(self.at, tuple) else self.at}

    @property
    def is_default(self) -> bool:
        """Whether nothing is said of place, size, turn and flip."""
        return Placement(box=self.box) == self

    def __str__(self) -> str:
        """Say in one line what is not left to its default."""
        said = {key: value for key, value in asdict(self).items() if value not in (None, 0)}
        if isinstance(self.at, tuple):
            said["at"] = ",".join(map(str, self.at))
        if said.pop("box") == "whole" and said:
            said["box"] = "whole"
        return ", ".join(f"{key} {value}" for key, value in said.items())


def in_pixels(length: Length, whole: int) -> float:
    """Return a length in pixels; a share is one of `whole` pixels."""
    if isinstance(length, str):
        return float(length.removesuffix("%")) / 100 * whole
    return float(length)


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
    """Return pixels as a number, a share as text such as `30%`; None for what is neither."""
    if isinstance(value, str) and (share := PERCENT.fullmatch(value.strip())):
        number = _number(share[1])
        return None if number is None else f"{number}%"
    return _number(value)


def _number(value: Any) -> Number | None:
    """A plain finite number, whole ones as int; None for what is none."""
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
