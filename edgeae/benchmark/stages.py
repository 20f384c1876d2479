"""One picture through one codec and back, with the time of each stage.

compress: read -> encoder -> hyper_encoder -> hyper_decoder, rounding -> entropy -> write
decompress: read -> entropy, hyper_decoder -> decoder -> other -> write

What stands between two runs of graphs belongs to the stage that it leads to or follows from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeae.benchmark.stopwatch import Seconds, recording, timed
from edgeae.images.files import read_picture, write_picture
from edgeae.images.picture import picture_from_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from edgeae.codec import Codec
    from edgeae.images.picture import Picture

    Stages: TypeAlias = Mapping[str, Seconds]

READ, WRITE, ROUNDING, ENTROPY, OTHER = "read", "write", "rounding", "entropy", "other"
FILE_STAGES = (READ, WRITE)  # all others are from memory to memory
COMPRESS, DECOMPRESS = "compress", "decompress"
WAYS = (COMPRESS, DECOMPRESS)
# In the order of tables. A decoder runs in compress from effort 1 on.
ORDER = {
    COMPRESS: (
        READ,
        "encoder",
        "hyper_encoder",
        "hyper_decoder",
        "decoder",
        ROUNDING,
        ENTROPY,
        WRITE,
    ),
    DECOMPRESS: (READ, ENTROPY, "hyper_decoder", "decoder", OTHER, WRITE),
}


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """Where one picture and what becomes of it lie during a measurement."""

    picture: Path  # .png, read by compress
    packed: Path  # .eae, written by compress and read by decompress
    decoded: Path  # .png, written by decompress


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with a picture."""

    codec: Codec
    files: Files
    quality: float
    effort: int

    def run(self) -> dict[str, Stages]:
        """Return the stages of compress and of decompress, once each, from file to file."""
        picture, reading = timed(lambda: read_picture(self.files.picture))
        data, coding = compress(self.codec, picture, self.quality, self.effort)
        _, writing = timed(lambda: self.files.packed.write_bytes(data))
        there = {READ: reading, **coding, WRITE: writing}
        data, reading = timed(self.files.packed.read_bytes)
        pixels, coding = decompress(self.codec, data)
        _, writing = timed(lambda: write_png(pixels, self.files.decoded))
        return {COMPRESS: there, DECOMPRESS: {READ: reading, **coding, WRITE: writing}}


def compress(
    codec: Codec, picture: Picture, quality: float, effort: int
) -> tuple[bytes, dict[str, Seconds]]:
    """Return what `Codec.compress` does, and its stages without those of files.

    "rounding" is all that is no graph until the symbols are known: padding, masks, choices.
    "entropy" is the entropy coder with the container.
    """
    with recording() as finding:
        encoding = codec.reach(picture, quality, effort=effort)
    with recording() as packing:
        data = codec.file_of(encoding)
    parts = finding.split(lambda before, after: ROUNDING)
    for name, took in packing.split(lambda before, after: ENTROPY).items():
        parts[name] = parts.get(name, Seconds()) + took
    return data, parts


def decompress(codec: Codec, data: bytes) -> tuple[NDArray[np.uint8], dict[str, Seconds]]:
    """Return what `Codec.decompress` does, and its stages without those of files.

    "entropy" is all that is no graph until the latents are known: container, entropy coder, masks,
    checksum. "other" is what follows the decoder.
    """
    with recording() as seen:
        pixels = codec.decompress(data)
    return pixels, seen.split(_gap_of_decompress)


def total(stages: Stages) -> Seconds:
    """Return the time from memory to memory: the stages without reading and writing files."""
    return sum((took for name, took in stages.items() if name not in FILE_STAGES), Seconds())


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write pixels as `edgeae decompress` does by default."""
    with path.open("wb") as file:
        write_picture(picture_from_array(pixels), file, "PNG")


def _gap_of_decompress(before: str | None, after: str | None) -> str:
    return OTHER if before == "decoder" and after in ("decoder", None) else ENTROPY
