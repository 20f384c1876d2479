"""Compile the kernel, if there is a C compiler; the build of the package does, and who asks for it.

    python -m edgeae.kernel.build

Standard library alone: the build runs this file before anything is installed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent
LIBRARY = "libedgeae.dll" if sys.platform == "win32" else "libedgeae.so"  # for dlopen, on macOS too
_TIMEOUT_S = 120


def build(folder: Path) -> Path | None:
    """Return the library, made in ``folder``; None if there is no compiler, or it refuses."""
    target = folder / LIBRARY
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary, LIBRARY)
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        command = [*compiler(), "-O3", "-shared", "-fPIC", *sources, "-o", str(made)]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=_TIMEOUT_S)  # noqa: S603 the system's compiler
            data = made.read_bytes()
        except (OSError, subprocess.SubprocessError):
            return None
    beside = target.with_suffix(".part")
    beside.write_bytes(data)
    beside.replace(target)  # a process may have the former one open
    return target


def compiler() -> list[str]:
    """Return the command of CC, or of the compiler that Python was built with, or cc."""
    built_with = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return shlex.split(os.environ.get("CC", "")) or [built_with]


def main() -> None:
    """Build the library beside its sources."""
    built = build(SOURCES)
    if built is None:
        raise SystemExit(f"no C compiler that works ({compiler()[0]}); numpy decodes the same")
    sys.stdout.write(f"{built}\n")


if __name__ == "__main__":
    main()
