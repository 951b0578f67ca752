from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harmonize.errors import MOST_LINES, ConfigError
from harmonize.settings import load as config
from harmonize.settings.dump import dump
from harmonize.settings.load import Settings, load, loads, presets, restore_settings
from harmonize.settings.messages import MOST_NAMES

FIRST = next(iter(Settings.preset().passes))


def message(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load("default", overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- presets --------------------------------------------------------------------------------------


def test_the_default_preset_comes_first() -> None:
    assert presets()[0] == "default"


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_survives_a_dump(name: str) -> None:
    settings = Settings.preset(name)
    assert loads(dump(settings)) == settings
    assert load(name) == settings


@pytest.mark.parametrize("name", presets())
def test_every_preset_survives_json(name: str) -> None:
    settings = Settings.preset(name)
    assert restore_settings(json.loads(json.dumps(settings.model_dump(mode="json")))) == settings


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"defualt.*default"):
        load("defualt")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.preset().size = 3  # type: ignore[misc]


@given(
    size=st.integers(32, 5000) | st.just("native"),
    strength=st.sampled_from(["auto", "weak", "medium", "strong"]) | st.floats(1, 10),
    keep=st.floats(1e-12, 1e12),
    name=st.sampled_from(["no", "1e3", "~", "null", "010", "a: b", "0x1f", "1:30", "=", "ü #"])
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1),
    table=st.dictionaries(st.floats(1, 10), st.floats(0, 1e6), min_size=1),
)
def test_a_dump_reads_back_the_same(
    size: object, strength: object, keep: float, name: str, table: dict[float, float]
) -> None:
    tree = Settings.preset().model_dump()
    tree |= {"size": size, "strength": strength, "keep": keep, "weights": name}
    tree["passes"][FIRST]["steps"] = table
    settings = restore_settings(tree)
    assert loads(dump(settings)) == settings
    assert restore_settings(json.loads(json.dumps(settings.model_dump(mode="json")))) == settings


# --- layers ---------------------------------------------------------------------------------------


def test_a_file_says_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("keep: 2\n")
    assert load(path) == Settings.preset().model_copy(update={"keep": 2.0})


def test_overrides_have_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("keep: 2\nseed: 5\n")
    settings = load(path, ["keep=3"])
    assert (settings.keep, settings.seed) == (3.0, 5)


def test_an_override_reaches_into_a_pass_and_leaves_the_rest() -> None:
    before, after = Settings.preset(), load("default", [f"passes.{FIRST}.rate=0.125"])
    assert after.passes[FIRST] == before.passes[FIRST].model_copy(update={"rate": 0.125})
    assert list(after.passes) == list(before.passes)


def test_a_table_is_replaced_whole() -> None:
    settings = load("default", [f"passes.{FIRST}.steps={{2: 7}}"])
    settings = restore_settings(settings.model_dump(), [f"passes.{FIRST}.steps={{3: 8}}"])
    assert settings.passes[FIRST].steps == {3.0: 8.0}


def test_null_removes_a_pass_and_switches_off_a_term() -> None:
    assert FIRST not in load("default", [f"passes.{FIRST}=null"]).passes
    assert load("default", [f"passes.{FIRST}.terms.style=null"]).passes[FIRST].terms.style is None


def test_a_file_that_extends_nothing_is_complete() -> None:
    with pytest.raises(ConfigError, match=r"settings: missing strength, keep, .*finish$"):
        loads("extends: null\nsize: 700\n")


@pytest.mark.parametrize("name", [name for name in presets() if name != "default"])
def test_extending_a_preset_takes_it_over(name: str) -> None:
    assert loads(f"extends: {name}\n") == Settings.preset(name)
    assert loads(f"extends: {name}\nseed: 5\n") == load(name, ["seed=5"])


