"""A run's memory, and settings within a limit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import psutil

from harmonize.errors import InputError, MemoryLimitError
from harmonize.scene.loose import SHORT_ELEMENT
from harmonize.settings.load import Settings
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis.image_ops import windows
from harmonize.synthesis.image_ops.crops import Canvas, scaled
from harmonize.synthesis.image_ops.tiled_image import tiles
from harmonize.synthesis.image_ops.windows import ALIGN, Window

# Bytes, from `python -m benchmarks memory`. Of a step, a pixel of the window: activations, their
# gradients, the terms' own copies. Of a look at the painting, a pixel of the tile: two buffers of
# 64 channels and what is kept of the taps. Whatever the sizes: the kernels of `winograd`, blocks of
# the matching and the vote, and memory that the allocator holds back.
STEP, LOOK, ALWAYS = 5200, 1150, 300 << 20
# Of the underpainting, a pixel of the painting at work: the activations of its taps if it is a
# single tile, and the rows that describe its patches, sharp and soft; a pixel of the window: its
# rows, and what is compared.
KEPT, PLACE, POSITION = 480, 700, 1100
STROKES_AROUND = (
    1024  # pixels of the painting, at least, that strokes are taken from at its own size
)
TILE_MARGIN = 48  # pixels around a tile, at most, that it is looked at with
SMALLEST = 64  # pixels: the least working size that a limit leads to
TILES = (1024, 512, 256)  # sides that are tried
SAFETY = 0.9  # of a limit: what an estimate may take of it
# A process never holds quite the same: so that the same limit leads to the same size.
ROUND, STEPS = 1 << 26, 32  # bytes, pixels
LOADED = 3 * ROUND  # bytes: what a worker loads first, and what its allocator holds back


def fit(
    canvas: Canvas,
    asked: Settings,
    level: float,
    limit: int | None = None,
    held: int | None = None,
) -> tuple[Settings, int]:
    """Return settings that fit `limit` (smaller tiles, then size), and their bytes."""
    need = estimate_memory(canvas, asked, level, held)
    if limit is None or need <= SAFETY * limit:
        return asked, need

    def tried(**changes: int) -> tuple[Settings, int]:
        settings = asked.model_copy(update=changes)
        return settings, estimate_memory(canvas, settings, level, held)

    sides = sorted({asked.tile, *(side for side in TILES if side < asked.tile)}, reverse=True)
    for side in sides:
        tiled = tried(tile=side)
        if tiled[1] <= SAFETY * limit:
            return tiled
    largest = max(working_shape(at_work(canvas, asked).shape, asked))
    low = min(SMALLEST, largest)
    best = tried(tile=sides[-1], size=low)
    if best[1] > SAFETY * limit:
        raise MemoryLimitError(
            f"`max_memory={show_memory(limit)}` is too little for this run; give "
            f"{show_memory(-(-best[1] // SAFETY))} or more, with `size={low}`"
        )
    for size in range(low, largest, STEPS):  # not by halves: the need is not strictly monotone
        larger = tried(tile=sides[-1], size=size)
        if larger[1] > SAFETY * limit:
            break
        best = larger
    return best


def at_work(whole: Canvas, settings: Settings) -> Canvas:
    """Return the part that is worked with."""
    if settings.region == "canvas":
        return whole
    longest = max(whole.box.shape)
    if settings.size == "native":
        side = max(STROKES_AROUND, 2 * longest)
    else:
        side = round(settings.size / min(1.0, SHORT_ELEMENT * settings.size / longest))
    return whole.part(windows.centered(whole.box, side, whole.shape))


def working_shape(shape: tuple[int, int], settings: Settings) -> tuple[int, int]:
    """Return the painting's height and width at work."""
    if settings.size == "native":
        return scaled(shape, 1.0)
    return scaled(shape, min(1.0, settings.size / max(shape)))


