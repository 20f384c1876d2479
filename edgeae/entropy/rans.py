"""Symbols and their table indexes to bytes, and back: interleaved rANS.

The decoder asks for symbols section by section, with indexes that may depend on the sections
before; the encoder therefore works backwards, from the last symbol to the first. Words run from
the front of the payload, bits that are not modelled (signs, escapes) from its end, and the last of
those bits seed the lanes, so that a payload has no padding. docs/FORMAT.md has the bytes; the
coder is range ANS (Duda 2013, arXiv:1311.2540) with interleaved lanes (Giesen 2014,
arXiv:1402.3392).

>>> tables = ScaleTables((np.array([8192, 8192]), np.array([15000, 1000, 384])))
>>> symbols, indexes = np.array([0, -1, 7]), np.array([0, 1, 1], np.uint8)
>>> payload, lanes_log2 = encode([Section(symbols, indexes, tables)])
>>> Decoder(payload, lanes_log2).decode(indexes, tables, last=True)
array([ 0, -1,  7], dtype=int32)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.bits import TailReader, pack_fields, to_tail, unpack_fields
from edgeae.entropy.lanes import ROW_LANES, lane_decoder, lane_encoder
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.entropy.tables_base import Integers, SplitValues, Tables
from edgeae.errors import ContainerError

__all__ = ["ChannelTables", "Decoder", "ScaleTables", "Section", "encode", "payload_bits"]

RADIX = 1 << 16  # a word; states stay in RADIX..RADIX**2 - 1
MAX_LANES_LOG2 = 10
BYTES_PER_LANE = 128  # a lane costs half a byte: at most 0.4 %
SYMBOLS_PER_LANE = 2048  # or as many as keep the rows few where symbols are nearly free
HEAD_BITS = 4  # width of a state's high half, for each lane


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """Symbols that the decoder can read at one go.

    Parameters
    ----------
    symbols : (n,) int32
        Within +-32767 for `ScaleTables` and +-32000 for `ChannelTables`; other integer types do.
    indexes : (n,) uint8 or wider integers
        Table row of each symbol.
    tables : ScaleTables or ChannelTables
    """

    symbols: Integers
    indexes: Integers
    tables: Tables

    @property
    def cost_bits(self) -> float:
        """What the tables say its symbols cost; lanes and container come on top."""
        return _part(self).cost_bits


def encode(sections: Sequence[Section], *, lanes_log2: int | None = None) -> tuple[bytes, int]:
    """Return the payload of all sections, and the logarithm of its lanes, needed to decode it.

    Parameters
    ----------
    sections : sequence of Section
        At least one, in the order of decoding; empty sections are allowed anywhere.
    lanes_log2 : int, optional
        0..10; by default a number that costs at most 0.4 % of the size and decodes fast.

    Raises
    ------
    ValueError
        If symbols or indexes cannot be coded, `sections` is empty or `lanes_log2` is not 0..10.
    """
    if not sections:
        raise ValueError("sections: at least one is needed; it may be empty")
    parts = [_part(section) for section in sections]
    if lanes_log2 is None:
        lanes_log2 = _lanes_log2(parts)
    if not 0 <= lanes_log2 <= MAX_LANES_LOG2:
        raise ValueError(f"lanes_log2: {lanes_log2} is not in 0..{MAX_LANES_LOG2}")
    lanes = 1 << lanes_log2
    last = parts[-1].bypass
    seeded = min(last.size, 16 * lanes)
    seed = np.zeros(16 * lanes, np.uint8)
    seed[:seeded] = last[last.size - seeded :]
    states = RADIX + np.packbits(seed).view(">u2").astype(np.uint32)
    coder = lane_encoder(
        states, sum(part.positions.size + part.class_positions.size for part in parts)
    )
    for part in reversed(parts):
        coder.push(part.class_positions, part.tables)
        coder.push(part.positions, part.tables)
    high = (coder.states >> 16).astype(np.int64)
    widths = np.frexp(high)[1] - 1
    tail = [
        pack_fields(widths.astype(np.int64), np.full(lanes, HEAD_BITS)),
        pack_fields(high - (1 << widths.astype(np.int64)), widths),
        *(part.bypass for part in parts[:-1]),
        last[: last.size - seeded],
    ]
    words = np.concatenate([coder.states.astype(np.uint16), coder.words]).astype("<u2")
    return words.tobytes() + to_tail(np.concatenate(tail)), lanes_log2


def payload_bits(sections: Sequence[Section]) -> float:
    """Return about what `encode` would write: the tables' costs, and half a byte a lane."""
    parts = [_part(section) for section in sections]
    return sum(part.cost_bits for part in parts) + 4 * (1 << _lanes_log2(parts))


