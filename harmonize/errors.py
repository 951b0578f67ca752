"""Everything that can go wrong and is the user's to mend, as a tree.

    HarmonizeError        exit code 2
    ├── ConfigError       a setting: unknown key, wrong type, out of range, no such preset
    ├── JobsError         a list of jobs: everything that is wrong in it, a line each
    ├── InputError        a picture, mask or placement that cannot be used
    ├── OutputError       a place that cannot be written, or holds a file already
    ├── WeightsError      network weights that are missing, damaged or of the wrong shape
    ├── DeviceError       a device that this machine does not have
    ├── MemoryLimitError  a run that does not fit into memory
    ├── NumbersError      a result that holds values that are no numbers
    └── ClusterError      a cluster that cannot be had: no Ray, no address, no room

Every message is one line: what is wrong, where, and what to do about it. A `ConfigError` has such
a line for each of the settings' problems, a `JobsError` for each of the jobs'; of very many, the
first. Names of parameters stand in backquotes, such as `max_memory=2GB`; the command line turns
them into its flags.
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
        """The message, a line for each problem."""
        return _first(str(self).split("\n"))


class JobsError(HarmonizeError):
    """A list of jobs cannot be run; it takes a message for each thing that is wrong in it."""

    @property
    def lines(self) -> list[str]:
        """The messages, a line each."""
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
    """A run does not fit into the memory that there is, or that it may take."""


class NumbersError(HarmonizeError):
    """A result holds values that are not finite: it is no picture."""


class ClusterError(HarmonizeError):
    """Ray is not installed, or its cluster cannot be reached or has no room for a worker."""


def _first(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {left:,} more"] if left > 0 else [])]


class StopRun(Exception):  # noqa: N818 - a request, not an error
    """Raised by an `on_progress` callback to end a run early and keep the picture so far.

    The run then finishes as usual, and its record says `"interrupted": true`.
    """
