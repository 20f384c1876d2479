from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from edgeae.bundle import INT8, Bundle
from edgeae.codec import Codec
from edgeae.errors import BundleError
from edgeae.known_answer import known_picture, symbols_sha256
from edgeae.known_file import (
    KNOWN_FILE,
    Comparison,
    KnownFile,
    compare,
    known_input,
    make_known_file,
    read_known_file,
)
from edgeae.manifest import Manifest

SAME = Comparison(
    symbols_sha256="0" * 64,
    exact=True,
    levels=2.0,
    psnr_db=60.0,
    other_symbols=10,
    far_symbols=5,
    symbols=1000,
    decoder_precision="fp32",
    encoder_precision="fp32",
)


@pytest.fixture
def known(tiny_bundle: Path) -> KnownFile:
    found = read_known_file(Bundle.load(tiny_bundle))
    assert found is not None
    return found


def test_known_picture_is_this_one_on_every_machine() -> None:
    picture = known_picture(60, 100, 3)
    assert picture.shape == (60, 100, 3)
    assert picture[0, :3].tolist() == [[255, 195, 135], [250, 190, 130], [245, 185, 125]]
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    assert digest.startswith("3e15565b09e3f5d0")


def test_symbols_hash_tells_shapes_and_values_apart() -> None:
    z, symbols = np.zeros((1, 2, 3), np.int16), np.zeros((1, 4, 6), np.int16)
    other = symbols.copy()
    other[0, 3, 5] = -1
    hashes = {
        symbols_sha256(z, symbols),
        symbols_sha256(z.reshape(1, 3, 2), symbols),
        symbols_sha256(z, other),
    }
    assert len(hashes) == 3


def test_stored_file_of_the_fixture_bundle_is_met(tiny_bundle: Path, known: KnownFile) -> None:
    comparison = compare(Codec.load(tiny_bundle, threads=1), known)
    assert comparison.exact
    assert comparison.complaints() == []


def test_known_file_of_a_plain_bundle_is_made_and_met(plain_bundle: Path) -> None:
    codec = Codec.load(plain_bundle)
    made = make_known_file(codec)
    assert compare(codec, made).complaints() == []


def test_arrays_and_grey_pictures_are_made_as_the_bundle_takes_them(tiny_bundle: Path) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    plain = {"hyper_stride": 0, "hyper_channels": 0, "known_answer": None}
    fixed = {**plain, "latent_size": (2, 3)}

    def of(**changes: object) -> Manifest:
        return dataclasses.replace(manifest, **changes)  # type: ignore[arg-type]  # each has its own

    assert known_input(of(input="grey", size=(28, 24), **fixed)).shape == (28, 24)
    array = known_input(of(input="array", shape=(2, 5), **fixed))
    assert (array.shape, array.dtype) == ((2, 5), np.float32)
    assert known_input(manifest, (8, 9)).shape == (8, 9, 3)


def test_departures_from_the_stored_file_are_seen(tiny_bundle: Path, known: KnownFile) -> None:
    codec = Codec.load(tiny_bundle)
    pixels = known.pixels.copy()
    pixels[0, 0, 0] = pixels[0, 0, 0] + 3 if pixels[0, 0, 0] < 128 else pixels[0, 0, 0] - 3
    changed = KnownFile(codec.compress(known.pixels, 90), "0" * 64, pixels)
    comparison = compare(codec, changed)
    assert not comparison.exact
    assert len(comparison.complaints()) == 3
    assert compare(codec, dataclasses.replace(known, pixels=pixels)).levels == 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, None),
        ({"exact": False}, "other symbols come out"),
        ({"levels": 2.5}, r"2\.5 levels off, at most 2"),
        ({"levels": float("nan")}, "levels off"),
        ({"levels": 20.0, "decoder_precision": INT8}, None),
        ({"psnr_db": 24.0, "decoder_precision": INT8}, r"24\.0 dB off"),
        ({"other_symbols": 11}, "11 of 1000 other symbols, at most 10"),
        ({"other_symbols": 200, "encoder_precision": INT8}, None),
        ({"far_symbols": 11, "encoder_precision": INT8}, "11 of 1000 .*by more than a step"),
    ],
)
def test_bounds(changes: dict[str, object], complaint: str | None) -> None:
    found = dataclasses.replace(SAME, **changes).complaints()  # type: ignore[arg-type]
    assert len(found) == (complaint is not None)
    assert complaint is None or re.search(complaint, found[0])


def test_bundle_without_a_known_file_has_none(plain_bundle: Path) -> None:
    assert read_known_file(Bundle.load(plain_bundle)) is None


@pytest.mark.parametrize("data", [b"", b"PK", bytes(1000)])
def test_bytes_that_are_no_known_file_are_a_bundle_error(data: bytes) -> None:
    with pytest.raises(BundleError, match=KNOWN_FILE):
        KnownFile.from_bytes(data)
