"""One call each: picture to bytes, bytes to picture, bytes to header.

For many pictures in one place `edgeae.Codec` is the same without looking the bundle up each time.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeae.bundle import DEFAULT_MODEL, MANIFEST, find_bundle, find_by_coding_id
from edgeae.codec import Codec
from edgeae.container import MAX_PIXELS, Header, read_header
from edgeae.encoding import DEFAULT_EFFORT, DEFAULT_QUALITY
from edgeae.exact import read_exact
from edgeae.images.picture import to_array
from edgeae.precision import AUTO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.crops import Region
    from edgeae.inputs import ImageLike
    from edgeae.rate_control import Target

_KEPT_CODECS = 4  # open sessions are some tens of megabytes each


def compress(
    image: ImageLike,
    quality: float | Target = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    effort: int = DEFAULT_EFFORT,
    provider: str = "cpu",
    precision: str = AUTO,
    threads: int | None = None,
) -> bytes:
    """Return the ``.eae`` file of a picture.

    Parameters
    ----------
    image : array, Pillow image or Picture
        uint8 (H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB or (H, W, 4) RGB with alpha;
        1..65535 pixels a side. Floats of its shape for a bundle whose input is "array".
    quality : float or Target
        0..100, rounded to hundredths; higher is better and larger. Or what to come to:
        ``TargetSize(20_000)`` bytes, ``TargetBpp(0.5)`` or ``TargetPsnr(35)`` dB. Sizes are those
        of whole files, never above the target and mostly within 3 % of it.
    model : str or path
        Name of a bundle, or its folder.
    effort : int
        0, 1 or 2: what the encoder tries for a smaller file; decoding does not depend on it.
    provider : str
        "cpu", "cuda", "openvino", "coreml" or "auto".
    precision : str
        "fp32", "int8" or "auto", see `Codec.load`. In int8 the encoder gives other bytes, as valid
        as those of fp32; where they must be the same on all machines, say which.
    threads : int, optional
        Threads inside a graph; by default the processors this process may use.

    Raises
    ------
    BoundError
        No quality comes to the target; the message says what is nearest.
    BundleError
        There is no such bundle, a file of it was changed, or it has no int8 graph and int8 was
        asked for.
    GraphError
        The provider cannot be used.
    ImageError
        A colour picture, and a bundle for grey ones; another size than the bundle takes; an array
        with values that are not finite.
    TypeError, ValueError
        Not a picture, or an argument out of range.
    """
    codec = _codec(find_bundle(model), provider, precision, threads)
    return codec.compress(image, quality, effort=effort)


def decompress(
    data: bytes,
    model: str | os.PathLike[str] | None = None,
    *,
    provider: str = "cpu",
    precision: str = AUTO,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    region: Region | None = None,
) -> NDArray[Any]:
    """Return the picture in an ``.eae`` file.

    Parameters
    ----------
    data : bytes
        The whole file.
    model : str or path, optional
        By default the bundle is found by the coding id in the file. A file of few colours, whose
        pixels are exact, needs none.
    provider, precision, threads
        As of `compress`.
    max_pixels : int
        Refuse a file that says its picture has more.
    region : (x, y, width, height), optional
        Pixels of the part that is wanted; exactly what the whole picture has there. Of a large
        picture only the tiles that it meets are decoded.

    Returns
    -------
    (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8
        Grey, grey with alpha, RGB, RGB with alpha, as the picture was; or an array of float32.

    Raises
    ------
    BoundError
        The region is not within the picture.
    BundleError
        The bundle is missing, changed, or not the one the file was made with.
    ContainerError
        The file is damaged or too new.
    GraphError
        The provider cannot be used.
    """
    exact = read_exact(data, region, max_pixels=max_pixels)
    if exact is not None:
        return to_array(exact)
    coding_id = read_header(data).coding_id
    path = find_by_coding_id(coding_id) if model is None else find_bundle(model)
    codec = _codec(path, provider, precision, threads)
    return codec.decompress(data, region=region, max_pixels=max_pixels)


def probe(data: bytes) -> Header:
    """Return what a file says about its picture, from its first 192 bytes or more.

    Raises
    ------
    ContainerError
        Not the beginning of an ``.eae`` file, or a damaged header.
    """
    return read_header(data)


def _codec(path: Path, provider: str, precision: str, threads: int | None) -> Codec:
    path = path.absolute()  # the same relative path is another bundle in another directory
    # The manifest's time is part of the key: a bundle that was replaced is opened anew.
    changed = (path / MANIFEST).stat().st_mtime_ns
    return _cached_codec(path, changed, provider, precision, threads)


@functools.lru_cache(maxsize=_KEPT_CODECS)
def _cached_codec(path: Path, _: int, provider: str, precision: str, threads: int | None) -> Codec:
    return Codec.load(path, provider=provider, precision=precision, threads=threads)
