from __future__ import annotations

import dataclasses
import tracemalloc
import zlib
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeae.container import (
    ALPHA_MODES,
    ARRAY_MODE,
    HEADER_BYTES_MAX,
    MAGIC,
    MODES,
    Container,
    Header,
    read_header,
)
from edgeae.errors import ContainerError, VersionError

payloads = st.binary(min_size=1, max_size=40)
headers = st.builds(
    Header,
    coding_id=st.binary(min_size=8, max_size=8),
    width=st.integers(1, 65_535),
    height=st.integers(1, 65_535),
    mode=st.sampled_from(MODES),
    quality=st.integers(0, 10_000),
    steps=st.integers(0, 15),
)
NO_LIMIT = 1 << 32


@st.composite
def containers(draw: st.DrawFn) -> Container:
    header = draw(headers)
    label = partial(
        Container,
        header=header,
        alpha=draw(payloads) if header.mode in ALPHA_MODES else None,
        icc=draw(st.none() | payloads),
        exif=draw(st.none() | payloads),
    )
    if header.steps and header.mode != ARRAY_MODE and draw(st.booleans()):
        return label(colours=draw(payloads))
    return label(
        latents=draw(st.binary(max_size=100)),
        lanes_log2=draw(st.integers(0, 10)),
        symbols_crc=draw(st.integers(0, 0xFFFF_FFFF)),
    )


DIGIT = Header(coding_id=b"\x00" * 8, width=28, height=28, mode="L", quality=5000, steps=2)
PHOTO = Container(
    header=Header(
        coding_id=bytes(range(8)), width=768, height=512, mode="RGBA", quality=5025, steps=2
    ),
    latents=bytes(range(200)),
    lanes_log2=6,
    symbols_crc=0x1234_5678,
    alpha=b"plane",
    icc=b"profile",
    exif=b"Exif\0\0II",
)


def varint(value: int) -> bytes:
    """Return the shortest form, written apart from the code under test."""
    groups = []
    while True:
        groups.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(groups)


def craft(
    *,
    flags: int = 0x01,
    steps_and_lanes: int = 0x02,
    quality: bytes = b"\x32",
    width: bytes = b"\x1c",
    height: bytes = b"\x1c",
    length: bytes = b"\x00",
    table: bytes = b"",
    bodies: bytes = b"",
) -> bytes:
    """Return a file whose checksums are right, whatever its fields say; latents are empty."""
    head = MAGIC + bytes([flags, steps_and_lanes]) + bytes(8) + quality + width + height + length
    head += bytes(4) + b"\xff\xff" + table
    return head + zlib.crc32(head).to_bytes(4, "little") + bodies


