"""The rules of the house; ARCHITECTURE.md says why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harmonize

PACKAGE = Path(harmonize.__file__).parent
FACADE = {"__init__", "__main__"}

# From the bottom to the top: each module imports only from those before it.
ORDER = (
    "errors", "home", "kinds", "schema", "layers", "problems", "config", "file_schema",
    "strips", "vips", "colors", "stored", "images", "pictures", "masks", "placing", "inputs",
    "filters", "features", "weights", "device",
    "region", "raster", "canvas", "matching", "study", "histogram", "losses", "optimize", "finish",
    "strength", "memory", "fields", "strokes", "objective", "passes", "painter", "files", "outputs",
    "record", "checkpoint", "easel", "budget", "pipeline", "curves", "report", "doctor", "jobs",
    "listing", "pairs", "batch", "worker", "engines", "cluster", "progress", "frames", "commands",
    "commands.request", "commands.batch", "commands.compare", "commands.config", "commands.doctor",
    "commands.frames", "commands.run", "commands.weights", "cli",
)  # fmt: skip

COMMANDS = {name for name in ORDER if name.startswith("commands")}
SETTINGS = {"kinds", "schema", "layers", "problems", "config", "file_schema"}
TENSORS_ONLY = {
    "filters", "features", "region", "raster", "canvas", "matching", "study", "histogram",
    "losses", "optimize", "finish", "strength",
}  # fmt: skip
NO_TORCH = SETTINGS | COMMANDS | {
    "errors", "home", "strips", "vips", "colors", "stored", "images", "pictures", "masks",
    "placing", "inputs", "files", "outputs", "record", "curves", "frames", "progress", "cli",
    "jobs", "listing", "pairs", "batch",
}  # fmt: skip

HOMES = {
    "PIL": {
        "stored", "images", "pictures", "placing", "outputs", "frames", "pipeline", "report",
    },
    "jinja2": {"report"},
    "kornia": {"filters"},
    "psutil": {"budget", "doctor", "files"},
    "pydantic": {"kinds", "schema", "problems", "config"},
    "pydantic_core": {"kinds", "schema"},
    "pyvips": {"vips"},
    "ray": {"cluster"},
    "safetensors": {"weights", "checkpoint"},
    "torchvision": {"features", "weights"},
    "tqdm": {"progress"},
    "typer": {"cli", "progress"} | COMMANDS,
    "yaml": {"layers", "config"},
}  # fmt: skip


def path_of(module: str) -> Path:
    path = PACKAGE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules() -> list[str]:
    files = [path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(file.parts).removesuffix(".__init__") for file in files)


def imports(module: str) -> set[str]:
    """Return what a module imports, wherever in it: dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def siblings(module: str) -> set[str]:
    own = [name.split(".")[1:] for name in imports(module) if name.startswith("harmonize.")]
    return {".".join(parts[:n]) for parts in own for n in (1, 2)} & set(modules())


def third_party(module: str) -> set[str]:
    roots = {name.split(".")[0] for name in imports(module)}
    return roots - set(sys.stdlib_module_names) - {"harmonize"}


def test_the_order_names_every_module() -> None:
    assert set(modules()) - FACADE == set(ORDER) & set(modules())


@pytest.mark.parametrize("module", sorted(set(modules()) - FACADE))
def test_imports_point_one_way(module: str) -> None:
    above = {name for name in siblings(module) if ORDER.index(name) >= ORDER.index(module)}
    assert not above, f"{module} imports {above}, which stand above it"


@pytest.mark.parametrize("module", sorted(TENSORS_ONLY & set(modules())))
def test_tensor_modules_know_no_settings(module: str) -> None:
    assert not siblings(module) & SETTINGS


@pytest.mark.parametrize("module", sorted(NO_TORCH))
def test_settings_and_files_know_no_tensors(module: str) -> None:
    assert "torch" not in third_party(module)


@pytest.mark.parametrize("package", sorted(HOMES))
def test_each_package_has_one_home(package: str) -> None:
    users = {module for module in modules() if package in third_party(module)}
    assert users
    assert users <= HOMES[package]


def test_every_package_used_is_known_here_and_declared() -> None:
    used = set().union(*map(third_party, modules()))
    assert used == set(HOMES) | {"numpy", "torch"}
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for package in used - {"pydantic_core"}:
        name = {"PIL": "pillow", "yaml": "pyyaml"}.get(package, package)
        assert f'"{name}>=' in project or f'"{name}[binary]>=' in project


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if m not in {"cli", "progress"} and not m.startswith("commands")],
)
def test_only_the_command_prints_or_exits(module: str) -> None:
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "exit", "sys.exit", "os._exit", "sys.stderr.write"}


# What runs code or objects out of data, and what may in its home: where and how.
DANGEROUS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
UNTRUSTING = {("weights", "torch.load"): "weights_only=True"}
PICKLES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "subprocess"}
READERS = {"torch.load", "np.load", "torch.jit.load", "torch.hub.load_state_dict_from_url"}


@pytest.mark.parametrize("module", modules())
def test_nothing_from_outside_is_run(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & PICKLES
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in DANGEROUS
            assert "get_state_dict" not in called
            assert not called.startswith("yaml.") or "load" not in called
            if called in READERS:
                assert UNTRUSTING[module, called] in map(ast.unparse, node.keywords)


def test_every_dependency_has_bounds_and_a_purpose() -> None:
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    start, end = text.index("dependencies = ["), text.index("[project.scripts]")
    lines = [line for line in text[start:end].splitlines() if line.startswith("  ")]
    assert len(lines) > 20
    for line in lines:
        assert re.fullmatch(r'  "[\w\-\[\]]+>=[\d.]+,<\d+", +# .+', line), line


@pytest.mark.parametrize("module", modules())
def test_modules_stay_short_and_say_what_they_are(module: str) -> None:
    text = path_of(module).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) < 350


def test_there_is_no_drawer_for_the_rest() -> None:
    assert not {"utils", "helpers", "base", "common", "misc"} & set(modules())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["batch", "--help"]]
)
def test_help_and_version_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys, harmonize.cli\n"
        "try: harmonize.cli.main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'torchvision', 'kornia'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, harmonize; print([m for m in sys.modules if m.startswith('harmonize.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_package_is_there() -> None:
    for name in harmonize.__all__:
        assert getattr(harmonize, name) is not None
    assert callable(harmonize.harmonize)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = harmonize.nothing
