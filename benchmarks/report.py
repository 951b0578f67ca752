"""Results as JSON and Markdown; contact sheets."""

from __future__ import annotations

import json
import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from harmonize import __version__
from harmonize.settings.load import Settings
from harmonize.synthesis.network import device

Row = dict[str, Any]
LABEL = 16  # pixels above each picture of a sheet
GAP = 6


def machine(config: Settings) -> dict[str, Any]:
    place = device.resolve_device(config.device)
    found: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": str(place),
        "precision": str(device.precision(config.precision, place)).removeprefix("torch."),
        "harmonize": __version__,
    }
    if place.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(place)
    return found


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    model = {key.strip(): value.strip() for key, value in fields.items()}
    parts = (model.get(key) for key in ("model name", "cpu family", "model"))
    name, family, number = parts
    if name is None:
        return platform.processor() or platform.machine()
    return f"{name} (family {family}, model {number}{', AMX' if _amx(model) else ''})"


def _amx(model: Mapping[str, str]) -> bool:
    return "amx_tile" in model.get("flags", "").split()


def publish(
    out: Path,
    name: str,
    config: Settings,
    tables: Mapping[str, Sequence[Row]],
    note: str,
    **more: Any,
) -> None:
    """Write OUT/NAME.json and OUT/NAME.md, print the latter; `more` goes into the JSON only."""
    out.mkdir(parents=True, exist_ok=True)
    about = machine(config)
    data = {"benchmark": name, "machine": about, "tables": tables, "note": note, **more}
    (out / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    parts = [f"## {name}", ", ".join(f"{key}: {value}" for key, value in about.items())]
    for title, rows in tables.items():
        parts += [f"**{title}**", table(rows)]
    text = "\n\n".join([*parts, textwrap.fill(" ".join(note.split()), 98)]) + "\n"
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


def table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        names,
        ["---"] * len(names),
        *([_show(row.get(name)) for name in names] for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _show(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def median(rows: Sequence[Row]) -> Row:
    names = list(dict.fromkeys(name for row in rows for name in row))
    found: Row = {}
    for name in names:
        values = sorted(row[name] for row in rows if isinstance(row.get(name), float))
        if values:
            middle = len(values) // 2
            found[name] = (values[middle] + values[-1 - middle]) / 2
    return found


def sheet(path: Path, rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> None:
    heights = [max(image.height for _, image in row) + LABEL + GAP for row in rows]
    width = max(sum(image.width + GAP for _, image in row) for row in rows)
    board = Image.new("RGB", (width, sum(heights)), "white")
    draw = ImageDraw.Draw(board)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for label, image in row:
            draw.text((left + 2, top + 2), label, fill="black")
            board.paste(image, (left, top + LABEL))
            left += image.width + GAP
        top += height
    path.parent.mkdir(parents=True, exist_ok=True)
    board.save(path)
    print(f"  {path}", flush=True)