def entry(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + varint(len(body)) + zlib.crc32(body).to_bytes(4, "little")


@given(containers())
def test_container_round_trips(container: Container) -> None:
    data = container.to_bytes()
    assert Container.from_bytes(data, max_pixels=NO_LIMIT) == container
    assert read_header(data) == container.header
    assert read_header(data[:HEADER_BYTES_MAX]) == container.header


@given(st.binary(max_size=300), st.sampled_from([b"", MAGIC, MAGIC + b"\x01", MAGIC + b"\x41"]))
def test_arbitrary_bytes_raise_only_container_error(data: bytes, start: bytes) -> None:
    for read in (read_header, Container.from_bytes):
        with suppress(ContainerError):
            read(start + data)


@given(containers(), st.data())
def test_altered_header_with_right_checksum_raises_only_container_error(
    container: Container, data: st.DataObject
) -> None:
    whole = container.to_bytes()
    size = len(whole) - sum(
        len(body)
        for body in (
            container.latents,
            container.alpha,
            container.colours,
            container.icc,
            container.exif,
        )
        if body is not None
    )
    head = bytearray(whole[: size - 4])
    for _ in range(data.draw(st.integers(1, 3))):
        head[data.draw(st.integers(8, len(head) - 1))] = data.draw(st.integers(0, 255))
    altered = bytes(head) + zlib.crc32(head).to_bytes(4, "little") + whole[size:]
    with suppress(ContainerError):
        Container.from_bytes(altered)


@settings(max_examples=20, deadline=None)
@given(containers())
def test_every_prefix_raises_container_error(container: Container) -> None:
    data = container.to_bytes()
    for end in range(len(data)):
        with pytest.raises(ContainerError):
            Container.from_bytes(data[:end], max_pixels=NO_LIMIT)


@settings(max_examples=5, deadline=None)
@given(containers())
def test_every_flipped_bit_raises_container_error(container: Container) -> None:
    data = container.to_bytes()
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(ContainerError):
            Container.from_bytes(bytes(damaged), max_pixels=NO_LIMIT)


@given(containers(), st.binary(min_size=1, max_size=9))
def test_bytes_after_the_last_section_raise(container: Container, tail: bytes) -> None:
    data = container.to_bytes()
    with pytest.raises(ContainerError, match=f"offset {len(data)}: more bytes follow"):
        Container.from_bytes(data + tail, max_pixels=NO_LIMIT)


@pytest.mark.parametrize("size", [0, 1, 60, 127])
def test_digit_pays_32_bytes(size: int) -> None:
    container = Container(header=DIGIT, latents=bytes(size), lanes_log2=0, symbols_crc=0)
    assert len(container.to_bytes()) == 32 + size


def test_longest_header_fits_into_the_promised_prefix() -> None:
    largest, line = varint((1 << 31) - 1), b"\x81" + varint((1 << 31) - 1) + bytes(4)
    side = varint(65_535)
    data = craft(
        flags=0x41,
        quality=varint(99 * 128 + 99),
        width=side,
        height=side,
        length=largest,
        table=b"\x0f" + b"".join(bytes([0x81 + i]) + line[1:] for i in range(15)),
    )
    assert len(data) == HEADER_BYTES_MAX
    assert read_header(data + bytes(9)).quality == 9999


def test_largest_picture_is_refused_before_anything_is_allocated() -> None:
    data = craft(width=varint(65_535), height=varint(65_535))
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match=r"4294836225 pixels, more than .* 268435456"):
            Container.from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert read_header(data).width == 65_535
    assert Container.from_bytes(data, max_pixels=NO_LIMIT).header.height == 65_535


def test_announced_gigabytes_are_refused_before_anything_is_allocated() -> None:
    with pytest.raises(ContainerError, match=r"announces 21474836[0-9]+ bytes, 36 are there"):
        Container.from_bytes(craft(length=varint((1 << 31) - 1)))


def test_limit_is_inclusive() -> None:
    assert Container.from_bytes(craft(), max_pixels=784).latents == b""
    with pytest.raises(ContainerError, match="784 pixels, more than the limit of 783"):
        Container.from_bytes(craft(), max_pixels=783)


def test_unknown_ancillary_section_is_skipped() -> None:
    table = b"\x02" + entry(0x80, b"new") + entry(0x82, b"exif")
    container = Container.from_bytes(craft(flags=0x41, table=table, bodies=b"newexif"))
    assert (container.icc, container.exif) == (None, b"exif")


