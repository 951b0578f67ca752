"""Read and merge settings; mistakes raise a ConfigError.

Mappings merge key by key, tables by style level are replaced whole; null removes a pass or a term.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field as Limit
from pydantic import ValidationError

from harmonize.errors import ConfigError
from harmonize.settings import value_types
from harmonize.settings.messages import blamed, describe, nearest_word
from harmonize.settings.schema import Brushwork, Finish, Palette, Pass, Section, Underpainting
from harmonize.settings.text_file import opened
from harmonize.settings.yaml_reader import (
    LONGEST_LIST,
    LONGEST_TEXT,
    Layer,
    Tree,
    printable,
    read_layer,
    read_setting,
    show,
)

__all__ = [
    "LEVELS",
    "Settings",
    "about",
    "load",
    "loads",
    "presets",
    "read_yaml",
    "restore_settings",
    "settle",
]

# Keys of earlier versions' records, by what they were part of.
FORMER = {
    "pass": {"plateau", "plateau_window"},
    "tv": {"factor"},
    "histogram": {"range", "exact"},
}

LEVELS = {"weak": 1.0, "medium": 5.0, "strong": 10.0}


class Settings(Section):
    """All settings of a run."""

    size: value_types.WorkingSize
    """Long side of the painting at work, in pixels; native: its own. Never enlarged."""
    strength: value_types.Strength
    """Style level, how freely to paint: weak is 1, medium 5, strong 10; auto: the painting's."""
    keep: value_types.Positive
    """Multiplies the weight of content, divides the others: more keeps more of the element."""
    keep_color: value_types.Share = 0.5
    """How much of the element's own color stays: 0 takes the painting's palette, 1 keeps hues."""
    seed: value_types.Seed
    """Another number, other strokes, from other places; 0: from the most similar ones."""
    device: value_types.Text
    """Where to compute: auto, cpu, cuda, cuda:N or mps."""
    weights: value_types.Text
    """The network's weights: oxford, torchvision or a file."""
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], value_types.one_of("auto", "float32", "bfloat16")
    ]
    """Type of the network's numbers; auto is bfloat16 where it is faster. Losses are float32."""
    loose_sigma: value_types.Sigma
    """Sigma of the Gaussian that widens the tight mask, in pixels of a painting of 700."""
    region: Annotated[Literal["patch", "canvas"], value_types.one_of("patch", "canvas")]
    """Work around the element only, or on the whole canvas."""
    margin: value_types.Natural
    """Pixels around the loose mask that belong to the region, at each pass's scale."""
    tile: value_types.Tile
    """Side of the tiles in which the network sees the painting, in pixels; smaller: less memory."""
    brushwork: Brushwork | None = None
    """The element in planes and strokes, as a painter lays it in; null: off."""
    palette: Palette | None = None
    """The element in the painting's palette; null: off."""
    underpainting: Underpainting | None = None
    """The element in the painting's own patches; null: off."""
    passes: Annotated[dict[value_types.PassName, Pass], Limit(min_length=1)]
    """The optimizations by name, in order; null removes one."""
    finish: Finish
    """What happens after the last pass."""

    @classmethod
    def preset(cls, name: str = "default") -> "Settings":
        if name not in presets():
            raise ConfigError(f"there is no preset {name!r}{nearest_word(name, presets())}")
        return load(name)


# --- YAML in, YAML out ----------------------------------------------------------------------------


def presets() -> list[str]:
    """Return the presets' names, `default` first."""
    names = {path.stem for path in _preset_folder().glob("*.yaml")}
    return sorted(names, key=lambda name: (name != "default", name))


