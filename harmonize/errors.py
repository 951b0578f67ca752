"""Everything that can go wrong and is the user's to mend.

    HarmonizeError        exit code 2
    ├── ConfigError       a setting
    ├── JobsError         a list of jobs
    ├── InputError        a picture, mask or placement
    ├── OutputError       a place that cannot be written
    ├── WeightsError      network weights
    ├── DeviceError       a device that is not there
    ├── MemoryLimitError  too little memory
    ├── NumbersError      values that are no numbers
    └── ClusterError      a Ray cluster

A message is one line: what, where, what to do; settings and lists have one for each problem.
Names of parameters stand in backquotes (`max_memory=2GB`); the command turns them into flags.
"""

from collections.abc import Sequence

MOST_LINES = 100  # of one error: in a file, every other character can be a problem


class HarmonizeError(Exception):
    """An error that the user can mend; `exit_code` is what the command exits with."""

    exit_code = 2

    @property
    def lines(self) -> list[str]:
        """The message, a line for each problem."""
        return [" ".join(str(self).split())]


class ConfigError(HarmonizeError):
    """Settings are unknown, of the wrong type or out of range; a line for each."""

    @property
    def lines(self) -> list[str]:
        return _first(str(self).split("\n"))


class JobsError(HarmonizeError):
    """A list of jobs cannot be run; takes a message for each thing that is wrong."""

    @property
    def lines(self) -> list[str]:
        return _first([" ".join(str(problem).split()) for problem in self.args])


class InputError(HarmonizeError):
    """A picture, mask or placement cannot be used."""


class OutputError(HarmonizeError):
    """A result cannot be written where it was asked for."""


class WeightsError(HarmonizeError):
    """Network weights are missing, damaged or of the wrong shape."""


class DeviceError(HarmonizeError):
    """The device asked for is not on this machine."""


class MemoryLimitError(HarmonizeError):
    """A run does not fit into the memory there is, or that it may take."""


class NumbersError(HarmonizeError):
    """A result holds values that are not finite."""


class ClusterError(HarmonizeError):
    """Ray is missing, or its cluster cannot be reached or has no room."""


def _first(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {left:,} more"] if left > 0 else [])]


class StopRun(Exception):  # noqa: N818 - a request, not an error
    """Raised by an `on_progress` callback to end a run early and keep the picture so far.

    The record then says `"interrupted": true`.
    """