def test_damaged_unknown_section_is_an_error() -> None:
    table = b"\x01" + entry(0xFF, b"new")
    data = craft(flags=0x41, table=table, bodies=b"neW")
    with pytest.raises(ContainerError, match=f"section type 255, offset {len(data) - 3}: checksum"):
        Container.from_bytes(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flags": 0x02}, "format version 2, this build reads 1"),
        ({"flags": 0x0F}, "format version 15"),
        ({"flags": 0x91}, "mode 5 is unknown"),
        ({"flags": 0xB1}, "mode 7 is unknown"),
        ({"flags": 0x41, "table": b"\x01" + entry(0x03, b"?"), "bodies": b"?"}, "type 3 is unkn"),
    ],
)
def test_newer_files_raise_version_error(fields: dict[str, object], message: str) -> None:
    for read in (read_header, Container.from_bytes):
        with pytest.raises(VersionError, match=message):
            read(craft(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flags": 0x00}, "version 0 does not exist"),
        ({"flags": 0x41, "table": b"\x00"}, "an empty section table"),
        ({"flags": 0x41, "table": b"\x10"}, "16 sections are more than 15"),
        ({"flags": 0x41, "table": b"\x01" + entry(0x81, b"")}, "type 129 has 0 bytes"),
        (
            {"flags": 0x41, "table": b"\x02" + entry(0x82, b"a") + entry(0x81, b"b")},
            r"\[130, 129\] do not ascend",
        ),
        (
            {"flags": 0x41, "table": b"\x02" + entry(0x81, b"a") + entry(0x81, b"b")},
            r"\[129, 129\] do not ascend",
        ),
        ({"steps_and_lanes": 0xB2}, "lanes_log2 11 is outside 0..10"),
        ({"quality": varint(101)}, "quality 10100 is outside 0..10000"),
        ({"quality": varint(128 + 100)}, "quality 10001 is outside"),
        ({"quality": varint(100 * 128)}, "hundredths of quality 100 is outside 0..99"),
        ({"width": b"\x00"}, "width 0 is outside 1..65535"),
        ({"height": varint(65_536)}, "height 65536 is outside"),
        ({"height": b"\x9c\x00"}, "offset 20: varint 28 .* needless byte"),
        ({"height": b"\x80\x80\x80\x80\x08"}, "varint 2147483648 is too large"),
        ({"height": b"\x80\x80\x80\x80\x80\x01"}, "offset 20: varint beyond 5 bytes"),
    ],
)
def test_malformed_header_raises_container_error(fields: dict[str, object], message: str) -> None:
    for read in (read_header, Container.from_bytes):
        with pytest.raises(ContainerError, match=message) as caught:
            read(craft(**fields))  # type: ignore[arg-type]
        assert caught.type is ContainerError


@pytest.mark.parametrize("flags", [0x11, 0x31])
def test_mode_with_alpha_needs_an_alpha_section(flags: int) -> None:
    with pytest.raises(ContainerError, match="and no alpha section contradict"):
        Container.from_bytes(craft(flags=flags))


def test_mode_without_alpha_has_no_alpha_section() -> None:
    data = craft(flags=0x41, table=b"\x01" + entry(0x01, b"a"), bodies=b"a")
    with pytest.raises(ContainerError, match="mode L and an alpha section contradict"):
        Container.from_bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "magic of 0 bytes"),
        (b"\x89EA", "3 bytes are there; the file is truncated"),
        (b"\x89PNG\r\n\x1a\n", "not an .eae file"),
        (PHOTO.to_bytes().replace(b"\r\n", b"\n"), "line endings were changed"),
        (PHOTO.to_bytes()[:29], "offset 26: needs 4 bytes, 3 left; the file is truncated"),
        (PHOTO.to_bytes()[:-1], "announces 2[0-9]+ bytes, 2[0-9]+ are there"),
    ],
)
def test_message_says_what_is_wrong_and_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        Container.from_bytes(data)


def test_damage_is_named_by_its_section() -> None:
    data = PHOTO.to_bytes()
    for body, name in (
        (PHOTO.latents, "latents"),
        (b"plane", "section type 1"),
        (b"profile", "section type 129"),
        (b"Exif", "section type 130"),
    ):
        at = data.index(body)
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ContainerError, match=f"{name}, offset {at}: checksum"):
            Container.from_bytes(damaged)


@pytest.mark.parametrize(
    "change",
    [
        {"coding_id": bytes(7)},
        {"width": 0},
        {"height": 65_536},
        {"mode": "CMYK"},
        {"quality": 10_001},
        {"quality": -1},
        {"steps": 16},
    ],
)
def test_illegal_header_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(change.keys())).replace("_", " "))):
        dataclasses.replace(DIGIT, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"lanes_log2": 11},
        {"symbols_crc": 1 << 32},
        {"alpha": None},
        {"alpha": b""},
        {"icc": b""},
        {"exif": b""},
    ],
)
def test_illegal_container_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change.keys()))):
        dataclasses.replace(PHOTO, **change)  # type: ignore[arg-type]
