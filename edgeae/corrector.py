"""Find a picture's correction: compare it with what its latents decode to, or squares of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.correction import REACH, corrected, surrounded
from edgeae.correction_fit import find_weights
from edgeae.forecast import BITS_PER_NONZERO
from edgeae.images.picture import Picture
from edgeae.inputs import Label
from edgeae.spots import LARGE_PIXELS, large_spots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.coded import Coded
    from edgeae.correction_fit import Fit
    from edgeae.inputs import Source
    from edgeae.priors import Prior
    from edgeae.spots import Spots
    from edgeae.transforms import Transforms


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """What is kept of a picture, or an array, while its latents are rounded."""

    label: Label
    pixels: NDArray[np.uint8] | None  # (H, W) or (H, W, 3), or of squares in a row; None: no filter
    spots: Spots | None  # where the squares are; None for the whole picture


class Corrector:
    """Corrections for the pictures of a bundle whose manifest asks for them."""

    def __init__(self, bundle: Bundle, transforms: Transforms, prior: Prior) -> None:
        self._bundle = bundle
        self._transforms = transforms
        self._prior = prior

    def original(self, source: Source) -> Original:
        """Return what has to be kept of a picture that is to be corrected."""
        of, label = self._bundle.manifest, Label.of(source)
        if not of.correction or not isinstance(source, Picture):
            return Original(label, None, None)
        if source.width * source.height <= LARGE_PIXELS:
            return Original(label, source.pixels, None)
        spots = large_spots(source.height, source.width, of.stride, of.hyper_stride)
        if spots is None:
            return Original(label, None, None)
        return Original(label, spots.inside.mosaic(source.pixels), spots)

    def of_decoded(
        self, original: Original, decoded: NDArray[Any], coded: Coded
    ) -> tuple[NDArray[np.int8] | None, NDArray[Any]]:
        """Return the weights that pay for a decoded picture, None if none do, and it corrected."""
        if original.pixels is None:
            return None, decoded
        if original.spots is None:
            parts = [surrounded(decoded)]
        else:
            near = original.spots.with_margin(REACH)
            parts = np.split(near.mosaic(decoded), len(near.corners), axis=1)
        fit = _fit(original.pixels, parts, coded)
        if fit is None:
            return None, decoded
        whole = original.spots is None
        return fit.weights, fit.corrected[0] if whole else corrected(decoded, fit.weights)

    def of_latents(
        self, original: Original, coded: Coded, quality: float
    ) -> NDArray[np.int8] | None:
        """Return the same where only squares are decoded; those of the picture's spots."""
        pixels, spots = original.pixels, original.spots
        if pixels is None or spots is None:
            return None
        y_hats = np.split(self._y_hat(spots, coded), len(spots.corners), axis=2)
        synthesize = partial(self._transforms.synthesize_samples, mode=original.label.mode)
        side, edge = spots.side, spots.margin - REACH
        inside = slice(edge, side - edge)
        squares = [synthesize(y_hat, quality, side, side)[inside, inside] for y_hat in y_hats]
        fit = _fit(pixels, squares, coded)
        return None if fit is None else fit.weights

    def _y_hat(self, spots: Spots, coded: Coded) -> NDArray[np.floating]:
        """Return what the decoder takes, of the squares side by side.

        Of large pictures it was not kept: the means are predicted again, from the squares alone,
        which differs only along their borders.
        """
        of = self._bundle.manifest
        if coded.y_hat.size:
            return _cut(spots, coded.y_hat, of.stride)
        symbols, z = _cut(spots, coded.symbols, of.stride), _cut(spots, coded.z, of.hyper_stride)
        return self._prior.restore(symbols, z).y_hat


def _fit(
    pixels: NDArray[np.uint8], decoded: Sequence[NDArray[np.uint8]], coded: Coded
) -> Fit | None:
    """Return the weights by the picture or its squares, decoded with `REACH` around each."""
    originals = np.split(pixels, len(decoded), axis=1)
    bits = BITS_PER_NONZERO * np.count_nonzero(coded.symbols)
    return find_weights(list(zip(originals, decoded, strict=True)), bits)


def _cut(spots: Spots, latents: NDArray[Any], stride: int) -> NDArray[Any]:
    """Return (C, h, w) latents of the squares side by side."""
    mosaic = spots.mosaic(latents.transpose(1, 2, 0), stride)
    return np.ascontiguousarray(mosaic.transpose(2, 0, 1))
