from __future__ import annotations

import dataclasses
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.latents import NO_HYPER_LATENTS, Latents, round_quality, symbols_crc

SYMBOLS = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
LATENTS = Latents(
    symbols=SYMBOLS,
    z=np.array([[[-3]]], np.int16),
    width=5,
    height=4,
    mode="LA",
    quality=50.25,
    coding_id=bytes(range(8)),
    alpha=np.zeros((4, 5), np.uint8),
)


@given(st.integers(0, 10_000))
def test_every_hundredth_is_kept(hundredths: int) -> None:
    quality = hundredths / 100
    assert round_quality(quality) == quality
    assert dataclasses.replace(LATENTS, quality=quality).quality_hundredths == hundredths


@given(st.floats(0, 100))
def test_rounded_quality_is_the_nearest_and_stays(quality: float) -> None:
    rounded = round_quality(quality)
    assert abs(rounded - quality) <= 0.005 + 1e-9
    assert round_quality(rounded) == rounded


@pytest.mark.parametrize("quality", [-0.01, 100.01, math.nan, math.inf])
def test_quality_off_the_scale_raises(quality: float) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.100"):
        round_quality(quality)


def test_checksum_is_over_z_then_symbols_as_little_endian_int16() -> None:
    z = np.array([[[258, -1]]], np.int16)
    symbols = np.array([[[3], [-32_767]]], np.int16)
    assert symbols_crc(z, symbols) == zlib.crc32(bytes.fromhex("0201 ffff 0300 0180"))
    assert symbols_crc(NO_HYPER_LATENTS, symbols) == zlib.crc32(bytes.fromhex("0300 0180"))


def test_checksum_does_not_depend_on_memory_layout() -> None:
    assert symbols_crc(LATENTS.z, np.asfortranarray(SYMBOLS)) == LATENTS.crc
    assert symbols_crc(LATENTS.z, SYMBOLS.astype(">i2")) == LATENTS.crc


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbols": SYMBOLS.astype(np.int32)}, "symbols is int32"),
        ({"symbols": SYMBOLS[0]}, r"symbols is int16 \(3, 4\)"),
        ({"symbols": SYMBOLS[:, :0]}, "must not be empty"),
        ({"symbols": np.full((1, 1, 1), -32_768, np.int16)}, r"-32768..0, beyond \+-32767"),
        ({"z": np.full((1, 1, 1), 32_001, np.int16)}, r"0..32001, beyond \+-32000"),
        ({"z": SYMBOLS[:, :0]}, r"z \(2, 0, 4\) is empty but not \(0, 0, 0\)"),
        ({"quality": 50.255}, "quality 50.255 is not a multiple of 0.01"),
        ({"width": 0, "alpha": None, "mode": "L"}, "width 0 is outside"),
        ({"alpha": None}, "mode LA and no alpha plane contradict"),
        ({"mode": "RGB"}, "mode RGB and an alpha plane contradict"),
        ({"alpha": np.zeros((5, 4), np.uint8)}, r"alpha is uint8 \(5, 4\), not uint8 \(4, 5\)"),
        ({"alpha": np.zeros((4, 5))}, "alpha is float64"),
        ({"icc": b""}, "icc and exif"),
        ({"exif": b""}, "icc and exif"),
    ],
)
def test_illegal_latents_cannot_be_made(change: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        dataclasses.replace(LATENTS, **change)  # type: ignore[arg-type]
