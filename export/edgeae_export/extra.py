"""What commands say when the packages of extra `export` are not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeae.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def export_extra() -> Iterator[None]:
    """Turn an absent torch, onnx or safetensors into the command that installs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "onnx", "safetensors"}:
            raise
        raise MissingExtraError(
            f"{error.name} is not installed; run: pip install 'edgeae[export]'"
        ) from error
