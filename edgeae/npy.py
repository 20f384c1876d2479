"""Latents as one NumPy record: what ``edgeae compress -o z.npy`` writes and ``np.load`` reads.

The reader accepts exactly the text that `numpy.save` writes for this record and evaluates nothing.
docs/FORMAT.md, section 9.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeae.container import CODING_ID_BYTES, MAX_PIXELS, check_pixels
from edgeae.errors import ContainerError, DesyncError, VersionError
from edgeae.latents import Latents

NPY_VERSION = 1
_MAGIC = b"\x93NUMPY"
_PREFIX_BYTES = 10  # magic, two bytes of version, two of the header's length
_HEADER_BYTES_MAX = 4096
_RECORD_BYTES_MAX = (1 << 31) - 1  # what numpy 1.26 can hold in one record

_HEADER = re.compile(
    rb"\{'descr': \[(?P<fields>[^\[\]{}]*)\], 'fortran_order': False, 'shape': \(\), \} *\n"
)
_FIELD = re.compile(
    r"\('(?P<name>[a-z_]{1,16})', '(?P<type>[<|][a-zU]\d{1,2})'(?:, \((?P<shape>[\d, ]{1,40})\))?\)"
)
_FIXED = {  # name -> type, in the record's order; these are single values
    "version": "<u2",
    "coding_id": "<U16",
    "width": "<u4",
    "height": "<u4",
    "mode": "<U4",
    "quality": "<f8",
    "crc": "<u4",
    "check": "<u4",
}
_ARRAYS = {"z": ("<i2", 3), "symbols": ("<i2", 3)}  # name -> type, dimensions
_OPTIONAL = {
    "alpha": ("|u1", 2),
    "icc": ("|u1", 1),
    "exif": ("|u1", 1),
    "correction": ("|i1", 2),
}
_SHAPED = _ARRAYS | _OPTIONAL


def is_npy(data: bytes) -> bool:
    """Return whether ``data`` begins like a ``.npy`` file."""
    return data.startswith(_MAGIC)


def latents_to_npy(latents: Latents) -> bytes:
    """Return the ``.npy`` file of one record; `numpy.load` reads it without pickle.

    Raises
    ------
    ContainerError
        If the record is beyond the 2 GiB that every version of numpy can hold.
    """
    arrays: dict[str, NDArray[np.int16] | NDArray[np.uint8] | NDArray[np.int8]] = {
        "z": latents.z,
        "symbols": latents.symbols,
    }
    if latents.alpha is not None:
        arrays["alpha"] = latents.alpha
    for name, payload in (("icc", latents.icc), ("exif", latents.exif)):
        if payload is not None:
            arrays[name] = np.frombuffer(payload, np.uint8)
    if latents.correction is not None:
        arrays["correction"] = latents.correction
    shapes = {name: array.shape for name, array in arrays.items()}
    _record_bytes(shapes)
    record = np.zeros((), _record_dtype(shapes))
    values = {
        "version": NPY_VERSION,
        "coding_id": latents.coding_id.hex(),
        "width": latents.width,
        "height": latents.height,
        "mode": latents.mode,
        "quality": latents.quality,
        "crc": latents.crc,
    }
    for name, value in (values | arrays).items():
        record[name] = value
    record["check"] = _check(record)
    file = io.BytesIO()
    np.lib.format.write_array(file, record, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def latents_from_npy(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Latents:
    """Return the latents in a ``.npy`` file; its checksum is verified.

    Whether the shapes fit the picture's size depends on the bundle's strides: the codec checks it.

    Raises
    ------
    ContainerError
        If ``data`` is not exactly the record of docs/FORMAT.md, or exceeds ``max_pixels``.
    VersionError
        If the record has a newer version.
    DesyncError
        If the symbols differ from their checksum.
    """
    shapes, start = _parse_shapes(data)
    size = _record_bytes(shapes)
    if len(data) - start != size:
        raise ContainerError(
            f"npy, offset {start}: the record needs {size} bytes, {len(data) - start} are there; "
            "the file is truncated or damaged, copy it again"
        )
    record = np.frombuffer(data, _record_dtype(shapes), offset=start)[0]
    _check_version(int(record["version"]))
    if (found := _check(record)) != record["check"]:
        raise ContainerError(
            f"npy, offset {start}: CRC-32 of the record is {found:08x}, stored is "
            f"{int(record['check']):08x}; the file is damaged or was edited"
        )
    check_pixels(int(record["width"]), int(record["height"]), max_pixels)
    try:
        latents = Latents(
            symbols=np.array(record["symbols"], np.int16),
            z=np.array(record["z"], np.int16),
            width=int(record["width"]),
            height=int(record["height"]),
            mode=str(record["mode"]),
            quality=float(record["quality"]),
            coding_id=_coding_id(str(record["coding_id"])),
            alpha=np.array(record["alpha"]) if "alpha" in shapes else None,
            icc=record["icc"].tobytes() if "icc" in shapes else None,
            exif=record["exif"].tobytes() if "exif" in shapes else None,
            correction=np.array(record["correction"]) if "correction" in shapes else None,
        )
    except (TypeError, ValueError) as error:
        raise ContainerError(f"npy: {error}; the file is damaged or was edited") from error
    if latents.crc != record["crc"]:
        raise DesyncError(
            f"npy: CRC-32 of z and symbols is {latents.crc:08x}, stored is "
            f"{int(record['crc']):08x}; the file is damaged or was edited"
        )
    return latents


def _check(record: np.void | NDArray[np.void]) -> int:
    """Return the CRC-32 of the record's bytes with zero in the field "check"."""
    data = record.tobytes()
    start = sum(np.dtype(kind).itemsize for kind in _FIXED.values()) - 4  # the last fixed field
    return zlib.crc32(data[start + 4 :], zlib.crc32(bytes(4), zlib.crc32(data[:start])))


