"""Find a picture's correction while it is encoded: decode it, or squares of it, and compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.correction import REACH, find_weights, surrounded
from edgeae.forecast import BITS_PER_NONZERO
from edgeae.images.picture import Picture
from edgeae.spots import LARGE_PIXELS, large_spots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.coded import Coded
    from edgeae.inputs import Source
    from edgeae.priors import Prior
    from edgeae.spots import Spots
    from edgeae.transforms import Transforms

LEAST_EFFORT = 1  # that corrects: it takes a decode


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The samples that a correction is found by."""

    pixels: NDArray[np.uint8]  # (H, W) or (H, W, 3), of the picture or of a row of squares
    spots: Spots | None  # where the squares are; None for the whole picture
    mode: str


class Corrector:
    """Corrections for the pictures of a bundle whose manifest asks for them."""

    def __init__(self, bundle: Bundle, transforms: Transforms, prior: Prior) -> None:
        self._bundle = bundle
        self._transforms = transforms
        self._prior = prior

    def sample(self, source: Source, effort: int) -> Sample | None:
        """Return what has to be kept of a picture; None if it gets no correction."""
        of = self._bundle.manifest
        if effort < LEAST_EFFORT or not of.correction or not isinstance(source, Picture):
            return None
        if source.width * source.height <= LARGE_PIXELS:
            return Sample(source.pixels, None, source.mode)
        spots = large_spots(source.height, source.width, of.stride, of.hyper_stride)
        if spots is None:
            return None
        return Sample(spots.inside.mosaic(source.pixels), spots, source.mode)

    def weights(
        self, sample: Sample | None, coded: Coded, quality: float
    ) -> NDArray[np.int8] | None:
        """Return the weights that pay for latents of the picture; None if none do."""
        if sample is None:
            return None
        decoded = self._decoded(sample, coded, quality)
        count = 1 if sample.spots is None else len(sample.spots.corners)
        parts = (np.split(pixels, count, axis=1) for pixels in (sample.pixels, decoded))
        bits = BITS_PER_NONZERO * np.count_nonzero(coded.symbols)
        return find_weights(list(zip(*parts, strict=True)), bits)

    def _decoded(self, sample: Sample, coded: Coded, quality: float) -> NDArray[np.uint8]:
        """Return the decoded samples, those of each square with what the filter sees around."""
        spots, transforms = sample.spots, self._transforms
        if spots is None:
            height, width = sample.pixels.shape[:2]
        else:
            height, width = spots.side, spots.side * len(spots.corners)
        y_hat = self._y_hat(spots, coded)
        decoded = transforms.synthesize_samples(y_hat, quality, height, width, sample.mode)
        if spots is None:
            return surrounded(decoded)
        return replace(spots.in_mosaic, margin=spots.margin - REACH).inside.mosaic(decoded)

    def _y_hat(self, spots: Spots | None, coded: Coded) -> NDArray[np.floating]:
        """Return what the decoder takes, for all of the picture or its squares side by side.

        Of large pictures it was not kept: the means are predicted again, of squares from these
        alone, which differs only along their borders.
        """
        of = self._bundle.manifest
        if coded.y_hat.size:
            return coded.y_hat if spots is None else _cut(spots, coded.y_hat, of.stride)
        symbols, z = coded.symbols, coded.z
        if spots is not None:
            symbols, z = _cut(spots, symbols, of.stride), _cut(spots, z, of.hyper_stride)
        return self._prior.restore(symbols, z).y_hat


def _cut(spots: Spots, latents: NDArray[Any], stride: int) -> NDArray[Any]:
    """Return (C, h, w) latents of the squares side by side."""
    mosaic = spots.mosaic(latents.transpose(1, 2, 0), stride)
    return np.ascontiguousarray(mosaic.transpose(2, 0, 1))