def files_read(name_or_path: str | Path | None, settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the files that settings come from or point to."""
    yield from (("a preset", path) for path in _preset_folder().glob("*.yaml"))
    if name_or_path is not None and str(name_or_path) not in presets():
        yield "the settings", Path(name_or_path)
    weights = weights_file(settings)
    if weights is not None:
        yield "the weights", weights


def weights_file(settings: Settings) -> Path | None:
    """Return the weights' file; None: they have a name."""
    named = settings.weights in ("oxford", "torchvision")
    return None if named else Path(settings.weights).expanduser()


def about(preset: str) -> str:
    """Return what a preset is for."""
    lines = _read_text(_preset_folder() / f"{preset}.yaml").splitlines()
    return next(
        (line[2:] for line in lines if line.startswith("# ") and "$schema=" not in line), ""
    )


def load(
    name_or_path: str | Path = "default",
    overrides: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings of a preset or YAML file.

    `overrides` are like `passes.refine.steps=9`; `options` win over them, None says nothing.
    """
    return build(layers_of(name_or_path, overrides, options))


def settle(given: object = None, options: Mapping[str, object] | None = None) -> Settings:
    """Return the settings that a Python caller means.

    `given` is a preset's name, a path, a mapping or Settings; a complete mapping stands alone.
    """
    if isinstance(given, Settings):
        layers = [Layer("settings", given.model_dump(mode="json"))]
    elif isinstance(given, Mapping):
        tree = _plain(given)
        whole = "extends" not in tree and _is_whole(_without_former(tree))
        layers = (
            [Layer("settings", _without_former(tree))]
            if whole
            else _with_presets(Layer("settings", tree))
        )
    elif given is None or isinstance(given, (str, Path)):
        layers = list(layers_of(given or "default", ()))
    else:
        raise ConfigError(
            "settings: expected the name of a preset, a path, a mapping or Settings; got "
            + show(given)
        )
    named = {key: _plain(value) for key, value in (options or {}).items() if value is not None}
    return build([*layers, *(Layer(key, {key: value}) for key, value in named.items())])


def _is_whole(tree: Tree) -> bool:
    try:
        Settings.model_validate(tree)
    except ValidationError:
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def read_yaml(path: Path) -> Tree:
    """Return a YAML file's mapping."""
    layer = read_layer(_read_text(path, LONGEST_LIST), printable(path), LONGEST_LIST)
    if layer.problems:
        raise ConfigError("\n".join(describe([layer])))
    return layer.tree


def loads(text: str, source: str = "settings") -> Settings:
    """Return settings from YAML text."""
    return build(_with_presets(read_layer(text, source)))


def restore_settings(
    tree: Tree,
    overrides: Sequence[str] = (),
    source: str = "record",
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Return a record's settings, old keys left out."""
    return build([Layer(printable(source), _without_former(tree)), *_single(overrides, options)])


def _preset_folder() -> Path:
    inside = Path(__file__).parent.parent / "configs"  # in a wheel; else beside the package
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def _read_text(path: Path, longest: int = LONGEST_TEXT) -> str:
    source = printable(path)
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8") as file:
            return file.read(longest + 1)  # no more of a file that is too long anyway
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not a text file in UTF-8; save it as one") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or "cannot be read"
        near = nearest_word(path.name, presets()).removeprefix("; ")
        raise ConfigError(
            f"{source}: {reason}; expected a YAML file or one of the presets ({near})"
        ) from error


def _without_former(tree: Tree) -> Tree:
    def cut(node: Any, *, of: str) -> Any:
        if not isinstance(node, dict):
            return node
        gone = FORMER.get(of, ())
        return {key: cut(item, of=str(key)) for key, item in node.items() if key not in gone}

    passes = tree.get("passes")
    if not isinstance(passes, dict):
        return tree
    return {**tree, "passes": {name: cut(part, of="pass") for name, part in passes.items()}}


# --- layers and merging ---------------------------------------------------------------------------


def layers_of(
    name_or_path: str | Path,
    overrides: Sequence[str],
    options: Mapping[str, object] | None = None,
) -> list[Layer]:
    """Return what `load` merges, the strongest last."""
    if str(name_or_path) in presets():
        first = _preset(str(name_or_path))
    else:
        path = Path(name_or_path)
        first = read_layer(_read_text(path), printable(path))
    return [*_with_presets(first), *_single(overrides, options)]


def _preset(name: str) -> Layer:
    return _parsed(_read_text(_preset_folder() / f"{name}.yaml"), f"preset {name}")


# Every job of a batch is laid over a preset, and YAML takes longer to read than all else.
_parsed = lru_cache(maxsize=16)(read_layer)


def _with_presets(layer: Layer, above: tuple[str, ...] = ()) -> list[Layer]:
    base = layer.tree.get("extends", "default")
    layer = replace(layer, tree={k: v for k, v in layer.tree.items() if k != "extends"})
    if base is None:
        return [layer]
    if base not in presets() or base in above:
        wrong = f"there is no preset {show(base)} to extend{nearest_word(base, presets())}"
        layer, base = layer.with_problem(("extends",), wrong), "default"
    return [*_with_presets(_preset(base), (*above, base)), layer]


def _single(overrides: Sequence[str], options: Mapping[str, object] | None) -> Iterator[Layer]:
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            wrong = f"{show(text)}: expected key=value, such as size=400"
            yield Layer("--set", {}).with_problem((), wrong)
        elif key == "extends":
            wrong = "only a file can extend a preset; choose one with `settings`"
            yield Layer("--set", {}).with_problem((key,), wrong)
        else:
            yield read_setting(key, value, "--set")
    for key, option in (options or {}).items():
        if isinstance(option, str):
            yield read_setting(key, option, _flag(key))
        elif option is not None:
            yield Layer(_flag(key), {key: option})


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def build(layers: Sequence[Layer]) -> Settings:
    """Merge layers."""
    tree: Tree = {}
    checked = []
    for layer in layers:
        tree, layer = _over(tree, layer)
        checked.append(layer)
    try:
        config = Settings.model_validate(tree)
    except ValidationError as error:
        checked = blamed(checked, tree, error, Settings)
    wrong = describe(checked)
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _over(tree: Tree, layer: Layer) -> tuple[Tree, Layer]:
    merged = _merge(tree, layer.tree)
    before, now = tree.get("passes"), merged.get("passes")
    if isinstance(now, dict):
        merged["passes"] = {
            name: settings for name, settings in now.items() if settings is not None
        }
        known = before if isinstance(before, dict) else {}
        for name in now.keys() - merged["passes"].keys() - known.keys():
            layer = layer.with_problem(("passes", name), f"no such pass{nearest_word(name, known)}")
    return merged, layer


def _merge(base: Tree, over: Tree) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = by_name(old) and by_name(value)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def by_name(value: object) -> bool:
    """Tell whether this is a mapping, no table by style level."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and not value_types.is_number(key) for key in value
    )
