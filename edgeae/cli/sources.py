"""The files that hold what a bundle takes: pictures, or arrays of floats."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgeae.arrays import FloatArray
    from edgeae.cli.jobs import Job
    from edgeae.images.picture import Picture
    from edgeae.images.strips import Strips
    from edgeae.inputs import Source

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tga", ".tif", ".tiff", ".webp"}
)
ARRAY_SUFFIX = ".npy"
LATENT_SUFFIX = ".eae"


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Files of one kind.

    Parameters
    ----------
    suffixes : frozenset of str
        Of the files that are taken from folders.
    suffix : str
        Of those that are written.
    read : callable
        Returns what is in a job's file, given the most pixels or values that it may have;
        ImageError if it cannot be read.
    """

    suffixes: frozenset[str]
    suffix: str
    read: Callable[[Job, int], Source]


def source_files(model: str) -> SourceFiles:
    """Return which files a bundle takes; BundleError if there is none of this name."""
    from edgeae.bundle import find_bundle, read_manifest
    from edgeae.manifest import ARRAY

    return _ARRAYS if read_manifest(find_bundle(model)).input == ARRAY else _PICTURES


def ending_of(job: Job, chosen: str | None, default: str) -> str:
    """Return the suffix of the format in which a job's output is written.

    The one that was chosen, else that of the output, else the default.
    """
    if chosen is None and job.target is not None and job.target.suffix:
        return job.target.suffix
    return chosen or default


def source_pieces(source: Source | Strips, suffix: str) -> Iterable[bytes]:
    """Return what `source_bytes` does, in pieces, for what comes in strips as it comes."""
    from pathlib import Path

    from edgeae.images.files import file_pieces, format_for
    from edgeae.images.strips import Strips

    if isinstance(source, Strips):
        return file_pieces(source, format_for(Path(f"picture{suffix}")))
    return [source_bytes(source, suffix)]


def source_bytes(source: Source, suffix: str) -> bytes:
    """Return the file of a picture, in the format that belongs to ``suffix``, or of an array.

    Raises
    ------
    ImageError
        Not a suffix of files that can hold it.
    """
    import io
    from pathlib import Path

    from edgeae.array_files import array_to_npy
    from edgeae.arrays import FloatArray
    from edgeae.images.files import format_for, write_picture

    if isinstance(source, FloatArray):
        if suffix.lower() != ARRAY_SUFFIX:
            raise ImageError(f"{suffix} files do not hold arrays of floats; write a .npy file")
        return array_to_npy(source.values)
    buffer = io.BytesIO()
    write_picture(source, buffer, format_for(Path(f"picture{suffix}")))
    return buffer.getvalue()


def _read_array(job: Job, max_values: int) -> FloatArray:
    from edgeae.array_files import read_array

    if job.source is None:
        return read_array(sys.stdin.buffer, max_values=max_values)
    try:
        with job.source.open("rb") as file:
            return read_array(file, max_values=max_values)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error


def _read_picture(job: Job, max_pixels: int) -> Picture:
    from edgeae.images.files import read_picture

    return read_picture(job.source or sys.stdin.buffer, max_pixels=max_pixels)


_PICTURES = SourceFiles(PICTURE_SUFFIXES, ".png", _read_picture)
_ARRAYS = SourceFiles(frozenset({ARRAY_SUFFIX}), ARRAY_SUFFIX, _read_array)
