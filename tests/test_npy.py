from __future__ import annotations

import dataclasses
import io
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeae.container import ALPHA_MODES, MODES
from edgeae.errors import ContainerError, DesyncError, VersionError
from edgeae.latents import NO_HYPER_LATENTS, Latents
from edgeae.npy import is_npy, latents_from_npy, latents_to_npy

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)
payloads = st.none() | st.binary(min_size=1, max_size=20)


@st.composite
def latents(draw: st.DrawFn) -> Latents:
    mode, width, height = draw(st.sampled_from(MODES)), draw(st.integers(1, 9)), draw(st.just(7))
    symbols = hnp.arrays(np.int16, shapes, elements=st.integers(-32_767, 32_767))
    z = hnp.arrays(np.int16, shapes, elements=st.integers(-32_000, 32_000))
    return Latents(
        symbols=draw(symbols),
        z=draw(st.just(NO_HYPER_LATENTS) | z),
        width=width,
        height=height,
        mode=mode,
        quality=draw(st.integers(0, 10_000)) / 100,
        coding_id=draw(st.binary(min_size=8, max_size=8)),
        alpha=draw(hnp.arrays(np.uint8, (height, width))) if mode in ALPHA_MODES else None,
        icc=draw(payloads),
        exif=draw(payloads),
    )


EXAMPLE = Latents(
    symbols=np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    z=np.array([[[5, -6]]], np.int16),
    width=3,
    height=2,
    mode="RGBA",
    quality=50.25,
    coding_id=bytes(range(8)),
    alpha=np.arange(6, dtype=np.uint8).reshape(2, 3),
    icc=b"profile\0",
    exif=b"Exif\0\0",
)
DATA = latents_to_npy(EXAMPLE)


def record_of(data: bytes) -> NDArray[Any]:
    record: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return record


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def edited(**changes: object) -> bytes:
    record = record_of(DATA).copy()
    for name, value in changes.items():
        record[name] = value
    record["check"] = 0
    record["check"] = zlib.crc32(record.tobytes())
    return saved(record)


def reshaped(text: bytes, replacement: bytes) -> bytes:
    """Return the example with another text in its header, whose length stays true."""
    header = DATA[10:-1].replace(text, replacement)
    length = len(header) - (len(DATA) - 1 - int.from_bytes(DATA[8:10], "little") - 10)
    return DATA[:8] + length.to_bytes(2, "little") + header + DATA[-1:]


def assert_equal(left: Latents, right: Latents) -> None:
    for field in dataclasses.fields(Latents):
        a, b = getattr(left, field.name), getattr(right, field.name)
        assert type(a) is type(b)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b


@given(latents())
def test_latents_round_trip(value: Latents) -> None:
    data = latents_to_npy(value)
    assert is_npy(data)
    found = latents_from_npy(data)
    assert_equal(found, value)
    assert found.symbols.flags.aligned
    assert found.symbols.flags.c_contiguous


@given(latents())
def test_numpy_reads_and_rewrites_the_same_bytes(value: Latents) -> None:
    data = latents_to_npy(value)
    record = record_of(data)
    assert record.shape == ()
    np.testing.assert_array_equal(record["symbols"], value.symbols)
    np.testing.assert_array_equal(record["z"], value.z)
    assert saved(record) == data


def test_fields_are_readable_as_they_are() -> None:
    record = record_of(DATA)
    assert record["mode"] == "RGBA"
    assert record["coding_id"] == "0001020304050607"
    assert record["quality"] == 50.25
    assert record["version"] == 1
    assert record["crc"] == EXAMPLE.crc
    assert record["icc"].tobytes() == b"profile\0"


@given(st.binary(max_size=400), st.sampled_from([b"", DATA[:8], DATA[:10], DATA[:60]]))
def test_arbitrary_bytes_raise_only_container_error(data: bytes, start: bytes) -> None:
    with suppress(ContainerError):
        latents_from_npy(start + data)


