"""The sections of settings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from harmonize.settings.value_types import (
    AutoWeight,
    Bins,
    Blur,
    Count,
    Fraction,
    Natural,
    NonNegative,
    Odd,
    Positive,
    Radius,
    Range,
    Rate,
    Rates,
    Reach,
    Share,
    Sigma,
    Steps,
    Taps,
    Weight,
    one_of,
)


class Section(BaseModel):
    """Frozen, without unknown keys or silent conversions."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Field(Section):
    """How places of the element are matched to places of the painting."""

    kind: Annotated[Literal["nearest", "coherent"], one_of("nearest", "coherent")]
    """nearest: each tap on its own. coherent: at the first tap, refined with its neighbors and
    carried to finer taps."""
    taps: Taps
    """Layers of the network whose features are compared."""
    guide_luma: Weight
    """Weight of the squared difference of luma; 0 is off."""
    guide_chroma: Weight
    """Weight of the squared difference of chroma; 0 is off."""


class Content(Section):
    """Keep the element recognizable."""

    weight: Weight
    """Weight in the pass's objective, times `keep`; shared out among the taps."""
    taps: Taps
    """Layers of the network whose features are kept."""
    target: Annotated[Literal["composite", "palette"], one_of("composite", "palette")]
    """Whose features are kept: those of the composite or the palette map."""


class Style(Section):
    """Gram matrices of the matched style features."""

    weight: Weight
    """Weight in the pass's objective, divided by `keep`; shared out among the taps."""
    taps: Taps
    """Layers of the network whose Gram matrices are compared."""


class Histogram(Section):
    """Channel histograms of the matched style features."""

    weight: AutoWeight
    """Weight in the pass's objective, divided by `keep`; shared out among the taps. auto is the
    authors': style level · (10 − w_tv), see the weight of `tv`."""
    taps: Taps
    """Layers of the network whose histograms are compared."""
    bins: Bins
    """Bins of a channel's histogram."""


class Tv(Section):
    """Total variation, relative to the painting's own."""

    weight: AutoWeight
    """Weight in the pass's objective. auto is the authors': style level · w_tv, where w_tv goes
    from 10 for smooth paintings to 0 for grainy ones."""


class Strokes(Section):
    """The painting's strokes, laid over a pass's start; shares are divided by a `keep` above 1."""

    amount: Weight
    """Share of the matched places' detail that is laid over; 1 is all."""
    underpainting: Weight = 0.0
    """Share of the underpainting's detail; where there is none, of the places' too."""
    sigma: Sigma
    """Sigma of the Gaussian that takes detail off the strokes, in pixels at the pass's scale."""


class Terms(Section):
    """The terms of a pass's objective; one left out, or null, is off."""

    content: Content | None = None
    """Keeps the element recognizable; null: off."""
    style: Style | None = None
    """Brushwork, as Gram matrices; null: off."""
    histogram: Histogram | None = None
    """Tones and hues, as histograms of features; null: off."""
    tv: Tv | None = None
    """Total variation, for smoothness; null: off."""

    @model_validator(mode="after")
    def _at_least_one(self) -> "Terms":
        if not any((self.content, self.style, self.histogram, self.tv)):
            raise PydanticCustomError("expected", "at least one term that is not null")
        return self


class Pass(Section):
    """One optimization: at which scale, from which start, of which terms."""

    scale: Fraction
    """Size of the pass's picture, as a share of the working size."""
    steps: Weight
    """Number of steps, at most; rounded to a whole number. 0 skips the pass at that style level."""
    start: Annotated[
        Literal["composite", "previous", "underpainting"],
        one_of("composite", "previous", "underpainting"),
    ]
    """What to begin with: the composite, the pass before's result, or the underpainting. Passes
    before the one from the underpainting are for paintings too fine for it (see `fine`)."""
    match: Annotated[Literal["start", "previous"], one_of("start", "previous")]
    """What is matched to the painting: the pass's start, without strokes, or the pass before's
    result."""
    variables: Annotated[Literal["pixels", "pyramid"], one_of("pixels", "pyramid")]
    """What a step moves: pixels, or a Laplacian pyramid in luma and chroma."""
    levels: Count
    """Levels of the pyramid; a pixel of the coarsest is 2^(levels − 1) pixels wide."""
    chroma_frozen: Natural
    """How many of the pyramid's finest chroma levels stay fixed."""
    optimizer: Annotated[Literal["adam", "lbfgs"], one_of("adam", "lbfgs")]
    """adam, with a rate that falls to a tenth, or lbfgs, without line search."""
    rate: Rate
    """Step size; colors go from 0 to 1."""
    rates: Rates = (1.0,)
    """Shares of the rate for the pyramid's luma levels, finest first; the last holds for all
    coarser ones. With adam only."""
    balance: Annotated[Literal["loss", "gradient"], one_of("loss", "gradient")]
    """What weights multiply: losses (loss), or gradients scaled to length 1 (gradient)."""
    refresh: Count
    """The target of the histogram term is renewed every so many steps."""
    field: Field
    """How the element is matched to the painting."""
    strokes: Strokes | None = None
    """The painting's strokes, laid over the start; null: off."""
    terms: Terms
    """What the steps minimize."""

    @model_validator(mode="after")
    def _every_tap_has_a_field(self) -> "Pass":
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
    """Return a tap's block: 4 for `relu4_1`."""
    return int(tap[4])


