"""What rounding would make of latents at any quality, forecast from their magnitudes alone.

No graph of any size runs: a forecast costs a few percent of coding the picture, is wrong by some
percent, and is right about how one quality compares with the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.metrics import PEAK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Gains = Callable[[int], NDArray[np.float32]]

# Bits of a picture for each symbol that is not zero: 4.4 to 4.9 on training photos, at every
# quality. He and Mitra, "rho-domain" rate control (2001), found the same of other codecs.
BITS_PER_NONZERO = 4.7
ZERO_BELOW = 0.6  # steps; about where rounding by rate and distortion gives a zero
_POSITIONS = 1 << 16  # that tell enough about how many symbols are zero
_SAMPLE = 256  # positions that tell enough about rounding errors
_GRID = 1000  # hundredths of quality between those that are looked at; between them lines


class LatentForecast:
    """Logarithms of rate and of rounding error of ``y`` as functions of the quality.

    Parameters
    ----------
    y : (C, h, w) float32
    gains : callable
        Returns (C,) steps per unit of ``y`` for a quality in hundredths.
    """

    def __init__(self, y: NDArray[np.float32], gains: Gains) -> None:
        every = max(1, y[0].size // _POSITIONS) | 1
        self._magnitudes = np.abs(y.reshape(len(y), -1)[:, ::every], dtype=np.float32)
        self._share = self._magnitudes.shape[1] / y[0].size
        # An odd step, so that the sample does not stay in few columns.
        step = self._magnitudes.shape[1] // _SAMPLE | 1
        self._sample = np.ascontiguousarray(self._magnitudes[:, ::step])
        self._gains = gains
        self._bits: dict[int, float] = {}
        self._errors: dict[int, float] = {}

    def log_bits(self, quality: int) -> float:
        """Return the logarithm of the bits that the symbols would take."""
        return _between(self._bits, self._log_bits, quality)

    def log_error(self, quality: int) -> float:
        """Return the logarithm of the squared error of ``y``, summed over channels."""
        return _between(self._errors, self._log_error, quality)

    def _log_bits(self, quality: int) -> float:
        threshold = ZERO_BELOW / self._gains(quality)[:, np.newaxis]
        nonzeros = np.count_nonzero(self._magnitudes > threshold)
        return math.log(BITS_PER_NONZERO * (nonzeros / self._share + 1))

    def _log_error(self, quality: int) -> float:
        gains = self._gains(quality)
        error = self._sample * gains[:, np.newaxis]
        error -= np.floor(error + np.float32(1 - ZERO_BELOW))
        squares = np.einsum("ij,ij->i", error, error) / np.square(gains)
        return math.log(float(squares.sum()) / error.shape[1] + 1e-9)


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """Squared error of decoded samples: a share of that of the latents, and a floor.

    The floor is what the networks lose without any rounding; both differ from picture to picture.
    """

    share: float  # of the latents' error for one sample
    floor: float  # grey levels squared

    def psnr_db(self, latent_error: float) -> float:
        """Return the PSNR for a squared error per sample of the latents."""
        return 10 * math.log10(PEAK**2 / (self.share * latent_error + self.floor))

    def through(self, latent_error: float, psnr_db: float) -> ErrorModel:
        """Return the model with this one's share and the floor that gives a measured PSNR.

        If the share alone gives a lower one, it is the share that is changed.
        """
        error = PEAK**2 / 10 ** (psnr_db / 10)
        share = min(self.share, error / latent_error)
        return ErrorModel(share, error - share * latent_error)


# Transforms that are orthonormal for samples in grey levels would have a share of 1; the decoder
# takes back a fifth. The floor is that of a photo with little fine texture. Training photos.
TYPICAL_ERROR = ErrorModel(share=0.8, floor=5.0)


def _between(known: dict[int, float], at: Callable[[int], float], quality: int) -> float:
    left = quality // _GRID * _GRID
    part = (quality - left) / _GRID
    for corner in (left, left + _GRID)[: 2 if part else 1]:
        if corner not in known:
            known[corner] = at(corner)
    return known[left] if not part else (1 - part) * known[left] + part * known[left + _GRID]
