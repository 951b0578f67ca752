"""Types of values, with ranges."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic import Field as Limit
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Expects:
    """Says what is expected."""

    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "expected": self.words}

    def _check(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("expected", self.words) from None


def number_keys(value: Any) -> Any:
    """Turn a table's keys from JSON into numbers."""
    if not isinstance(value, dict):
        return value
    return {float(key) if is_number(key) else key: item for key, item in value.items()}


def is_number(key: object) -> bool:
    """Tell whether a key is like `7.5`."""
    return isinstance(key, str) and re.fullmatch(r"\d+(\.\d+)?", key) is not None


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("even")
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError("not rising")
    return value


def one_of(*names: str) -> Expects:
    """Name the valid words."""
    return Expects("one of " + ", ".join(names))


LARGEST_NUMBER = 1e12  # of numbers without a range of their own: products of them fit in 32 bits
Positive = Annotated[
    float, Limit(ge=1e-12, le=LARGEST_NUMBER), Expects("a number from 1e-12 to 1e12")
]
NonNegative = Annotated[float, Limit(ge=0, le=LARGEST_NUMBER), Expects("a number from 0 to 1e12")]
Sigma = Annotated[float, Limit(ge=0.01, le=100), Expects("a number from 0.01 to 100")]
Blur = Annotated[float, Limit(ge=0, le=100), Expects("a number from 0 to 100")]
Fraction = Annotated[float, Limit(gt=0, le=1), Expects("a number above 0, at most 1")]
Share = Annotated[float, Limit(ge=0, le=1), Expects("a number from 0 to 1")]
Rates = Annotated[
    tuple[Annotated[float, Limit(ge=1e-12, le=1)], ...],
    Limit(min_length=1, strict=False),
    Expects("a list of numbers above 0, at most 1, such as [0.25, 0.5, 1.0]"),
]
Steps = Annotated[
    tuple[Annotated[int, Limit(ge=0, le=100)], ...],
    Limit(min_length=1, max_length=6, strict=False),
    Expects("a list of 1 to 6 whole numbers from 0 to 100, such as [2, 3, 4, 5]"),
]
Range = Annotated[
    tuple[Annotated[float, Limit(ge=0, le=1)], Annotated[float, Limit(ge=0, le=1)]],
    Limit(strict=False),
    AfterValidator(_rising),
    Expects("two numbers from 0 to 1, the second larger, such as [0.3, 0.4]"),
]
Bins = Annotated[int, Limit(ge=2, le=65536), Expects("a whole number from 2 to 65536")]
Seed = Annotated[int, Limit(ge=0, lt=2**63), Expects("a whole number from 0 up, below 2^63")]
Radius = Annotated[int, Limit(ge=1, le=100), Expects("a whole number from 1 to 100")]
Reach = Annotated[float, Limit(ge=0.5, le=20), Expects("a number from 0.5 to 20")]
Natural = Annotated[int, Limit(ge=0), Expects("a whole number from 0 up")]
Count = Annotated[int, Limit(ge=1), Expects("a whole number from 1 up")]
Odd = Annotated[
    int,
    Limit(ge=3, le=31, json_schema_extra={"not": {"multipleOf": 2}}),
    AfterValidator(_odd),
    Expects("an odd whole number from 3 to 31"),
]
Tile = Annotated[int, Limit(ge=128), Expects("a whole number of pixels from 128 up")]
Text = Annotated[
    str, Limit(pattern=r"^[^\x00]+$"), Expects("a name (quote it if it looks like a number)")
]
Tap = Annotated[str, Limit(pattern=r"^relu([12]_[12]|[34]_[1-4]|5_1)$")]
Taps = Annotated[
    tuple[Tap, ...],
    Limit(min_length=1, strict=False),
    Expects("a list of taps, such as relu1_1 or relu4_1, up to relu5_1"),
]
PassName = Annotated[
    str,
    Limit(pattern=r"^[a-z][a-z0-9_-]*$"),
    Expects("a pass's name of lowercase letters, digits, - and _"),
]
WorkingSize = Annotated[
    Annotated[int, Limit(ge=32, le=10**6)] | Literal["native"],
    Expects("a whole number of pixels from 32 to 1000000, or native"),
]
Level = Annotated[float, Limit(ge=1, le=10)]
Strength = Annotated[
    Literal["auto", "weak", "medium", "strong"] | Level,
    Expects("auto, weak, medium, strong, or a number from 1 to 10"),
]
Amount = Annotated[float, Limit(ge=0, le=LARGEST_NUMBER)]
BY_LEVEL = Limit(
    min_length=1,
    json_schema_extra={"propertyNames": {"pattern": r"^([1-9](\.\d+)?|10(\.0+)?)$"}},
)
Table = Annotated[dict[Level, Amount], BY_LEVEL]
Weight = Annotated[
    Amount | Table,
    BeforeValidator(number_keys),
    Expects("a number from 0 to 1e12, or a table of style level (1 to 10): number"),
]
StepSize = Annotated[float, Limit(ge=1e-12, le=LARGEST_NUMBER)]
Rate = Annotated[
    StepSize | Annotated[dict[Level, StepSize], BY_LEVEL],
    BeforeValidator(number_keys),
    Expects("a number from 1e-12 to 1e12, or a table of style level (1 to 10): number"),
]
AutoWeight = Annotated[
    Literal["auto"] | Amount | Table,
    BeforeValidator(number_keys),
    Expects("auto, a number from 0 to 1e12, or a table of style level (1 to 10): number"),
]
