"""The plain numbers that settings come to, by stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Matching:
    """How positions are matched, and what guides weigh."""

    kind: str
    taps: tuple[str, ...]
    luma: float
    chroma: float


@dataclass(frozen=True)
class Overlay:
    """The numbers of section `strokes`; sigma in pixels."""

    amount: float
    underpainting: float
    sigma: float


@dataclass(frozen=True)
class ContentGoal:
    """The content term."""

    weight: float
    taps: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class StyleGoal:
    """The style term."""

    weight: float
    taps: tuple[str, ...]


@dataclass(frozen=True)
class HistogramGoal:
    """The histogram term."""

    fixed: float | None  # None: the authors' weight
    taps: tuple[str, ...]
    bins: int
    level: float
    keep: float

    def weight(self, smoothness: float) -> float:
        """Return the weight at a w_tv from 0 (grainy) to 10."""
        weight = self.level * (10 - smoothness) if self.fixed is None else self.fixed
        return weight / self.keep


@dataclass(frozen=True)
class VariationGoal:
    """The total variation term."""

    fixed: float | None  # None: the authors' weight
    level: float

    def weight(self, smoothness: float) -> float:
        return self.level * smoothness if self.fixed is None else self.fixed


@dataclass(frozen=True)
class Goals:
    """A pass's terms; None: off."""

    content: ContentGoal | None = None
    style: StyleGoal | None = None
    histogram: HistogramGoal | None = None
    variation: VariationGoal | None = None


@dataclass(frozen=True)
class Method:
    """How a pass minimizes."""

    steps: int
    variables: str = "pyramid"
    levels: int = 1
    frozen: int = 0
    optimizer: str = "adam"
    rate: float = 0.02
    rates: tuple[float, ...] = (1.0,)  # shares of `rate`


@dataclass(frozen=True)
class ResolvedPass:
    """One pass that has steps."""

    name: str
    scale: float
    start: str
    match: str
    method: Method
    balance: str
    refresh: int
    matching: Matching
    strokes: Overlay | None
    goals: Goals

    @property
    def styled(self) -> frozenset[str]:
        goals = (self.goals.style, self.goals.histogram)
        return frozenset(tap for goal in goals if goal for tap in goal.taps)

    @property
    def seen(self) -> frozenset[str]:
        content = self.goals.content.taps if self.goals.content else ()
        return self.styled | {*self.matching.taps, *content}


@dataclass(frozen=True)
class BrushGoal:
    """The numbers of section `brushwork`."""

    planes: float
    radius: float
    strokes: float
    seed: int


@dataclass(frozen=True)
class PaletteGoal:
    """The numbers of section `palette`."""

    matching: Matching
    luma: float
    places: float
    own: float
    settle: float
    sure: float
    keep_color: float
    silhouette: float
    edge: int
    soften: float
    light: float
    shade: float
    hue: float
    light_sigma: float


@dataclass(frozen=True)
class SynthesisGoal:
    """The numbers of section `underpainting`."""

    luma: float
    chroma: float
    features: float
    painting_blur: float
    element_blur: float
    patch: int
    steps: tuple[int, ...]
    variety: float
    sharpness: float
    coherence: float
    amount: float
    drawing: float
    texture: float
    lead: float
    broad: float
    seed: int


@dataclass(frozen=True)
class Resolved:
    """Settings at a style level, 1 to 10."""

    level: float
    keep: float
    margin: int | None  # None: the whole canvas
    tile: int
    brushwork: BrushGoal | None
    palette: PaletteGoal | None
    underpainting: SynthesisGoal | None
    passes: tuple[ResolvedPass, ...]

    @property
    def broad(self) -> float:
        return self.underpainting.broad if self.underpainting else 0.0

    @property
    def lead(self) -> float:
        return self.underpainting.lead if self.underpainting else 0.0

    @property
    def steps(self) -> list[tuple[str, int]]:
        return [(item.name, item.method.steps) for item in self.passes]