class Decoder:
    """Sections of a payload, first to last; unusable after an error.

    Time and memory are bounded by the payload and the indexes asked for. Most damage is found,
    not all: the bits of signs and escapes have no redundancy, so compare the checksum that the
    container stores.

    Parameters
    ----------
    payload : bytes
    lanes_log2 : int
        As `encode` returned it.

    Raises
    ------
    ContainerError
        If the payload is too short for its lanes, or there are too many of them.
    """

    def __init__(self, payload: bytes, lanes_log2: int) -> None:
        if not 0 <= lanes_log2 <= MAX_LANES_LOG2:
            raise ContainerError(
                f"latents: 2**{lanes_log2} lanes, at most 2**{MAX_LANES_LOG2} are allowed; "
                "the file is damaged, copy it again"
            )
        lanes = 1 << lanes_log2
        data = np.frombuffer(payload, np.uint8)
        words = data[: data.size // 2 * 2].view("<u2")
        if words.size < lanes:
            raise ContainerError(
                f"latents: {lanes} lanes need {2 * lanes} bytes, {data.size} are there; "
                "the file is truncated, copy it again"
            )
        self._size = data.size
        self._tail = TailReader(data)
        head = np.full(lanes, HEAD_BITS)
        widths = unpack_fields(self._tail.read(HEAD_BITS * lanes), head)
        fields = unpack_fields(self._tail.read(int(widths.sum())), widths)
        states = ((np.int64(1) << widths) + fields) * RADIX + words[:lanes]
        self._lanes = lane_decoder(states, words)
        self._finished = False

    def decode(self, indexes: Integers, tables: Tables, *, last: bool) -> NDArray[np.int32]:
        """Return the symbols of the next section.

        Parameters
        ----------
        indexes : (n,) integers
            Table row of each symbol, as for `encode`.
        tables : ScaleTables or ChannelTables
        last : bool
            Whether this is the last section, as for the encoder; it ends the payload.

        Returns
        -------
        (n,) int32

        Raises
        ------
        ContainerError
            If the payload ends early or late, or no encoder would have written it.
        ValueError
            If the indexes are outside the tables, or the last section is decoded already.
        """
        if self._finished:
            raise ValueError("decoder: the last section is decoded already")
        self._finished = last
        tables.check_indexes(indexes)
        coded = tables.coded(indexes)
        rows = indexes[coded]
        symbols = self._lanes.pull(rows, tables)
        nonzero = np.flatnonzero(symbols != 0)
        escapes = nonzero[symbols[nonzero] == tables.escape[rows[nonzero]]]
        classes = self._lanes.pull(np.full(escapes.size, len(tables)), tables)
        signs = tables.signed(nonzero).size
        bits = self._bypass(signs + int(classes.sum()), last=last)
        remainders = unpack_fields(bits[signs:], classes)
        split = SplitValues(symbols, escapes, classes, remainders, bits[:signs])
        values = np.zeros(indexes.size, np.int32)
        values[coded] = tables.join(split, rows, nonzero)
        return values

    def _bypass(self, count: int, *, last: bool) -> NDArray[np.uint8]:
        seeded = min(count, 16 * self._lanes.states.size) if last else 0
        bits = self._tail.read(count - seeded)
        used = 2 * self._lanes.words_read + self._tail.bytes_read
        if used > self._size or (last and used < self._size):
            raise ContainerError(
                f"latents: the symbols take {used} bytes, {self._size} are there; "
                "the file is damaged, copy it again"
            )
        return np.concatenate([bits, self._seed(seeded)]) if last else bits

    def _seed(self, count: int) -> NDArray[np.uint8]:
        states = self._lanes.states
        seed = np.unpackbits((states % RADIX).astype(">u2").view(np.uint8))
        if np.any(states // RADIX != 1) or seed[count:].any() or self._tail.spare_bits().any():
            raise ContainerError(
                f"latents: after the last symbol the {states.size} lanes do not end as encoders "
                "start them; the file is damaged, or was made with another model"
            )
        return seed[:count]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A section as lists of symbols and bypass bits."""

    positions: NDArray[np.int32]  # (M,) in the flat tables
    class_positions: NDArray[np.int32]  # (E,)
    bypass: NDArray[np.uint8]  # (T,) signs, then escape remainders
    tables: Tables

    @property
    def cost_bits(self) -> float:
        cost = self.tables.symbol_cost_bits
        lists = cost[self.positions].sum() + cost[self.class_positions].sum()
        return float(lists) + self.bypass.size


def _part(section: Section) -> _Part:
    tables = section.tables
    _, rows, split = tables.split_checked(section.symbols, section.indexes)
    start = tables.start.astype(np.int32)
    bypass = np.concatenate([split.signs, pack_fields(split.remainders, split.classes)])
    return _Part(
        start[rows] + split.symbols, start[-1] + split.classes.astype(np.int32), bypass, tables
    )


def _lanes_log2(parts: Sequence[_Part]) -> int:
    size_bytes = sum(part.cost_bits for part in parts) / 8
    symbols = sum(part.positions.size for part in parts)
    wanted = min(1 << MAX_LANES_LOG2, max(size_bytes / BYTES_PER_LANE, symbols / SYMBOLS_PER_LANE))
    return int(wanted).bit_length() - 1 if wanted >= ROW_LANES else 0
