"""Every error that outside data or the machine can cause, with the exit code of each.

EdgeaeError              exit 1   base; raised only through the classes below
├── ContainerError       exit 3   an .eae or .npy file breaks docs/FORMAT.md
│   ├── VersionError              newer format than this build
│   └── DesyncError               decoded symbols differ from their checksum
├── GraphError           exit 4   provider absent, or a graph does not fit the runtime
├── BundleError          exit 5   bundle missing, changed, or not the one a file was made with
├── ImageError           exit 6   picture unreadable, unsupported or over the limit
├── OutputError          exit 7   output exists or cannot be written
├── BoundError           exit 8   a promised bound cannot be met
├── BatchError           exit 9   a batch ended and some of its inputs failed
└── MissingExtraError    exit 10  an optional dependency is absent; names the install command

A message says what, where and what to do, on one line. Wrong arguments from Python code are
TypeError or ValueError: a bug is not an input.
"""

from __future__ import annotations

DAMAGED = "the file is damaged, copy it again"  # how messages about broken bytes end


class EdgeaeError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 1


class ContainerError(EdgeaeError):
    """An ``.eae`` or ``.npy`` file breaks docs/FORMAT.md."""

    exit_code = 3


class VersionError(ContainerError):
    """The file was written by a newer version of the format."""


class DesyncError(ContainerError):
    """Decoded symbols differ from the checksum stored with them."""


class GraphError(EdgeaeError):
    """A provider cannot be used, or a graph does not have the expected inputs and outputs."""

    exit_code = 4


class BundleError(EdgeaeError):
    """A bundle is missing, changed, or not the one that a file was made with."""

    exit_code = 5


class ImageError(EdgeaeError):
    """A picture is unreadable, unsupported or larger than allowed."""

    exit_code = 6


class OutputError(EdgeaeError):
    """An output exists already or cannot be written."""

    exit_code = 7


class BoundError(EdgeaeError):
    """A bound that was asked for or promised cannot be met."""

    exit_code = 8


class BatchError(EdgeaeError):
    """A batch ended; some inputs failed and each was reported."""

    exit_code = 9


class MissingExtraError(EdgeaeError):
    """An optional dependency is absent; the message is the command that installs it."""

    exit_code = 10
