"""Write `.eae` and `.npy` files from docs/FORMAT.md alone: no line of edgeae takes part.

The writer takes symbols, not pictures; `unusual` says which, `hand_bundle` reads the bundle.
Numbers in docstrings are sections of the document.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hand_bundle import Bundle, Integers, Section, sections

R = 1 << 16  # of 5: a word; k is 14 bits of precision
K = 14
MODES = {"L": 0x00, "LA": 0x10, "RGB": 0x20, "RGBA": 0x30, "F": 0x80}


def escape_table() -> list[int]:
    """5.1."""
    f = [max(1, (1 << K) >> (i + 1)) for i in range(16)]
    f[0] -= sum(f) - (1 << K)
    return f


def lists(section: Section) -> tuple[list[tuple[list[int], int]], list[tuple[list[int], int]], str]:
    """5.5: symbols with their frequencies, classes of escapes with theirs, bypass bits as text."""
    symbols, classes, signs, remainders = [], [], "", ""
    for value, row in zip(*section[:2], strict=True):
        frequencies, minimum = section[2][row]
        if minimum is None and row == 0:
            continue
        top = len(frequencies) - 1
        if minimum is None:
            s, u = min(abs(value), top), abs(value) - top
            signs += "" if s == 0 else "01"[value < 0]
        else:
            above = value - minimum
            s = above if 0 <= above < top else top
            u = 2 * (above - top) if above >= 0 else -2 * above - 1
        symbols.append((frequencies, s))
        if s == top:
            e = (u + 1).bit_length() - 1
            classes.append((escape_table(), e))
            remainders += f"{u + 1 - (1 << e):0{e}b}" if e else ""
    return symbols, classes, signs + remainders


def payload(parts: Sequence[Section], h: int) -> bytes:
    """5.8, with ``2^h`` lanes."""
    lanes, coded = 1 << h, [lists(part) for part in parts]
    *_, (_, _, last) = coded
    seeded = min(len(last), 16 * lanes)
    seed = last[len(last) - seeded :].ljust(16 * lanes, "0")
    x = [R + int(seed[16 * i : 16 * i + 16], 2) for i in range(lanes)]
    emitted: list[int] = []
    for symbols, classes, _ in reversed(coded):
        for entries in (classes, symbols):
            for j in range(len(entries) - 1, -1, -1):
                (frequencies, s), i = entries[j], j % lanes
                f, c = frequencies[s], sum(frequencies[:s])
                if x[i] >> (32 - K) >= f:
                    emitted.append(x[i] % R)
                    x[i] //= R
                x[i] = (x[i] // f << K) + x[i] % f + c
    g = [(state // R).bit_length() - 1 for state in x]
    bits = "".join(f"{width:04b}" for width in g)
    bits += "".join(f"{x[i] // R - (1 << g[i]):0{g[i]}b}" for i in range(lanes) if g[i])
    bits += "".join(bypass for _, _, bypass in coded[:-1]) + last[: len(last) - seeded]
    bits += "0" * (-len(bits) % 8)
    tail = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    words = [state % R for state in x] + emitted[::-1]
    return b"".join(word.to_bytes(2, "little") for word in words) + tail[::-1]


def varint(value: int) -> bytes:
    """2."""
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127)
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def crc16(data: bytes) -> int:
    """2."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def symbols_crc(z: Integers, symbols: Integers) -> int:
    """7."""
    return zlib.crc32(z.astype("<i2").tobytes() + symbols.astype("<i2").tobytes())


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a file says besides its latents."""

    bundle: Bundle
    width: int
    height: int
    mode: str
    quality: float
    further: dict[int, bytes] | None = None  # sections by type


def eae(picture: Picture, z: Integers, wanted: Integers, h: int) -> tuple[bytes, Integers]:
    """3 and 4: the file, and the symbols that are in it."""
    symbols, parts = sections(picture.bundle, z, wanted)
    latents, further = payload(parts, h), sorted((picture.further or {}).items())
    whole, hundredths = divmod(round(100 * picture.quality), 100)
    head = b"\x89EAE\r\n\x1a\n"
    head += bytes(
        [1 | MODES[picture.mode] | (0x40 if further else 0), picture.bundle.steps | h << 4]
    )
    head += picture.bundle.coding_id
    for number in (whole + 128 * hundredths, picture.width, picture.height, len(latents)):
        head += varint(number)
    head += symbols_crc(z, symbols).to_bytes(4, "little") + crc16(latents).to_bytes(2, "little")
    head += bytes([len(further)]) if further else b""
    for kind, body in further:
        head += bytes([kind]) + varint(len(body)) + zlib.crc32(body).to_bytes(4, "little")
    head += zlib.crc32(head).to_bytes(4, "little")
    return head + latents + b"".join(body for _, body in further), symbols


def correction(weights: Integers) -> bytes:
    """8.2: weights [features, planes] as a section."""
    bits = "".join(
        "1" * abs(w) + ("0" if w == 0 else "01" if w < 0 else "00")
        for w in weights.ravel().tolist()
    )
    bits = bits.rstrip("0")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def npy(picture: Picture, z: Integers, symbols: Integers, alpha: Integers | None = None) -> bytes:
    """9: the record; profile and Exif are the sections 0x81 and 0x82 of the picture."""
    arrays = {"z": z, "symbols": symbols}
    arrays |= {} if alpha is None else {"alpha": alpha}
    for name, kind in (("icc", 0x81), ("exif", 0x82)):
        if body := (picture.further or {}).get(kind):
            arrays[name] = np.frombuffer(body, np.uint8)
    singles = {
        "version": ("<u2", 1),
        "coding_id": ("<U16", picture.bundle.coding_id.hex()),
        "width": ("<u4", picture.width),
        "height": ("<u4", picture.height),
        "mode": ("<U4", picture.mode),
        "quality": ("<f8", picture.quality),
        "crc": ("<u4", symbols_crc(z, symbols)),
        "check": ("<u4", 0),
    }
    types: list[Any] = [(name, kind) for name, (kind, _) in singles.items()]
    types += [
        (name, "<i2" if array.dtype.itemsize == 2 else "|u1", array.shape)
        for name, array in arrays.items()
    ]
    record = np.zeros((), types)
    for name, value in {**{name: value for name, (_, value) in singles.items()}, **arrays}.items():
        record[name] = value
    record["check"] = zlib.crc32(record.tobytes())
    file = io.BytesIO()
    np.save(file, record, allow_pickle=False)
    return file.getvalue()
