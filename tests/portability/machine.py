"""What ran: versions, processor features, kind of machine, as the report of `run` says them."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

from edgeae import __version__
from edgeae.graphs import available_providers, runtime_version

WANTED = (  # of those that the kernel names
    *("ssse3", "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2"),
    *("avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    return {
        "edgeae": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": runtime_version(),
        "pillow": _installed("pillow"),
    }


def machine() -> dict[str, object]:
    """Return architecture, features and the providers there are."""
    return {
        "system": sys.platform,
        "architecture": platform.machine(),
        "byte_order": sys.byteorder,
        "features": features(),
        "numpy_features": numpy_features(),
        "providers": list(available_providers()),
    }


def features() -> list[str]:
    """Return what the kernel says of the processor; under an emulator that is the host's."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = {
        word
        for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
        for word in line.partition(":")[2].split()
    }
    return [name for name in WANTED if name in words]


def numpy_features() -> list[str]:
    """Return what numpy found by asking the processor itself, emulated or not."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as found
    except ImportError:  # numpy 1
        from numpy.core._multiarray_umath import __cpu_features__ as found
    return sorted(name for name, there in found.items() if there)


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
