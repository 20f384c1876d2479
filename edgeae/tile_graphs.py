"""A graph for whole pictures, which uses all threads by itself, and for tiles, several at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from edgeae.tiles import MAX_WORKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeae.tiles import Tile

_Graph = TypeVar("_Graph")


class GraphPair(Generic[_Graph]):
    """Two sessions of one graph, each made when it is first needed.

    Parameters
    ----------
    whole : Graph or ChosenGraph
        With all threads inside.
    tiled : callable
        Returns the same graph with so many threads inside.
    threads : int
        All there are. 1 for what is no processor: then both are the same.
    """

    def __init__(self, whole: _Graph, tiled: Callable[[int], _Graph], *, threads: int) -> None:
        self.whole = whole
        self._tiled = tiled
        self._threads = threads

    def for_tiles(self, rows: Sequence[Sequence[Tile]]) -> tuple[_Graph, int]:
        """Return the graph to run on these tiles, and from how many threads."""
        workers = min(self._workers, sum(map(len, rows)))
        return (self.whole, 1) if workers == 1 else (self._for_tiles, workers)

    @property
    def _workers(self) -> int:
        return min(self._threads, MAX_WORKERS)

    @cached_property
    def _for_tiles(self) -> _Graph:
        return self._tiled(self._threads // self._workers)
