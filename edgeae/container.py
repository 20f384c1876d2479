""".eae bytes and the values in them: header, section table, payloads, checksums.

Bytes in, bytes out, standard library only: no files, no numpy, and no idea what the payloads mean.
docs/FORMAT.md, sections 3 and 4.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Self

from edgeae.errors import DAMAGED, ContainerError, VersionError

MAGIC = b"\x89EAE\r\n\x1a\n"
FORMAT_VERSION = 1
MODES = ("L", "LA", "RGB", "RGBA", "F")  # position = code in the file
ALPHA_MODES = ("LA", "RGBA")
ARRAY_MODE = "F"

CODING_ID_BYTES = 8
SIDE_MAX = 65_535  # pixels
QUALITY_MAX = 10_000  # hundredths
STEPS_MAX = 15
LANES_LOG2_MAX = 10
LENGTH_MAX = (1 << 31) - 1  # bytes of one payload
SECTIONS_MAX = 15  # further sections
MAX_PIXELS = 268_435_456  # default limit of what a reader takes on: 16 384 x 16 384
HEADER_BYTES_MAX = 192  # a prefix this long holds any header

_ALPHA, _COLOURS, _ICC, _EXIF, _CORRECTION = 0x01, 0x02, 0x81, 0x82, 0x83
_NAMES = {
    _ALPHA: "alpha",
    _COLOURS: "colours",
    _ICC: "icc",
    _EXIF: "exif",
    _CORRECTION: "correction",
}
_ANCILLARY = 0x80  # bit of a section's type: a reader that does not know it skips it
_HAS_TABLE = 0x40
_HIGH_MODE_BIT = 0x80
_FRACTION = 128  # quality is one varint: whole part + 128 * hundredths
_VARINT_BYTES_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says about its picture, readable without its payloads.

    Raises
    ------
    ValueError
        If a field is outside what docs/FORMAT.md allows.
    """

    coding_id: bytes  # 8 bytes that name the arithmetic needed to decode
    width: int  # pixels, before padding; of an array the last axis
    height: int  # of an array the product of the other axes
    mode: str  # one of MODES; "F" is an array of float32
    quality: int  # hundredths, 0..10000
    steps: int  # masks; 0 for a plain autoencoder

    def __post_init__(self) -> None:
        if len(self.coding_id) != CODING_ID_BYTES:
            raise ValueError(f"coding id has {len(self.coding_id)} bytes, not {CODING_ID_BYTES}")
        _check_range("width", self.width, 1, SIDE_MAX)
        _check_range("height", self.height, 1, SIDE_MAX)
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} is not one of {', '.join(MODES)}")
        _check_range("quality", self.quality, 0, QUALITY_MAX)
        _check_range("steps", self.steps, 0, STEPS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One ``.eae`` file. `to_bytes` and `from_bytes` are inverse, except for skipped sections.

    Raises
    ------
    ValueError
        If a field is outside what docs/FORMAT.md allows.
    """

    header: Header
    latents: bytes = b""  # rANS payload; empty if there are colours
    lanes_log2: int = 0
    symbols_crc: int = 0  # CRC-32 of hyper-latents and symbols; edgeae.latents.symbols_crc
    alpha: bytes | None = None  # of edgeae.planes; there if and only if the mode has alpha
    colours: bytes | None = None  # of edgeae.colours, in place of latents
    icc: bytes | None = None
    exif: bytes | None = None
    correction: bytes | None = None  # of edgeae.correction, for what the latents decode to

    def __post_init__(self) -> None:
        _check_range("lanes_log2", self.lanes_log2, 0, LANES_LOG2_MAX)
        _check_range("symbols_crc", self.symbols_crc, 0, 0xFFFF_FFFF)
        _check_range("length of the latents", len(self.latents), 0, LENGTH_MAX)
        for kind, payload in self._further():
            if payload is not None:
                _check_range(f"length of section {_NAMES[kind]}", len(payload), 1, LENGTH_MAX)
        if (self.alpha is not None) != (self.header.mode in ALPHA_MODES):
            presence = "no" if self.alpha is None else "an"
            raise ValueError(f"mode {self.header.mode} and {presence} alpha section contradict")
        if self.correction is not None and self.header.mode == ARRAY_MODE:
            raise ValueError("an array and a correction contradict: it is for pictures")
        if self.colours is not None:
            self._check_colours()

    def _check_colours(self) -> None:
        if self.latents or self.lanes_log2 or self.symbols_crc:
            raise ValueError("colours and latents contradict: a file has one or the other")
        if self.correction is not None:
            raise ValueError("colours and a correction contradict: colours are exact")
        if not self.header.steps or self.header.mode == ARRAY_MODE:
            raise ValueError(
                f"mode {self.header.mode} of {self.header.steps} steps and colours contradict"
            )

    def to_bytes(self) -> bytes:
        """Return the file; equal containers give equal bytes."""
        header = self.header
        further = [(kind, body) for kind, body in self._further() if body is not None]
        flags = _mode_flags(header.mode) | (_HAS_TABLE if further else 0)
        whole, hundredths = divmod(header.quality, 100)
        head = bytearray(MAGIC)
        head.append(FORMAT_VERSION | flags)
        head.append(header.steps | self.lanes_log2 << 4)
        head += header.coding_id
        for value in (
            whole + _FRACTION * hundredths,
            header.width,
            header.height,
            len(self.latents),
        ):
            head += _varint(value)
        head += self.symbols_crc.to_bytes(4, "little")
        head += _crc16(self.latents).to_bytes(2, "little")
        if further:
            head.append(len(further))
        for kind, body in further:
            head.append(kind)
            head += _varint(len(body))
            head += zlib.crc32(body).to_bytes(4, "little")
        head += zlib.crc32(head).to_bytes(4, "little")
        return b"".join([head, self.latents, *(body for _, body in further)])

    @classmethod
    def from_bytes(cls, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Self:
        """Return what ``data``, a whole file, holds; every checksum over bytes is verified.

        Parameters
        ----------
        data : bytes
            The file from its first byte to its last.
        max_pixels : int
            Largest width times height to accept: what the payloads decode to is not bounded by
            their own size.

        Raises
        ------
        ContainerError
            If ``data`` breaks docs/FORMAT.md, is damaged, or exceeds ``max_pixels``.
        VersionError
            If it needs a newer version of edgeae.
        """
        head = _parse_head(data)
        check_pixels(head.header.width, head.header.height, max_pixels)
        end = head.end
        if len(data) < end:
            raise ContainerError(
                f"the header announces {end} bytes, {len(data)} are there; "
                "the file is truncated, copy it again"
            )
        if len(data) > end:
            raise ContainerError(f"offset {end}: more bytes follow the last section; {DAMAGED}")
        latents = data[head.size : head.size + head.latents.length]
        _check_crc("latents", head.size, _crc16(latents), head.latents.crc, digits=4)
        bodies = dict(_bodies(data, head.size + len(latents), head.further))
        try:
            return cls(
                header=head.header,
                latents=latents,
                lanes_log2=head.lanes_log2,
                symbols_crc=head.symbols_crc,
                alpha=bodies.get(_ALPHA),
                colours=bodies.get(_COLOURS),
                icc=bodies.get(_ICC),
                exif=bodies.get(_EXIF),
                correction=bodies.get(_CORRECTION),
            )
        except ValueError as error:
            raise ContainerError(f"header: {error}; the file's writer is at fault") from error

    def _further(self) -> tuple[tuple[int, bytes | None], ...]:
        return (
            (_ALPHA, self.alpha),
            (_COLOURS, self.colours),
            (_ICC, self.icc),
            (_EXIF, self.exif),
            (_CORRECTION, self.correction),
        )


def fixed_bytes(width: int, height: int, latents: int, further: Sequence[bytes]) -> int:
    """Return the size of a file without its latents, which have about ``latents`` bytes.

    ``further`` are its sections beside them, those that it has. Exact but for a byte.
    """
    quality = _varint(_FRACTION)  # two bytes unless it is a whole number below 128
    varints = (quality, *(_varint(value) for value in (width, height, latents)))
    head = len(MAGIC) + 2 + CODING_ID_BYTES + sum(map(len, varints)) + 4 + 2 + 4
    table = sum(1 + len(_varint(len(body))) + 4 for body in further)
    return head + (1 + table if further else 0) + sum(map(len, further))


def read_header(data: bytes) -> Header:
    """Return the header that ``data`` begins with; its checksum is verified.

    Parameters
    ----------
    data : bytes
        The whole file, or at least its first ``HEADER_BYTES_MAX`` bytes.

    Raises
    ------
    ContainerError
        If the header is damaged, truncated, or breaks docs/FORMAT.md. The number of pixels is not
        limited here: nothing is allocated for them.
    VersionError
        If the file needs a newer version of edgeae.
    """
    return _parse_head(data[:HEADER_BYTES_MAX]).header


def read_container(file: BinaryIO, head: bytes) -> bytes:
    """Return a whole file from a stream of which ``head``, `HEADER_BYTES_MAX` bytes, was read.

    Of a file that is longer than its header announces, which is damaged, no more is read than that
    takes to see. Errors are those of `read_header`.
    """
    return head + file.read(max(0, _parse_head(head).end + 1 - len(head)))


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise ContainerError if a file claims more than ``max_pixels``."""
    if width * height > max_pixels:
        raise ContainerError(
            f"header: {width} x {height} is {width * height} pixels, more than the limit of "
            f"{max_pixels}; raise the limit (--max-pixels) if you trust the file"
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the section table."""

    kind: int
    length: int
    crc: int


@dataclass(frozen=True, slots=True)
class _Head:
    """Everything before the payloads."""

    header: Header
    lanes_log2: int
    symbols_crc: int
    latents: _Entry
    further: tuple[_Entry, ...]
    size: int  # bytes, checksum included

    @property
    def end(self) -> int:
        """Bytes of the whole file."""
        return self.size + self.latents.length + sum(entry.length for entry in self.further)


class _Cursor:
    """Reads a header front to back and never beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        piece = self._data[self.offset : self.offset + count]
        if len(piece) < count:
            raise ContainerError(
                f"header, offset {self.offset}: needs {count} bytes, {len(piece)} left; "
                "the file is truncated, copy it again"
            )
        self.offset += count
        return piece

    def integer(self, count: int) -> int:
        """Return the next ``count`` bytes as an unsigned integer."""
        return int.from_bytes(self.take(count), "little")

    def varint(self) -> int:
        """Return the next varint; it must be the shortest form and below 2**31."""
        start, value = self.offset, 0
        for shift in range(0, 7 * _VARINT_BYTES_MAX, 7):
            byte = self.integer(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise ContainerError(f"header, offset {start}: varint beyond 5 bytes; {DAMAGED}")
        if value > LENGTH_MAX or (byte == 0 and shift > 0):
            raise ContainerError(
                f"header, offset {start}: varint {value} is too large or has a needless byte; "
                f"{DAMAGED}"
            )
        return value


def _parse_head(data: bytes) -> _Head:
    cursor = _Cursor(data)
    _check_magic(cursor.take(min(len(MAGIC), len(data))))
    flags = cursor.integer(1)
    _check_version(flags & 0x0F)
    steps_and_lanes = cursor.integer(1)
    coding_id = cursor.take(CODING_ID_BYTES)
    quality, width, height, length = (cursor.varint() for _ in range(4))
    symbols_crc = cursor.integer(4)
    latents = _Entry(0, length, cursor.integer(2))
    count = cursor.integer(1) if flags & _HAS_TABLE else 0
    if count > SECTIONS_MAX:
        raise ContainerError(f"header: {count} sections are more than {SECTIONS_MAX}; {DAMAGED}")
    further = tuple(
        _Entry(cursor.integer(1), cursor.varint(), cursor.integer(4)) for _ in range(count)
    )
    crc = zlib.crc32(data[: cursor.offset])
    _check_crc("header", 0, crc, cursor.integer(4), digits=8)
    # The bytes are as written from here on, so what is wrong below is the writer's doing.
    mode = flags >> 4 & 0x03 | (4 if flags & _HIGH_MODE_BIT else 0)
    if mode >= len(MODES):
        raise VersionError(f"header, offset 8: mode {mode} is unknown; upgrade edgeae")
    if flags & _HAS_TABLE and not count:
        raise ContainerError("header: an empty section table; the file's writer is at fault")
    _check_table(further)
    try:
        hundredths, whole = divmod(quality, _FRACTION)
        _check_range("hundredths of quality", hundredths, 0, 99)
        _check_range("lanes_log2", steps_and_lanes >> 4, 0, LANES_LOG2_MAX)
        header = Header(
            coding_id=coding_id,
            width=width,
            height=height,
            mode=MODES[mode],
            quality=100 * whole + hundredths,
            steps=steps_and_lanes & 0x0F,
        )
    except ValueError as error:
        raise ContainerError(f"header: {error}; the file's writer is at fault") from error
    return _Head(header, steps_and_lanes >> 4, symbols_crc, latents, further, cursor.offset)


def _check_magic(found: bytes) -> None:
    if found == MAGIC:
        return
    if found and MAGIC.startswith(found):
        raise ContainerError(f"{len(found)} bytes are there; the file is truncated, copy it again")
    if found[:4] == MAGIC[:4]:
        raise ContainerError(
            f"offset 0: magic {found.hex()} is not {MAGIC.hex()}; line endings were changed, "
            "copy the file again in binary mode"
        )
    raise ContainerError(
        f"offset 0: magic {found.hex() or 'of 0 bytes'} is not {MAGIC.hex()}; not an .eae file"
    )


def _check_version(version: int) -> None:
    if version == 0:
        raise ContainerError(f"header, offset 8: version 0 does not exist; {DAMAGED}")
    if version > FORMAT_VERSION:
        raise VersionError(
            f"header, offset 8: format version {version}, this build reads {FORMAT_VERSION}; "
            "upgrade edgeae"
        )


def _mode_flags(mode: str) -> int:
    code = MODES.index(mode)
    return (code & 0x03) << 4 | (_HIGH_MODE_BIT if code > 3 else 0)


def _check_table(entries: tuple[_Entry, ...]) -> None:
    kinds = [entry.kind for entry in entries]
    if any(left >= right for left, right in pairwise(kinds)):
        raise ContainerError(
            f"header: section types {kinds} do not ascend; the file's writer is at fault"
        )
    for entry in entries:
        if entry.length == 0:
            raise ContainerError(
                f"header: section type {entry.kind} has 0 bytes; the file's writer is at fault"
            )
        if entry.kind not in _NAMES and not entry.kind & _ANCILLARY:
            raise VersionError(
                f"header: section type {entry.kind} is unknown and must not be skipped; "
                "upgrade edgeae"
            )


def _bodies(data: bytes, offset: int, entries: tuple[_Entry, ...]) -> Iterator[tuple[int, bytes]]:
    for entry in entries:
        body = data[offset : offset + entry.length]
        _check_crc(f"section type {entry.kind}", offset, zlib.crc32(body), entry.crc, digits=8)
        yield entry.kind, body
        offset += entry.length


def _check_crc(what: str, offset: int, computed: int, stored: int, *, digits: int) -> None:
    if computed != stored:
        raise ContainerError(
            f"{what}, offset {offset}: checksum is {computed:0{digits}x}, "
            f"stored is {stored:0{digits}x}; {DAMAGED}"
        )


def _check_range(what: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{what} {value} is outside {lowest}..{highest}")


def _crc16(payload: bytes) -> int:
    return binascii.crc_hqx(payload, 0xFFFF)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