@pytest.mark.parametrize("name", ["defaultt", "[default]", "3", "{}"])
def test_an_unknown_preset_cannot_be_extended(name: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1: extends: there is no preset .*default"):
        loads(f"extends: {name}\n")


def test_only_a_file_extends_a_preset() -> None:
    assert message("extends=paper").startswith("--set: extends: only a file can")


def test_options_have_the_very_last_word(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: preview\nsize: 400\nkeep: 2\nseed: 3\n")
    settings = load(tmp_path / "mine.yaml", ["keep=3", "seed=4"], {"seed": 5, "size": None})
    assert (settings.size, settings.keep, settings.seed) == (400, 3.0, 5)
    assert settings.passes == Settings.preset("preview").passes
    assert restore_settings(settings.model_dump(), ["seed=6"], options={"seed": 7}).seed == 7


def test_looking_at_settings_changes_nothing() -> None:
    tree = Settings.preset().model_dump(mode="json")
    before = json.dumps(tree)
    restore_settings(tree, [f"passes.{FIRST}=null", "keep=3"])
    assert json.dumps(tree) == before


# --- values ---------------------------------------------------------------------------------------


def test_numbers_may_be_written_as_people_write_them() -> None:
    assert load("default", ["keep=1e-3"]).keep == 0.001
    assert load("default", ["keep=.5"]).keep == 0.5
    assert load("default", ["keep=2"]).keep == 2.0
    assert loads("keep: 1E+2").keep == 100.0


def test_no_is_a_word() -> None:
    assert load("default", ["weights=no"]).weights == "no"


# --- messages -------------------------------------------------------------------------------------


def test_an_unknown_key_is_named_with_the_nearest_valid_one() -> None:
    assert message("siez=3") == "--set: siez: unknown key; did you mean size?"
    path = f"passes.{FIRST}.field.knid"
    assert message(f"{path}=x") == f"--set: {path}: unknown key; did you mean kind?"


def test_an_unknown_key_far_from_all_lists_the_valid_ones() -> None:
    assert "valid: radius, eps" in message("finish.chroma={radius: 2, eps: 0.1, xyzzy: 1}")


def test_a_misspelled_pass_is_named_with_the_nearest_one() -> None:
    assert f"did you mean {FIRST}?" in message(f"passes.{FIRST}x.rate=1")
    assert f"did you mean {FIRST}?" in message(f"passes.{FIRST}x=null")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "size=12",
            "size: expected a whole number of pixels from 32 to 1000000, or native; got 12",
        ),
        ("size=huge", "or native; got 'huge'"),
        ("size=700.5", "got 700.5"),
        ("size=true", "got True"),
        ("strength=11", "strength: expected auto, weak, medium, strong, or a number from 1 to 10"),
        ("strength=mild", "got 'mild'"),
        ("keep=0", "keep: expected a number from 1e-12 to 1e12; got 0"),
        ("keep=.inf", "expected a number from 1e-12 to 1e12; got inf"),
        ("keep=.nan", "expected a number from 1e-12 to 1e12; got nan"),
        ("seed=-1", "seed: expected a whole number from 0 up, below 2^63; got -1"),
        ("seed=null", "got None"),
        ("seed=9223372036854775808", "below 2^63; got 9223372036854775808"),
        ("size=1000001", "pixels from 32 to 1000000, or native"),
        ("keep=1e-300", "a number from 1e-12 to 1e12"),
        ("loose_sigma=1e7", "a number from 0.01 to 100"),
        ("finish.paste_sigma=1e300", "a number from 0 to 100"),
        ("finish.chroma.radius=5000", "a whole number from 1 to 100"),
        ("finish.chroma.eps=1e300", "a number above 0, at most 1"),
        ("finish.vote.size=101", "an odd whole number from 3 to 31"),
        (f"passes.{FIRST}.terms.histogram.bins=100000000", "a whole number from 2 to 65536"),
        (f"passes.{FIRST}.terms.style.weight=1e300", "a number from 0 to 1e12"),
        ('weights="a\\0b"', "weights: expected a name"),
        (
            f"passes.{FIRST}.terms={{content: null, style: null, histogram: null, tv: null}}",
            "expected at least one term that is not null",
        ),
        ("device=3", "device: expected a name"),
        ("precision=float16", "expected one of auto, float32, bfloat16; got 'float16'"),
        ("region=all", "expected one of patch, canvas; got 'all'"),
        ("passes=3", "passes: expected settings like `key: value`; got 3"),
        (
            "passes={coarse: null, strokes: null, refine: null}",
            "passes: expected at least one pass; got none",
        ),
        ("finish=[]", "finish: expected settings like `key: value`; got []"),
        (
            "finish.vote.size=4",
            "finish.vote.size: expected an odd whole number from 3 to 31; got 4",
        ),
        (f"passes.{FIRST}.scale=1.5", "expected a number above 0, at most 1; got 1.5"),
        (f"passes.{FIRST}.steps=-1", "or a table of style level (1 to 10): number; got -1"),
        (f"passes.{FIRST}.steps={{11: 1}}", "got {11: 1}"),
        (f"passes.{FIRST}.steps={{}}", "got {}"),
        (f"passes.{FIRST}.field.taps=[relu9_1]", "got ['relu9_1']"),
        (f"passes.{FIRST}.field.taps=[]", "expected a list of taps"),
        (f"passes.{FIRST}.field.taps=relu4_1", "got 'relu4_1'"),
        (f"passes.{FIRST}.terms.tv={{weight: no}}", "expected auto, a number from 0 to 1e12"),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_what_it_got(override: str, said: str) -> None:
    assert message(override).startswith(f"--set: {override.split('=')[0]}")
    assert said in message(override)


@pytest.mark.parametrize("override", ["size", "=3", "a..b=3", ".=1"])
def test_an_override_that_is_none(override: str) -> None:
    assert message(override) == f"--set: {override!r}: expected key=value, such as size=400"


def test_an_override_that_is_not_yaml() -> None:
    assert message("size=[1").startswith("--set: size: '[1': the value is not YAML (")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size: 3\n", "size: expected a whole number"),
        ("siez: 300\n", "siez: unknown key; did you mean size?"),
        ("size: 300\nseed: 1\nsize: 400\n", "line 3: key 'size' is repeated"),
        (
            "finish:\n  vote:\n    size: 3\n    size: 5\n",
            "line 4: finish.vote: key 'size' is repeated",
        ),
        ("size: [1\n", "line 2"),
        ("? [1]\n: 2\n", "line 1: [1] cannot be a key"),
        ("- 1\n", "expected settings like `size: 700`"),
        ("size: !!python/name:os.system\n", "line 1: size: the tag tag:yaml.org,2002:python/name"),
        ("1: 2\n", "expected settings"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_is_blamed_by_its_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            "default",
            ["seed=3", "keep=0"],
            {"seed": -1, "weights": "[", "keep": 1, "keep_color": 7},
        )
    assert str(caught.value).split("\n") == [
        "--seed: expected a whole number from 0 up, below 2^63; got -1",
        "--weights: '[': the value is not YAML (expected the node content, "
        "but found '<stream end>'); put it in quotes",
        "--keep-color: expected a number from 0 to 1; got 7",
    ]


def test_all_that_is_wrong_is_said_at_once_in_order_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: prevew\nsiez: 300\nkeep: 2\nkeep: 3\npasses:\n  refine:\n    rate: no\n"
        "    terms: {tv: {weight: -1}}\n  refined: {rate: 1}\n  coarser: null\n"
        "finish: {vote: {size: 4}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path, ["seed=-1", "device=3"])
    whole = [
        f"{path}: line 1: extends: there is no preset 'prevew' to extend; did you mean preview?",
        f"{path}: line 2: siez: unknown key; did you mean size?",
        f"{path}: line 4: key 'keep' is repeated (first on line 3); leave one",
        f"{path}: line 7: passes.refine.rate: expected a number from 1e-12 to 1e12, "
        "or a table of style level (1 to 10): number; got 'no'",
        f"{path}: line 8: passes.refine.terms.tv.weight: expected auto, a number from 0 to 1e12, "
        "or a table of style level (1 to 10): number; got -1",
        f"{path}: line 9: passes.refined: missing ",
        f"{path}: line 10: passes.coarser: no such pass; did you mean coarse?",
        f"{path}: line 11: finish.vote.size: expected an odd whole number from 3 to 31; got 4",
        "--set: seed: expected a whole number from 0 up, below 2^63; got -1",
        "--set: device: expected a name (quote it if it looks like a number); got 3",
    ]
    lines = caught.value.lines
    assert len(lines) == len(whole)
    for line, start in zip(lines, whole, strict=True):
        assert line.startswith(start)
    assert lines[5].endswith("; did you mean refine?")


@given(st.text(st.sampled_from("size:kep- 1.5e[]{}#&*a!'\"\n,|>%~")) | st.text())
def test_any_text_is_settings_or_has_its_problems_listed(text: str) -> None:
    try:
        settings = loads(text)
    except ConfigError as error:
        assert all(line.startswith("settings: ") for line in error.lines)
        assert all(line.isprintable() for line in error.lines)
    else:
        assert loads(dump(settings)) == settings


def holes(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from holes(value, (*path, key))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.sampled_from(["no", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["size", "coarse", "rate", "a.b\n"]), inner, max_size=2)
        | st.dictionaries(st.integers(0, 11) | st.booleans(), inner, max_size=2)
    ),
    max_leaves=4,
)


