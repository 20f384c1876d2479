"""A bundle as docs/FORMAT.md describes it, for the writer `by_hand`: no line of edgeae takes part.

Tables come from the bundle's folder; onnxruntime runs its hyper-decoder, as any writer must.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]
Table = tuple[list[int], int | None]  # frequencies; minimum, None for scale tables
Section = tuple[list[int], list[int], Sequence[Table]]  # values, their rows, the tables


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder as section 6 describes it."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.path / "manifest.json").read_text(encoding="utf-8")))

    @cached_property
    def arrays(self) -> dict[str, Integers]:
        with np.load(self.path / "tables.npz") as stored:
            return dict(stored)

    @property
    def steps(self) -> int:
        return len(self.arrays["masks"])

    def tables(self, prefix: str) -> list[Table]:
        frequencies = self.arrays[f"{prefix}.frequencies"].tolist()
        ends = list(accumulate(self.arrays[f"{prefix}.lengths"].tolist()))
        rows = [frequencies[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        minimum = self.arrays.get(f"{prefix}.minimum")
        return list(
            zip(rows, [None] * len(rows) if minimum is None else minimum.tolist(), strict=True)
        )

    @property
    def coding_id(self) -> bytes:
        """6.5."""
        digest = hashlib.sha256()
        if self.steps:
            digest.update((self.path / "hyper_decoder.onnx").read_bytes())
        for name in sorted(self.arrays):
            array = self.arrays[name]
            little = array.astype(array.dtype.newbyteorder("<"))
            for part in (name, little.dtype.str, str(little.shape)):
                digest.update(part.encode())
            digest.update(little.tobytes())
        digest.update(self.manifest["latent_space"].encode())
        return digest.digest()[:8]

    @cached_property
    def session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(
            str(self.path / "hyper_decoder.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def index(self, z: Integers, symbols: Integers, step: int) -> Integers:
        """Table rows (C, h, w) of 6.3."""
        inputs = {"z": z[np.newaxis], "symbols": symbols[np.newaxis], "step": np.array(step)}
        return np.asarray(self.session.run(["index"], inputs)[0][0])


def positions(mask: Integers, height: int, width: int) -> list[tuple[int, int, int]]:
    """6.2: the positions of one mask (C, 2, 2) in their order."""
    return [
        (c, i, j)
        for c in range(len(mask))
        for row in range(2)
        for column in range(2)
        if mask[c, row, column]
        for i in range(row, height, 2)
        for j in range(column, width, 2)
    ]


def sections(bundle: Bundle, z: Integers, wanted: Integers) -> tuple[Integers, list[Section]]:
    """6.3, of a writer: symbols are what is ``wanted``, 0 where the scale index is 0."""
    if not bundle.steps:
        return wanted, [_plain_section(bundle, wanted)]
    channels = [c for c, plane in enumerate(z) for _ in range(plane.size)]
    found: list[Section] = [(z.ravel().tolist(), channels, bundle.tables("channel"))]
    symbols = np.zeros_like(wanted)
    for step, mask in enumerate(bundle.arrays["masks"]):
        index = bundle.index(z, symbols, step)
        places = positions(mask, *wanted.shape[1:])
        rows = [int(index[place]) for place in places]
        values = [int(wanted[place]) if row else 0 for place, row in zip(places, rows, strict=True)]
        for place, value in zip(places, values, strict=True):
            symbols[place] = value
        found.append((values, rows, bundle.tables("scale")))
    return symbols, found


def _plain_section(bundle: Bundle, symbols: Integers) -> Section:
    size = bundle.arrays.get("positions")
    values = symbols.ravel().tolist()
    if size is not None and tuple(size.tolist()) == symbols.shape[1:]:
        return values, list(range(len(values))), bundle.tables("position")
    channels = [c for c, plane in enumerate(symbols) for _ in range(plane.size)]
    return values, channels, bundle.tables("channel")
