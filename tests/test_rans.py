"""Laws, golden vectors and hostile input of the entropy coder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import reference_rans as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import draw_values, payload_sections, sections

from edgeae.entropy import lanes, rans
from edgeae.entropy.rans import Decoder, Section, encode, payload_bits
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.errors import ContainerError

LANES_LOG2 = st.sampled_from([0, 5, 6, 10])  # scalar twice, rows of numpy twice

GOLDEN = {
    0: "4cf0fc8fc39eecd71154bbefec7b20bd30f0",
    1: "3140a815da38557e320eadc03fcabcf1a06b6d3b",
    2: "33b0cfd45b8caafe614ebc90fcdfca99b902a0eb1cbc0143f8",
}
# bytes and the head of the SHA-256 of `numbered_section`, written by reference_rans.py
LARGE_GOLDEN = {
    0: (7482, "6318c839cac0733a675df578e4f1392a"),
    5: (7498, "1ac74f1b560ea6ce34fd01b171c20ae1"),
    6: (7515, "aab53ecfadb98635192c19f925b3c8d0"),
    10: (9316, "c2e088684fe4b27039042e7d104c9abb"),
}
GOLDEN_Z = Section(
    np.array([-2, -1, 0, 1, 9, -7], np.int32),
    np.zeros(6, np.uint8),
    ChannelTables((np.array([100, 2000, 1500, 490, 6]),), np.array([-2]), precision=12),
)
GOLDEN_Y = Section(
    np.array([0, 0, 1, -1, 0, 2, -5, 0, 0, 300, 0, -2, 1, 0, 0, 0, -1, 0, 1, 1], np.int32),
    np.ones(20, np.uint8),
    ScaleTables((np.array([2048, 2048]), np.array([3900, 150, 40, 6])), precision=12),
)


@pytest.fixture(autouse=True, scope="module")
def machine(kernel_or_numpy: Any | None) -> Iterator[None]:
    """Everything here holds for numpy alone and for the kernel in C."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "kernel", lambda: kernel_or_numpy)
        yield


def decode(payload: bytes, lanes_log2: int, parts: Sequence[Section]) -> list[list[int]]:
    decoder = Decoder(payload, lanes_log2)
    last = len(parts) - 1
    return [
        decoder.decode(part.indexes, part.tables, last=number == last).tolist()
        for number, part in enumerate(parts)
    ]


def outcome(payload: bytes, lanes_log2: int, parts: Sequence[Section]) -> list[list[int]] | None:
    try:
        return decode(payload, lanes_log2, parts)
    except ContainerError:
        return None


def as_reference(part: Section) -> tuple[list[int], list[reference.Table], int]:
    minimum = part.tables.minimum if isinstance(part.tables, ChannelTables) else None
    tables = [
        (row.tolist(), None if minimum is None else int(minimum[number]))
        for number, row in enumerate(part.tables.frequencies)
    ]
    return part.indexes.tolist(), tables, part.tables.precision


def reference_encode(parts: Sequence[Section], lanes_log2: int) -> bytes:
    return reference.encode(
        [(part.symbols.tolist(), *as_reference(part)) for part in parts], lanes_log2
    )


def reference_outcome(
    payload: bytes, lanes_log2: int, parts: Sequence[Section]
) -> list[list[int]] | None:
    try:
        return reference.decode(payload, lanes_log2, [as_reference(part) for part in parts])
    except reference.PayloadError:
        return None


def laplace_section(size: int, *, seed: int = 1, quiet: float = 0.0) -> Section:
    rng = np.random.default_rng(seed)
    frequencies = []
    for scale in np.geomspace(0.1, 8, 16):
        mass = np.exp(-np.arange(40) / scale)
        row = 1 + np.floor(mass / mass.sum() * (2**14 - 40)).astype(np.int64)
        row[0] += 2**14 - row.sum()
        frequencies.append(row)
    tables = ScaleTables(tuple(frequencies))
    indexes = rng.integers(0, 16, size).astype(np.uint8)
    indexes[rng.random(size) < quiet] = 1
    return Section(draw_values(tables, indexes, seed, 0.0), indexes, tables)


