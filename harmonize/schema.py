"""The parts that settings are made of: each with its type, its range and what it expects, in words.

No value is set here: those live in the presets (`configs/*.yaml`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic import Field as Limit
from pydantic_core import PydanticCustomError


def expects(text: str) -> WrapValidator:
    """Replace pydantic's message (or several, for a union) by one: what was expected."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("expected", text) from None

    return WrapValidator(check)


def number_keys(value: Any) -> Any:
    """Turn a table's keys back into numbers: JSON, and so the run record, has them as strings."""
    if not isinstance(value, dict):
        return value
    return {float(key) if is_number(key) else key: item for key, item in value.items()}


def is_number(key: object) -> bool:
    """Return whether a key is a number written as a string."""
    return isinstance(key, str) and re.fullmatch(r"\d+(\.\d+)?", key) is not None


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("even")
    return value


def one_of(*names: str) -> WrapValidator:
    """Say which names are valid when none of them was given."""
    return expects("one of " + ", ".join(names))


Positive = Annotated[float, Limit(gt=0), expects("a number above 0")]
NonNegative = Annotated[float, Limit(ge=0), expects("a number from 0 up")]
Fraction = Annotated[float, Limit(gt=0, le=1), expects("a number above 0, at most 1")]
Natural = Annotated[int, Limit(ge=0), expects("a whole number from 0 up")]
Count = Annotated[int, Limit(ge=1), expects("a whole number from 1 up")]
Odd = Annotated[int, Limit(ge=3), AfterValidator(_odd), expects("an odd whole number from 3 up")]
Flag = Annotated[bool, expects("true or false")]
Text = Annotated[str, Limit(min_length=1), expects("a name (quote it if it looks like a number)")]
Tap = Annotated[str, Limit(pattern=r"^relu([12]_[12]|[34]_[1-4]|5_1)$")]
Taps = Annotated[
    tuple[Tap, ...],
    Limit(min_length=1, strict=False),
    expects("a list of taps, such as relu1_1 or relu4_1, up to relu5_1"),
]
PassName = Annotated[
    str,
    Limit(pattern=r"^[a-z][a-z0-9_-]*$"),
    expects("a pass's name of lowercase letters, digits, - and _"),
]
Level = Annotated[float, Limit(ge=1, le=10)]
Amount = Annotated[float, Limit(ge=0)]
Table = Annotated[dict[Level, Amount], Limit(min_length=1)]
Weight = Annotated[
    Amount | Table,
    BeforeValidator(number_keys),
    expects("a number from 0 up, or a table of style level (1 to 10): number"),
]
AutoWeight = Annotated[
    Literal["auto"] | Amount | Table,
    BeforeValidator(number_keys),
    expects("auto, a number from 0 up, or a table of style level (1 to 10): number"),
]


class Settings(BaseModel):
    """What all settings share: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Field(Settings):
    """How positions of the patch are matched to positions of the painting.

    `nearest`: each tap on its own. `coherent`: at the first tap, refined with its neighbors and
    carried to finer taps. The guides add squared differences of luma and chroma to the distance.
    """

    kind: Annotated[Literal["nearest", "coherent"], one_of("nearest", "coherent")]
    taps: Taps
    guide_luma: Weight
    guide_chroma: Weight


class Content(Settings):
    """Keep the patch recognizable: features of the composite or of the pass's start."""

    weight: Weight
    taps: Taps
    target: Annotated[Literal["composite", "start"], one_of("composite", "start")]


class Style(Settings):
    """Gram matrices of the matched style features."""

    weight: Weight
    taps: Taps


class Histogram(Settings):
    """Channel histograms of the matched style features; `exact` takes quantiles for bins.

    The weight `auto` is the authors': style level · (10 − w_tv), see `Tv`.
    """

    weight: AutoWeight
    taps: Taps
    bins: Annotated[int, Limit(ge=2), expects("a whole number from 2 up")]
    range: Annotated[Literal["reference", "input"], one_of("reference", "input")]
    exact: Flag


