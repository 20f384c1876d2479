from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeae.codec import Codec
from edgeae.entropy.rans import Section
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.masks import gather
from edgeae.metrics import psnr_db
from edgeae.priors import Coded
from edgeae.refine import refined

ROWS = ScaleTables(
    (np.array([16383, 1]), np.array([16000, 300, 84]), np.array([9000, 6000, 1200, 184]))
)
HYPER = ChannelTables((np.array([8000, 6000, 2384]),) * 2, np.array([-1, -1], np.int16))
MASKS = np.stack([np.eye(2, dtype=bool)[np.newaxis], ~np.eye(2, dtype=bool)[np.newaxis]])
SHAPE = (1, 8, 12)  # latents; two channels of (2, 3) hyper-latents, each above 4 x 4 of them


@pytest.fixture(scope="module")
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


def made(symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
    """Latents of mean 0 whose table row is 1 where the mean of z above is even, else 2."""
    rows = np.kron(z.sum(axis=0, keepdims=True) % 2 + 1, np.ones((4, 4))).astype(np.uint8)
    channels = np.repeat(np.arange(2, dtype=np.uint8), z[0].size)
    hyper = Section(z.reshape(-1), channels, HYPER)
    steps = (Section(gather(symbols, mask), gather(rows, mask), ROWS) for mask in MASKS)
    return Coded(symbols, z, symbols.astype(np.float32), (hyper, *steps))


def drawn(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """A target, half of it quiet, and hyper-latents."""
    random = np.random.default_rng(seed)
    target = random.laplace(0, 0.8, SHAPE).astype(np.float32)
    target[:, :, :6] *= 0.1
    return target, random.integers(-1, 2, (2, 2, 3)).astype(np.int16)


def test_rounds_come_nearer_to_what_the_picture_wants() -> None:
    wanted, z = drawn(2)
    first = made(np.zeros(SHAPE, np.int16), z)

    def round_to(target: NDArray[np.float32]) -> Coded:
        return made(np.rint(target).astype(np.int16), z)

    found = refined(first, lambda y_hat: 0.8 * (wanted - y_hat), round_to)
    assert np.abs(wanted - found.y_hat).max() < 0.7
    assert found.bits > first.bits


def test_round_that_takes_more_and_lacks_more_is_undone() -> None:
    target, z = drawn(3)
    first = made(np.rint(target).astype(np.int16), z)

    def missing(y_hat: NDArray[np.float32]) -> NDArray[np.float32]:
        return y_hat + np.float32(1)  # pushes away: no transpose of any synthesis

    def round_to(pushed: NDArray[np.float32]) -> Coded:
        return made(np.rint(pushed).astype(np.int16), z)

    assert refined(first, missing, round_to) is first


@pytest.mark.parametrize("effort", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (65, 20, 3), (30, 30, 4)])
def test_files_of_every_effort_decode_to_the_symbols_that_were_coded(
    codec: Codec, effort: int, shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    encoding = replace(codec.reach(pixels, 40.0, effort=effort), colours=None)
    decoded = codec.from_bytes(codec.file_of(encoding))
    np.testing.assert_array_equal(decoded.symbols, encoding.latents.symbols)
    np.testing.assert_array_equal(decoded.z, encoding.latents.z)
    restored = codec.decode(encoding.latents)
    np.testing.assert_array_equal(
        codec.decompress_picture(codec.file_of(encoding)).pixels, restored.pixels
    )
    for section in encoding.coded.sections[1:]:
        assert not section.symbols[section.indexes == 0].any()


def test_highest_effort_is_the_same_each_time_and_for_any_threads(
    codec: Codec, tiny_bundle: Path, photo: NDArray[np.uint8]
) -> None:
    once = codec.compress(photo, 0, effort=2)
    assert codec.compress(photo, 0, effort=2) == once
    assert Codec.load(tiny_bundle, threads=2).compress(photo, 0, effort=2) == once
    assert once != codec.compress(photo, 0, effort=1)


def test_highest_effort_brings_quality(codec: Codec, photo: NDArray[np.uint8]) -> None:
    lower, higher = (
        psnr_db(photo, codec.decompress(codec.compress(photo, 0, effort=effort)))
        for effort in (1, 2)
    )
    assert higher > lower + 0.1


@pytest.mark.parametrize("effort", [-1, 3])
def test_other_efforts_are_a_value_error(
    codec: Codec, photo: NDArray[np.uint8], effort: int
) -> None:
    with pytest.raises(ValueError, match="effort"):
        codec.compress(photo, effort=effort)


def test_a_plain_autoencoder_rounds_alike_at_every_effort(
    plain_bundle: Path, photo: NDArray[np.uint8]
) -> None:
    plain = Codec.load(plain_bundle, threads=1)
    assert len({plain.compress(photo, effort=effort) for effort in (0, 1, 2)}) == 1