@pytest.mark.parametrize("lanes_log2", GOLDEN)
def test_golden_vectors_of_the_specification(lanes_log2: int) -> None:
    parts = [GOLDEN_Z, GOLDEN_Y]
    values = [part.symbols.tolist() for part in parts]
    golden = bytes.fromhex(GOLDEN[lanes_log2])
    assert reference_encode(parts, lanes_log2) == golden
    assert reference_outcome(golden, lanes_log2, parts) == values
    assert encode(parts, lanes_log2=lanes_log2) == (golden, lanes_log2)
    assert decode(golden, lanes_log2, parts) == values


def numbered_section(tables: ScaleTables | ChannelTables, size: int) -> Section:
    """Symbols and indexes from a linear congruence, which other languages can repeat."""
    state, symbols, indexes = 12345, [], []
    for number in range(size):
        state = (state * 1664525 + 1013904223) % 2**32
        row, slot = number * 7 % len(tables), state >> 18
        value = int(tables.slots[row << 14 | slot])
        if isinstance(tables, ChannelTables):
            value += int(tables.minimum[row])
        if number % 97 == 96:
            value = state >> 17 - number % 3 & 31999
        if state & 2**12:
            value = -value
        symbols.append(value if row or isinstance(tables, ChannelTables) else 0)
        indexes.append(row)
    return Section(np.array(symbols), np.array(indexes), tables)


