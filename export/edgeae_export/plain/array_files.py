"""Arrays of float32 from .npy and .npz files, one array or many in each."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def load_arrays(sources: Sequence[Path], shape: Sequence[int | None]) -> list[NDArray[Any]]:
    """Return the arrays under ``sources``, files or folders, in a fixed order.

    Parameters
    ----------
    sources : sequence of Path
        A file holds one array of ``shape``, or many along a first axis.
    shape : sequence
        Of one array, None for lengths that may be any.

    Raises
    ------
    ImageError
        A file cannot be read, is of another shape, or there is none.
    """
    found: list[NDArray[Any]] = []
    for source in sources:
        if not source.exists():
            raise ImageError(f"{source}: no such file or folder")
        paths = sorted(source.rglob("*.np[yz]")) if source.is_dir() else [source]
        for path in paths:
            for array in _arrays(path):
                found.extend(_apart(path, array, shape))
    if not found:
        raise ImageError(f"{', '.join(map(str, sources))}: no .npy or .npz file")
    return found


def _arrays(path: Path) -> Iterator[NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            yield loaded
            return
        with loaded:
            yield from (loaded[name] for name in sorted(loaded.files))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ImageError(f"{path}: cannot be read as arrays: {error}") from error


def _apart(path: Path, array: NDArray[Any], shape: Sequence[int | None]) -> Sequence[NDArray[Any]]:
    for many in (array[np.newaxis], array):
        if many.ndim == len(shape) + 1 and all(
            wanted in (None, length) for wanted, length in zip(shape, many.shape[1:], strict=True)
        ):
            return list(many.astype(np.float32))
    raise ImageError(f"{path}: {array.shape} is not one or many of {list(shape)}")
