"""What the commands of extra `export` say: when its packages are absent, and what comes next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeae.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PACKAGES = {  # what is imported -> what pip calls it
    "torch": "torch",
    "onnx": "onnx",
    "safetensors": "safetensors",
    "pytorch_optimizer": "pytorch-optimizer",
    "sklearn": "scikit-learn",
}


@contextmanager
def export_extra() -> Iterator[None]:
    """Turn an absent package of the extra into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise MissingExtraError(
            f"{PACKAGES[error.name]} is not installed; run: pip install 'edgeae[export]'"
        ) from error


def export_command(checkpoint: Path) -> str:
    """Return how a checkpoint becomes a bundle, with words where pictures are to be named."""
    return f"edgeae export {checkpoint} --data PICTURES --val HELD_OUT -o bundle/"
