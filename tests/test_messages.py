"""What is said to the user: in names of the API by the library, in flags by the command."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from typer.main import get_command

import harmonize
from harmonize import errors
from harmonize.cli.app import app
from harmonize.cli.options import in_flags, in_keys

PACKAGE = Path(harmonize.__file__).parent
ERRORS = {name for name, _ in inspect.getmembers(errors, inspect.isclass)} | {"Unreadable"}
# What refuses: errors, jobs that are left out, problems of settings and of their text.
REFUSING = {*ERRORS, "HTTPException", "Refused", "with_problem", "_note", "_TooMuch"}
SPEAKING = {*REFUSING, "append"}  # and warnings, in lists
WARNING_LISTS = {"notes", "found", "warnings", "trouble"}
HOLE, REFUSAL = "{}", "{…}"  # what is filled in, and another refusal's words

# A refusal says what to do: a clause begins with one of these verbs, or it says what was expected,
# or which word is nearest.
VERBS = """
    add ask brush check choose compare cut delete develop draw export give install leave
    load make move name open place put raise remove rename run save say scale see set start stop
    try turn update use wait write
"""
WHAT_TO_DO = re.compile(
    rf"(^|[;:,.(] |\b(or|and) )({'|'.join(VERBS.split())})\b|\bexpected\b|; did you mean|; valid: ",
    re.IGNORECASE,
)
# A warning that leaves nothing to do says what was done.
WHAT_WAS_DONE = re.compile(
    r"\b(is|are) (left out|read|scaled|taken|turned|kept|used|written)\b|: turned as\b"
    r"|; (taken as|another one takes it|the (batch|run) goes on|again from)\b"
    r"|^the working size is\b"
)
# Where: a role, a place, a flag or a file before a colon; or what it speaks of is the place. An
# error that a run goes on after says its own.
PLACED = re.compile(
    r"^([\w{} .`-]+: |\{} (is|can|jobs)\b|\{}; the run goes on\b"
    r"|the (cut-out|working size)\b|this run\b|The (pictures|loose mask)\b)"
)
# Begun by who tells: the reader with the picture's role, the painter with the pass, the batch with
# the job.
PLACED_LATER = ("images/decoding/", "images/read.py", "synthesis/", "batch/", "cli/batch.py")
# `harmonize doctor` says what to do beside these.
WITHOUT = {"the result differs from the painting outside the mask"} | {
    "the result does not differ from the painting inside the mask"
}


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def inside(node: ast.AST) -> list[ast.AST]:
    return [*ast.walk(node)]


@cache
def functions() -> dict[str, list[ast.FunctionDef]]:
    found: dict[str, list[ast.FunctionDef]] = {}
    for tree in trees().values():
        for node in inside(tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


@cache
def constants() -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for tree in trees().values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def made(call: ast.Call) -> str:
    return ast.unparse(call.func).split(".")[-1]


# All texts that an expression in a function may be, as far as the code tells.
def texts(node: ast.AST | None, scope: ast.AST, deep: int = 0) -> set[str]:
    found: set[str] = set()
    if deep > 12:
        return {HOLE}

    def of(inner: ast.AST | None, scope: ast.AST = scope) -> set[str]:
        return texts(inner, scope, deep + 1)

    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        return {"".join(parts) for parts in product(*map(of, node.values))}
    if isinstance(node, ast.BinOp):
        return {"".join(parts) for parts in product(of(node.left), of(node.right))}
    if isinstance(node, ast.FormattedValue):
        return of(node.value)
    if isinstance(node, ast.IfExp):
        return of(node.body) | of(node.orelse)
    if isinstance(node, ast.BoolOp):
        return set().union(*(of(value) - {""} for value in node.values[:-1]), of(node.values[-1]))
    if isinstance(node, ast.Attribute):
        found = set().union(*map(of, constants().get(node.attr, ())))
        return {"no such file"} if node.attr == "strerror" else found or {HOLE}
    if isinstance(node, ast.Call):
        for function in functions().get(made(node), ()):
            for inner in inside(function):
                found |= of(inner.value, function) if isinstance(inner, ast.Return) else set()
    if isinstance(node, ast.Name):
        found = set().union(*map(of, constants().get(node.id, ())))
        for inner in inside(scope):
            if isinstance(inner, ast.ExceptHandler) and inner.name == node.id:
                found |= {REFUSAL} if ast.unparse(inner.type or inner) in ERRORS else set()
            value = assigned(inner, node.id)
            if value and node.id not in {getattr(part, "id", "") for part in inside(value)}:
                found |= of(value)
    return found or {HOLE}


def assigned(node: ast.AST, name: str) -> ast.expr | None:
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.NamedExpr) else targets
    return node.value if any(getattr(one, "id", "") == name for one in targets) else None


@cache
def scopes(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in inside(tree) if isinstance(node, ast.FunctionDef)]


def scope_of(node: ast.expr | ast.stmt, tree: ast.Module) -> ast.AST:
    """The innermost function around a node."""
    around = [one for one in scopes(tree) if one.lineno <= node.lineno <= (one.end_lineno or 0)]
    return max(around, key=lambda one: one.lineno, default=tree)


@cache
def messages(kinds: frozenset[str]) -> list[tuple[str, str]]:
    found = set()
    for name, tree in trees().items():
        for node in inside(tree):
            if isinstance(node, ast.Call) and made(node) in kinds:
                scope = scope_of(node, tree)
                said = set().union(*(texts(part, scope) for part in node.args))
                found |= {(f"{name}:{node.lineno}", text) for text in said}
    worded = re.compile(r"[a-z]{3}.* |^[A-Z].* ")
    return sorted(pair for pair in found if worded.search(pair[1].replace(HOLE, "")))


def literal_texts(node: ast.AST, scope: ast.AST) -> set[str]:
    """What an expression may be, or the items of a list in it."""
    inner = [part for part in inside(node) if isinstance(part, (ast.List, ast.Tuple))]
    items = [item for part in inner for item in part.elts]
    return set().union(*(texts(part, scope) for part in (node, *items)))


def warned(node: ast.AST, scope: ast.AST) -> list[ast.AST]:
    """The expressions that a statement warns with."""
    if isinstance(node, ast.Call):
        known = [word.value for word in node.keywords if word.arg in ("note", "notes", "warnings")]
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        listed = made(node) == "append" and ast.unparse(owner or node).split(".")[-1]
        return [*known, *(node.args if made(node) == "warn" or listed in WARNING_LISTS else ())]
    if isinstance(node, ast.AugAssign) and getattr(node.target, "id", "") in WARNING_LISTS:
        return [node.value]
    if isinstance(node, ast.Return) and isinstance(scope, ast.FunctionDef) and node.value:
        returned = ast.unparse(scope.returns) if scope.returns else ""
        told = "list[str]" in returned or returned == "tuple[str, ...]"
        return [node.value] if told or scope.name in ("memory_warning", "_note") else []
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "again":
        return [node.value]
    return []


@cache
def warnings() -> list[tuple[str, str]]:
    found = set()
    for name, tree in trees().items():
        for node in inside(tree):
            if isinstance(node, (ast.Call, ast.AugAssign, ast.Return, ast.Assign)):
                scope = scope_of(node, tree)
                said = set().union(*(literal_texts(part, scope) for part in warned(node, scope)))
                found |= {(f"{name}:{node.lineno}", text) for text in said}
    worded = re.compile(r"[a-z]{3}.* .*[a-z]{2}")
    told = [pair for pair in found if worded.search(pair[1].replace(HOLE, ""))]
    return sorted(pair for pair in told if not pair[0].startswith("errors.py"))


# Looked for once a process, by the tests: more than a second that collecting them need not take.
def every() -> list[tuple[str, str]]:
    return messages(frozenset(SPEAKING))


def refusals() -> list[tuple[str, str]]:
    return messages(frozenset(REFUSING))


@cache
def flags() -> set[str]:
    commands = [get_command(app)]
    known = set()
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        known |= {flag for param in command.params for flag in param.opts}
    return known


def test_messages_are_found_wherever_they_are_made() -> None:
    said = "\n".join(f"{where} {text}" for where, text in refusals())
    folders = "images scene run settings batch synthesis studio cli"
    for folder in folders.split():
        assert f"\n{folder}/" in f"\n{said}"
    for text in (
        "a TIFF of {} bits a channel is not read here; save it with 16",  # in another's words
        "is there and no {}; give another name",
        "unknown keyword; did you mean {}?",  # from a function
        "no such pass; valid: {}",
        "not a run record (not JSON); give the .json",  # from a constant
        "cannot write there (no such file); choose another place",  # the system's
        "key {} is repeated (first on line {})",
    ):
        assert text in said
    assert any("is left out" in text for _, text in every())


def test_every_refusal_says_what_to_do() -> None:
    said = [pair for pair in refusals() if not pair[1].endswith(REFUSAL) and pair[1] not in WITHOUT]
    assert not [pair for pair in said if not WHAT_TO_DO.search(pair[1])]


def test_warnings_are_found_wherever_they_are_made() -> None:
    said = "\n".join(text for _, text in warnings())
    for text in (
        "holds {} pictures; only the first",  # added to a list
        "are scaled to the element's",  # returned
        "mask: white at the border",  # from another function
        "its primaries cannot be",  # a note of its own
        "can be reached from other machines",  # said at once
        "the best image so far is kept",  # of a pass
        "{} holds no transparency",  # in what a format loses
        "this run takes about",
        "is not the file of the record",
        "its worker was lost",
    ):
        assert text in said, text


def test_every_warning_says_where_and_what_to_do_or_what_was_done() -> None:
    def cured(text: str) -> bool:
        return bool(WHAT_TO_DO.search(text) or text.endswith(REFUSAL) or WHAT_WAS_DONE.search(text))

    assert not [pair for pair in warnings() if not cured(pair[1])]
    here = [pair for pair in warnings() if not pair[0].startswith(PLACED_LATER)]
    assert not [pair for pair in here if not PLACED.search(pair[1])]


@pytest.mark.parametrize("text", ["painting a.png: is empty", "the mask is empty; white marks it"])
def test_what_is_only_said_is_no_advice(text: str) -> None:
    assert not WHAT_TO_DO.search(text)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][\w-]*", text.replace("ray start --head", "")))


def test_the_library_speaks_of_its_own_names() -> None:
    library = [pair for pair in every() if not pair[0].startswith(("cli/", "studio/"))]
    wrong = [pair for pair in library if flags_in(pair[1])]
    assert not wrong, "write `name`, which the command turns into a flag"


def test_the_command_speaks_of_flags_that_it_has() -> None:
    assert not [pair for pair in every() if not flags_in(in_flags(pair[1])) <= flags()]


def test_names_become_flags() -> None:
    said = "`at`: lies outside; see `keep_color`, `size=400`, `overwrite=True` or `painting`"
    told = "--at: lies outside; see --keep-color, --size 400, --overwrite or --style"
    assert in_flags(said) == told
    assert in_flags("run `pip install 'x[y]'`, {`name`}") == "run `pip install 'x[y]'`, {--name}"
    assert (
        in_keys("`element`: gone; see `size=400`, `width`")
        == "`patch`: gone; see `size: 400`, `width`"
    )
    assert in_keys("`max_memory=1GB` is too little") == "--max-memory 1GB is too little"