def _check_version(version: int) -> None:
    if version == 0:
        raise ContainerError("npy: version 0 does not exist; the file is damaged or was edited")
    if version > NPY_VERSION:
        raise VersionError(
            f"npy: version {version}, this build reads {NPY_VERSION}; upgrade edgeae"
        )


def _parse_shapes(data: bytes) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of the record's arrays, and the offset of the record."""
    if not is_npy(data):
        raise ContainerError(
            f"npy, offset 0: magic {data[: len(_MAGIC)].hex()} is not {_MAGIC.hex()}; "
            "not a .npy file"
        )
    if data[6:8] != b"\x01\x00":
        raise ContainerError(
            f"npy, offset 6: .npy version {data[6:8].hex()} is not 0100; the file was not written "
            "by edgeae"
        )
    length = int.from_bytes(data[8:_PREFIX_BYTES], "little")
    header = data[_PREFIX_BYTES : _PREFIX_BYTES + min(length, _HEADER_BYTES_MAX)]
    match = _HEADER.fullmatch(header)
    if len(header) != length or match is None:
        raise ContainerError(
            f"npy, offset {_PREFIX_BYTES}: the header of {length} bytes is truncated or not that "
            "of edgeae's latents"
        )
    fields = match["fields"].decode("latin-1")
    shapes = {
        found["name"]: _shape(found["shape"])
        for found in _FIELD.finditer(fields)
        if found["shape"] is not None
    }
    # Written back and compared, so nothing the two expressions let through can remain.
    if _legal(shapes) and fields == _fields_text(shapes):
        return shapes, _PREFIX_BYTES + length
    raise ContainerError(
        f"npy, offset {_PREFIX_BYTES}: the fields are not those of edgeae's latents "
        f"({', '.join([*_FIXED, *_SHAPED])}); the file was not written by edgeae"
    )


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(length) for length in text.replace(",", " ").split())


def _legal(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return all(name in shapes for name in _ARRAYS) and all(
        name in _SHAPED
        and len(shape) == _SHAPED[name][1]
        and shape.count(0) in (0, len(shape))  # beside one 0 the others may be of any size
        for name, shape in shapes.items()
    )


def _fields(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[str, str, tuple[int, ...]]]:
    single = [(name, kind, ()) for name, kind in _FIXED.items()]
    shaped = [(name, kind, shapes[name]) for name, (kind, _) in _SHAPED.items() if name in shapes]
    return [*single, *shaped]


def _fields_text(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(
        str(field if field[2] else field[:2])  # numpy omits the shape of a single value
        for field in _fields(shapes)
    )


def _record_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the record's size, computed before numpy sees the shapes."""
    size = sum(np.dtype(kind).itemsize * math.prod(shape) for _, kind, shape in _fields(shapes))
    if size > _RECORD_BYTES_MAX:
        raise ContainerError(
            f"npy: a record of {size} bytes is larger than {_RECORD_BYTES_MAX}; use .eae"
        )
    return size


def _record_dtype(shapes: Mapping[str, tuple[int, ...]]) -> np.dtype[np.void]:
    return np.dtype(_fields(shapes))


def _coding_id(text: str) -> bytes:
    if not re.fullmatch(rf"[0-9a-f]{{{2 * CODING_ID_BYTES}}}", text):
        raise ValueError(f"coding_id {text!r} is not {2 * CODING_ID_BYTES} hexadecimal digits")
    return bytes.fromhex(text)