COMPLETE = yaml.safe_load(dump(Settings.preset()))


@given(st.data(), st.booleans())
def test_whatever_stands_anywhere_is_settings_or_a_list_of_problems(
    data: st.DataObject, complete: bool
) -> None:
    tree = copy.deepcopy(COMPLETE)
    if not complete:
        del tree["extends"]
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from(list(holes(tree))))
        part = tree
        for key in above:
            part = part[key]
        if data.draw(st.booleans()):
            part[last] = data.draw(ANYTHING)
        else:
            del part[last]
    try:
        settings = loads(yaml.safe_dump(tree, sort_keys=False))
    except ConfigError as error:
        assert all(re.match(r"settings: (line \d+: )?", line) for line in error.lines)
        assert all(line.isprintable() for line in error.lines)
    else:
        assert loads(dump(settings)) == settings


def test_settings_of_the_wrong_kind_meet_any_override(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("passes: 3\n1: 2\n")
    with pytest.raises(ConfigError, match=r"passes\.coarse: no such pass"):
        load(path, ["passes.coarse=null"])
    with pytest.raises(ConfigError, match=r"line 2: 1: expected settings"):
        load(path, ["seed=3"])


def test_the_file_is_blamed_and_not_the_override(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("size: 3\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: line 1: size: "):
        load(path, ["seed=1"])


def test_a_binary_file_is_no_config(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        load(path)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing\n")
    assert load(path) == Settings.preset()


def test_named_levels_are_on_the_scale() -> None:
    assert config.LEVELS == {"weak": 1.0, "medium": 5.0, "strong": 10.0}


# --- files from anywhere --------------------------------------------------------------------------

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuv")
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (LAUGHS.encode(), "aliases for more than"),
        (b"[" * 10_000_000, "more than 50,000 characters"),
        (b"size: 300\n" + bytes(60_000), "more than 50,000 characters"),
        ("size: 300\n".encode("utf-16"), "not a text file in UTF-8"),
        ("size: 300\n".encode("utf-16-le"), "the character 0x0 is not for YAML"),
        (b"size: \xe9\n", "not a text file in UTF-8"),
        (b"extends: [paper]\n", "there is no preset"),
        (b"keep: " + b"9" * 4000, "keep: expected"),
        (b"? " + b"x" * 40_000 + b"\n: 1\n", "xxx...: unknown key"),
        (b'"\\ud800": 1\n', r"got '\ud800'"),
    ],
    ids=range(10),
)
def test_hostile_files_are_said_in_short_lines(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in caught.value.lines[0].removeprefix(str(path))
    assert all(line.isprintable() and len(line) < 400 for line in caught.value.lines)


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfsize: 300\n")
    assert load(tmp_path / "a.yaml").size == 300


def test_of_very_many_problems_the_first_are_said(tmp_path: Path) -> None:
    text = "".join(f"k{index}: 1\n" for index in range(1500))
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert len(caught.value.lines) == MOST_LINES + 1
    assert caught.value.lines[-1] == f"and {1500 - MOST_LINES:,} more"


def test_thousands_of_passes_are_not_compared_with_one_another() -> None:
    text = "passes: {" + "".join(f"p{index}: {{}}, " for index in range(MOST_NAMES + 1)) + "}"
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert not any("did you mean" in line for line in str(caught.value).split("\n"))


@pytest.mark.parametrize("name", ["a\0b.yaml", "\ud800.yaml", "x" * 300])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="expected a YAML file or one of the presets"):
        load(name)
