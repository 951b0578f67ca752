"""Settings: typed, frozen, and read from YAML.

Every value lives in the presets (`configs/*.yaml`), none in this module. A preset or a user's file
carries `base: NAME` (left out: `default`) and only what differs from that preset; `base: null` says
that it is complete. Mappings are merged key by key, except tables by style level, which are
replaced whole; `null` in place of a pass removes it, in place of a term switches it off.

YAML is read as version 1.2 has it: `1e-3` is a number, `no` a string, a repeated key an error.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field as Limit
from pydantic import ValidationError

from harmonize.errors import ConfigError
from harmonize.schema import (
    Field,
    Finish,
    Histogram,
    Level,
    Natural,
    Pass,
    PassName,
    Positive,
    Settings,
    Text,
    at_level,
    expects,
    is_number,
    one_of,
)

__all__ = [
    "LEVELS",
    "Config",
    "Field",
    "Finish",
    "Histogram",
    "Pass",
    "at_level",
    "dump",
    "load",
    "loads",
    "presets",
    "read_yaml",
    "restore",
]

LEVELS = {"weak": 1.0, "medium": 5.0, "strong": 10.0}

Tree = dict[Any, Any]
Layer = tuple[str, Tree]  # where it comes from, what it says


class Config(Settings):
    """All settings of a run; see the comments in `configs/default.yaml` for what each does."""

    size: Annotated[
        Annotated[int, Limit(ge=32)] | Literal["native"],
        expects("a whole number of pixels from 32 up, or native"),
    ]
    strength: Annotated[
        Literal["auto", "weak", "medium", "strong"] | Level,
        expects("auto, weak, medium, strong, or a number from 1 to 10"),
    ]
    keep: Positive
    seed: Natural
    device: Text
    weights: Text
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], one_of("auto", "float32", "bfloat16")
    ]
    loose_sigma: Positive
    region: Annotated[Literal["patch", "canvas"], one_of("patch", "canvas")]
    margin: Natural
    passes: Annotated[dict[PassName, Pass], Limit(min_length=1)]
    finish: Finish

    @classmethod
    def preset(cls, name: str = "default") -> "Config":
        """Return the preset called `name`.

        Raises:
            ConfigError: there is no such preset.
        """
        return _build(_chain({"base": name}, f"preset {name}"))


# --- YAML in, YAML out ----------------------------------------------------------------------------


def presets() -> list[str]:
    """Return the names of the presets, `default` first."""
    names = {path.stem for path in _preset_folder().glob("*.yaml")}
    return sorted(names, key=lambda name: (name != "default", name))


def load(name_or_path: str | Path = "default", overrides: Sequence[str] = ()) -> Config:
    """Return a preset, or the settings in a YAML file, with overrides like `passes.refine.steps=9`.

    Values of overrides are read as YAML.

    Raises:
        ConfigError: no such preset or file, or a setting is unknown, mistyped or out of range.
    """
    if str(name_or_path) in presets():
        layers = _chain({"base": str(name_or_path)}, f"preset {name_or_path}")
    else:
        path = Path(name_or_path)
        layers = _chain(_parse(_read(path), str(path)), str(path))
    return _build([*layers, *map(_override, overrides)])


def read_yaml(path: Path) -> Tree:
    """Return the mapping in a YAML file, read as settings are.

    Raises:
        ConfigError: it cannot be read, or is no mapping.
    """
    return _parse(_read(path), str(path))


def loads(text: str, source: str = "settings") -> Config:
    """Return the settings in YAML text; `source` names the text in messages.

    Raises:
        ConfigError: as for `load`.
    """
    return _build(_chain(_parse(text, source), source))


def restore(tree: Tree, overrides: Sequence[str] = (), source: str = "record") -> Config:
    """Return complete settings from a tree such as `config.model_dump(mode="json")`.

    Raises:
        ConfigError: as for `load`.
    """
    return _build([(source, tree), *map(_override, overrides)])


def dump(config: Config) -> str:
    """Return YAML such that `loads(dump(config)) == config`."""
    tree = {"base": None, **_plain(config.model_dump())}
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers, Booleans and nulls; no repeated keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float)):
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} cannot be a key", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is repeated", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes every string that a reader of YAML 1.1 or 1.2 would take for something else."""


