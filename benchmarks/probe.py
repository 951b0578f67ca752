"""Seconds and peak memory of one call, in a process of its own.

`python -m benchmarks.probe MODULE:FUNCTION JSON` prints what the function returns as a line of
JSON.
"""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

MIB = 1 << 20
ROOT = Path(__file__).parent.parent


def call(function: str, **keywords: Any) -> dict[str, Any]:
    """What `function` ("module:name") returns in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.probe", function, json.dumps(keywords)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{function} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak_mib() -> float:
    """This process's largest resident size; Linux carries `ru_maxrss` over from its parent."""
    own = _status("VmHWM")
    if own is not None:
        return own
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def forget_peak() -> float:
    """Return the size to count from, the peak begun anew where possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_mib()
    return peak_mib()


def _status(field: str) -> float | None:
    path = Path("/proc/self/status")
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024 / MIB
    return None


def main() -> None:
    module, name = sys.argv[1].split(":")
    found = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
