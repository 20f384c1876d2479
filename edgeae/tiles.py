"""Large pictures through a network piece by piece, without seams and in bounded memory.

A tile is given so much of its surroundings that none of its pixels can tell it from the whole
picture; where a network sees farther than that, no tiles are made. Where tiles lie depends on the
size of the picture alone: not on threads, and not on which part of it is wanted. The reasons are
in docs/decisions/0008.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

_Result = TypeVar("_Result")

TILE_SIDE = 1024  # pixels that one run is for, in each direction, at most
WHOLE_PIXELS = 1 << 21  # up to here a picture is run whole: as much memory as a tile takes
RESTORE_SIDE = 512  # of tiles that are restored: networks for that work at full resolution
MAX_WORKERS = 4  # tiles that are run at once: each takes about 80 MB


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in pixels of the picture or in latents."""

    start: int  # kept: from here
    stop: int  # to before here
    first: int  # seen by the network: from here
    last: int  # to before here

    @property
    def kept(self) -> slice:
        """Where the result belongs in the picture."""
        return slice(self.start, self.stop)

    @property
    def seen(self) -> slice:
        """What the network is given of the picture."""
        return slice(self.first, self.last)

    @property
    def inside(self) -> slice:
        """Where the result is in what the network gives."""
        return slice(self.start - self.first, self.stop - self.first)

    def over(self, stride: int) -> Span:
        """Return the same tile in units of ``stride`` pixels, which all its borders divide by."""
        return Span(*(x // stride for x in (self.start, self.stop, self.first, self.last)))


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a picture and its surroundings."""

    rows: Span
    columns: Span

    @property
    def kept(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that the result is for."""
        return self.rows.kept, self.columns.kept

    @property
    def seen(self) -> tuple[slice, slice]:
        """Rows and columns that the network is given."""
        return self.rows.seen, self.columns.seen

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the result in what the network gives."""
        return self.rows.inside, self.columns.inside

    def over(self, stride: int) -> Tile:
        """Return the tile in units of ``stride`` pixels."""
        return Tile(self.rows.over(stride), self.columns.over(stride))


def spans(
    length: int, *, multiple: int, stride: int, halo: int, side: int | None = None
) -> list[Span]:
    """Return the tiles along an axis of ``length`` pixels, in order, of about equal lengths.

    Parameters
    ----------
    length : int
        At least 1.
    multiple : int
        Of pixels at which kept parts begin.
    stride : int
        Of pixels at which seen parts begin: the network's grid lies as in the whole picture.
        Divides ``multiple``.
    halo : int
        Pixels of context that each kept pixel needs, on each side, if the picture has them.
    side : int, optional
        Most pixels kept of a tile, before rounding up to ``multiple``; by default `TILE_SIDE`.
    """
    count = -(-length // (side or TILE_SIDE))
    step, context = _up(-(-length // count), multiple), _up(halo, stride)
    return [
        Span(start, stop, max(0, start - context), min(length, stop + context))
        for start in range(0, length, step)
        for stop in (min(start + step, length),)
    ]


def needs_tiles(height: int, width: int) -> bool:
    """Return whether a picture of this size is too large to be run whole."""
    return height * width > WHOLE_PIXELS


def tiles_of(
    height: int, width: int, *, multiple: int, stride: int, halo: int, side: int | None = None
) -> list[list[Tile]]:
    """Return the tiles of a picture, row by row; parameters are those of `spans`."""
    rows, columns = (
        spans(length, multiple=multiple, stride=stride, halo=halo, side=side)
        for length in (height, width)
    )
    return [[Tile(row, column) for column in columns] for row in rows]


def whole(height: int, width: int) -> list[list[Tile]]:
    """Return a picture as its one tile."""
    return [[Tile(Span(0, height, 0, height), Span(0, width, 0, width))]]


def run_rows(
    rows: Iterable[Sequence[Tile]], work: Callable[[Tile], _Result], workers: int
) -> Iterator[tuple[Sequence[Tile], list[_Result]]]:
    """Yield each row of tiles with what ``work`` makes of them, in order.

    With several workers tiles are worked on at once, and the next ones while a row is used; no
    more are begun than that takes.
    """
    if workers == 1:
        for row in rows:
            yield row, [work(tile) for tile in row]
        return
    pool = ThreadPoolExecutor(workers, "edgeae-tile")
    try:
        begun: deque[tuple[Sequence[Tile], list[Future[_Result]]]] = deque()
        for row in rows:
            begun.append((row, [pool.submit(work, tile) for tile in row]))
            while sum(len(futures) for _, futures in begun) - len(begun[0][1]) >= workers:
                yield _finished(begun.popleft())
        while begun:
            yield _finished(begun.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def run_all(rows: Iterable[Sequence[Tile]], work: Callable[[Tile], object], workers: int) -> None:
    """Do ``work`` on every tile; each writes its own result."""
    for _ in run_rows(rows, work, workers):
        pass


def run_in_tiles(
    pixels: NDArray[np.uint8],
    work: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    *,
    multiple: int,
    halo: int,
    side: int,
) -> NDArray[np.uint8]:
    """Return ``work(pixels)``, from tiles.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
    work : callable
        From pixels to pixels of the same shape; a result depends on nothing more than ``halo``
        pixels away, and on where it lies relative to ``multiple``.
    multiple, halo, side : int
        As of `spans`.
    """
    height, width = pixels.shape[:2]
    result = np.empty_like(pixels)

    def one(tile: Tile) -> None:
        result[tile.kept] = work(np.ascontiguousarray(pixels[tile.seen]))[tile.inside]

    tiles = tiles_of(height, width, multiple=multiple, stride=multiple, halo=halo, side=side)
    run_all(tiles, one, workers=1)
    return result


def _finished(
    begun: tuple[Sequence[Tile], list[Future[_Result]]],
) -> tuple[Sequence[Tile], list[_Result]]:
    row, futures = begun
    return row, [future.result() for future in futures]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
