"""A run's progress as a safetensors file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output, check_own, sweep, write_file
from harmonize.run.record import asked_for, differences
from harmonize.settings.load import Settings, restore_settings
from harmonize.synthesis.optimization.minimize import State
from harmonize.synthesis.painter import PassLog, SavePoint

FORMAT = "harmonize checkpoint 1"
LONGEST_HEAD = 1 << 27  # bytes before the tensors
PAUSE = 2.0  # seconds from one save to the next
PER_SECOND = 5.0  # and this many such pauses for each second that a save takes: a tenth of the time


@dataclass(frozen=True)
class Saved:
    """Where a run was."""

    point: SavePoint
    told: int  # steps that were told of
    seconds: float  # of all runs so far


@dataclass
class Checkpoint:
    """The file that a run saves itself to and goes on from."""

    path: Path
    outputs: Sequence[Path] = ()  # what the run writes; they belong to it like its settings
    pause: float = field(default_factory=lambda: PAUSE)  # seconds between saves, at least
    anew: bool = False  # begin again, whatever is there
    on_loss: Callable[[OutputError], None] | None = None  # told once; None: it is raised
    _next: float = field(default=0.0, repr=False)

    @property
    def there(self) -> bool:
        return not self.anew and self.path.exists()

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse a file that cannot be used; sweep up."""
        if self.path.resolve() in [path.resolve() for path in (*inputs, *self.outputs)]:
            raise OutputError(f"{self.path}: give the checkpoint a file of its own")
        check_output(self.path, overwrite=True)
        if self.anew:
            check_own(self.path, "checkpoint", _is_checkpoint)
        if self.there:
            tree, _ = _read_checkpoint(self.path)
            self._compare(tree["belongs"], {"outputs": self._outputs()})
            for path in (self.path, *self.outputs):
                sweep(path)

    def settings(self, asked: Settings, max_memory: int | None) -> Settings | None:
        """Return the settings to go on with, if `asked` are the same."""
        belongs = _read_checkpoint(self.path)[0]["belongs"] if self.there else None
        if not isinstance(belongs, dict):
            return None
        if asked_for(belongs, max_memory) != asked.model_dump(mode="json"):
            return None
        return restore_settings(belongs["config"], source=f"checkpoint {self.path}")

    def load(self, belongs: Mapping[str, Any], device: torch.device) -> Saved | None:
        """Return what to go on from; InputError: another run's."""
        if not self.there:
            return None
        tree, tensors = _read_checkpoint(self.path)
        self._compare(tree["belongs"], {**belongs, "outputs": self._outputs()})
        moved = {name: tensor.to(device) for name, tensor in tensors.items()}
        self._next = time.monotonic() + self.pause
        try:
            return _saved(_unpack(tree["saved"], moved))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self.path) from error

    def save(self, belongs: Mapping[str, Any], saved: Callable[[], Saved]) -> None:
        began = time.monotonic()
        if began < self._next:
            return
        tensors: dict[str, Tensor] = {}
        tree = {
            "belongs": {**belongs, "outputs": self._outputs()},
            "saved": _pack(_plain_tree(saved()), tensors),
        }
        text = json.dumps(tree)
        head = {"format": FORMAT, "tree": text, "sha256": _digest(text, tensors)}
        try:
            write_file(self.path, save(tensors, head), overwrite=True)
        except OutputError as error:
            if self.on_loss is None:
                raise
            self.on_loss(error)
            self._next = math.inf
            return
        ended = time.monotonic()
        self._next = ended + self.pause * max(1.0, PER_SECOND * (ended - began))

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _outputs(self) -> list[str]:
        return [str(path.absolute()) for path in self.outputs]

    def _compare(self, found: Any, asked: Mapping[str, Any]) -> None:
        known = {key: found.get(key) for key in asked} if isinstance(found, dict) else {}
        apart = differences(known, dict(asked))
        if apart:
            key, was, now = apart[0]
            more = f" (and {len(apart) - 1} more)" if len(apart) > 1 else ""
            raise InputError(
                f"checkpoint {self.path}: of another run: {key} was {was}, is {now}{more}; "
                "ask for the same again, or remove the file to begin anew"
            )


def _is_checkpoint(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, struct.error):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(min(length, LONGEST_HEAD)))
        return bool(head["__metadata__"]["format"] == FORMAT)
    return False


def _damaged(path: Path) -> InputError:
    return InputError(f"checkpoint {path}: damaged, or not a checkpoint; remove it to begin anew")


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"checkpoint {path}: {error.strerror or 'cannot be read'}; remove it to begin anew"
        ) from error
    try:
        # Copies: what PyTorch adds up depends, in the last bit, on where in memory it begins.
        tensors = {name: tensor.clone() for name, tensor in load(data).items()}
        (length,) = struct.unpack("<Q", data[:8])
        head = json.loads(data[8 : 8 + length])["__metadata__"]
        if head["format"] != FORMAT or head["sha256"] != _digest(head["tree"], tensors):
            raise _damaged(path)
        return json.loads(head["tree"]), tensors
    except (SafetensorError, ValueError, KeyError, TypeError, struct.error) as error:
        raise _damaged(path) from error


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain_tree(saved: Saved) -> dict[str, Any]:
    point = saved.point
    return {
        "picture": point.picture,
        "logs": [vars(log) for log in point.logs],
        "descent": point.descent and vars(point.descent),
        "pass_seconds": point.seconds,
        "told": saved.told,
        "seconds": saved.seconds,
    }


def _saved(tree: dict[str, Any]) -> Saved:
    descent = tree["descent"]
    point = SavePoint(
        tree["picture"],
        [PassLog(**log) for log in tree["logs"]],
        descent and State(**descent),
        tree["pass_seconds"],
    )
    return Saved(point, tree["told"], tree["seconds"])


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(item, tensors) for item in value]
    return value


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpack(item, tensors) for key, item in value["items"]}
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    return value
