"""Examples of one size: array files (IDX as MNIST's, .npy, .npz) or folders and tars of images.

Arrays must have the size of the recipe. Pictures from image files are cut around their centre to
its aspect and reduced to its size, so that any folder will do.
"""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageOps

from edgeae.errors import ImageError
from edgeae_export.pictures import CropSampler, load_pictures, sample_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

IDX_UINT8 = 8  # third byte of an IDX file: type of its numbers
HELD_OUT_CROP = 256  # pixels a side, at most, of held-out photos while training


class Examples(Protocol):
    """What a training draws its batches from."""

    count: int  # examples in an epoch

    def batch(self, step: int, size: int) -> NDArray[np.uint8]:
        """Return examples (size, H, W, C) of one step; the same whenever asked again."""
        ...


class WholeExamples:
    """Every example once an epoch, in an order drawn anew for each."""

    def __init__(self, pictures: NDArray[np.uint8], seed: int) -> None:
        self.pictures = pictures  # (N, H, W, C)
        self.count = len(pictures)
        self.seed = seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def batch(self, step: int, size: int) -> NDArray[np.uint8]:
        """Return examples ``step * size`` and on of the endless sequence of epochs."""
        indexes = [self._index(k) for k in range(step * size, (step + 1) * size)]
        return self.pictures[indexes]

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, self.count)
        if epoch != self._epoch:
            random = np.random.default_rng((self.seed, epoch))
            self._epoch, self._order = epoch, random.permutation(self.count)
        return int(self._order[place])


