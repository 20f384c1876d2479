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
array([ 0, -1,  7], dtype=int16)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy.bits import TailReader, pack_fields, to_tail, unpack_fields
from edgeae.entropy.lanes import ROW_LANES, LaneEncoder, lane_decoder, lane_encoder
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.entropy.tables_base import Integers, Positions, SplitValues, Tables
from edgeae.errors import DAMAGED, ContainerError

__all__ = ["ChannelTables", "Decoder", "ScaleTables", "Section", "encode", "payload_bits"]

RADIX = 1 << 16  # a word; states stay in RADIX..RADIX**2 - 1
MAX_LANES_LOG2 = 10
SEED_BITS = 16  # of a lane's first state; those that the last section does not have are lost
LANE_BITS = 4  # what a lane costs beside that, about
BYTES_PER_LANE = 128  # so lanes with seeds cost at most 0.4 %
SYMBOLS_PER_LANE = 2048  # or as many as keep the rows few where symbols are nearly free
BLOCK = 1 << 20  # symbols that are looked at once: some 32 MB; a multiple of the lanes
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
        0..10; by default a number that decodes fast and seldom costs more than 0.4 % of the size.

    Raises
    ------
    ValueError
        If symbols or indexes cannot be coded, `sections` is empty or `lanes_log2` is not 0..10.
    """
    if not sections:
        raise ValueError("sections: at least one is needed; it may be empty")
    parts = None
    if lanes_log2 is None and _takes_all_lanes(sections):
        lanes_log2 = MAX_LANES_LOG2
    elif lanes_log2 is None:
        parts = [_part(section) for section in sections]
        cost_bits = sum(part.cost_bits for part in parts)
        lanes_log2 = _lanes_log2(cost_bits, sum(part.symbols.size for part in parts))
    if not 0 <= lanes_log2 <= MAX_LANES_LOG2:
        raise ValueError(f"lanes_log2: {lanes_log2} is not in 0..{MAX_LANES_LOG2}")
    lanes = 1 << lanes_log2
    # Many symbols take much memory as lists: then they are listed when it is their turn.
    backwards = iter(map(_part, reversed(sections)) if parts is None else reversed(parts))
    coder, last_bypass = _begin(next(backwards), lanes)
    bypass = [last_bypass, *map(partial(_push, coder=coder), backwards)][::-1]
    high = (coder.states >> 16).astype(np.int64)
    widths = np.frexp(high)[1] - 1
    tail = [
        pack_fields(widths.astype(np.int64), np.full(lanes, HEAD_BITS)),
        pack_fields(high - (1 << widths.astype(np.int64)), widths),
        *bypass,
    ]
    words = np.concatenate([coder.states.astype(np.uint16), coder.words])
    return words.astype("<u2", copy=False).tobytes() + to_tail(np.concatenate(tail)), lanes_log2


def _begin(part: _Part, lanes: int) -> tuple[LaneEncoder, NDArray[np.uint8]]:
    """Return the coder, seeded by the last bypass bits and given the last part; the other bits."""
    seeded = min(part.bypass.size, SEED_BITS * lanes)
    rest = part.bypass.size - seeded
    seed = np.zeros(SEED_BITS * lanes, np.uint8)
    seed[:seeded] = part.bypass[rest:]
    states = RADIX + np.packbits(seed).view(">u2").astype(np.uint32)
    capacity = part.symbols.size + part.classes.size
    coder = lane_encoder(states, capacity)
    return coder, _push(part, coder)[:rest]


def _push(part: _Part, coder: LaneEncoder) -> NDArray[np.uint8]:
    """Give all lists of a part to the coder, the last one first; return the bypass bits."""
    for positions in part.lists():
        coder.push(positions, part.tables)
    return part.bypass


def payload_bits(sections: Sequence[Section]) -> float:
    """Return about what `encode` would write: the tables' costs, and those of the lanes."""
    cost_bits, symbols, seed_bits = 0.0, 0, 0
    for section in sections:
        part = _part(section)  # one at a time: many symbols take much memory as lists
        cost_bits += part.cost_bits
        symbols += part.symbols.size
        seed_bits = part.bypass.size  # of the last one
    lanes = 1 << _lanes_log2(cost_bits, symbols)
    return cost_bits + LANE_BITS * lanes + max(0, SEED_BITS * lanes - seed_bits)


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
                f"{DAMAGED}"
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

    def decode(self, indexes: Integers, tables: Tables, *, last: bool) -> NDArray[np.int16]:
        """Return the symbols (n,) of the next section.

        Parameters and errors are those of `decode_pieces`.
        """
        return np.concatenate(list(self.decode_pieces(indexes, tables, last=last)))

    def decode_pieces(
        self, indexes: Integers, tables: Tables, *, last: bool
    ) -> Iterator[NDArray[np.int16]]:
        """Yield the symbols of the next section, some at a time, at least one array.

        Parameters
        ----------
        indexes : (n,) integers
            Table row of each symbol, as for `encode`.
        tables : ScaleTables or ChannelTables
        last : bool
            Whether this is the last section, as for the encoder; it ends the payload.

        Yields
        ------
        (m,) int16

        Raises
        ------
        ContainerError
            Before the first piece, if the payload ends early or late, or no encoder would have
            written it.
        ValueError
            If the indexes are outside the tables, or the last section is decoded already.
        """
        if self._finished:
            raise ValueError("decoder: the last section is decoded already")
        self._finished = last
        tables.check_indexes(indexes)
        blocks = [indexes[a : a + BLOCK] for a in range(0, max(1, indexes.size), BLOCK)]
        symbols = self._pull(blocks, tables)
        pieces = partial(_pieces, blocks, symbols, tables)
        if len(blocks) == 1:  # looked at once; of many that would take too much memory
            pieces = partial(iter, list(pieces()))
        signs = escapes = 0
        for piece in pieces():
            signs += piece.signs
            escapes += piece.escapes.size
        classes = self._lanes.pull(np.full(escapes, len(tables)), tables)
        bits = self._bypass(signs + int(classes.sum()), last=last)
        remainders = unpack_fields(bits[signs:], classes)
        sign = escape = 0
        for block, piece in zip(blocks, pieces(), strict=True):
            own = slice(escape, escape + piece.escapes.size)
            split = SplitValues(
                piece.symbols,
                piece.escapes,
                classes[own],
                remainders[own],
                bits[sign : sign + piece.signs],
            )
            values = np.zeros(block.size, np.int16)
            values[piece.coded] = tables.join(split, piece.rows, piece.nonzero)
            yield values
            sign, escape = sign + piece.signs, own.stop

    def _pull(self, blocks: Sequence[Integers], tables: Tables) -> NDArray[np.uint8]:
        """Return the symbols of all coded positions of ``blocks``."""
        lanes = self._lanes.states.size
        symbols = np.empty(sum(block.size for block in blocks), np.uint8)
        waiting, count = blocks[0][:0], 0
        for number, block in enumerate(blocks, 1):
            rows = np.concatenate([waiting, block[tables.coded(block)]])
            # What is pulled at once begins with the first lane.
            whole = rows.size if number == len(blocks) else rows.size - rows.size % lanes
            symbols[count : count + whole] = self._lanes.pull(rows[:whole], tables)
            waiting, count = rows[whole:], count + whole
        return symbols[:count]

    def _bypass(self, count: int, *, last: bool) -> NDArray[np.uint8]:
        seeded = min(count, SEED_BITS * self._lanes.states.size) if last else 0
        bits = self._tail.read(count - seeded)
        used = 2 * self._lanes.words_read + self._tail.bytes_read
        if used > self._size or (last and used < self._size):
            raise ContainerError(
                f"latents: the symbols take {used} bytes, {self._size} are there; {DAMAGED}"
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
class _Piece:
    """A block of indexes with its symbols, as the decoder joins them."""

    coded: Positions | slice  # in the block
    rows: Integers  # (M,) of the coded positions
    symbols: NDArray[np.uint8]  # (M,)
    nonzero: Positions  # among the M
    escapes: Positions  # among the M
    signs: int


def _pieces(
    blocks: Sequence[Integers], symbols: NDArray[np.uint8], tables: Tables
) -> Iterator[_Piece]:
    start = 0
    for block in blocks:
        coded = tables.coded(block)
        rows = block[coded]
        own = symbols[start : start + rows.size]
        nonzero = np.flatnonzero(own != 0)
        escapes = nonzero[own[nonzero] == tables.escape[rows[nonzero]]]
        yield _Piece(coded, rows, own, nonzero, escapes, tables.signed(nonzero).size)
        start += rows.size


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A section as lists of symbols and bypass bits."""

    rows: Integers  # (M,)
    symbols: NDArray[np.uint8]  # (M,) positions in the rows
    classes: NDArray[np.uint8]  # (E,)
    bypass: NDArray[np.uint8]  # (T,) signs, then escape remainders
    tables: Tables

    @property
    def cost_bits(self) -> float:
        cost = self.tables.symbol_cost_bits
        lists = sum(cost[positions].sum() for positions in self.lists())
        return float(lists) + self.bypass.size

    def lists(self) -> Iterator[NDArray[np.int32]]:
        """Yield positions in the flat tables, the last ones first.

        Each list begins with the first lane: BLOCK is a multiple of their number.
        """
        start = self.tables.start.astype(np.int32)
        yield start[-1] + self.classes.astype(np.int32)
        for a in reversed(range(0, self.rows.size, BLOCK)):
            yield start[self.rows[a : a + BLOCK]] + self.symbols[a : a + BLOCK]


def _part(section: Section) -> _Part:
    tables, size = section.tables, section.indexes.size
    rows, symbols = np.empty(size, section.indexes.dtype), np.empty(size, np.uint8)
    parts, count = [], 0
    for a in range(0, max(1, size), BLOCK):
        block = slice(a, a + BLOCK)
        _, own, split = tables.split_checked(section.symbols[block], section.indexes[block])
        rows[count : count + own.size], symbols[count : count + own.size] = own, split.symbols
        count += own.size
        parts.append((split.classes, split.signs, pack_fields(split.remainders, split.classes)))
    classes, signs, remainders = map(np.concatenate, zip(*parts, strict=True))
    bypass = np.concatenate([signs, remainders])
    return _Part(rows[:count], symbols[:count], classes, bypass, tables)


def _takes_all_lanes(sections: Sequence[Section]) -> bool:
    """Return whether the symbols are so many that no cost need be known."""
    symbols = 0
    for section in sections:
        for a in range(0, section.indexes.size, BLOCK):
            block = section.indexes[a : a + BLOCK]
            symbols += block[section.tables.coded(block)].size
        if symbols >= SYMBOLS_PER_LANE << MAX_LANES_LOG2:
            return True
    return False


def _lanes_log2(cost_bits: float, symbols: int) -> int:
    wanted = max(cost_bits / (8 * BYTES_PER_LANE), symbols / SYMBOLS_PER_LANE)
    wanted = min(1 << MAX_LANES_LOG2, wanted)
    return int(wanted).bit_length() - 1 if wanted >= ROW_LANES else 0
