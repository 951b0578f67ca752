from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonize.settings.goals import ResolvedPass
from harmonize.settings.load import Settings, load, presets, restore_settings
from harmonize.settings.resolve import at_level, resolve_settings

FIRST = next(iter(Settings.preset().passes))


def first(*overrides: str, level: float = 5.0) -> ResolvedPass:
    """The first pass of a painting too fine for an underpainting."""
    settings = load("default", [f"passes.{FIRST}.{text}" for text in overrides])
    return resolve_settings(settings, level, 1.0).passes[0]


@pytest.mark.parametrize(
    ("level", "expected"), [(1, 2.0), (3, 3.0), (5, 4.0), (9, 0.0), (7, 2.0), (10, 0.0)]
)
def test_tables_are_interpolated_and_flat_outside(level: float, expected: float) -> None:
    assert at_level({5.0: 4.0, 1.0: 2.0, 9.0: 0.0}, level) == pytest.approx(expected)
    assert at_level({5.0: expected}, level) == expected
    assert at_level(1.5, level) == 1.5


@given(
    st.dictionaries(st.floats(1, 10), st.floats(0, 100), min_size=1, max_size=5),
    st.floats(1, 10),
)
def test_a_table_never_leaves_its_own_range(table: dict[float, float], level: float) -> None:
    slack = 1e-9
    assert min(table.values()) - slack <= at_level(table, level) <= max(table.values()) + slack


@given(st.dictionaries(st.floats(1, 10), st.floats(0, 100), min_size=1, max_size=5))
def test_a_table_goes_through_its_entries(table: dict[float, float]) -> None:
    for level, value in table.items():
        assert at_level(table, level) == pytest.approx(value)


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("level", [1.0, 3.3, 10.0])
def test_every_preset_comes_to_numbers(name: str, level: float) -> None:
    settings = Settings.preset(name)
    between = sum(settings.underpainting.fine) / 2 if settings.underpainting else 0.0
    found = resolve_settings(settings, level, between)  # both ways, half and half
    shares = {"underpainting": found.lead}
    asked = [
        name
        for name, part in settings.passes.items()
        if round(shares.get(part.start, 1) * at_level(part.steps, level)) >= 1
    ]
    assert [item.name for item in found.passes] == asked
    for item in found.passes:
        assert isinstance(item.method.steps, int)
        assert item.method.rate > 0
        assert item.styled <= item.seen


def test_steps_are_rounded_and_a_pass_without_any_is_left_out() -> None:
    assert first("steps={1: 10, 10: 20}", level=5.0).method.steps == 14
    table = f"passes.{FIRST}.steps={{1: 0, 5: 8}}"
    assert FIRST not in dict(resolve_settings(load("default", [table]), 1.0, 1.0).steps)
    assert dict(resolve_settings(load("default", [table]), 5.0, 1.0).steps)[FIRST] == 8


def test_the_rate_may_depend_on_the_level() -> None:
    assert first("rate={1: 0.01, 4: 0.02}", level=2.5).method.rate == pytest.approx(0.015)


@pytest.mark.parametrize("keep", [0.5, 1.0, 4.0])
def test_keep_multiplies_content_and_divides_what_paints(keep: float) -> None:
    one, kept = (
        resolve_settings(load("default", [f"keep={k}"]), 5.0, 1.0).passes[0].goals
        for k in (1.0, keep)
    )
    assert one.content and one.style and one.histogram and one.variation
    assert kept.content and kept.style and kept.histogram and kept.variation
    assert kept.content.weight == pytest.approx(keep * one.content.weight)
    assert kept.style.weight == pytest.approx(one.style.weight / keep)
    assert kept.histogram.weight(3.0) == pytest.approx(one.histogram.weight(3.0) / keep)
    assert kept.variation == one.variation


def test_auto_weights_are_the_authors() -> None:
    goals = first("terms.histogram.weight=auto", "terms.tv.weight=auto", level=4.0).goals
    assert goals.histogram and goals.variation
    assert goals.histogram.weight(3.0) == pytest.approx(4 * (10 - 3))
    assert goals.variation.weight(3.0) == pytest.approx(4 * 3)
    assert first("terms.tv=null").goals.variation is None


def test_records_of_earlier_versions_are_read() -> None:
    tree = Settings.preset().model_dump(mode="json")
    del tree["keep_color"]
    for part in tree["passes"].values():
        del part["rates"]
        part |= {"plateau": 0.0, "plateau_window": 5}
        part["terms"]["tv"]["factor"] = 1.0
        part["terms"]["histogram"] |= {"range": "reference", "exact": False}
    found = restore_settings(tree)
    assert found.keep_color == 0.5
    one_rate = {"rates": (1.0,)}
    passes = Settings.preset().passes
    assert found.passes == {k: part.model_copy(update=one_rate) for k, part in passes.items()}


@pytest.mark.parametrize("level", [1.0, 2.5, 5.0, 10.0])
def test_the_palette_follows_the_painting_whatever_strength_is_asked_for(level: float) -> None:
    settings = load("default", [])
    found = resolve_settings(settings, level, own_level=5.0)
    assert found.palette == resolve_settings(settings, 5.0).palette
    assert found.passes == resolve_settings(settings, level).passes


def test_below_the_painting_s_own_level_there_is_less_of_the_underpainting() -> None:
    settings = load("default", [])
    amounts = [
        goal.amount
        for level in (1.0, 2.5, 4.0, 5.0)
        if (goal := resolve_settings(settings, level, own_level=5.0).underpainting)
    ]
    assert amounts == pytest.approx([amounts[-1] * level / 5 for level in (1.0, 2.5, 4.0, 5.0)])
