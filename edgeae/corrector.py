"""Find a picture's correction while it is encoded: decode it, or squares of it, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.correction import REACH, surrounded
from edgeae.correction_fit import find_weights
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
            self._transforms.decoder.prepare()  # its session is made while the encoder runs
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
        spots = sample.spots
        count = 1 if spots is None else len(spots.corners)
        originals = np.split(sample.pixels, count, axis=1)
        y_hats = np.split(self._y_hat(spots, coded), count, axis=2)
        decoded = [
            self._surrounded(sample, y_hat, quality, original.shape)
            for y_hat, original in zip(y_hats, originals, strict=True)
        ]
        bits = BITS_PER_NONZERO * np.count_nonzero(coded.symbols)
        return find_weights(list(zip(originals, decoded, strict=True)), bits)

    def _surrounded(
        self, sample: Sample, y_hat: NDArray[np.floating], quality: float, shape: tuple[int, ...]
    ) -> NDArray[np.uint8]:
        """Return what ``y_hat`` decodes to, with as much around as the filter sees."""
        synthesize = partial(self._transforms.synthesize_samples, mode=sample.mode)
        if sample.spots is None:
            return surrounded(synthesize(y_hat, quality, *shape[:2]))
        side, edge = sample.spots.side, sample.spots.margin - REACH
        return synthesize(y_hat, quality, side, side)[edge : side - edge, edge : side - edge]

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
