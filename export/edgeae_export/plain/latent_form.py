"""How a network's own latents lie in the [N, C, h, w] of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae_export.graph_builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class LatentForm:
    """Vectors, sequences and maps of latents as [N, C, h, w], and back.

    A vector of D is [N, D, 1, 1], a sequence [N, C, L] is [N, C, 1, L]; more axes than three are
    taken as one vector.
    """

    shape: tuple[int, ...]  # the network's, without the batch
    channels_last: bool = False  # the network's last axis is C

    @property
    def _moved(self) -> bool:
        return self.channels_last and len(self.shape) > 1

    @property
    def _first(self) -> tuple[int, ...]:
        """The shape with C in front."""
        return (self.shape[-1], *self.shape[:-1]) if self._moved else self.shape

    def arrange(self, latents: NDArray[Any]) -> NDArray[Any]:
        """Return the network's (n, ...) as (n, C, h, w)."""
        if self._moved:
            latents = np.moveaxis(latents, -1, 1)
        count, rank = len(latents), len(self.shape)
        if rank == 2:
            return latents[:, :, np.newaxis]
        return latents if rank == 3 else latents.reshape(count, -1, 1, 1)

    def restore(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return (n, C, h, w) as the network takes it."""
        rank = len(self.shape)
        if rank == 2:
            y = y[:, :, 0]
        elif rank != 3:
            y = y.reshape(len(y), *self._first)
        return np.moveaxis(y, 1, -1) if self._moved else y

    def add_arrange(self, b: GraphBuilder, latents: str) -> str:
        """Append what `arrange` does to a graph."""
        rank = len(self.shape)
        if self._moved:
            latents = b.add("Transpose", latents, perm=[0, rank, *range(1, rank)])
        if rank == 2:
            return b.add("Unsqueeze", latents, b.integers(2))
        if rank == 3:
            return latents
        return b.add("Reshape", latents, b.integers(0, -1, 1, 1))

    def add_restore(self, b: GraphBuilder, y: str) -> str:
        """Append what `restore` does to a graph."""
        rank = len(self.shape)
        if rank == 2:
            y = b.add("Squeeze", y, b.integers(2))
        elif rank != 3:
            y = b.add("Reshape", y, b.integers(-1, *self._first))
        if self._moved:
            y = b.add("Transpose", y, perm=[0, *range(2, rank + 1), 1])
        return y