class Brushwork(Section):
    """The element laid in as a painter does, before anything else; both shares are divided by a
    `keep` above 1."""

    planes: Weight
    """Share of planes of color in place of a photograph's fine detail, but for outlines: 0 to 1."""
    radius: Reach
    """How wide the planes are, in pixels at the working size."""
    strokes: Weight
    """Strength of strokes along the element's form, where it has less than the painting; 1: as
    strong as in the painting's calm parts."""


class Palette(Section):
    """The element's colors moved into the painting's, before anything is painted."""

    field: Field
    """How the element is matched to the places whose colors it takes."""
    luma: Weight
    """How far lights and darks move to those of the matched places: 0 to 1."""
    places: Share
    """Share of the matched places' hue in a mix with a linear map of the element's hues."""
    own: Weight
    """How far colored things take the painting's nearest to their own hue, not the mix: 0 to 1."""
    settle: Weight
    """How far the mix moves to the nearest hue that the painting has at that lightness: 0 to 1."""
    sure: Weight
    """Similarity of features at which a match's hue is trusted by half."""
    silhouette: Share
    """Share of the contrast along the element's contour that must remain."""
    edge: Natural
    """Within so many pixels of the mask's edge, colors come from further inside."""
    soften: Blur
    """Sigma of the Gaussian over the mask's edge, in pixels at the working size."""
    light: Share
    """Share of the palette map's broad light that is brought back where passes darkened it."""
    shade: Weight
    """Share of its broad shade that is brought back where they made it lighter: 0 to 1."""
    hue: Share
    """Share of its broad hue that is brought back."""
    light_sigma: Sigma
    """Sigma of the Gaussian that tells what is broad, in pixels at the working size."""


class Underpainting(Section):
    """The element rebuilt from the painting's own patches, where the passes begin."""

    luma: Weight
    """Weight of lights and darks as a guide."""
    chroma: Weight
    """Weight of hues as a guide."""
    features: Weight
    """Weight of the network's features as a guide."""
    painting_blur: Weight
    """Sigma of the Gaussian over the painting's guide, in pixels at the working size."""
    element_blur: Weight
    """Sigma of the Gaussian over the element's guide, in pixels at the working size."""
    patch: Odd
    """Side of a patch, in pixels at each scale."""
    steps: Steps
    """Searches and votes at each scale, the working size first, then half of it, and so on."""
    variety: NonNegative
    """What it costs to use a place again; 0: nothing."""
    sharpness: Positive
    """How much more the nearest of overlapping patches count; 1 averages most."""
    coherence: NonNegative
    """What is gained by copying neighboring pixels from neighboring places; 0: nothing."""
    amount: Weight
    """Share of the underpainting over the palette map: 0 to 1."""
    lead: Weight
    """How much passes begin from it, 1, and not from the composite, 0."""
    drawing: Weight
    """Share of outlines, the element's own fine lights and darks, laid over it and over what the
    passes leave: 0 to 1."""
    texture: Weight
    """Share of dense detail that is no outline but texture: 0 to 1."""
    fine: Range
    """Share of the painting's variance of color that is finer than 2 pixels. Up to the first number
    passes begin from the underpainting, from the second (engravings) from the composite."""


class Chroma(Section):
    """The guided filter of the Lab chroma, along the composite's edges."""

    radius: Radius
    """How far the filter's window reaches, in pixels at the working size."""
    eps: Fraction
    """The variance of colors (0 to 1) below which all is smoothed."""


class Detail(Section):
    """The painting's own detail beyond the working size."""

    amount: NonNegative
    """Share of the detail that is brought back; 1 is all."""
    size: Odd
    """Side of the patches that are looked for, in pixels at the working size."""


class Vote(Section):
    """The patch vote: the picture rebuilt from patches of the painting."""

    size: Odd
    """Side of the patches, in pixels at the working size."""
    hue: Blur = 0.0
    """Hue that the vote changes over more than so many pixels comes back; 0: it stays changed."""


class Finish(Section):
    """What happens after the last pass; `chroma`, `vote` or `detail` left out, or null, is off."""

    chroma: Chroma | None = None
    """Chroma smoothed along the composite's edges; null: off."""
    vote: Vote | None = None
    """Rebuilding from the painting's patches; null: off."""
    broken_color: NonNegative = 0.0
    """Broken color: how strong the detail of hue is made beside that of the painting where the
    strokes come from; 1 is as strong, 0 is off."""
    detail: Detail | None = None
    """Detail for paintings above the working size; null: off."""
    paste_sigma: Blur
    """Sigma of the Gaussian that softens the paste, in pixels of a painting of 700."""
