"""One case: files in an empty folder, the command run, and what must hold afterwards."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harmonize.cli import app as cli

PATIENCE = 120  # seconds, then a case counts as hanging
ROOM = 6 * 2**30  # bytes of address space that a case may take
SAID = re.compile(
    r"harmonize: (error|warning|note|not done): \S.*"
    r"|device .*, size \d+.*"  # the opening line
    r"|[\w-]+: +\d+%\|.*"  # a progress bar
    r"|\[\d+/\d+\] .*"  # a job's end
)
RAW = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning): ")  # of an exception that nobody expected


class Content(Protocol):
    def put(self, path: Path) -> None: ...


@dataclass(frozen=True)
class Data:
    data: bytes

    def put(self, path: Path) -> None:
        path.write_bytes(self.data)


@dataclass(frozen=True)
class Folder:
    def put(self, path: Path) -> None:
        path.mkdir()


@dataclass(frozen=True)
class Link:
    target: str

    def put(self, path: Path) -> None:
        path.symlink_to(self.target)


@dataclass(frozen=True)
class Locked:
    content: Content

    def put(self, path: Path) -> None:
        self.content.put(path)
        path.chmod(0)


@dataclass(frozen=True)
class Absent:
    def put(self, path: Path) -> None:
        pass


Files = Mapping[str, Content]
Tree = dict[str, bytes]  # path → content of a file, target of a link; empty for a folder


@dataclass(frozen=True)
class Outcome:
    """How the command ended: exit code, output, and the folder before and after."""

    code: int
    out: str
    err: str
    before: Tree
    after: Tree

    @property
    def new(self) -> set[str]:
        return set(self.after) - set(self.before)

    @property
    def changed(self) -> set[str]:
        return {path for path in self.before if self.after.get(path) != self.before[path]}


class Hangs(BaseException):
    """The command did not end in time; no handler may swallow it."""


@contextmanager
def played(files: Files, words: Sequence[str]) -> Iterator[Outcome]:
    """Run the command in a folder with these files, kept until the block ends."""
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, content in files.items():
                path = Path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                content.put(path)
            before = _tree()
            code, out, err = _run(words)
            outcome = Outcome(code, out, err, before, _tree())
            _check(outcome)
            yield outcome
        finally:
            os.chdir(home)


def _check(outcome: Outcome) -> None:
    """What holds however the command ends."""
    said = outcome.out + outcome.err
    assert outcome.code in (0, 1, 2), said
    assert not RAW.search(said), said
    assert "Traceback" not in said, said
    # What a terminal leaves of a progress bar is what follows the last return.
    lines = [line.rpartition("\r")[2] for line in outcome.err.split("\n")]
    errors = [line for line in lines if line.startswith("harmonize: error: ")]
    assert all(SAID.fullmatch(line) for line in lines if line), outcome.err
    assert not any(path.endswith(".part") for path in outcome.after), outcome.after.keys()
    if outcome.code == 2:
        assert errors or outcome.out, "an error without a word"
        assert not outcome.new, outcome.new
        assert not outcome.changed, outcome.changed
    else:
        assert not errors, outcome.err


def _run(words: Sequence[str]) -> tuple[int, str, str]:
    with _streams() as (out, err), _limits():
        try:
            cli.main(list(words))
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        return code, _text(out), _text(err)


def _text(stream: Any) -> str:
    stream.seek(0)
    return str(stream.read().decode("utf-8", "surrogateescape"))


@contextmanager
def _streams() -> Iterator[tuple[Any, Any]]:
    """The process's own two streams in files, those of C libraries too."""
    kept = sys.stdout, sys.stderr, os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = (
            os.fdopen(n, "w", encoding="utf-8", closefd=False) for n in (1, 2)
        )
        try:
            yield out, err
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = kept[:2]
            for number, copy in zip((1, 2), kept[2:], strict=True):
                os.dup2(copy, number)
                os.close(copy)


@contextmanager
def _limits() -> Iterator[None]:
    """Limit memory and time: what asks for more is a find."""

    def hangs(*_: object) -> None:
        raise Hangs

    old, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    handler = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (old, hard))


def _tree() -> Tree:
    found: Tree = {}
    for place, folders, names in os.walk("."):
        for name in (*folders, *names):
            path = os.path.normpath(os.path.join(place, name))
            if os.path.islink(path):
                found[path] = os.fsencode(os.readlink(path))
            else:
                found[path] = b"" if os.path.isdir(path) else _bytes(path)
    return found


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except PermissionError:
        return b"locked"