@pytest.mark.parametrize("lanes_log2", LARGE_GOLDEN)
def test_large_golden_payloads(lanes_log2: int) -> None:
    rows = []
    for number in range(16):
        weights = [20000 * number**i // (number + 1) ** i for i in range(2 + 3 * number)]
        row = [1 + weight * (2**14 - len(weights)) // sum(weights) for weight in weights]
        rows.append(np.array([row[0] + 2**14 - sum(row), *row[1:]]))
    minimum = np.arange(0, -32, -2)
    parts = [
        numbered_section(ChannelTables(tuple(rows), minimum), 1000),
        numbered_section(ScaleTables(tuple(rows)), 5000),
        numbered_section(ScaleTables(tuple(rows)), 6007),
    ]
    payload, _ = encode(parts, lanes_log2=lanes_log2)
    digest = hashlib.sha256(payload).hexdigest()
    assert (len(payload), digest[:32]) == LARGE_GOLDEN[lanes_log2]
    assert decode(payload, lanes_log2, parts) == [part.symbols.tolist() for part in parts]


@settings(deadline=None, max_examples=100)
@given(payload_sections(), LANES_LOG2)
def test_bytes_equal_the_reference(parts: list[Section], lanes_log2: int) -> None:
    payload, _ = encode(parts, lanes_log2=lanes_log2)
    assert payload == reference_encode(parts, lanes_log2)
    values = [part.symbols.tolist() for part in parts]
    assert decode(payload, lanes_log2, parts) == values
    assert reference_outcome(payload, lanes_log2, parts) == values


@settings(deadline=None, max_examples=10)
@given(payload_sections(3000), LANES_LOG2)
def test_bytes_of_several_rows_equal_the_reference(parts: list[Section], lanes_log2: int) -> None:
    assert encode(parts, lanes_log2=lanes_log2)[0] == reference_encode(parts, lanes_log2)


@settings(deadline=None)
@given(payload_sections(3000), st.one_of(st.none(), st.integers(0, 10)))
def test_every_symbol_returns(parts: list[Section], lanes_log2: int | None) -> None:
    payload, used = encode(parts, lanes_log2=lanes_log2)
    assert lanes_log2 in (None, used)
    assert decode(payload, used, parts) == [part.symbols.tolist() for part in parts]


@pytest.mark.parametrize("size", [1, 64 * 64 - 1, 64 * 64 * 3, 64 * 64 * 3 + 65, 200_001])
@pytest.mark.parametrize("lanes_log2", [0, 6, 10])
def test_every_symbol_returns_across_blocks_of_rows(size: int, lanes_log2: int) -> None:
    part = laplace_section(size)
    payload, _ = encode([part], lanes_log2=lanes_log2)
    decoded = Decoder(payload, lanes_log2).decode(part.indexes, part.tables, last=True)
    np.testing.assert_array_equal(decoded, part.symbols)


@pytest.mark.parametrize("lanes_log2", [0, 5, 6, 10])
def test_bytes_of_20_000_symbols_equal_the_reference(lanes_log2: int) -> None:
    part = laplace_section(20_000, seed=2)
    assert encode([part], lanes_log2=lanes_log2)[0] == reference_encode([part], lanes_log2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_any_integer_type_gives_the_same_bytes(dtype: type[np.generic]) -> None:
    part = laplace_section(500)
    symbols = np.abs(part.symbols) & 63
    expected, _ = encode([Section(symbols, part.indexes, part.tables)], lanes_log2=6)
    other = Section(symbols.astype(dtype), part.indexes.astype(dtype), part.tables)
    assert encode([other], lanes_log2=6)[0] == expected
    decoded = Decoder(expected, 6).decode(other.indexes, part.tables, last=True)
    assert decoded.dtype == np.int16
    assert decoded.tolist() == symbols.tolist()


def test_strided_views_are_coded_like_copies() -> None:
    part = laplace_section(600)
    view = Section(part.symbols[::3], part.indexes[::3], part.tables)
    copy = Section(part.symbols[::3].copy(), part.indexes[::3].copy(), part.tables)
    payload, lanes_log2 = encode([view])
    assert encode([copy]) == (payload, lanes_log2)
    assert decode(payload, lanes_log2, [view]) == [view.symbols.tolist()]


@pytest.mark.parametrize("lanes_log2", [0, 6])
def test_nothing_to_code_costs_only_the_lanes(lanes_log2: int) -> None:
    empty = Section(np.empty(0, np.int32), np.empty(0, np.uint8), GOLDEN_Y.tables)
    silent = Section(np.zeros(9, np.int32), np.zeros(9, np.uint8), GOLDEN_Y.tables)
    for parts in ([empty], [silent, empty], [empty, silent]):
        payload, _ = encode(parts, lanes_log2=lanes_log2)
        assert payload == bytes(
            (2 << lanes_log2) + (1 + (4 << lanes_log2)) // 2 // 4 + (lanes_log2 == 0)
        )
        assert decode(payload, lanes_log2, parts) == [part.symbols.tolist() for part in parts]


def test_sign_bits_seed_the_lanes_of_the_last_section_only() -> None:
    part = laplace_section(40_000)
    ideal = part.tables.cost_bits(part.symbols, part.indexes).sum() / 8
    empty = Section(np.empty(0, np.int32), np.empty(0, np.uint8), part.tables)
    seeded = len(encode([part], lanes_log2=10)[0])
    unseeded = len(encode([part, empty], lanes_log2=10)[0])
    assert seeded < ideal + 0.55 * 1024
    assert 1.85 * 1024 < unseeded - seeded <= 2 * 1024  # half a bit a lane comes back as state


@pytest.mark.parametrize("size", [100, 1000, 10_000, 100_000, 400_000])
@pytest.mark.parametrize("quiet", [0.4, 0.6, 0.75])
def test_size_is_within_half_a_percent_and_16_bytes_of_the_ideal(size: int, quiet: float) -> None:
    part = laplace_section(size, quiet=quiet)
    ideal_bits = part.tables.cost_bits(part.symbols, part.indexes).sum()
    assert 0.5 * size <= ideal_bits <= 1.8 * size
    assert len(encode([part])[0]) <= 1.005 * ideal_bits / 8 + 16


@pytest.mark.parametrize("size", [35_000, 60_000, 500_000])  # just enough for one more lane bit
def test_size_is_within_0_6_percent_where_every_symbol_is_expensive(size: int) -> None:
    part = laplace_section(size)
    ideal_bits = part.tables.cost_bits(part.symbols, part.indexes).sum()
    assert ideal_bits >= 2 * size
    assert len(encode([part])[0]) <= 1.006 * ideal_bits / 8 + 16


@settings(deadline=None)
@given(payload_sections())
def test_size_is_within_a_lane_of_the_ideal(parts: list[Section]) -> None:
    ideal_bits = sum(
        float(part.tables.cost_bits(part.symbols, part.indexes).sum()) for part in parts
    )
    payload, lanes_log2 = encode(parts)
    assert lanes_log2 == 0
    assert ideal_bits / 8 - 2 <= len(payload) <= 1.002 * ideal_bits / 8 + 5


@pytest.mark.parametrize(
    ("symbols", "lanes"), [(0, 1), (20_000, 1), (40_000, 64), (80_000, 128), (700_000, 1024)]
)
def test_lanes_grow_with_the_payload(symbols: int, lanes: int) -> None:
    assert 1 << encode([laplace_section(symbols)])[1] == lanes


@pytest.mark.parametrize("lanes_log2", GOLDEN)
def test_every_truncation_of_the_golden_vectors_raises(lanes_log2: int) -> None:
    golden = bytes.fromhex(GOLDEN[lanes_log2])
    for size in range(len(golden)):
        with pytest.raises(ContainerError, match="the file is"):
            decode(golden[:size], lanes_log2, [GOLDEN_Z, GOLDEN_Y])
        with pytest.raises(ContainerError, match="the file is"):
            decode(golden + bytes(size + 1), lanes_log2, [GOLDEN_Z, GOLDEN_Y])


@settings(deadline=None, max_examples=60)
@given(payload_sections(100), st.sampled_from([5, 6, 10]), st.data())
def test_truncation_and_extension_raise(
    parts: list[Section], lanes_log2: int, data: st.DataObject
) -> None:
    payload, _ = encode(parts, lanes_log2=lanes_log2)
    cut = data.draw(st.integers(0, len(payload) - 1))
    more = data.draw(st.binary(min_size=1, max_size=40))
    for changed in (payload[:cut], payload[:-1], payload[1:], payload + more, more + payload):
        with pytest.raises(ContainerError, match="the file is"):
            decode(changed, lanes_log2, parts)


def test_a_single_lane_finds_nearly_all_truncations() -> None:
    # four bits of a lane's end are redundant: the rest is for the container's length and checksums
    part = laplace_section(300)
    payload, _ = encode([part], lanes_log2=0)
    accepted = [outcome(payload[:size], 0, [part]) is not None for size in range(len(payload))]
    assert sum(accepted) <= 2


@settings(deadline=None, max_examples=100)
@given(payload_sections(60), st.sampled_from([0, 1, 5, 6]), st.data())
def test_damaged_payloads_decode_as_in_the_reference(
    parts: list[Section], lanes_log2: int, data: st.DataObject
) -> None:
    payload = bytearray(encode(parts, lanes_log2=lanes_log2)[0])
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([0, 0, 1, 2]))
    changed = bytes(payload[: len(payload) - cut])
    assert outcome(changed, lanes_log2, parts) == reference_outcome(changed, lanes_log2, parts)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=400), st.integers(-1, 16), payload_sections(60))
