"""Rounded latents with the tables that code them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from edgeae.entropy.rans import Section
from edgeae.masks import gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.entropy.tables import ScaleTables

NO_Y_HAT: NDArray[np.float32] = np.zeros((0, 0, 0), np.float32)
NO_Y_HAT.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Latents of one picture, rounded, and what the entropy coder needs to write them."""

    symbols: NDArray[np.int16]  # (C, h, w)
    z: NDArray[np.int16]  # (Cz, hz, wz), (0, 0, 0) without hyper-latents
    y_hat: NDArray[np.floating]  # (C, h, w), what the decoder network takes, or NO_Y_HAT
    sections: Sequence[Section]  # in coding order; none of what was decoded just now
    correction: NDArray[np.int8] | None = None  # found with them, of `edgeae.correction`

    @property
    def bits(self) -> float:
        """What the sections cost by the tables; lanes and container come on top."""
        return math.fsum(section.cost_bits for section in self.sections)


class StepSections(Sequence[Section]):
    """The sections of hyper-latents and steps; those of a step are gathered when asked for.

    In their own order symbols and rows are a copy: of a large picture one at a time is enough.

    Parameters
    ----------
    hyper : Section
        Of the hyper-latents; comes first.
    symbols : (C, h, w) int16
    rows : (C, h, w) uint8
        Table row of each symbol.
    masks : (n, C, 2, 2) bool
    tables : ScaleTables
    """

    def __init__(
        self,
        hyper: Section,
        symbols: NDArray[np.int16],
        rows: NDArray[np.uint8],
        masks: NDArray[np.bool_],
        tables: ScaleTables,
    ) -> None:
        self._hyper = hyper
        self._symbols = symbols
        self._rows = rows
        self._masks = masks
        self._tables = tables

    def __len__(self) -> int:
        return 1 + len(self._masks)

    @overload
    def __getitem__(self, position: int) -> Section: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[Section]: ...

    def __getitem__(self, position: int | slice) -> Section | Sequence[Section]:
        if isinstance(position, slice):
            return [self[one] for one in range(*position.indices(len(self)))]
        step = range(len(self))[position] - 1
        if step < 0:
            return self._hyper
        mask = self._masks[step]
        return Section(gather(self._symbols, mask), gather(self._rows, mask), self._tables)
