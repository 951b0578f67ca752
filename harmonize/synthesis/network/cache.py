"""What is kept between runs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from torch import Tensor

Value = TypeVar("Value")


class Cache:
    """Thread-safe values by key; beyond `limit` bytes the least recently used go."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def size(self) -> int:
        with self._lock:
            return sum(size for _, size in self._kept.values())

    def recall(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(Value, self._kept[key][0])
        value = make()
        size = _bytes_of(value)
        with self._lock:
            self._kept.pop(key, None)
            if size <= self.limit:
                while self.size + size > self.limit:
                    self._kept.popitem(last=False)
                self._kept[key] = (value, size)
        return value


def _bytes_of(value: object) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes_of, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes_of, value))
    return _bytes_of(vars(value)) if hasattr(value, "__dict__") else 0