def test_random_bytes_raise_only_container_errors(
    payload: bytes, lanes_log2: int, parts: list[Section]
) -> None:
    outcome(payload, lanes_log2, parts)


@pytest.mark.parametrize("lanes_log2", [0, 6, 10])
@pytest.mark.parametrize("size", [5, 4100])
def test_five_million_symbols_of_few_bytes_fail_fast(lanes_log2: int, size: int) -> None:
    part = laplace_section(16)
    indexes = np.full(5_000_000, 15, np.uint8)
    payload = np.random.default_rng(3).bytes(size)
    start = time.process_time()
    with pytest.raises(ContainerError, match="the file is"):
        Decoder(payload, lanes_log2).decode(indexes, part.tables, last=True)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("section", "limit"), [(GOLDEN_Y, 32767), (GOLDEN_Z, 32000)], ids=["scale", "channel"]
)
def test_escapes_beyond_the_limit_raise(section: Section, limit: int) -> None:
    for value in (limit, -limit):
        part = Section(np.array([value], np.int32), section.indexes[:1], section.tables)
        assert decode(encode([part])[0], 0, [part]) == [[value]]
        beyond = Section(part.symbols + np.sign(value), part.indexes, part.tables)
        payload = reference_encode([beyond], 0)
        with pytest.raises(ContainerError, match=f"{limit + 1}, beyond"):
            decode(payload, 0, [beyond])
        with pytest.raises(ValueError, match=f"beyond .*{limit}"):
            encode([beyond])


