"""What is at a path, False where that cannot be told.

Before Python 3.14 pathlib's own questions raise where a folder may not be searched, and for names
that are too long.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
