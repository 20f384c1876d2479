"""The machine: processor, threads, telemetry, the cache folder, and folders of bundles."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgeae.doctor.finding import MACHINE, NOTE, OK, Finding
from edgeae.paths import exists, is_folder
from edgeae.processor import features, model_name

TELEMETRY = "ORT_DISABLE_TELEMETRY"
_OFF = frozenset({"1", "true", "yes", "on"})
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds a period, and the period


def machine(environment: Mapping[str, str], quota: Path = _CPU_QUOTA) -> Iterator[Finding]:
    """Yield what there is to say of the machine.

    Parameters
    ----------
    environment : mapping
        The variables as they were before onnxruntime was imported.
    quota : Path
        Where Linux says how much of its processors a container may use.
    """
    yield Finding(MACHINE, "processor", OK, f"{model_name()}: {' '.join(features()) or 'unknown'}")
    yield _threads(quota)
    yield _telemetry(environment.get(TELEMETRY))
    yield _cache()
    yield from _missing_folders(environment.get("EDGEAE_MODELS", ""))


def _threads(quota: Path) -> Finding:
    from edgeae.graphs import default_threads

    allowed, count = default_threads(), os.cpu_count() or 1
    text = f"{allowed} used; the machine has {count} processors"
    share = processors_of_quota(quota)
    if share is not None and share < allowed:
        return Finding(
            MACHINE,
            "threads",
            NOTE,
            f"{text}, this container may use {share:g}",
            f"more threads than that wait for each other: --threads {max(1, int(share))}",
        )
    figures = {"threads": allowed, "processors": count, "quota": share}
    return Finding(MACHINE, "threads", OK, text, figures=figures)


def processors_of_quota(file: Path) -> float | None:
    """Return how many processors a container may use, None if there is no limit."""
    try:
        used, period = file.read_text(encoding="ascii").split()
        return int(used) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no such system
        return None


def _telemetry(value: str | None) -> Finding:
    if value is None:
        return Finding(MACHINE, "telemetry", OK, f"off: edgeae sets {TELEMETRY}=1")
    if value.lower() in _OFF:
        return Finding(MACHINE, "telemetry", OK, f"off: {TELEMETRY}={value}")
    text = f"{TELEMETRY}={value} in the environment lets onnxruntime send"
    return Finding(MACHINE, "telemetry", NOTE, text, f"unset {TELEMETRY}, and edgeae sets it to 1")


def _cache() -> Finding:
    from edgeae.choices import cache_folder

    folder = cache_folder()
    if folder is not None and _writable(folder):
        return Finding(MACHINE, "cache", OK, str(folder))
    return Finding(
        MACHINE,
        "cache",
        NOTE,
        f"{folder or 'there is no home folder'}: cannot be written, so that --precision auto "
        f"measures in each process",
        "set XDG_CACHE_HOME to a folder that can be, or name a --precision",
    )


def _writable(folder: Path) -> bool:
    """Return whether a file can be written there, or where the folder would be made."""
    there = next(parent for parent in (folder, *folder.parents) if exists(parent))
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _missing_folders(variable: str) -> Iterator[Finding]:
    for folder in filter(None, variable.split(os.pathsep)):
        if not is_folder(Path(folder)):
            text = f"{folder} is no folder"
            yield Finding(MACHINE, "EDGEAE_MODELS", NOTE, text, "take it out of EDGEAE_MODELS")
