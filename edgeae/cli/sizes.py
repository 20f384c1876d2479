"""Sizes as people read and write them."""

from __future__ import annotations

import math
import re

_UNITS = ("B", "kB", "MB", "GB")
_STEP = 1000
_FACTORS: dict[str, int] = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("KMG", 1)
    for unit, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)")


def readable_bytes(count: int) -> str:
    """Return a size with three or more digits: ``412 B``, ``10.5 kB``."""
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def parse_bytes(text: str) -> int:
    """Return the bytes that ``20000``, ``20kB``, ``1.5 MB`` or ``16KiB`` say; kB are 1000.

    Raises
    ------
    ValueError
        It is not a size of at least one byte.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size; write 20kB, 1.5MB, 16KiB or a number of bytes")
    size = math.floor(float(match[1]) * factor + 1e-6)  # 4.1 * 1000 is 4099.9999999999995
    if size < 1:
        raise ValueError(f"{text!r} is less than a byte")
    return size