def estimate_memory(
    canvas: Canvas, settings: Settings, level: float, held: int | None = None
) -> int:
    """Return the bytes at the peak: the process's, or on a GPU its tensors'.

    `held`: before the run begins; None: what this process holds.
    """
    part = at_work(canvas, settings)
    view = working_shape(part.shape, settings)
    copies, stages = _raster(part, view), 0
    # With or without an underpainting, smooth or bold, whatever the painting is like.
    for fine, own_level in product((0, 1), (1, 10)):
        resolved = resolve_settings(settings, level, fine, own_level)
        looks: set[float] = set()  # what was seen of the painting, by scale, until it is used
        if resolved.underpainting:
            looks = {1.0, *(one.scale for one in resolved.passes)}
            area = view[0] * view[1]
            near = POSITION * _window_at(part, view, settings).area
            stages = max(stages, _seen(view, looks, settings) + PLACE * area + near)
        for one in resolved.passes:
            shape, looks = scaled(view, one.scale), looks - {one.scale}
            kept = _seen(view, looks, settings)
            window = _window_at(part, shape, settings)
            copies = max(copies, _raster(part, view) + _raster(part, shape))
            stages = max(stages, kept + STEP * window.area, LOOK * _largest(shape, settings.tile))
    coming = copies + stages + ALWAYS
    # The result's own pixels, a copy of them to encode, and the file.
    coming = max(coming, 3 * canvas.painting.pixels.nbytes)
    if canvas.painting.device.type != "cpu":
        return coming
    return (-(-_held_bytes() // ROUND) * ROUND if held is None else held) + coming


def _window_at(canvas: Canvas, shape: tuple[int, int], settings: Settings) -> Window:
    if settings.region == "canvas":
        return Window(0, 0, *shape)
    box, (h, w) = canvas.box, canvas.shape
    ends = (box.top * shape[0] // h, box.left * shape[1] // w)
    more = (-(-box.bottom * shape[0] // h), -(-box.right * shape[1] // w))
    return Window(*ends, *more).grown(settings.margin).aligned(ALIGN, shape)


def _raster(canvas: Canvas, shape: tuple[int, int]) -> int:
    return 0 if shape == canvas.shape else 12 * shape[0] * shape[1]


def _seen(view: tuple[int, int], scales: Iterable[float], settings: Settings) -> int:
    shapes = [scaled(view, scale) for scale in scales]
    return sum(KEPT * h * w for h, w in shapes if len(tiles((h, w), settings.tile, ALIGN)) == 1)


def _largest(shape: tuple[int, int], side: int) -> int:
    found = tiles(shape, side, ALIGN)
    margin = 0 if len(found) == 1 else TILE_MARGIN
    return max(tile.grown(margin).aligned(ALIGN, shape).area for tile in found)


# --- this process, this machine -------------------------------------------------------------------


def parse(limit: int | str | None) -> int | None:
    """Return bytes, given so or as 2GB, 1.5 GiB."""
    if limit is None:
        return None
    text = str(limit).strip() if not isinstance(limit, bool) else ""
    match = re.fullmatch(
        r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i)?B?", text, re.IGNORECASE | re.ASCII
    )
    if not match or not float(match[1]):
        raise InputError(f"`max_memory={limit}`: expected bytes, or a size such as 2GB or 800MB")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def held_by_worker() -> int:
    """Return bytes that a worker holds besides pictures; ask before opening any."""
    return _held_bytes() // ROUND * ROUND + LOADED


def _held_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def ceiling() -> int | None:
    """Return the control group's limit in bytes, if any."""
    found = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(path).read_text()))
    least = min(found, default=0)
    return least if 0 < least < psutil.virtual_memory().total else None


def memory_warning(need: int) -> str | None:
    """Warn if `need` bytes may be missing; MemoryLimitError: they are."""
    most = ceiling()
    if most is not None and need > most:
        raise MemoryLimitError(
            f"this run takes about {show_memory(need)}, and this process may hold "
            f"{show_memory(most)}; give `max_memory={show_memory(most)}`, or a smaller `size`"
        )
    there = psutil.virtual_memory().available + _held_bytes()
    if need <= there:
        return None
    return (
        f"this run takes about {show_memory(need)}, and {show_memory(there)} are there; "
        f"give `max_memory={show_memory(there)}` to keep to that"
    )


def show_memory(count: float) -> str:
    """Return bytes as `--max-memory` takes them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count / 1e3:.3g}kB"


WORDS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "could not create a primitive",  # oneDNN's word for it
    "can't start new thread",
    "could not create a memory",
)


@contextlib.contextmanager
def refused(need: int | None = None) -> Iterator[None]:
    """Turn refused memory into a `MemoryLimitError`."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and not any(word in text for word in WORDS):
            raise
        took = f" (it was to take about {show_memory(need)})" if need else ""
        raise MemoryLimitError(
            f"out of memory{took}; give `max_memory`, such as `max_memory=1GB`, or a smaller `size`"
        ) from error