_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)$"), None)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), None
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), None)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, None)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, None)


def _preset_folder() -> Path:
    package = Path(__file__).parent
    inside = package / "configs"  # in a wheel; in a checkout they lie beside the package
    return inside if inside.is_dir() else package.parent / "configs"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; expected a YAML file or one of the presets "
            + ", ".join(presets())
        ) from error


def _parse(text: str, source: str) -> Tree:
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {_where(error)}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}: expected settings like `size: 700`, got {_show(tree)}")
    return tree


def _where(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "not YAML"
    problem = (error.problem or "not YAML").replace("\n", " ")
    return f"line {error.problem_mark.line + 1}: {problem}"


def _override(text: str) -> Layer:
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise ConfigError(f"override {text!r}: expected key=value, such as size=400")
    try:
        tree = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {text!r}: the value is not YAML") from error
    for key in reversed(path.split(".")):
        tree = {key: tree}
    return "override", tree


# --- merging and checking -------------------------------------------------------------------------


def _chain(tree: Tree, source: str, seen: tuple[str, ...] = ()) -> list[Layer]:
    """Return the layers from the outermost base to `tree`."""
    rest = {key: value for key, value in tree.items() if key != "base"}
    base = tree.get("base", "default")
    if base is None:
        return [(source, rest)]
    if base not in presets() or base in seen:
        near = _nearest(base, presets())
        raise ConfigError(f"{source}: base: there is no preset {base!r}{near}")
    text = _read(_preset_folder() / f"{base}.yaml")
    name = f"preset {base}"
    return [*_chain(_parse(text, name), name, (*seen, base)), (source, rest)]


def _build(layers: Sequence[Layer]) -> Config:
    tree: Tree = {}
    for source, layer in layers:
        tree = _merge(tree, layer, source)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(part for part in first["loc"] if part != "[key]")
        raise ConfigError(f"{_blame(layers, path)}: {_explain(first, path, tree)}") from None


def _merge(base: Tree, over: Tree, source: str, path: tuple[str, ...] = ()) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if path == ("passes",) and value is None:
            if key not in merged:
                raise ConfigError(f"{source}: passes.{key}: no such pass{_nearest(key, merged)}")
            del merged[key]
        elif _by_name(old) and _by_name(value):
            merged[key] = _merge(old, value, source, (*path, key))  # type: ignore[arg-type]
        else:
            merged[key] = value
    return merged


def _by_name(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and not is_number(key) for key in value
    )


def _blame(layers: Sequence[Layer], path: Sequence[int | str]) -> str:
    """Return which layer said the last word on `path`."""
    for depth in range(len(path), 0, -1):
        for source, tree in reversed(layers):
            if _has(tree, path[:depth]):
                return source
    return layers[-1][0]


def _has(tree: Any, path: Sequence[int | str]) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


def _explain(error: Any, path: Sequence[int | str], tree: Tree) -> str:
    dotted = ".".join(map(str, path))
    if error["type"] == "extra_forbidden":
        return f"{dotted}: unknown key{_nearest(path[-1], _fields(path[:-1]))}"
    if error["type"] == "missing":
        near = _nearest(path[1], set(tree["passes"]) - {path[1]}) if path[0] == "passes" else ""
        return f"{dotted}: missing{near}"
    expected = error["msg"] if error["type"] == "expected" else "settings like `key: value`"
    return f"{dotted}: expected {expected}; got {_show(error['input'])}"


def _fields(path: Sequence[int | str]) -> list[str]:
    """Return the valid keys of the settings at `path`."""
    model: type[Settings] = Config
    for depth, key in enumerate(path):
        if (depth, path[0]) != (1, "passes"):  # there the key is a pass's name
            model = _model_in(model.model_fields[str(key)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next(filter(None, map(_model_in, reversed(get_args(annotation)))), None)


def _nearest(word: object, valid: Any) -> str:
    found = difflib.get_close_matches(str(word), [str(name) for name in valid], n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else f"; valid: {', '.join(map(str, valid))}"


def _show(value: object) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
