"""One call each: picture to bytes, bytes to picture, bytes to header.

For many pictures in one place `edgeae.Codec` is the same without looking the bundle up each time.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.bundle import DEFAULT_MODEL, MANIFEST, find_bundle, find_by_coding_id
from edgeae.codec import DEFAULT_QUALITY, Codec
from edgeae.container import MAX_PIXELS, Header, read_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae.codec import ImageLike

_KEPT_CODECS = 4  # open sessions are some tens of megabytes each


def compress(
    image: ImageLike,
    quality: float = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    provider: str = "cpu",
    threads: int | None = None,
) -> bytes:
    """Return the ``.eae`` file of a picture.

    Parameters
    ----------
    image : array, Pillow image or Picture
        uint8 (H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB or (H, W, 4) RGB with alpha;
        1..65535 pixels a side.
    quality : float
        0..100, rounded to hundredths; higher is better and larger.
    model : str or path
        Name of a bundle, or its folder.
    provider : str
        "cpu", "cuda", "openvino", "coreml" or "auto".
    threads : int, optional
        Threads inside a graph; by default the processors this process may use.

    Raises
    ------
    BundleError
        There is no such bundle, or a file of it was changed.
    GraphError
        The provider cannot be used.
    ImageError
        A colour picture, and a bundle for grey ones.
    TypeError, ValueError
        Not a picture, or an argument out of range.
    """
    return _codec(find_bundle(model), provider, threads).compress(image, quality)


def decompress(
    data: bytes,
    model: str | os.PathLike[str] | None = None,
    *,
    provider: str = "cpu",
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Return the picture in an ``.eae`` file.

    Parameters
    ----------
    data : bytes
        The whole file.
    model : str or path, optional
        By default the bundle is found by the coding id in the file.
    provider, threads
        As of `compress`.
    max_pixels : int
        Refuse a file that says its picture has more.

    Returns
    -------
    (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8
        Grey, grey with alpha, RGB, RGB with alpha, as the picture was.

    Raises
    ------
    BundleError
        The bundle is missing, changed, or not the one the file was made with.
    ContainerError
        The file is damaged or too new.
    GraphError
        The provider cannot be used.
    """
    coding_id = read_header(data).coding_id
    path = find_by_coding_id(coding_id) if model is None else find_bundle(model)
    return _codec(path, provider, threads).decompress(data, max_pixels=max_pixels)


def probe(data: bytes) -> Header:
    """Return what a file says about its picture, from its first 192 bytes or more.

    Raises
    ------
    ContainerError
        Not the beginning of an ``.eae`` file, or a damaged header.
    """
    return read_header(data)


def _codec(path: Path, provider: str, threads: int | None) -> Codec:
    path = path.absolute()  # the same relative path is another bundle in another directory
    # The manifest's time is part of the key: a bundle that was replaced is opened anew.
    return _cached_codec(path, (path / MANIFEST).stat().st_mtime_ns, provider, threads)


@functools.lru_cache(maxsize=_KEPT_CODECS)
def _cached_codec(path: Path, _: int, provider: str, threads: int | None) -> Codec:
    return Codec.load(path, provider=provider, threads=threads)
