"""docs/FORMAT.md against the code: its example, and the decoder printed in it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_rans
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeae.container import HEADER_BYTES_MAX, MAX_PIXELS, Container, Header, read_header
from edgeae.entropy.rans import Decoder, Section, encode
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.errors import ContainerError
from edgeae.latents import Latents, symbols_crc
from edgeae.masks import gather, scatter
from edgeae.npy import latents_to_npy
from edgeae.planes import decode_plane, encode_plane

TEXT = (Path(__file__).parent.parent / "docs" / "FORMAT.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the one fenced block of this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def array(name: str, dtype: type[np.generic]) -> NDArray[Any]:
    return np.array(EXAMPLE[name], dtype)


EXAMPLE: dict[str, Any] = json.loads(block("json"))
FILE = bytes.fromhex("".join(line[4:] for line in block("hexdump").splitlines()))
PRINTED: dict[str, Any] = {}
exec(
    compile(block("python"), "docs/FORMAT.md", "exec"), PRINTED
)  # the document is part of the code

MASKS, INDEX = array("masks", np.bool_), array("index", np.uint8)
Z, SYMBOLS, ALPHA = array("z", np.int16), array("symbols", np.int16), array("alpha", np.uint8)
HEADER = Header(
    coding_id=bytes.fromhex(EXAMPLE["coding_id"]),
    width=EXAMPLE["width"],
    height=EXAMPLE["height"],
    mode=EXAMPLE["mode"],
    quality=round(100 * EXAMPLE["quality"]),
    steps=len(MASKS),
)
CHANNEL_TABLES = ChannelTables(
    tuple(np.array(row) for row in EXAMPLE["channel_tables"]["frequencies"]),
    np.array(EXAMPLE["channel_tables"]["minimum"]),
)
SCALE_TABLES = ScaleTables(tuple(np.array(row) for row in EXAMPLE["scale_tables"]["frequencies"]))


def test_hex_dump_is_numbered() -> None:
    lines = block("hexdump").splitlines()
    assert [int(line[:4], 16) for line in lines] == list(range(0, len(FILE), 16))
    assert f"The file has {len(FILE)} bytes" in TEXT


def test_example_decodes_to_the_printed_picture() -> None:
    container = Container.from_bytes(FILE)
    assert container.header == HEADER
    decoder = Decoder(container.latents, container.lanes_log2)
    z = decoder.decode(np.zeros(Z.size, np.uint8), CHANNEL_TABLES, last=False)
    symbols = np.zeros_like(SYMBOLS)
    for step, mask in enumerate(MASKS):
        last = step == len(MASKS) - 1
        scatter(symbols, mask, decoder.decode(gather(INDEX, mask), SCALE_TABLES, last=last))
    np.testing.assert_array_equal(z.reshape(Z.shape), Z)
    np.testing.assert_array_equal(symbols, SYMBOLS)
    assert symbols_crc(Z, symbols) == container.symbols_crc
    assert container.alpha is not None
    np.testing.assert_array_equal(decode_plane(container.alpha, *ALPHA.shape, "alpha"), ALPHA)


def test_printed_decoder_decodes_the_example() -> None:
    payload = PRINTED["Payload"](Container.from_bytes(FILE).latents, 0)
    channel = list(zip(*EXAMPLE["channel_tables"].values(), strict=True))
    scale = [(row, None) for row in EXAMPLE["scale_tables"]["frequencies"]]
    assert payload.section([0], channel, False) == Z.ravel().tolist()
    for step, mask in enumerate(MASKS):
        places = [  # the order of section 6.2, without the code under test
            (c, i, j)
            for c in range(SYMBOLS.shape[0])
            for row_phase in range(2)
            for column_phase in range(2)
            for i in range(row_phase, SYMBOLS.shape[1], 2)
            for j in range(column_phase, SYMBOLS.shape[2], 2)
            if mask[c, i % 2, j % 2]
        ]
        rows = [int(INDEX[place]) for place in places]
        expected = [int(SYMBOLS[place]) for place in places]
        assert payload.section(rows, scale, step == len(MASKS) - 1) == expected


def test_example_is_what_the_code_writes() -> None:
    sections = [
        Section(Z.ravel().astype(np.int32), np.zeros(Z.size, np.uint8), CHANNEL_TABLES),
        *(
            Section(gather(SYMBOLS, mask).astype(np.int32), gather(INDEX, mask), SCALE_TABLES)
            for mask in MASKS
        ),
    ]
    payload, lanes_log2 = encode(sections)
    alpha = Container.from_bytes(FILE).alpha  # zlib may deflate otherwise elsewhere
    container = Container(
        header=HEADER,
        latents=payload,
        lanes_log2=lanes_log2,
        symbols_crc=symbols_crc(Z, SYMBOLS),
        alpha=alpha,
    )
    assert container.to_bytes() == FILE
    np.testing.assert_array_equal(decode_plane(encode_plane(ALPHA), *ALPHA.shape, "alpha"), ALPHA)


def test_table_of_the_example_covers_the_file() -> None:
    rows = re.findall(r"^\| (\d+) \| `([0-9a-f ]+)` \|", TEXT, re.MULTILINE)
    parts = [bytes.fromhex(text) for _, text in rows]
    assert b"".join(parts) == FILE
    offsets = np.cumsum([0, *map(len, parts)])
    assert [int(offset) for offset, _ in rows] == offsets[:-1].tolist()


def test_every_prefix_and_flipped_bit_of_the_example_is_an_error() -> None:
    for end in range(len(FILE)):
        with pytest.raises(ContainerError):
            Container.from_bytes(FILE[:end])
    for position in range(8 * len(FILE)):
        damaged = bytearray(FILE)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(ContainerError):
            Container.from_bytes(bytes(damaged))


Rows = list[reference_rans.Table]
CHANNEL_ROWS: Rows = [([100, 2000, 1500, 490, 6], -2), ([2000, 2096], 3)]
SCALE_ROWS: Rows = [([4094, 1, 1], None), ([3900, 150, 40, 6], None), ([1000, 3096], None)]


@st.composite
def payloads(draw: st.DrawFn) -> tuple[bytes, int, list[Any]]:
    sections = []
    for _ in range(draw(st.integers(1, 4))):
        tables = draw(st.sampled_from([CHANNEL_ROWS, SCALE_ROWS]))
        limit = 32_000 if tables is CHANNEL_ROWS else 32_767
        rows = draw(st.lists(st.integers(0, len(tables) - 1), max_size=30))
        value = st.integers(-3, 3) | st.integers(-limit, limit)
        free = [row > 0 or tables is CHANNEL_ROWS for row in rows]
        values = [draw(value) if free_row else 0 for free_row in free]
        sections.append((values, rows, tables, 12))
    h = draw(st.integers(0, 3))
    return reference_rans.encode(sections, h), h, sections


@given(payloads())
def test_printed_decoder_decodes_what_the_reference_encodes(
    coded: tuple[bytes, int, list[Any]],
) -> None:
    data, h, sections = coded
    payload = PRINTED["Payload"](data, h, k=12)
    for number, (values, rows, tables, _) in enumerate(sections):
        assert payload.section(rows, tables, number == len(sections) - 1) == values


@given(payloads(), st.data())
def test_printed_decoder_finds_no_message_in_truncated_payloads(
    coded: tuple[bytes, int, list[Any]], data: st.DataObject
) -> None:
    whole, h, sections = coded
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    # One in thousands happens to be a payload of other values: that is what the CRC-16 is for.
    with suppress(PRINTED["FormatError"]):
        assert read_all(cut, h, sections) != [values for values, *_ in sections]


def test_printed_decoder_refuses_nearly_all_truncated_payloads() -> None:
    random = np.random.default_rng(2)
    refused = 0
    for _ in range(1000):
        rows = random.integers(0, 2, 12).tolist()
        values = random.integers(-4, 5, 12).tolist()
        sections = [(values, rows, CHANNEL_ROWS, 12)]
        whole = reference_rans.encode(sections, 0)
        try:
            read_all(whole[: random.integers(0, len(whole))], 0, sections)
        except PRINTED["FormatError"]:
            refused += 1
    assert refused >= 998


def read_all(data: bytes, h: int, sections: list[Any]) -> list[list[int]]:
    payload = PRINTED["Payload"](data, h, k=12)
    return [
        payload.section(rows, tables, number == len(sections) - 1)
        for number, (_, rows, tables, _) in enumerate(sections)
    ]


def test_npy_fields_are_those_of_the_document() -> None:
    section = TEXT.split("## 9. `.npy`")[1].split("## 10.")[0]
    documented = [
        name
        for cell in re.findall(r"^\| (`[a-z_`, ]+`) \|", section, re.MULTILINE)
        for name in re.findall(r"[a-z_]+", cell)
    ]
    data = latents_to_npy(
        Latents(
            symbols=SYMBOLS,
            z=Z,
            width=3,
            height=2,
            mode="LA",
            quality=50.25,
            coding_id=HEADER.coding_id,
            alpha=ALPHA,
            icc=b"i",
            exif=b"e",
            correction=np.eye(1, 12, dtype=np.int8),
        )
    )
    assert re.findall(r"\('([a-z_]+)'", data[10:].split(b"\n")[0].decode()) == documented


def test_numbers_of_the_document_are_those_of_the_code() -> None:
    assert f"The longest header has {HEADER_BYTES_MAX} bytes" in TEXT
    assert f"{MAX_PIXELS:,} pixels".replace(",", " ") in TEXT
    assert read_header(FILE[:HEADER_BYTES_MAX]) == HEADER