def test_bits_that_no_encoder_sets_raise() -> None:
    part = Section(np.ones(3, np.int32), np.ones(3, np.uint8), GOLDEN_Y.tables)
    payload, _ = encode([part], lanes_log2=5)
    high_halves_only = bytes(64) + bytes(16)
    silent = Section(np.zeros(4, np.int32), np.zeros(4, np.uint8), GOLDEN_Y.tables)
    assert decode(high_halves_only, 5, [silent]) == [[0, 0, 0, 0]]
    for position in range(64):
        seeded = bytearray(high_halves_only)
        seeded[position] = 1
        with pytest.raises(ContainerError, match="do not end as encoders"):
            decode(bytes(seeded), 5, [silent])
    assert decode(payload, 5, [part]) == [[1, 1, 1]]
    with pytest.raises(ContainerError, match="do not end as encoders"):
        decode(bytes([0, 0, 1]), 0, [silent])


def test_words_and_bits_must_not_overlap() -> None:
    silent = Section(np.zeros(1, np.int32), np.zeros(1, np.uint8), GOLDEN_Y.tables)
    with pytest.raises(ContainerError, match="take 3 bytes, 2 are there"):
        decode(bytes(2), 0, [silent])
    with pytest.raises(ContainerError, match="take 3 bytes, 4 are there"):
        decode(bytes(4), 0, [silent])


def test_messages_tell_how_much_is_missing() -> None:
    with pytest.raises(ContainerError, match="64 lanes need 128 bytes, 5 are there"):
        Decoder(bytes(5), 6)
    with pytest.raises(ContainerError, match=r"2\*\*11 lanes"):
        Decoder(bytes(10_000), 11)
    with pytest.raises(ContainerError, match="needs 60 more bits"):
        Decoder(b"\xff" * 8, 2)
    for lanes_log2, size in ((0, 4), (6, 170)):
        with pytest.raises(ContainerError, match=f"all {size // 2} words read"):
            Decoder(bytes(size), lanes_log2).decode(
                np.full(50_000, 15, np.uint8), laplace_section(1).tables, last=True
            )


