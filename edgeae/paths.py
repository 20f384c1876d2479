"""What is at a path, False where that cannot be told; and folders for outputs.

Before Python 3.14 pathlib's own questions raise where a folder may not be searched, and for names
that are too long.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgeae.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path


def exists(path: Path) -> bool:
    """Return whether there is something, behind links."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path) -> bool:
    """Return whether there is a regular file, behind links."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Return whether there is a folder, behind links."""
    return os.path.isdir(path)  # noqa: PTH112


def is_link(path: Path) -> bool:
    """Return whether there is a link, wherever it leads."""
    return os.path.islink(path)  # noqa: PTH114


def make_folder(folder: Path) -> None:
    """Make an output folder and those above it; OutputError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from error
