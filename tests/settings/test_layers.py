"""Reading YAML: values, lines, limits."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harmonize.settings.yaml_reader import DEEPEST, LONGEST_TEXT, MOST_VALUES, Layer, read_layer


def problem(text: str) -> str:
    ((_, line, wrong),) = read_layer(text, "text").problems
    return f"line {line}: {wrong}"


def value(text: str) -> Any:
    layer = read_layer(f"key: {text}", "text")
    assert not layer.problems
    return layer.tree["key"]


WORDS = st.text("abcxyz", min_size=1)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(WORDS, TREES, max_size=3))
def test_what_was_written_is_read(tree: dict[str, Any]) -> None:
    layer = read_layer(yaml.safe_dump(tree), "text")
    assert (layer.tree, layer.problems) == (tree, ())


@given(st.dictionaries(WORDS, st.dictionaries(WORDS, WORDS, min_size=1), min_size=1))
def test_every_key_is_on_its_line(tree: dict[str, Any]) -> None:
    text = yaml.safe_dump(tree).splitlines()
    for path, line in read_layer("\n".join(text), "text").lines.items():
        assert text[line - 1].strip().startswith(f"{path[-1]}:")


def test_a_line_is_that_of_the_nearest_key_above() -> None:
    layer = read_layer("a:\n  b:\n    c: 1\n", "text")
    assert [layer.line(path) for path in (("a", "b", "x", "y"), ("a", "z"), ("q",))] == [2, 1, 0]
    assert layer.says(("a", "b", "c"))
    assert not layer.says(("a", "b", "c", "d"))
    assert Layer("--set", {"a": 1}).line(("a",)) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001), ("1E+3", 1000.0), (".5", 0.5), ("-.inf", float("-inf")), ("010", 10),
        ("08", 8), ("0x1f", "0x1f"), ("1_000", "1_000"), ("1:30", "1:30"), ("no", "no"),
        ("off", "off"), ("y", "y"), ("true", True), ("~", None), ("", None), ("'1'", "1"),
        ("!!str 1", "1"), ("2020-01-01", "2020-01-01"), ("{<<: {a: 1}}", {"a": 1}),
    ],
)  # fmt: skip
def test_values_are_those_of_yaml_1_2(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_a_repeated_key_is_found_at_any_depth_and_in_any_spelling() -> None:
    assert (
        problem("a: {b: 1,\n b: 2}") == "line 2: key 'b' is repeated (first on line 1); leave one"
    )
    assert problem("a: 1\n'a': 2") == "line 2: key 'a' is repeated (first on line 1); leave one"
    assert (
        problem("a: {1: 1, 1.0: 2}") == "line 1: key 1.0 is repeated (first on line 1); leave one"
    )
    assert (
        problem("a: [{b: 1, b: 2}]") == "line 1: key 'b' is repeated (first on line 1); leave one"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!int x", "line 1: 'x' cannot be read"),
        ("a: " + "9" * 5000, "line 1: '999"),
        ("b: 1\na: !!timestamp x", "line 2: the tag tag:yaml.org,2002:timestamp is not for"),
        ("a: !mine {b: 1}", "line 1: the tag !mine"),
        ("a: !!set {b, c}", "line 1: the tag"),
        ("b: 1\na: \x07", "line 2: the character 0x7"),
        ("a: *b", "line 1: found undefined alias"),
        ("a:\n\t- b", "line 2: begins with a tab; use spaces"),
        ("a: @b", "line 1: YAML takes this character for its own; put the value in quotes"),
        ('a: "C:\\x"', "line 1: a backslash in double quotes; use single quotes"),
        ("a: b: c", "line 1: a colon too many"),
        ("- a\nb: c", "line 2: is not in line with what is above it"),
        ("a: [1", "line 1: a bracket or brace is not closed; add it"),
        ("[x]\nkeep=2", "line 2: does not go on with what is above it"),
        ("--- 1\n--- 2", "line 2: a second document begins (---); leave one"),
        ("a: &a {b: *a}", "line 1: the alias a stands within itself"),
        ("a: &a [*a]", "line 1: the alias a stands within itself"),
        ("a: !!python/object/apply:os.system [id]", "line 1: the tag tag:yaml.org,2002:python"),
        ("!!python/name:os.system", "line 1: the tag tag:yaml.org,2002:python"),
        ("a: !x%0Ay%1Bz b", r"line 1: the tag '!x\ny\x1bz' is not for settings"),
        ("a: !" + "x" * 9000, "line 1: the tag !xxx"),
        ("[1, 2]: 3", "line 1: [1, 2] cannot be a key"),
        ("{a: 1}: 3", "line 1: {'a': 1} cannot be a key"),
        ("~: 3", "line 1: None cannot be a key"),
        ("a: \0", "line 1: the character 0x0 is not for YAML"),
    ],
)
def test_what_cannot_be_read_is_one_problem(text: str, said: str) -> None:
    assert problem(text).startswith(said)
    assert len(problem(text)) < 200
    assert problem(text).isprintable()


def test_what_cannot_be_read_says_nothing() -> None:
    layer = read_layer("a: !!int x\nb: [1, !!int x]\nc: 3\n", "text")
    assert layer.tree == {"c": 3}
    assert [path for path, _, _ in layer.problems] == [("a",), ("b", 1)]


def test_a_text_has_limits() -> None:
    assert value("&x {b: 1}") == {"b": 1}
    shared = "a: &x {b: 1}\n" + "".join(f"c{i}: *x\n" for i in range(500))
    assert not read_layer(shared, "text").problems
    laughs = "a0: &a0 [1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    assert f"more than {MOST_VALUES:,} values" in problem(laughs)
    merges = "a0: &a0 {b: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
    )
    assert f"more than {MOST_VALUES:,} values" in problem(merges)
    for link in ("{x: *a%d}", "{<<: *a%d}"):
        chain = "".join(f"a{i}: &a{i} {link % (i - 1)}\n" for i in range(1, 1000))
        assert f"more than {DEEPEST} levels" in problem("a0: &a0 {b: 1}\n" + chain)
    nested = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert not read_layer(f"a: {nested}", "text").problems
    assert f"more than {DEEPEST} levels" in problem(f"a: [{nested}]")
    assert f"more than {DEEPEST} levels" in problem("[" * 5000)
    assert f"more than {LONGEST_TEXT:,} characters" in problem("#" * (LONGEST_TEXT + 1))


OWN = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=3)


@given(OWN, OWN, OWN)
def test_merged_keys_are_those_that_the_mapping_and_nearer_ones_lack(
    first: dict[str, int], second: dict[str, int], own: dict[str, int]
) -> None:
    def flow(tree: dict[str, int], *words: str) -> str:
        return "{" + ", ".join([*words, *(f"{key}: {value}" for key, value in tree.items())]) + "}"

    inner = flow(first, "<<: *y")
    text = (
        f"x: &x {flow(first)}\ny: &y {flow(second)}\nboth: {flow(own, '<<: [*x, *y]')}\n"
        f"one: {flow(own, '<<: *x')}\nchain: {flow(own, f'<<: {inner}')}\n"
    )
    layer = read_layer(text, "text")
    assert not layer.problems
    assert layer.tree["both"] == layer.tree["chain"] == {**second, **first, **own}
    assert layer.tree["one"] == {**first, **own}


def test_a_merge_needs_a_mapping_and_an_anchor_may_be_named_again() -> None:
    assert "expected an alias of a mapping" in problem("a: {<<: 3}")
    assert read_layer('a: {"<<": 3}', "text").tree == {"a": {"<<": 3}}
    assert read_layer("a: &x 1\nb: &x 2\nc: *x\n", "text").tree == {"a": 1, "b": 2, "c": 2}