@pytest.mark.parametrize(
    ("symbols", "indexes", "message"),
    [
        (np.array([1]), np.array([0]), "index 0 stands for symbol 0"),
        (np.array([0, 5, 0]), np.array([1, 0, 0]), "index 0 stands for symbol 0"),
        (np.array([1]), np.array([2]), "outside the 2 rows"),
        (np.array([1]), np.array([-1]), "outside the 2 rows"),
        (np.array([1, 2]), np.array([1]), "indexes' shape"),
        (np.array([[1]]), np.array([[1]]), r"must be \(n,\) integers"),
        (np.array([1.0]), np.array([1]), "must be integers"),
        (np.array([1]), np.array([1.0]), r"must be \(n,\) integers"),
        (np.array([2**40]), np.array([1]), "is beyond"),
        (np.array([-(2**63)]), np.array([1]), "is beyond"),
    ],
)
def test_what_cannot_be_coded_raises_value_error(
    symbols: np.ndarray, indexes: np.ndarray, message: str
) -> None:
    part = Section(symbols, indexes, GOLDEN_Y.tables)
    with pytest.raises(ValueError, match=message):
        encode([part])
    with pytest.raises(ValueError, match=message):
        part.tables.cost_bits(symbols, indexes)


def test_arguments_of_encode_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one"):
        encode([])
    for lanes_log2 in (-1, 11):
        with pytest.raises(ValueError, match=r"not in 0\.\.10"):
            encode([GOLDEN_Z], lanes_log2=lanes_log2)


def test_decoder_checks_indexes_and_ends_with_the_last_section() -> None:
    payload, _ = encode([GOLDEN_Z], lanes_log2=0)
    with pytest.raises(ValueError, match="outside the 1 rows"):
        Decoder(payload, 0).decode(np.array([1]), GOLDEN_Z.tables, last=True)
    decoder = Decoder(payload, 0)
    decoder.decode(GOLDEN_Z.indexes, GOLDEN_Z.tables, last=True)
    with pytest.raises(ValueError, match="decoded already"):
        decoder.decode(GOLDEN_Z.indexes, GOLDEN_Z.tables, last=True)


@settings(deadline=None)
@given(sections(), st.integers(0, 10))
def test_inputs_are_left_as_they_were(part: Section, lanes_log2: int) -> None:
    symbols, indexes = part.symbols.copy(), part.indexes.copy()
    part.symbols.setflags(write=False)
    part.indexes.setflags(write=False)
    payload, _ = encode([part], lanes_log2=lanes_log2)
    assert decode(payload, lanes_log2, [part]) == [symbols.tolist()]
    np.testing.assert_array_equal(part.indexes, indexes)


def test_cost_of_lanes_without_seeds_is_foreseen() -> None:
    tables = ScaleTables((np.array([8192, 8192]), np.array([16370, 8, 6])))
    for ones in (0, 500, 5000):  # each has a sign, and lanes take 16 of these
        symbols = np.zeros(600_000, np.int32)
        symbols[:ones] = 1
        part = Section(symbols, np.ones(symbols.size, np.uint8), tables)
        payload, lanes_log2 = encode([part])
        assert lanes_log2 == 8
        assert payload_bits([part]) == pytest.approx(8 * len(payload), rel=0.05)


@pytest.mark.parametrize("lanes_log2", [0, 6, 10, None])
def test_blocks_of_symbols_change_no_byte(
    lanes_log2: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = [laplace_section(size, seed=size) for size in (3000, 0, 5123)]
    whole = encode(sections, lanes_log2=lanes_log2)
    monkeypatch.setattr(rans, "BLOCK", 1024)
    assert encode(sections, lanes_log2=whole[1]) == whole
    decoder = Decoder(*whole)
    for number, section in enumerate(sections, 1):
        found = decoder.decode(section.indexes, section.tables, last=number == len(sections))
        np.testing.assert_array_equal(found, section.symbols)
    if lanes_log2 is None:
        assert payload_bits(sections) == pytest.approx(8 * len(whole[0]), rel=0.02)
        monkeypatch.setattr(rans, "SYMBOLS_PER_LANE", 1)  # as many as very large pictures have
        many, lanes = encode(sections)
        assert lanes == rans.MAX_LANES_LOG2
        found = Decoder(many, lanes).decode(sections[0].indexes, sections[0].tables, last=False)
        np.testing.assert_array_equal(found, sections[0].symbols)
