"""Find the quality at which one picture has a size or a PSNR; the encoder has run already.

Sizes come from the costs of the tables, and the entropy coder has the last word. PSNR comes from a
model of the decoder, fitted to a few spots, and a decode of the whole picture has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgeae.correction import section_bits
from edgeae.entropy.rans import payload_bits
from edgeae.errors import BoundError
from edgeae.forecast import TYPICAL_ERROR, ErrorModel, LatentForecast
from edgeae.metrics import psnr_db
from edgeae.rate_control import (
    PSNR_LIMIT_DB,
    QUALITY_LIMIT,
    Forecast,
    Window,
    corrected,
    psnr_window,
    search,
    size_window,
    solve,
)
from edgeae.spots import choose_spots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.coded import Coded
    from edgeae.corrector import Original
    from edgeae.manifest import Manifest
    from edgeae.priors import Prior
    from edgeae.refine import Refiner

    Write: TypeAlias = Callable[[int, Coded], bytes]  # quality in hundredths -> file
    # latents, quality in hundredths, height, width -> samples as the picture has them
    Render: TypeAlias = Callable[[Coded, int, int, int], NDArray[np.uint8]]

# Rounds make files this much larger at the same quality, about; they cost so much that the search
# begins without them.
REFINED_SIZE = 1.03
SURE_DB = 0.5  # a step this small from a decoded picture is known within a tenth of it


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """The quality that was found, and what it gives."""

    quality: int  # hundredths
    coded: Coded
    file: bytes | None = None
    psnr_db: float | None = None
    note: str | None = None  # for the user


class Trials:
    """One picture's latents, rounded as often as it takes.

    Parameters
    ----------
    y : (C, h, w) floats
    original : Original
    prior : Prior
    refiner : Refiner
    effort : int
        Of the result; the search may use less.
    manifest : Manifest
        Of the bundle.
    """

    def __init__(
        self,
        y: NDArray[np.floating],
        original: Original,
        prior: Prior,
        refiner: Refiner,
        effort: int,
        manifest: Manifest,
    ) -> None:
        self.y = y
        self.effort = effort
        self._original = original
        self._refiner = refiner
        self._manifest = manifest
        self._prior = prior
        self._forecast = LatentForecast(y, self._gains)
        self._last: tuple[tuple[int, int], Coded] | None = None

    def coded(self, quality: int, effort: int) -> Coded:
        """Return the latents rounded for a quality in hundredths; the last result is kept."""
        if self._last is None or self._last[0] != (quality, effort):
            coded = self._refiner.coded(self.y, self._original, _float32(quality), effort)
            self._last = (quality, effort), coded
        return self._last[1]

    def reach_size(self, limit_bytes: int, fixed_bytes: int, write: Write) -> Reached:
        """Return the largest file of at most ``limit_bytes``.

        Parameters
        ----------
        limit_bytes : int
        fixed_bytes : int
            What a file has beside its latents.
        write : callable
            Returns the file of rounded latents.

        Raises
        ------
        BoundError
            The file is larger at every quality.
        """

        def log_bytes(bits: float) -> float:
            return math.log(fixed_bytes + bits / 8)

        def forecast(quality: int) -> float:
            return log_bytes(math.exp(self._forecast.log_bits(quality)))

        def size_at(quality: int, effort: int) -> float:
            coded = self.coded(quality, effort)
            return log_bytes(payload_bits(coded.sections) + section_bits(coded.correction))

        window = size_window(limit_bytes)
        curve: Forecast = forecast
        if self.effort:
            curve = self._without_rounds(forecast, size_at, window)
        points: dict[int, float] = {}

        def measure(quality: int) -> float:
            points[quality] = size_at(quality, self.effort)
            return points[quality]

        def predict(known: Mapping[int, float]) -> Forecast:
            return corrected(curve, known)

        excess = 1.0  # of a file over its costs, the largest so far
        while True:
            window = size_window(limit_bytes / excess)
            quality, value = search(measure, predict, window, points)
            coded, file = _written(write, quality, self.coded(quality, self.effort), limit_bytes)
            if len(file) <= limit_bytes:
                return Reached(quality, coded, file, note=_shortfall(quality, file, value, window))
            if quality == 0:
                raise BoundError(
                    f"{limit_bytes} bytes are out of reach: at quality 0 the file has "
                    f"{len(file)} bytes, {fixed_bytes} of them beside the latents; "
                    f"make the picture smaller, or ask for {len(file)} bytes"
                )
            excess = max(excess, len(file) / math.exp(value))

    def reach_psnr(self, target_db: float, pixels: NDArray[np.uint8], render: Render) -> Reached:
        """Return the quality with a PSNR within 0.1 dB of ``target_db``.

        Parameters
        ----------
        target_db : float
        pixels : (H, W) or (H, W, 3) uint8
            What the decoded picture is compared with.
        render : callable
            Returns the decoded samples of latents of a size in pixels.

        Raises
        ------
        BoundError
            There is none.
        """
        height, width = pixels.shape[:2]
        window = psnr_window(target_db)
        fit = self._fit_to_spots(target_db, pixels, render)
        model = fit or TYPICAL_ERROR
        # A small picture is soon decoded again, and what rounds bring the model does not know.
        sure_db = SURE_DB if fit and not self.effort else 0.0
        decoded: dict[int, float] = {}

        def predict(known: Mapping[int, float]) -> Forecast:
            fitted = model
            if known:
                nearest = min(known, key=lambda quality: abs(known[quality] - target_db))
                fitted = model.through(self._error(nearest), known[nearest])
            return corrected(self._psnr_forecast(fitted), known)

        def measure(quality: int) -> float:
            if decoded and 0 < quality < QUALITY_LIMIT:
                expected = predict(decoded)(quality)
                if min(abs(expected - psnr) for psnr in decoded.values()) <= sure_db:
                    return expected
            coded = self.coded(quality, self.effort)
            decoded[quality] = _psnr_db(pixels, render(coded, quality, height, width))
            return decoded[quality]

        quality, psnr = search(measure, predict, window)
        if not window.low <= psnr <= window.high:
            raise BoundError(
                f"{target_db:g} dB are out of reach: at quality {quality / 100:g} the decoded "
                f"picture has {psnr:.2f} dB; ask for that, or choose another model"
            )
        return Reached(quality, self.coded(quality, self.effort), psnr_db=psnr)

    def _without_rounds(
        self, forecast: Forecast, size_at: Callable[[int, int], float], window: Window
    ) -> Forecast:
        """Return the forecast for efforts with rounds, from a search with the one without."""
        points: dict[int, float] = {}

        def measure(quality: int) -> float:
            points[quality] = size_at(quality, 0) + math.log(REFINED_SIZE)
            return points[quality]

        search(measure, lambda known: corrected(forecast, known), window)
        return corrected(forecast, points)

    def _fit_to_spots(
        self, target_db: float, pixels: NDArray[np.uint8], render: Render
    ) -> ErrorModel | None:
        """Return the model of a sample of the picture, decoded at about the right quality.

        None for a picture that is too small to take one from.
        """
        stride, multiple = self._manifest.stride, self._manifest.multiple
        height, width = pixels.shape[:2]
        spots = choose_spots(height, width, stride, multiple)
        if spots is None:
            return None
        quality = solve(self._psnr_forecast(TYPICAL_ERROR), target_db)
        y = self.y.transpose(1, 2, 0)
        mosaic = np.ascontiguousarray(spots.mosaic(y, stride).transpose(2, 0, 1))
        coded = self._prior.quantize(mosaic, _float32(quality))
        decoded = render(coded, quality, spots.side, spots.side * len(spots.corners))
        psnr = _psnr_db(spots.inside.mosaic(pixels), spots.in_mosaic.inside.mosaic(decoded))
        inside = spots.inside.mosaic(y, stride).transpose(2, 0, 1)
        error = self._per_sample(LatentForecast(inside, self._gains).log_error(quality))
        sample = TYPICAL_ERROR.through(error, psnr)
        # Fine texture has a high floor and large latents: both change with the choice of spots.
        return ErrorModel(sample.share, sample.floor * self._error(quality) / error)

    def _psnr_forecast(self, model: ErrorModel) -> Forecast:
        return lambda quality: model.psnr_db(self._error(quality))

    def _error(self, quality: int) -> float:
        return self._per_sample(self._forecast.log_error(quality))

    def _per_sample(self, log_error: float) -> float:
        of = self._manifest
        return math.exp(log_error) / (of.stride**2 * of.input_channels)

    def _gains(self, quality: int) -> NDArray[np.float32]:
        return self._prior.gains(_float32(quality))


def _psnr_db(reference: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> float:
    return min(psnr_db(reference, pixels), PSNR_LIMIT_DB)


def _written(write: Write, quality: int, coded: Coded, limit_bytes: int) -> tuple[Coded, bytes]:
    """Return the file, of quality 0 without its correction if it is too large with it."""
    file = write(quality, coded)
    if quality > 0 or len(file) <= limit_bytes or coded.correction is None:
        return coded, file
    bare = replace(coded, correction=None)
    return bare, write(quality, bare)


def _float32(quality: int) -> NDArray[np.float32]:
    return np.asarray(quality / 100, np.float32)


def _shortfall(quality: int, file: bytes, value: float, window: Window) -> str | None:
    """Return what to say of a file that is smaller than asked for because none is larger."""
    if quality < QUALITY_LIMIT or value >= window.low:
        return None
    return f"no quality gives more than {len(file)} bytes"
