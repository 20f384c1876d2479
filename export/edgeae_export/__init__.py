"""Training and export of edgeae bundles; the only package that imports torch.

Names are loaded when they are first used: the commands' help needs no torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeae_export.plain.adopt import adopt_autoencoder
    from edgeae_export.plain.export import export_autoencoder

__all__ = ["adopt_autoencoder", "export_autoencoder"]

_LAZY = {
    "adopt_autoencoder": "edgeae_export.plain.adopt",
    "export_autoencoder": "edgeae_export.plain.export",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'edgeae_export' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
