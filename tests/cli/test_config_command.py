"""`harmonize config`: show, list, check, schema; the schema of a settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome
from jsonschema import Draft7Validator

import harmonize
from harmonize.errors import ConfigError
from harmonize.settings.dump import file_schema
from harmonize.settings.load import Settings, load, loads, presets
from harmonize.settings.yaml_reader import read_layer

Command = Callable[..., Outcome]

CONFIGS = Path(harmonize.__file__).parent.parent / "configs"
SAID = re.compile(r"^ *(\w+): (?:\S.*?) +# (?:(.+), line (\d+)|(.+))$", re.MULTILINE)


# --- show -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_is_the_settings(command: Command, tmp_path: Path, name: str) -> None:
    shown = command("config", "show", name)
    assert (shown.code, shown.err) == (0, "")
    (tmp_path / "mine.yaml").write_text(shown.out)
    assert load(tmp_path / "mine.yaml") == load(name)


@pytest.mark.parametrize("name", presets())
def test_every_value_is_where_it_is_said_to_come_from(command: Command, name: str) -> None:
    entries = SAID.findall(command("config", "show", name).out)
    assert len(entries) > 60
    for key, source, line, other in entries:
        if other:
            assert other == "left out"
        else:
            text = (CONFIGS / f"{source.removeprefix('preset ')}.yaml").read_text().splitlines()
            assert f"{key}:" in text[int(line) - 1]


def test_the_last_word_is_shown(command: Command, files: Path) -> None:
    (files / "mine.yaml").write_text(
        "extends: preview\nkeep: 2\nseed: 1\npasses:\n  refine: {steps: 3}\n"
    )
    out = command("config", "show", "mine.yaml", "--set", "seed=2").out
    assert re.search(r"^keep: 2.0 +# mine.yaml, line 2$", out, re.MULTILINE)
    assert re.search(r"^seed: 2 +# --set$", out, re.MULTILINE)
    assert re.search(r"^size: 288 +# preset preview, line \d+$", out, re.MULTILINE)
    assert re.search(r"^ +steps: 3.0 +# mine.yaml, line 5$", out, re.MULTILINE)
    assert re.search(r"^strength: auto +# preset default, line \d+$", out, re.MULTILINE)


def test_odd_names_stay_within_their_comments(command: Command, files: Path) -> None:
    name = "a\nkeep: 9 #.yaml"
    (files / name).write_text('keep: 2\nweights: "a\\n# b\\u2028c"\n')
    shown = command("config", "show", name).out
    assert loads(shown) == load(name)
    assert loads(shown).keep == 2.0


def test_what_cannot_be_shown(command: Command, files: Path) -> None:
    assert command("config", "show", "nothing").code == 2
    (files / "wrong.yaml").write_text("siez: 3\nkeep: no\n")
    refused = command("config", "show", "wrong.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.splitlines() == [
        "harmonize: error: wrong.yaml: line 1: siez: unknown key; did you mean size?",
        "harmonize: error: wrong.yaml: line 2: keep: expected a number from 1e-12 to 1e12; "
        "got 'no'",
    ]


# --- list and check -------------------------------------------------------------------------------


def test_the_presets_are_listed_with_what_they_are_for(command: Command) -> None:
    listed = [line.split(maxsplit=1) for line in command("config", "list").out.splitlines()]
    assert [name for name, _ in listed] == presets()
    for name, purpose in listed:
        assert f"# {purpose}\n" in (CONFIGS / f"{name}.yaml").read_text()
        assert purpose.endswith(".")


def test_files_are_checked_one_by_one(command: Command, files: Path) -> None:
    (files / "good.yaml").write_text("keep: 2\n")
    (files / "wrong.yaml").write_text("siez: 3\nkeep: no\n")
    assert command("config", "check", "good.yaml") == (0, "good.yaml: ok\n", "")
    checked = command("config", "check", "wrong.yaml", "nowhere.yaml", "mask.png", "good.yaml")
    assert (checked.code, checked.err) == (2, "")
    lines = checked.out.splitlines()
    assert lines[:2] == [
        "wrong.yaml: line 1: siez: unknown key; did you mean size?",
        "wrong.yaml: line 2: keep: expected a number from 1e-12 to 1e12; got 'no'",
    ]
    assert lines[2].startswith("nowhere.yaml: No such file")
    assert lines[3] == "mask.png: not a text file in UTF-8; save it as one"
    assert lines[4:] == ["good.yaml: ok"]
    assert command("config", "check").code == 2


# --- schema ---------------------------------------------------------------------------------------


def valid(text: str) -> bool:
    """Whether an editor that knows the schema is content with a file."""
    tree = json.loads(json.dumps(read_layer(text, "text").tree))
    return bool(Draft7Validator(file_schema()).is_valid(tree))


def loadable(text: str) -> bool:
    try:
        loads(text)
    except ConfigError:
        return False
    return True


def test_the_shipped_schema_is_the_commands(command: Command) -> None:
    printed = command("config", "schema").out
    Draft7Validator.check_schema(json.loads(printed))
    shipped = (CONFIGS / "schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == json.loads(printed), (
        "run `harmonize config schema > configs/schema.json`"
    )


@pytest.mark.parametrize("name", presets())
def test_every_preset_names_the_schema_and_heeds_it(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (CONFIGS / named[1]).is_file()
    assert valid(text)


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_heeds_the_schema(command: Command, name: str) -> None:
    assert valid(command("config", "show", name).out)


@pytest.mark.parametrize(
    "text",
    [
        "", "size: native", "size: 31", "size: 32", "size: 70.5", "size: null", "siez: 3",
        "strength: weak", "strength: mild", "strength: 1.5", "strength: 0.5", "strength: no",
        "keep: 0", "keep: 1e-3", "keep: '1'", "seed: -1", "device: 3", "precision: float16",
        "extends: preview", "extends: null\nsize: 3", "extends: prevew", "extends: 3",
        "passes: {coarse: null}", "passes: 3", "passes: {}", "passes: null",
        "passes: {coarse: {steps: 3}}", "passes: {coarse: {stps: 3}}",
        "passes: {coarse: {steps: {1: 3, 9.5: 4}}}", "passes: {coarse: {steps: {0.5: 3}}}",
        "passes: {coarse: {steps: {11: 3}}}", "passes: {coarse: {steps: {10: 3, 10.5: 2}}}",
        "passes: {coarse: {steps: {}}}", "passes: {coarse: {steps: {a: 3}}}",
        "passes: {coarse: {steps: auto}}", "passes: {coarse: {terms: {tv: {weight: auto}}}}",
        "passes: {coarse: {terms: {tv: null, style: {weight: 2}}}}",
        "passes: {coarse: {terms: null}}", "passes: {coarse: {field: {taps: []}}}",
        "passes: {coarse: {field: {taps: [relu4_1]}}}",
        "passes: {coarse: {field: {taps: relu4_1}}}",
        "passes: {coarse: {field: {taps: [relu9_1]}}}", "passes: {coarse: {scale: 1.5}}",
        "finish: {vote: null, chroma: {radius: 2}}", "finish: {vote: {size: 4}}",
        "finish: {vote: {size: 5}}", "finish: {paste_sigma: null}", "finish: []",
    ],
)  # fmt: skip
def test_editors_and_the_command_agree(text: str) -> None:
    assert valid(text) == loadable(text)


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in schema.get("properties", {}).items():
        yield f"{path}.{name}", one
    for name, one in schema.get("$defs", {}).items():
        yield from fields(one, name)


def test_every_field_is_documented_with_its_range() -> None:
    documented = dict(fields(file_schema()))
    assert {f".{name}" for name in Settings.model_fields} < set(documented)
    assert len(documented) > 50
    for path, one in documented.items():
        assert one["description"].strip(), path
        nested = "$ref" in json.dumps(one) or path == ".extends"
        assert nested or "Expected: " in one["description"], path