class Crops:
    """Random crops of photos; an epoch is as many as would tile them once."""

    def __init__(self, photos: Sequence[NDArray[np.uint8]], side: int, seed: int) -> None:
        self.photos, self.side, self.seed = photos, side, seed
        self.count = max(1, sum(p.shape[0] * p.shape[1] for p in photos) // side**2)

    def batch(self, step: int, size: int) -> NDArray[np.uint8]:
        """Return crops (size, side, side, 3) of one step."""
        return CropSampler(self.photos, self.seed + (step << 32)).crops(size, self.side)


def load_examples(
    sources: Sequence[Path], height: int, width: int, channels: int
) -> NDArray[np.uint8]:
    """Read examples (N, height, width, channels) in a fixed order.

    Of an .npz file with several arrays one is named: ``mnist.npz:x_train``.

    Raises
    ------
    ImageError
        A file is missing, damaged, or not of this size; or nothing is found.
    """
    parts = [_of_source(source, height, width, channels) for source in sources]
    examples = np.concatenate(parts) if parts else np.empty((0, height, width, channels), np.uint8)
    if not len(examples):
        raise ImageError("no data named: give a folder of images, IDX, .npy, .npz or .tar files")
    return examples


def central_crops(sources: Sequence[Path], stride: int) -> list[NDArray[np.uint8]]:
    """Read held-out photos, cut around their centres to at most 256 pixels a side."""
    crops = []
    for photo in load_pictures(sources, smallest_side=stride):
        height, width = (min(n // stride * stride, HELD_OUT_CROP) for n in photo.shape[:2])
        top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
        crops.append(photo[top : top + height, left : left + width])
    return crops


def sample_inputs(sources: Sequence[Path], count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return ``count`` pictures (H, W, 3) of array files or image files, or all if there are fewer.

    Raises
    ------
    ImageError
        A file is missing or damaged, an array is not one of pictures, or nothing is found.
    """
    arrays = [source for source in sources if _is_array(source)]
    if not arrays:
        return sample_pictures(sources, count, seed)
    if len(arrays) < len(sources):
        raise ImageError(f"{arrays[0]}: array files and image files at once; name one kind")
    pictures = [picture for source in arrays for picture in _grey_or_rgb(source)]
    chosen = np.random.default_rng(seed).permutation(len(pictures))[:count]
    return [pictures[k] for k in chosen]


def _of_source(source: Path, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    path, _ = _split(source)
    if not path.exists():
        raise ImageError(f"{path}: no such file or folder; check the names of the data")
    if not _is_array(source):
        return _of_pictures(path, height, width, channels)
    array = _levels_of(source)
    levels = array[..., np.newaxis] if array.ndim == 3 and channels == 1 else array
    if levels.shape[1:] != (height, width, channels):
        raise ImageError(
            f"{path}: an array of {'x'.join(map(str, array.shape))}, but the recipe takes "
            f"examples of {height}x{width}x{channels}; choose another recipe or file"
        )
    return levels


def _grey_or_rgb(source: Path) -> NDArray[np.uint8]:
    """Return (N, H, W, 3) of an array file; grey pictures three times over."""
    levels = _levels_of(source)
    if levels.ndim == 3:
        levels = levels[..., np.newaxis]
    if levels.ndim != 4 or levels.shape[3] not in (1, 3):
        raise ImageError(f"{source}: an array of {levels.shape} is not one of pictures")
    return np.broadcast_to(levels, (*levels.shape[:3], 3))


def _is_array(source: Path) -> bool:
    path, _ = _split(source)
    return not path.is_dir() and _reader(path) is not None


def _levels_of(source: Path) -> NDArray[np.uint8]:
    """Return the array in a file, as levels."""
    path, member = _split(source)
    reader = _reader(path)
    if reader is None or not path.exists():
        raise ImageError(f"{path}: no such file or folder; check the names of the data")
    try:
        return _as_levels(reader(path, member), path)
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise ImageError(f"{path}: cannot be read as an array ({error})") from error


def _split(source: Path) -> tuple[Path, str | None]:
    """``mnist.npz:x_train`` is the array ``x_train`` of mnist.npz."""
    name, colon, member = source.name.rpartition(":")
    return (source.with_name(name), member) if colon and not source.exists() else (source, None)


def _reader(path: Path) -> Callable[[Path, str | None], NDArray[np.generic]] | None:
    return next((read for end, read in READERS.items() if path.name.endswith(end)), None)


def _read_idx(path: Path, _: str | None) -> NDArray[np.generic]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise ValueError(f"starts with {data[:4].hex()}, not with 0000 as an IDX file")
    if data[2] != IDX_UINT8:
        raise ValueError(f"numbers of type {data[2]:#04x}, not bytes (0x08)")
    header = 4 + 4 * data[3]
    shape = [int.from_bytes(data[k : k + 4], "big") for k in range(4, header, 4)]
    expected = header + math.prod(shape)
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes where its header promises {expected}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_npy(path: Path, _: str | None) -> NDArray[np.generic]:
    with path.open("rb") as file:
        array: NDArray[np.generic] = np.load(file, allow_pickle=False)
    return array


def _read_npz(path: Path, member: str | None) -> NDArray[np.generic]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = sorted(archive.files)
        chosen = names[0] if member is None and len(names) == 1 else member
        if chosen not in names:
            raise ValueError(f"name one of its arrays, as in {path.name}:{names[0]}: {names}")
        array: NDArray[np.generic] = archive[chosen]
    return array


READERS: dict[str, Callable[[Path, str | None], NDArray[np.generic]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".idx": _read_idx,
    "-ubyte": _read_idx,
    ".idx.gz": _read_idx,
    "-ubyte.gz": _read_idx,
}


def _as_levels(array: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """Grey levels of bytes, or of floats in 0..1."""
    if array.dtype == np.uint8:
        return array.view(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"{path}: numbers of type {array.dtype}; bytes or floats in 0..1 are read")
    values = np.asarray(array, np.float64)
    if not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
        raise ImageError(f"{path}: floats beyond 0..1; divide them, or save bytes")
    return np.rint(values * 255).astype(np.uint8)


def _of_pictures(source: Path, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    mode = {1: "L", 3: "RGB"}[channels]
    fitted = [
        np.asarray(
            ImageOps.fit(Image.fromarray(picture), (width, height), Image.Resampling.BOX).convert(
                mode
            )
        ).reshape(height, width, channels)
        for picture in load_pictures([source])
    ]
    return np.stack(fitted)
