"""The formats that pictures are written to: what each keeps, and the options that lose least.

A table and nothing else; writing is in ``files.py``. Formats with a palette, with pages or without
a common reader are left out on purpose.
"""

from __future__ import annotations

from typing import Any

ALL_MODES = ("L", "LA", "RGB", "RGBA")
PNG_LEVEL = 4  # of deflate's 9; 6 takes twice the time, for 3 % of graphics and nothing of photos
# Output format -> modes it keeps, and options with which it keeps the samples, or nearly.
OUTPUTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "PNG": (ALL_MODES, {"compress_level": PNG_LEVEL}),
    "JPEG": (("L", "RGB"), {"quality": 95, "subsampling": 0}),
    "WEBP": (("RGB", "RGBA"), {"lossless": True}),
    "TIFF": (ALL_MODES, {"compression": "tiff_adobe_deflate"}),
    "BMP": (("L", "RGB"), {}),
    "PPM": (("L", "RGB"), {}),
    "TGA": (ALL_MODES, {}),
    "QOI": (("RGB", "RGBA"), {}),
    "JPEG2000": (ALL_MODES, {}),
    "AVIF": (("L", "RGB", "RGBA"), {"quality": 95, "subsampling": "4:4:4"}),
    "JXL": (ALL_MODES, {"lossless": True}),
    "HEIF": (("L", "RGB", "RGBA"), {"quality": 95, "chroma": 444}),
}
