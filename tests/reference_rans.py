"""Slow, scalar, independent rANS: plain Python integers, written from the specification.

Nothing of ``edgeae`` is imported. A table is ``(frequencies, minimum)``, with ``minimum`` None for
magnitudes with signs apart (kind Y); a section is ``(values, rows, tables, precision)``. The golden
vectors and the fast coder are checked against these two functions, never the other way round.
"""

from __future__ import annotations

R = 1 << 16
Table = tuple[list[int], int | None]
Layout = tuple[list[int], list[Table], int]
Section = tuple[list[int], list[int], list[Table], int]
Coded = list[tuple[list[int], int]]


class PayloadError(Exception):
    """The payload is not one that the reference encoder could have written."""


def escape_table(k: int) -> list[int]:
    f = [max(1, (1 << k) >> (i + 1)) for i in range(16)]
    f[0] -= sum(f) - (1 << k)
    return f


def to_bits(value: int, width: int) -> list[int]:
    return [value >> (width - 1 - i) & 1 for i in range(width)]


def from_bits(bits: list[int]) -> int:
    return sum(bit << (len(bits) - 1 - i) for i, bit in enumerate(bits))


def section_lists(section: Section) -> tuple[Coded, Coded, list[int]]:
    """Two symbol lists of ``(frequencies, symbol)``, then the bypass bits."""
    values, rows, tables, k = section
    symbols: Coded = []
    escapes: Coded = []
    signs: list[int] = []
    fields: list[int] = []
    for v, row in zip(values, rows, strict=True):
        f, minimum = tables[row]
        top = len(f) - 1
        if minimum is None:
            if row == 0:
                continue
            s, u = min(abs(v), top), abs(v) - top
            signs += [int(v < 0)] if v else []
        else:
            s = v - minimum if 0 <= v - minimum < top else top
            u = 2 * (v - minimum - top) if v >= minimum else 2 * (minimum - 1 - v) + 1
        symbols.append((f, s))
        if s == top:
            e = (u + 1).bit_length() - 1
            escapes.append((escape_table(k), e))
            fields += to_bits(u + 1 - (1 << e), e)
    return symbols, escapes, signs + fields


def encode(sections: list[Section], h: int) -> bytes:
    lanes = 1 << h
    parts = [section_lists(section) for section in sections]
    last = parts[-1][2]
    unseeded = max(0, len(last) - 16 * lanes)
    seed = last[unseeded:] + [0] * (16 * lanes)
    x = [R + from_bits(seed[16 * i : 16 * i + 16]) for i in range(lanes)]
    emitted = []
    for section, (symbols, escapes, _) in reversed(list(zip(sections, parts, strict=True))):
        k = section[3]
        for coded in (escapes, symbols):
            for j in reversed(range(len(coded))):
                (f, s), i = coded[j], j % lanes
                if x[i] // 2 ** (32 - k) >= f[s]:
                    emitted.append(x[i] % R)
                    x[i] //= R
                x[i] = x[i] // f[s] * 2**k + x[i] % f[s] + sum(f[:s])
    g = [(state // R).bit_length() - 1 for state in x]
    bits = [bit for width in g for bit in to_bits(width, 4)]
    for width, state in zip(g, x, strict=True):
        bits += to_bits(state // R - 2**width, width)
    for _, _, bypass in parts[:-1]:
        bits += bypass
    bits += last[:unseeded]
    bits += [0] * (-len(bits) % 8)
    words = [state % R for state in x] + emitted[::-1]
    tail = bytes(from_bits(bits[i : i + 8]) for i in range(0, len(bits), 8))
    return b"".join(bytes([w % 256, w // 256]) for w in words) + tail[::-1]


class Reader:
    def __init__(self, payload: bytes, h: int) -> None:
        self.payload, self.lanes, self.words, self.bits = payload, 1 << h, 0, 0
        g = [from_bits(self.read(4)) for _ in range(self.lanes)]
        high = [2**width + from_bits(self.read(width)) for width in g]
        self.x = [top * R + self.word() for top in high]

    def word(self) -> int:
        at = 2 * self.words
        if at + 2 > len(self.payload):
            raise PayloadError("word beyond the payload")
        self.words += 1
        return self.payload[at] + 256 * self.payload[at + 1]

    def read(self, count: int) -> list[int]:
        bits = []
        for _ in range(count):
            if self.bits >= 8 * len(self.payload):
                raise PayloadError("bit beyond the payload")
            bits.append(self.payload[-1 - self.bits // 8] >> (7 - self.bits % 8) & 1)
            self.bits += 1
        return bits

    def symbols(self, frequencies: list[list[int]], k: int) -> list[int]:
        symbols = []
        for j, f in enumerate(frequencies):
            i = j % self.lanes
            d, s = self.x[i] % 2**k, 0
            while sum(f[: s + 1]) <= d:
                s += 1
            self.x[i] = f[s] * (self.x[i] // 2**k) + d - sum(f[:s])
            if self.x[i] < R:
                self.x[i] = self.x[i] * R + self.word()
            symbols.append(s)
        return symbols

    def bypass(self, count: int, *, last: bool) -> list[int]:
        if not last:
            return self.read(count)
        seeded = min(count, 16 * self.lanes)
        bits = self.read(count - seeded)
        seed = [bit for state in self.x for bit in to_bits(state % R, 16)]
        used = (self.bits + 7) // 8
        spare = self.read(8 * used - self.bits)
        if any(state // R != 1 for state in self.x) or any(seed[seeded:]) or any(spare):
            raise PayloadError("final state")
        if 2 * self.words + used != len(self.payload):
            raise PayloadError("length")
        return bits + seed[:seeded]

    def section(self, rows: list[int], tables: list[Table], k: int, *, last: bool) -> list[int]:
        coded = [j for j, row in enumerate(rows) if row or tables[row][1] is not None]
        found = [tables[rows[j]] for j in coded]
        symbols = self.symbols([f for f, _ in found], k)
        escaped = [s == len(f) - 1 for s, (f, _) in zip(symbols, found, strict=True)]
        classes = self.symbols([escape_table(k)] * sum(escaped), k)
        signed = sum(m is None and s > 0 for s, (_, m) in zip(symbols, found, strict=True))
        bits = self.bypass(signed + sum(classes), last=last)
        signs, fields, values, e = bits[:signed], bits[signed:], [0] * len(rows), iter(classes)
        for j, s, escape, (_, minimum) in zip(coded, symbols, escaped, found, strict=True):
            u = 0
            if escape:
                width = next(e)
                u, fields = 2**width - 1 + from_bits(fields[:width]), fields[width:]
            if minimum is None:
                v = s + u
                v, signs = (-v if signs[0] else v, signs[1:]) if v else (0, signs)
            elif escape and u % 2:
                v = minimum - 1 - (u - 1) // 2
            else:
                v = minimum + s + u // 2
            if abs(v) > (32767 if minimum is None else 32000):
                raise PayloadError("value")
            values[j] = v
        return values


def decode(payload: bytes, h: int, layout: list[Layout]) -> list[list[int]]:
    """Values of each section; ``layout`` is a list of ``(rows, tables, precision)``."""
    reader = Reader(payload, h)
    return [
        reader.section(rows, tables, k, last=n == len(layout) - 1)
        for n, (rows, tables, k) in enumerate(layout)
    ]
