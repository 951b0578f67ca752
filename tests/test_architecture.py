"""The rules of the house; ARCHITECTURE.md says why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import harmonize

PACKAGE = Path(harmonize.__file__).parent
FACADE = {"__init__", "__main__"}

# What each folder may import from; everything may import `errors`.
MAY_IMPORT = {
    "cli": {"studio", "reports", "batch", "run", "synthesis", "scene", "settings", "images"},
    "studio": {"run", "synthesis", "scene", "settings", "images"},
    "reports": {"run", "scene", "settings", "images"},
    "batch": {"run", "synthesis", "scene", "settings", "images"},
    "run": {"synthesis", "scene", "settings", "images"},
    "synthesis": {"settings", "images"},
    "scene": {"images"},
    "settings": set(),
    "images": set(),
    "errors": set(),
}
WITH_TORCH = {"synthesis", "run", "batch"}  # batch: in its workers, when they start

# Which folders may use a third-party package.
HOMES = {
    "PIL": {"scene", "images", "reports", "run", "studio"},
    "cv2": {"scene"},
    "jinja2": {"reports", "studio"},
    "kornia": {"synthesis"},
    "pillow_heif": {"images"},
    "psutil": {"images", "run"},
    "pydantic": {"settings"},
    "pydantic_core": {"settings"},
    "pyvips": {"images"},
    "ray": {"batch"},
    "safetensors": {"synthesis", "run"},
    "starlette": {"studio"},
    "torchvision": {"synthesis"},
    "tqdm": {"cli"},
    "typer": {"cli"},
    "uvicorn": {"studio"},
    "yaml": {"settings"},
}


DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "pillow_heif": "pillow-heif",
    "yaml": "pyyaml",
}


def path_of(module: str) -> Path:
    path = PACKAGE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@cache
def modules() -> list[str]:
    files = [path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(file.parts).removesuffix(".__init__") for file in files)


def folders() -> list[Path]:
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


@cache
def imports(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def siblings(module: str) -> set[str]:
    own = [name.split(".")[1:] for name in imports(module) if name.startswith("harmonize.")]
    known = set(modules())
    return {
        max(names, key=len)
        for parts in own
        if (names := {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & known)
    }


def third_party(module: str) -> set[str]:
    roots = {name.split(".")[0] for name in imports(module)}
    return roots - set(sys.stdlib_module_names) - {"harmonize"}


def folder_of(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", sorted(set(modules()) - FACADE))
def test_imports_point_one_way(module: str) -> None:
    folder = folder_of(module)
    allowed = MAY_IMPORT[folder] | {folder, "errors", "__init__"}
    wrong = {name for name in siblings(module) if folder_of(name) not in allowed}
    assert not wrong, f"{module} imports {wrong}"


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {module: siblings(module) for module in set(modules()) - FACADE}
    assert list(TopologicalSorter(graph).static_order())


def test_folders_are_few_and_small() -> None:
    entries = {module.split(".")[0] for module in modules()} - FACADE
    assert len(entries) <= 10
    for folder in folders():
        names = [path.stem for path in folder.glob("*.py") if path.stem not in FACADE]
        assert len(names) <= 9, f"{folder}: {names}"
        if folder != PACKAGE:
            text = (folder / "__init__.py").read_text(encoding="utf-8")
            assert len(ast.parse(text).body) == 1, f"{folder}: no more than a docstring"


@pytest.mark.parametrize("module", sorted(set(modules()) - FACADE))
def test_packages_stay_in_their_homes(module: str) -> None:
    for package in third_party(module) - {"numpy"}:
        homes = WITH_TORCH if package == "torch" else HOMES[package]
        assert folder_of(module) in homes, f"{module} imports {package}"


def test_every_package_used_is_known_here_and_declared() -> None:
    used = set().union(*map(third_party, modules()))
    assert used == set(HOMES) | {"numpy", "torch"}
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for package in used - {"pydantic_core"}:
        name = DISTRIBUTIONS.get(package, package)
        assert re.search(rf'"{name}(\[\w+\])?>=', project)


@pytest.mark.parametrize("module", [m for m in modules() if folder_of(m) != "cli"])
def test_only_the_command_prints_or_exits(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "exit", "sys.exit", "os._exit", "sys.stderr.write"}


# What runs code or objects out of data, and what may in its home: where and how.
DANGEROUS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
UNTRUSTING = {("synthesis.network.weights", "torch.load"): "weights_only=True"}
PICKLES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "subprocess"}
READERS = {"torch.load", "np.load", "torch.jit.load", "torch.hub.load_state_dict_from_url"}


@pytest.mark.parametrize("module", modules())
def test_nothing_from_outside_is_run(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & PICKLES
    for node in ast.walk(tree_of(module)):
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


def defined(module: str) -> set[str]:
    found: set[str] = set()
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found - {"__all__"}


def test_no_name_is_defined_twice() -> None:
    homes: dict[str, list[str]] = {}
    for module in modules():
        for name in defined(module):
            homes.setdefault(name, []).append(module)
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def test_there_is_no_drawer_for_the_rest() -> None:
    names = {part for module in modules() for part in module.split(".")}
    assert not {"utils", "helpers", "base", "common", "misc"} & names


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["batch", "--help"]]
)
def test_help_and_version_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys, harmonize.cli.app\n"
        "try: harmonize.cli.app.main(sys.argv[1:])\n"
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
