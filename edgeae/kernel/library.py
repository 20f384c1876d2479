"""The library of C functions, where it was built: several times faster, the same results.

What it stands in for is the reference, and runs without it: `edgeae.entropy.rows` and
`edgeae.entropy.scalar`, `edgeae.correction`.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_int32, c_int64, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from edgeae.kernel.build import LIBRARY

_VERSION = 2  # of the functions' signatures, as kernel.h has it
_POINTER = c_void_p
_SIGNATURES = {  # what is returned, and the arguments as in the sources
    "edgeae_rans_push": (
        c_int64,
        *(_POINTER, c_uint32, _POINTER, c_int64),  # states, positions
        *(_POINTER, c_uint32, _POINTER, c_int64),  # tables, words
    ),
    "edgeae_rans_pull": (
        c_int64,
        *(_POINTER, c_uint32, _POINTER, c_int64),  # states, rows
        *(_POINTER, _POINTER, _POINTER, c_uint32),  # tables
        *(_POINTER, c_int64, c_int64, _POINTER),  # words, symbols
    ),
    "edgeae_correct_scratch": (c_int64, c_int64, c_int32),  # width, channels
    "edgeae_correct": (
        None,
        *(_POINTER, c_int64, c_int64, c_int32),  # samples
        *(_POINTER, _POINTER, _POINTER),  # weights, scratch, output
    ),
}


@functools.cache
def kernel() -> Any | None:
    """Return the library beside this file; None if there is none that fits."""
    return load(Path(__file__).with_name(LIBRARY))


def load(path: Path) -> Any | None:
    """Return the library at ``path`` with its signatures; None if it cannot be used."""
    try:
        library = ctypes.CDLL(str(path))
        library.edgeae_kernel_version.restype = c_int32
        if library.edgeae_kernel_version() != _VERSION:
            return None
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError):
        return None
    return library
