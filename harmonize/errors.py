"""Errors that the user can mend.

    HarmonizeError (exit code 2)
    └── ConfigError, JobsError, InputError, OutputError, WeightsError, DeviceError,
        MemoryLimitError, NumbersError, ClusterError

Messages say what, where, what to do; the command turns names in backquotes into flags.
"""

from collections.abc import Sequence

MOST_LINES = 100  # of one error: in a file, every other character can be a problem


class HarmonizeError(Exception):
    """The root; `exit_code` is the command's."""

    exit_code = 2

    @property
    def lines(self) -> list[str]:
        return [" ".join(str(self).split())]


class ConfigError(HarmonizeError):
    """Settings are unknown or out of range."""

    @property
    def lines(self) -> list[str]:
        return _first(str(self).split("\n"))


class JobsError(HarmonizeError):
    """A list of jobs cannot be run; takes all messages."""

    @property
    def lines(self) -> list[str]:
        return _first([" ".join(str(problem).split()) for problem in self.args])


class InputError(HarmonizeError):
    """A picture, mask or placement is wrong."""


class OutputError(HarmonizeError):
    """A result cannot be written there."""


class WeightsError(HarmonizeError):
    """Weights are missing or damaged."""


class DeviceError(HarmonizeError):
    """This machine lacks the device."""


class MemoryLimitError(HarmonizeError):
    """A run needs more memory than it may take."""


class NumbersError(HarmonizeError):
    """A result is not finite."""


class ClusterError(HarmonizeError):
    """Ray is missing, its cluster unreachable or full."""


def _first(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {left:,} more"] if left > 0 else [])]


class StopRun(Exception):  # noqa: N818 - a request, not an error
    """Raise this in `on_progress` to end a run and keep the picture."""