class Tv(Settings):
    """Total variation, relative to the painting's own.

    The weight `auto` is `factor` times the authors': style level · w_tv, where w_tv goes from 10
    for smooth paintings to 0 for grainy ones.
    """

    weight: AutoWeight
    factor: Positive


class Strokes(Settings):
    """Strokes of the painting's matched places, laid over a pass's start.

    `amount` of their luma detail: what a Gaussian of `sigma` pixels at the pass's scale takes off.
    """

    amount: Weight
    sigma: Positive


class Terms(Settings):
    """The terms of a pass's objective; one left out, or null, is off."""

    content: Content | None = None
    style: Style | None = None
    histogram: Histogram | None = None
    tv: Tv | None = None


class Pass(Settings):
    """One optimization: at which scale, from which start, of which terms.

    `steps` is rounded to a whole number; 0 skips the pass at that style level. The pass ends early
    when the objective improved by less than the share `plateau` over `plateau_window` steps.
    `match` says what is matched to the painting: the start, before strokes are laid over it, or
    the previous pass's picture. `levels` are those of the pyramid: the coarsest that a step moves
    as a whole is 2^(levels − 1) pixels wide.
    """

    scale: Fraction
    steps: Weight
    start: Annotated[Literal["composite", "previous"], one_of("composite", "previous")]
    match: Annotated[Literal["start", "previous"], one_of("start", "previous")]
    variables: Annotated[Literal["pixels", "pyramid"], one_of("pixels", "pyramid")]
    levels: Count
    chroma_frozen: Natural
    optimizer: Annotated[Literal["adam", "lbfgs"], one_of("adam", "lbfgs")]
    rate: Positive
    balance: Annotated[Literal["loss", "gradient"], one_of("loss", "gradient")]
    plateau: NonNegative
    plateau_window: Count
    refresh: Count
    field: Field
    strokes: Strokes | None = None
    terms: Terms

    @model_validator(mode="after")
    def _every_tap_has_a_field(self) -> "Pass":
        """A field is carried to finer taps only."""
        roots = self.field.taps if self.field.kind == "nearest" else self.field.taps[:1]
        coarsest = max(block(tap) for tap in roots)
        for term in (self.terms.style, self.terms.histogram):
            for tap in term.taps if term else ():
                if block(tap) > coarsest:
                    raise PydanticCustomError(
                        "expected", f"a field tap at least as deep as {tap}, which a term looks at"
                    )
        return self


def block(tap: str) -> int:
    """The block of the network that a tap lies in: 4 for `relu4_1`."""
    return int(tap[4])


class Chroma(Settings):
    """The guided filter of the chroma channels: window radius in pixels, regularizer."""

    radius: Count
    eps: Positive


class Detail(Settings):
    """The painting's own detail beyond the working size: its amount, side of the patches."""

    amount: NonNegative
    size: Odd


class Vote(Settings):
    """The patch vote from the painting: side of the patches in pixels."""

    size: Odd


class Finish(Settings):
    """What happens after the last pass; `chroma`, `vote` or `detail` left out, or null, is off."""

    chroma: Chroma | None = None
    vote: Vote | None = None
    detail: Detail | None = None
    paste_sigma: NonNegative


def at_level(weight: float | Mapping[float, float], level: float) -> float:
    """Return a weight at a style level: itself, or its table interpolated linearly.

    Outside the table the nearest entry holds.
    """
    if not isinstance(weight, Mapping):
        return float(weight)
    below = max((key for key in weight if key <= level), default=min(weight))
    above = min((key for key in weight if key >= level), default=max(weight))
    if above <= below:
        return float(weight[below if below == above or level > above else above])
    share = (level - below) / (above - below)
    return float(weight[below] + share * (weight[above] - weight[below]))
