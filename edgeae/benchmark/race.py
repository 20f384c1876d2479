"""Other formats on the same pixels: settings of an application, at about the same PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.benchmark.leaves import fitted
from edgeae.benchmark.stages import COMPRESS, DECOMPRESS
from edgeae.benchmark.stopwatch import timed
from edgeae.evaluation.compare import LOSSLESS_DB
from edgeae.evaluation.peers import PEERS, Peer
from edgeae.metrics import psnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae.benchmark.stages import Stages

CODEC = "codec"  # the one stage of a peer
REFERENCE = "avif"  # what tables compare with, in either setting
SEARCH_SIDE = 384  # pixels of the square on which a quality is looked for
# As Pillow saves when nothing more is said, but for AVIF's threads. Tables of rates have their own
# settings, better and slower.
RACERS = {
    "jpeg": Peer("JPEG", "JPEG", ()),
    "webp": Peer("WebP", "WEBP", ()),
    "avif": Peer("AVIF, speed 6", "AVIF", (), {"speed": 6, "max_threads": 1}),
    "jxl": Peer("JPEG XL", "JXL", (), {"effort": 7}, "pillow_jxl", "pillow-jxl-plugin"),
    "heic": PEERS["heic420"],
    "avif444": PEERS["avif444"],
}
DEFAULT_RACERS = ("jpeg", "webp", "avif", "jxl")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One peer at one quality on one picture."""

    name: str  # key of RACERS
    peer: Peer
    quality: int
    pixels: NDArray[np.uint8]
    data: bytes
    psnr_db: float

    def run(self) -> dict[str, Stages]:
        """Return the time of one compress and one decompress, from memory to memory."""
        data, there = timed(lambda: self.peer.compress(self.pixels, self.quality))
        _, back = timed(lambda: self.peer.decompress(data))
        return {COMPRESS: {CODEC: there}, DECOMPRESS: {CODEC: back}}


def available() -> tuple[str, ...]:
    """Return which of `DEFAULT_RACERS` this machine can run."""
    return tuple(name for name in DEFAULT_RACERS if RACERS[name].available)


def enter(
    names: Sequence[str], pixels: NDArray[np.uint8], decoded: NDArray[np.uint8]
) -> list[Entry]:
    """Return the peers, each at the quality that comes nearest to the PSNR of ``decoded``.

    Raises
    ------
    ImageError
        A format cannot hold this picture.
    MissingExtraError
        A peer cannot run on this machine.
    """
    wanted_db = min(psnr_db(pixels, decoded), LOSSLESS_DB)
    return [_enter(name, pixels, wanted_db) for name in names]


def _enter(name: str, pixels: NDArray[np.uint8], wanted_db: float) -> Entry:
    """Return the better of two tries; qualities are looked for on a square in the middle."""
    peer = RACERS[name]
    peer.load()
    width, height = (min(SEARCH_SIDE, length) for length in pixels.shape[1::-1])
    middle, aim_db = fitted(pixels, width, height), wanted_db
    tries = []
    for _ in range(2):
        quality = _nearest(peer, middle, aim_db)
        data = peer.compress(pixels, quality)
        tries.append(Entry(name, peer, quality, pixels, data, _psnr(peer, data, pixels)))
        aim_db += wanted_db - tries[-1].psnr_db  # the square is not the whole
    return min(tries, key=lambda entry: abs(entry.psnr_db - wanted_db))


def _nearest(peer: Peer, pixels: NDArray[np.uint8], wanted_db: float) -> int:
    """Return the quality of 1..100 whose PSNR is nearest, by bisection."""
    low, high, found = 1, 100, {}
    while low <= high:
        middle = (low + high) // 2
        found[middle] = _psnr(peer, peer.compress(pixels, middle), pixels)
        if found[middle] < wanted_db:
            low = middle + 1
        else:
            high = middle - 1
    return min(found, key=lambda quality: abs(found[quality] - wanted_db))


def _psnr(peer: Peer, data: bytes, pixels: NDArray[np.uint8]) -> float:
    decoded = peer.decompress(data)
    if decoded.ndim > pixels.ndim:  # formats without a grey mode
        decoded = np.rint(decoded.mean(axis=-1)).astype(np.uint8)
    return min(psnr_db(pixels, decoded), LOSSLESS_DB)
