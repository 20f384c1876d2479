"""A picture as integers: what the networks make of it, before entropy coding and after decoding."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeae.container import ALPHA_MODES, Header
from edgeae.correction import check_weights

SYMBOL_MAX = 32_767  # magnitude that escapes of scale tables reach
HYPER_LATENT_MAX = 32_000  # magnitude that escapes of channel tables reach

NO_HYPER_LATENTS: NDArray[np.int16] = np.zeros((0, 0, 0), np.int16)
NO_HYPER_LATENTS.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Latents:
    """Everything a decoder needs besides the bundle.

    Parameters
    ----------
    symbols : (C, h, w) int16
        Rounded differences from the predicted mean, within +-32767; the latents themselves for a
        plain autoencoder.
    z : (Cz, hz, wz) int16
        Hyper-latents, within +-32000; ``NO_HYPER_LATENTS`` for a plain autoencoder.
    width, height : int
        Of the picture in pixels, before padding; of an array, its last axis and the product of
        the others.
    mode : str
        "L", "LA", "RGB", "RGBA", or "F" for an array of float32.
    quality : float
        0..100 in steps of 0.01; see `round_quality`.
    coding_id : bytes
        Eight bytes that name the arithmetic that made the symbols.
    alpha : (height, width) uint8 or None
        There if and only if the mode has alpha.
    icc, exif : bytes or None
        As they were in the picture's file; never empty.
    correction : (channels, features) int8 or None
        Weights of `edgeae.correction` for what the latents decode to, not all 0.

    Raises
    ------
    TypeError, ValueError
        If a field is not as said above.
    """

    symbols: NDArray[np.int16]
    z: NDArray[np.int16]
    width: int
    height: int
    mode: str
    quality: float
    coding_id: bytes
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    correction: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        Header(  # one set of limits for both kinds of file
            coding_id=self.coding_id,
            width=self.width,
            height=self.height,
            mode=self.mode,
            quality=self.quality_hundredths,
            steps=0,
        )
        _check_integers("symbols", self.symbols, SYMBOL_MAX)
        if 0 in self.symbols.shape:
            raise ValueError(f"symbols {self.symbols.shape} must not be empty")
        _check_integers("z", self.z, HYPER_LATENT_MAX)
        if 0 in self.z.shape and self.z.shape != NO_HYPER_LATENTS.shape:
            raise ValueError(f"z {self.z.shape} is empty but not {NO_HYPER_LATENTS.shape}")
        if (self.alpha is not None) != (self.mode in ALPHA_MODES):
            presence = "no" if self.alpha is None else "an"
            raise ValueError(f"mode {self.mode} and {presence} alpha plane contradict")
        if self.alpha is not None:
            _check_plane(self.alpha, self.height, self.width)
        if b"" in (self.icc, self.exif):
            raise ValueError("icc and exif must be None or at least one byte")
        if self.correction is not None:
            check_weights(self.correction, self.mode)

    @property
    def quality_hundredths(self) -> int:
        """The quality as files store it, 0..10000."""
        if round_quality(self.quality) != self.quality:
            raise ValueError(f"quality {self.quality} is not a multiple of 0.01; use round_quality")
        return round(100 * self.quality)

    @property
    def crc(self) -> int:
        """CRC-32 of z and symbols, as files store it."""
        return symbols_crc(self.z, self.symbols)


def symbols_crc(z: NDArray[np.int16], symbols: NDArray[np.int16]) -> int:
    """Return the CRC-32 of ``z`` followed by ``symbols``, each as int16 LE in C order.

    The order in which symbols are coded, which depends on the masks, plays no part.
    """
    return zlib.crc32(_little_endian(symbols), zlib.crc32(_little_endian(z)))


def round_quality(quality: float) -> float:
    """Return the nearest quality that a file can store: a whole number of hundredths.

    Round before encoding, so that encoder and decoder see the same number.

    Raises
    ------
    ValueError
        If ``quality`` is not within 0..100.
    """
    if not 0 <= quality <= 100:
        raise ValueError(f"quality {quality} is outside 0..100")
    return math.floor(100 * quality + 0.5) / 100


def _little_endian(values: NDArray[np.int16]) -> memoryview:
    return np.ascontiguousarray(values, np.dtype("<i2")).reshape(-1).view(np.uint8).data


def _check_integers(name: str, values: NDArray[np.int16], limit: int) -> None:
    if values.dtype != np.int16 or values.ndim != 3:
        raise TypeError(f"{name} is {values.dtype} {values.shape}, not int16 of three dimensions")
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if max(-low, high) > limit:
        raise ValueError(f"{name} reaches {low}..{high}, beyond +-{limit}")


def _check_plane(alpha: NDArray[np.uint8], height: int, width: int) -> None:
    if alpha.dtype != np.uint8 or alpha.shape != (height, width):
        raise TypeError(f"alpha is {alpha.dtype} {alpha.shape}, not uint8 ({height}, {width})")
