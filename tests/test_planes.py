from __future__ import annotations

import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeae.errors import ContainerError
from edgeae.planes import decode_plane, encode_plane

planes = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))


def deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush()


def reference_decode(code: int, residual: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plane by the formulas of FORMAT.md section 8, one sample after the other."""
    height, width = residual.shape
    p = np.zeros((height + 1, width + 1), int)
    for i in range(height):
        for j in range(width):
            left, up, both = p[i + 1, j], p[i, j + 1], p[i, j]
            predicted = {1: 0, 2: left, 3: up, 4: left + up - both}[code]
            p[i + 1, j + 1] = (int(residual[i, j]) + predicted) % 256
    return p[1:, 1:].astype(np.uint8)


@given(planes)
def test_plane_round_trips(plane: NDArray[np.uint8]) -> None:
    decoded = decode_plane(encode_plane(plane), *plane.shape, "alpha")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, plane)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
@given(residual=planes)
def test_filters_follow_the_formulas(code: int, residual: NDArray[np.uint8]) -> None:
    decoded = decode_plane(bytes([code]) + deflate(residual.tobytes()), *residual.shape, "alpha")
    np.testing.assert_array_equal(decoded, reference_decode(code, residual))


@pytest.mark.parametrize("value", [0, 255])
def test_constant_plane_takes_two_bytes(value: int) -> None:
    plane = np.full((300, 400), value, np.uint8)
    assert encode_plane(plane) == bytes([0, value])
    np.testing.assert_array_equal(decode_plane(bytes([0, value]), 300, 400, "alpha"), plane)


@pytest.mark.parametrize("axis", [0, 1])
def test_ramp_is_predicted(axis: int) -> None:
    row, column = np.indices((64, 64))
    ramp = (row if axis == 0 else column).astype(np.uint8)
    assert len(encode_plane(ramp)) < 40


@given(st.binary(max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_arbitrary_bytes_raise_only_container_error(data: bytes, height: int, width: int) -> None:
    with suppress(ContainerError):
        assert decode_plane(data, height, width, "alpha").shape == (height, width)


@given(planes.filter(lambda plane: len(np.unique(plane)) > 1))
def test_every_prefix_raises_container_error(plane: NDArray[np.uint8]) -> None:
    data = encode_plane(plane)
    for end in range(len(data)):
        with pytest.raises(ContainerError):
            decode_plane(data[:end], *plane.shape, "alpha")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "at least 2 bytes, not 0"),
        (b"\x00", "a constant plane has 1 byte, not 0"),
        (b"\x00\x01\x02", "a constant plane has 1 byte, not 2"),
        (b"\x05" + deflate(bytes(12)), "filter 5 is not one of 0..4"),
        (b"\x01" + deflate(bytes(11)), "inflates to 11 bytes with 0 left over, not to 12"),
        (b"\x01" + deflate(bytes(13)), "inflates to 13 or more|inflates to 13 bytes"),
        (b"\x01" + deflate(bytes(12)) + b"!", "inflates to 12 bytes with 1 left over"),
        (b"\x01\xff\xff", "invalid"),
    ],
)
def test_malformed_plane_raises_container_error(data: bytes, message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        decode_plane(data, 3, 4, "alpha")


def test_planes_of_many_pieces_round_trip_and_bytes_behind_them_are_seen() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (700, 900), np.uint8)
    data = encode_plane(plane)
    assert len(data) > 500_000
    np.testing.assert_array_equal(decode_plane(data, 700, 900, "alpha"), plane)
    with pytest.raises(ContainerError, match="with 300000 left over"):
        decode_plane(data + bytes(300_000), 700, 900, "alpha")
    with pytest.raises(ContainerError, match="or more bytes"):
        decode_plane(data[:-1], 700, 900, "alpha")


def test_bomb_stops_at_the_planes_size() -> None:
    bomb = b"\x01" + deflate(bytes(1 << 26))
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="inflates to 65 or more"):
            decode_plane(bomb, 8, 8, "alpha")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_small_data_for_a_large_plane_is_refused_without_allocating_it() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match="inflates to 100 bytes"):
            decode_plane(b"\x04" + deflate(bytes(100)), 16_384, 16_384, "alpha")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_plane_of_several_chunks_round_trips() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (1100, 1100)).astype(np.uint8)
    np.testing.assert_array_equal(decode_plane(encode_plane(plane), 1100, 1100, "alpha"), plane)


@pytest.mark.parametrize("plane", [np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((0, 4), "u1")])
def test_other_arrays_raise_type_error(plane: NDArray[np.uint8]) -> None:
    with pytest.raises(TypeError, match="not uint8 of two dimensions"):
        encode_plane(plane)


@pytest.mark.parametrize("chunk", [1, 100, 1000])
def test_pieces_change_no_byte(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[:40, :30]
    for plane in ((3 * x).astype(np.uint8), (x * y).astype(np.uint8), (5 * y).astype(np.uint8)):
        whole = encode_plane(plane)
        monkeypatch.setattr("edgeae.planes._CHUNK_BYTES", chunk)
        assert encode_plane(plane) == whole
        np.testing.assert_array_equal(decode_plane(whole, 40, 30, "alpha"), plane)
        monkeypatch.undo()
