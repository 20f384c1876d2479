"""edgeae: autoencoders on the edge.

>>> import edgeae
>>> data = edgeae.compress(pixels, quality=50)  # doctest: +SKIP
>>> pixels = edgeae.decompress(data)  # doctest: +SKIP

Names are loaded when they are first used: ``import edgeae`` imports neither numpy nor onnxruntime.
"""

from typing import TYPE_CHECKING

from edgeae.errors import (
    BatchError,
    BoundError,
    BundleError,
    ContainerError,
    DesyncError,
    EdgeaeError,
    GraphError,
    ImageError,
    MissingExtraError,
    OutputError,
    VersionError,
)

if TYPE_CHECKING:
    from edgeae.api import compress, decompress, probe
    from edgeae.codec import Codec
    from edgeae.rate_control import TargetBpp, TargetPsnr, TargetSize

__version__ = "0.1.0"

__all__ = [
    "BatchError",
    "BoundError",
    "BundleError",
    "Codec",
    "ContainerError",
    "DesyncError",
    "EdgeaeError",
    "GraphError",
    "ImageError",
    "MissingExtraError",
    "OutputError",
    "TargetBpp",
    "TargetPsnr",
    "TargetSize",
    "VersionError",
    "__version__",
    "compress",
    "decompress",
    "probe",
]

_LAZY = {
    "Codec": "edgeae.codec",
    "TargetBpp": "edgeae.rate_control",
    "TargetPsnr": "edgeae.rate_control",
    "TargetSize": "edgeae.rate_control",
    "compress": "edgeae.api",
    "decompress": "edgeae.api",
    "probe": "edgeae.api",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'edgeae' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
