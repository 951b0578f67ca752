"""A file is written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harmonize.errors import OutputError
from harmonize.images import atomic_file as module
from harmonize.images.atomic_file import check_name, check_output, write_file

LIMITED = """
import resource, sys
from pathlib import Path
from harmonize.errors import OutputError
from harmonize.images.atomic_file import write_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(Path(sys.argv[1]), b"x" * 5000, overwrite=True)
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("name", ["x" * 256, f"new/{'x' * 256}", f"{'x' * 256}/new/a.png"])
def test_a_name_too_long_is_found_before_its_folder_is_there(tmp_path: Path, name: str) -> None:
    for check in (check_name, lambda path: check_output(path, True, missing_folder=True)):
        with pytest.raises(OutputError, match="File name too long"):
            check(tmp_path / name)
    check_name(tmp_path / "new" / name.replace("x" * 256, "x" * 255))
    assert not list(tmp_path.iterdir())


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"first")
    with pytest.raises(OutputError, match="exists; use `overwrite`"):
        write_file(path, b"second")
    assert path.read_bytes() == b"first"
    path.chmod(0o640)
    write_file(path, b"second", overwrite=True)
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"precious")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == f"{path}: cannot be written (File too large); choose another place\n"
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["a.bin"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount here")
    try:
        (disk / "a.bin").write_bytes(b"precious")
        with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
            write_file(disk / "a.bin", b"x" * 100_000, overwrite=True)
        assert (disk / "a.bin").read_bytes() == b"precious"
        assert names(disk) == ["a.bin"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.bin"
    path.write_bytes(b"precious")
    monkeypatch.setattr(f"os.{step}", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["a.bin"]


def test_the_bytes_are_on_the_disk_before_they_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda handle: (seen.append("sync"), sync(handle)))
    monkeypatch.setattr("os.replace", lambda a, b: (seen.append("rename"), rename(a, b)))
    write_file(tmp_path / "a.bin", b"x")
    assert seen == ["sync", "rename", "sync"]


def test_a_folder_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    check = module.check_output

    def check_then_remove(path: Path, overwrite: bool) -> None:
        check(path, overwrite)
        folder.rmdir()

    monkeypatch.setattr(module, "check_output", check_then_remove)
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No such file"):
        write_file(folder / "a.bin", b"x")


def test_a_link_stays_a_link_and_leads_to_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.bin").write_bytes(b"old")
    for name, target in (("link", "there/real.bin"), ("hanging", "there/new.bin")):
        link = tmp_path / name
        link.symlink_to(target)
        write_file(link, name.encode(), overwrite=True)
        assert link.is_symlink()
        assert (tmp_path / target).read_bytes() == name.encode()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=r"loop: cannot write there \(Too many levels"):
        write_file(tmp_path / "loop", b"x", overwrite=True)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, said in (
        ("nowhere/a.png", r"cannot write there \(No such file"),
        ("file/a.png", r"cannot write there \(Not a directory"),
        ("x" * 300, r"cannot write there \(File name too long"),
        ("a\0b", r"cannot write there \(.*null"),
        ("", "is a folder"),
    ):
        with pytest.raises(OutputError, match=said):
            check_output(tmp_path / name, overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is no ordinary file"):
        check_output(tmp_path / "pipe", overwrite=True)
    check_output(tmp_path / "a.png", overwrite=False)
    assert names(tmp_path) == ["file", "pipe"]


@pytest.mark.parametrize(
    "name", [b"x" * 251 + b".bin", b"a b.bin", b"a\nb.bin", "🦆.bin".encode(), b"\xff\xfe.bin"]
)
def test_every_name_that_a_file_can_have(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    write_file(path, b"x")
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_what_a_dead_process_left_goes_at_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    start = module._temporary_start(path)
    left = tmp_path / f"{start}{gone.pid}.part"
    stay = [
        tmp_path / f"{start}{os.getppid()}.part",  # somebody is writing
        tmp_path / f"{start}x.part",
        tmp_path / f"{module._temporary_start(tmp_path / 'b.bin')}{gone.pid}.part",
    ]
    for item in (left, *stay):
        item.write_text("half")
    write_file(path, b"x")
    assert names(tmp_path) == sorted(item.name for item in (path, *stay))