@given(st.integers(0, 8 * len(DATA) - 1))
def test_any_flipped_bit_raises_container_error(position: int) -> None:
    damaged = bytearray(DATA)
    damaged[position // 8] ^= 1 << position % 8
    with pytest.raises(ContainerError):
        latents_from_npy(bytes(damaged))


def test_every_prefix_raises_container_error() -> None:
    for end in range(len(DATA)):
        with pytest.raises(ContainerError):
            latents_from_npy(DATA[:end])


def test_bytes_after_the_record_raise() -> None:
    with pytest.raises(ContainerError, match=r"needs [0-9]+ bytes, [0-9]+ are there"):
        latents_from_npy(DATA + b"\0")


def test_changed_symbol_raises_desync_error() -> None:
    symbols = EXAMPLE.symbols.copy()
    symbols[1, 2, 3] += 1
    with pytest.raises(DesyncError, match=f"stored is {EXAMPLE.crc:08x}"):
        latents_from_npy(edited(symbols=symbols))


def test_newer_version_raises_version_error() -> None:
    with pytest.raises(VersionError, match="npy: version 2, this build reads 1"):
        latents_from_npy(edited(version=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coding_id": "000102030405060"}, "coding_id '000102030405060' is not 16 hex"),
        ({"coding_id": "000102030405060G"}, "is not 16 hexadecimal digits"),
        ({"version": 0}, "version 0 does not exist"),
        ({"width": 0}, "width 0 is outside"),
        ({"width": 4}, r"alpha is uint8 \(2, 3\), not uint8 \(2, 4\)"),
        ({"height": 65_536}, "height 65536 is outside"),
        ({"width": 1 << 31, "height": 1 << 31}, "more than the limit of 268435456"),
        ({"mode": "CMYK"}, "mode 'CMYK'"),
        ({"mode": "RGB"}, "mode RGB and an alpha plane"),
        ({"quality": 50.255}, "not a multiple of 0.01"),
        ({"quality": np.nan}, "quality nan is outside"),
        ({"symbols": np.int16(-32_768)}, "beyond"),
        ({"z": 32_001}, "beyond"),
    ],
)
def test_illegal_value_raises_container_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        latents_from_npy(edited(**changes))


def test_character_beyond_unicode_raises_container_error() -> None:
    damaged = DATA.replace("RGBA".encode("utf-32-le"), b"\xff" * 16)
    with pytest.raises(ContainerError):
        latents_from_npy(damaged)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((), [("symbols", "<i2", (1, 1, 1))]),
        record_of(DATA).reshape(1),
        record_of(DATA)[["z", "symbols"]].astype(
            [("z", "<i2", (1, 1, 2)), ("symbols", "<i2", (2, 3, 4))]
        ),
        record_of(DATA).astype(record_of(DATA).dtype.newbyteorder(">")),
        np.zeros((), [*record_of(DATA).dtype.descr, ("more", "<i2", (1,))]),
        np.zeros((), record_of(DATA).dtype.descr[::-1]),
    ],
    ids=["floats", "one field", "one axis", "two fields", "big-endian", "one more", "reversed"],
)
def test_other_arrays_raise_container_error(array: NDArray[Any]) -> None:
    with pytest.raises(ContainerError):
        latents_from_npy(saved(array))


def test_pickle_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"symbols": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ContainerError, match="not that of edgeae's latents"):
        latents_from_npy(file.getvalue())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"(2, 3, 4)", b"(2, 3, 04)"),
        (b"(2, 3, 4)", b"(2, 3)"),
        (b"(2, 3, 4)", b"(2, 3, 4, 1)"),
        (b"(2, 3, 4)", b"(0, 3000000000, 1)"),
        (b"(8,)", b"(8)"),
        (b"'z'", b"'Z'"),
        (b"'alpha'", b"'gamma'"),
        (b"'<i2'", b"'<i4'"),
        (b"'<u2'", b"'|O'"),
        (b"False", b"True"),
        (b"('version', '<u2')", b"('version', '<u2'), ('version', '<u2')"),
        (b"'shape': ()", b"'shape': (__import__('os'),)"),
        (b"[(", b"[" * 500 + b"("),
    ],
)
def test_other_header_raises_container_error(old: bytes, new: bytes) -> None:
    data = reshaped(old, new)
    assert old in DATA
    with pytest.raises(ContainerError, match="npy, offset 10"):
        latents_from_npy(data)


def test_edit_helper_keeps_a_valid_file_valid() -> None:
    assert reshaped(b"version", b"version") == DATA


def test_long_header_is_refused_unread() -> None:
    data = DATA[:8] + b"\xff\xff" + DATA[10:].replace(b"}", b"}" + b" " * 66_000)
    with pytest.raises(ContainerError, match="header of 65535 bytes"):
        latents_from_npy(data)


@pytest.mark.parametrize("shape", [b"(99999, 99999, 99999)", b"(9999, 99, 9)"])
def test_huge_shape_is_refused_before_anything_is_allocated(shape: bytes) -> None:
    data = reshaped(b"(2, 3, 4)", shape)
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="bytes"):
            latents_from_npy(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_record_beyond_numpys_limit_is_refused_by_the_writer() -> None:
    large = np.broadcast_to(np.int16(0), (1 << 10, 1 << 10, 1 << 10))
    huge = dataclasses.replace(EXAMPLE, z=NO_HYPER_LATENTS)
    object.__setattr__(huge, "symbols", large)
    with pytest.raises(ContainerError, match=r"larger than 2147483647; use \.eae"):
        latents_to_npy(huge)
