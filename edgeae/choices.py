"""Choices that outlive the process: a small JSON file each, in the user's cache folder.

Nothing here is needed: what cannot be read was never chosen, what cannot be written is forgotten.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = "choices"
_MAX_BYTES = 1 << 16


def recall(key: str) -> dict[str, object]:
    """Return what was remembered under ``key``; empty if that is nothing, or damaged."""
    folder = cache_folder()
    if folder is None:
        return {}
    try:
        with (folder / f"{key}.json").open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def remember(key: str, record: Mapping[str, object]) -> None:
    """Keep ``record`` under ``key``, if the machine lets us.

    It appears whole, by a rename: a process that is killed here leaves nothing under that name,
    and of several that write at once the last one stays.
    """
    folder = cache_folder()
    if folder is None:
        return
    temporary = folder / f".{key}.{os.urandom(4).hex()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / f"{key}.json")
    except OSError:
        return
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def cache_folder() -> Path | None:
    """Return the folder that choices are kept in, made or not; None without a home folder."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("edgeae", appauthor=False) / _FOLDER
    except RuntimeError:  # no home folder, say newer versions of platformdirs
        return None
    # Older ones leave a "~" in it, which would be made wherever we happen to be.
    return folder if folder.is_absolute() else None
