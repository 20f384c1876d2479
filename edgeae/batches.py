"""Many small inputs at once: how they are taken from a stream, and which run together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

_Item = TypeVar("_Item")

WINDOW_ITEMS = 256
WINDOW_VALUES = 1 << 20  # samples of a batch: a network holds some hundred bytes for each


def windows(
    items: Iterable[_Item], values: Callable[[_Item], int], *, together: bool
) -> Iterator[list[_Item]]:
    """Yield ``items`` in order, as many at a time as one run of a graph should take.

    Parameters
    ----------
    items : iterable
        Is read no further than what is yielded.
    values : callable
        Returns the samples of an item.
    together : bool
        Whether the graph takes several; else they come one by one.
    """
    window: list[_Item] = []
    total = 0
    for item in items:
        window.append(item)
        total += values(item)
        if not together or len(window) == WINDOW_ITEMS or total >= WINDOW_VALUES:
            yield window
            window, total = [], 0
    if window:
        yield window


def windows_of(
    batch: NDArray[np.float32], values: int, *, together: bool
) -> list[NDArray[np.float32]]:
    """Return a batch cut into pieces that one run of a graph should take.

    Parameters
    ----------
    batch : (n, ...) float32
        n at least 1.
    values : int
        Samples of each item.
    together : bool
        As of `windows`.
    """
    count = max(1, min(WINDOW_ITEMS, WINDOW_VALUES // values)) if together else 1
    return [batch[start : start + count] for start in range(0, len(batch), count)]


def alike(arrays: Sequence[NDArray[Any]], *, together: bool) -> list[list[int]]:
    """Return the positions of arrays that may run together: those of equal shape."""
    if not together:
        return [[position] for position in range(len(arrays))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, array in enumerate(arrays):
        groups.setdefault(array.shape, []).append(position)
    return list(groups.values())
