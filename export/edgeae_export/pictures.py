"""Training pictures: any folder or tar shards of images, decoded once into memory; random crops."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgeae.errors import ImageError
from edgeae.images.files import read_picture
from edgeae.images.padding import as_rgb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)
ENLARGED_SHARE = 0.3  # of the crops are enlarged, by up to ENLARGEMENT, so that soft ones occur
ENLARGEMENT = 1.5


def load_pictures(sources: Sequence[Path], *, smallest_side: int = 1) -> list[NDArray[np.uint8]]:
    """Pictures (H, W, 3) under ``sources`` in a fixed order: files, folders, ``.tar`` shards.

    Pictures with a side below ``smallest_side`` are left out.

    Raises
    ------
    ImageError
        A picture cannot be decoded, or none is left.
    """
    return _decoded(_files(sources), sources, smallest_side)


def sample_pictures(sources: Sequence[Path], count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return ``count`` pictures (H, W, 3) under ``sources``, or all if there are fewer.

    Only the chosen ones are decoded. The errors are those of `load_pictures`.
    """
    random = np.random.default_rng(seed)
    chosen: list[tuple[str, bytes]] = []
    for seen, file in enumerate(_files(sources)):  # reservoir sampling: Vitter 1985, algorithm R
        if seen < count:
            chosen.append(file)
        elif (place := int(random.integers(seen + 1))) < count:
            chosen[place] = file
    return _decoded(chosen, sources, 1)


def _decoded(
    files: Iterable[tuple[str, bytes]], sources: Sequence[Path], smallest_side: int
) -> list[NDArray[np.uint8]]:
    pictures = []
    for name, data in files:
        try:
            array = as_rgb(read_picture(io.BytesIO(data)).pixels)
        except ImageError as error:
            raise ImageError(f"{name}: {error}; remove it") from error
        if min(array.shape[:2]) >= smallest_side:
            pictures.append(array)
    if not pictures:
        where = ", ".join(str(s) for s in sources)
        raise ImageError(
            f"{where}: no picture with sides of {smallest_side} pixels or more; "
            f"name a folder or .tar files of {', '.join(sorted(SUFFIXES))}"
        )
    return pictures


def _files(sources: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for source in sources:
        if not source.exists():
            raise ImageError(f"{source}: no such file or folder; check --data and --val")
        paths = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        for path in paths:
            try:
                if path.suffix.lower() == ".tar":
                    yield from _members(path)
                elif path.suffix.lower() in SUFFIXES:
                    yield str(path), path.read_bytes()
            except UNREADABLE as error:
                raise ImageError(f"{path}: cannot be read ({error}); remove it") from error


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            file = tar.extractfile(member)
            if file and Path(member.name).suffix.lower() in SUFFIXES:
                yield f"{path}/{member.name}", file.read()


class CropSampler:
    """Random square crops of pictures in memory; flipped, transposed, some of them enlarged."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], seed: int) -> None:
        self.pictures = pictures
        self.random = np.random.default_rng(seed)

    def crops(self, count: int, side: int) -> NDArray[np.uint8]:
        """Crops (count, side, side, 3), C-contiguous."""
        # Of transposed crops alone, stack would make an array of their order, and compiled code is
        # compiled again for other strides: minutes.
        return np.ascontiguousarray(np.stack([self._crop(side) for _ in range(count)]))

    def _crop(self, side: int) -> NDArray[np.uint8]:
        picture = self.pictures[int(self.random.integers(len(self.pictures)))]
        taken = side
        if self.random.random() < ENLARGED_SHARE:
            taken = round(side / self.random.uniform(1.0, ENLARGEMENT))
        top = self.random.integers(picture.shape[0] - taken + 1)
        left = self.random.integers(picture.shape[1] - taken + 1)
        crop: NDArray[np.uint8] = picture[top : top + taken, left : left + taken]
        if taken != side:
            enlarged = Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC)
            crop = np.asarray(enlarged)
        flips = self.random.integers(8)
        if flips & 1:
            crop = crop[::-1]
        if flips & 2:
            crop = crop[:, ::-1]
        return crop.swapaxes(0, 1) if flips & 4 else crop
