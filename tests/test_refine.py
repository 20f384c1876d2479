from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeae.benchmark.leaves import leaves
from edgeae.codec import Codec
from edgeae.images.picture import picture_from_array
from edgeae.inputs import Label
from edgeae.metrics import psnr_db
from edgeae.transforms import Transforms


@pytest.fixture(scope="module")
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


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


def test_highest_effort_is_the_same_each_time_and_for_any_threads(
    codec: Codec, tiny_bundle: Path, photo: NDArray[np.uint8]
) -> None:
    once = codec.compress(photo, 0, effort=2)
    assert codec.compress(photo, 0, effort=2) == once
    assert Codec.load(tiny_bundle, threads=2).compress(photo, 0, effort=2) == once
    assert once != codec.compress(photo, 0, effort=1)


def test_each_round_brings_quality(codec: Codec, photo: NDArray[np.uint8]) -> None:
    none, one, two = (
        psnr_db(photo, codec.decompress(codec.compress(photo, 0, effort=effort)))
        for effort in (0, 1, 2)
    )
    assert two > one > none + 0.1


def test_what_is_analysed_again_has_been_corrected(
    correcting: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = leaves(200, 150)
    seen: list[NDArray[np.uint8]] = []
    reanalyse = Transforms.reanalyse

    def spy(self: Transforms, samples: NDArray[np.uint8], label: Label) -> NDArray[np.float32]:
        seen.append(samples)
        return reanalyse(self, samples, label)

    monkeypatch.setattr(Transforms, "reanalyse", spy)
    found = correcting.encode(picture, 0)
    rounded_once = correcting.encode(picture, 0, effort=0)
    once = correcting.decode_array(replace(rounded_once, correction=found.correction))
    assert found.correction is not None
    np.testing.assert_array_equal(seen[0], once)
    assert (found.symbols != rounded_once.symbols).any()


def test_round_that_takes_more_and_lacks_more_is_undone(
    codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = codec.encode(photo, 50, effort=0)
    (y,) = codec._transforms.analyse([picture_from_array(photo)])
    gains = codec._prior.gains(np.asarray(50, np.float32))[:, np.newaxis, np.newaxis]
    lacks = iter((1.0, 2.0))

    def away(self: Transforms, samples: NDArray[np.uint8], label: Label) -> NDArray[np.float32]:
        farther: NDArray[np.float32] = y - np.float32(next(lacks)) / gains
        return farther

    monkeypatch.setattr(Transforms, "reanalyse", away)
    again = codec.encode(photo, 50, effort=2)
    np.testing.assert_array_equal(again.symbols, first.symbols)
    assert next(lacks, None) is None


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
