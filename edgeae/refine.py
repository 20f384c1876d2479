"""Latents are rounded again around what the decoded picture lacks.

Rounding errors of different latents meet in the decoder's layers, and the encoder network knew
neither them nor the quality. So the picture is decoded, corrected and analysed again: the
difference of the two analyses says, latent by latent, which way the picture wants each (analysis
by synthesis). It stands in for the gradient of the squared error, as encoders are nearly
transposes of their decoders: the iterations of J. Campos et al., "Content adaptive optimization
for neural image compression" (arXiv:1906.01259) without differentiation. What the correction takes
back the latents need not: docs/decisions/0017.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.corrector import Corrector, Original
from edgeae.inputs import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.coded import Coded
    from edgeae.inputs import Source
    from edgeae.priors import Prior
    from edgeae.transforms import Transforms

FAST_EFFORT = 1  # up to here large pictures are analysed once
# Times what is missing that each round adds. Beyond 1, as an analysis finds about 0.8 of a latent's
# error, and latents that stay zero leave theirs to be made up by others (docs/decisions/0006).
SHARE = 1.15


class Refiner:
    """Rounded latents of a bundle's pictures, and the correction that goes with them."""

    def __init__(self, bundle: Bundle, transforms: Transforms, prior: Prior) -> None:
        self._transforms = transforms
        self._prior = prior
        self._corrector = Corrector(bundle, transforms, prior)
        self._refines = bool(len(bundle.masks))

    def original(self, source: Source, effort: int) -> Original:
        """Return what has to be kept of a picture."""
        if not effort or not self._refines:
            return Original(Label.of(source), None, None)
        self._transforms.decoder.prepare()  # its session is made while the encoder runs
        return self._corrector.original(source)

    def coded(
        self, y: NDArray[np.floating], original: Original, quality: NDArray[np.float32], effort: int
    ) -> Coded:
        """Return the latents of ``y`` (C, h, w) rounded once, and again ``effort`` times."""
        first = self._prior.quantize(y, quality)
        return self.refined(first, y, original, quality, effort)

    def refined(
        self,
        first: Coded,
        y: NDArray[np.floating],
        original: Original,
        quality: NDArray[np.float32],
        effort: int,
    ) -> Coded:
        """Return latents nearer to the picture than ``first``, or cheaper, or both.

        With the correction that was found when they were decoded last. Latents of plain
        autoencoders stay as they are: what their networks make of a picture is the point.

        Parameters
        ----------
        first : Coded
            Of ``y``, as the prior rounds it.
        y : (C, h, w) floats
            Before rounding; float32 of what is not large.
        original : Original
            Of the same effort.
        quality : float32
        effort : int
            Rounds, each of one decode, one analysis and one rounding. Large pictures get none at
            `FAST_EFFORT`: the correction alone, found on squares.

        Notes
        -----
        The next round measures what one round made, at no cost, and the last is not measured. A
        round that takes more bits and lacks more ends them, with what it began with: the analysis
        of such a model is far from the transpose of its synthesis.
        """
        if not effort or not self._refines:
            return first
        label = original.label
        if effort <= FAST_EFFORT and self._transforms.is_large(label.height, label.width):
            weights = self._corrector.of_latents(original, first, float(quality))
            return replace(first, correction=weights)
        gains = self._prior.gains(quality)[:, np.newaxis, np.newaxis]
        coded = first
        before: tuple[Coded, float] | None = None
        for _ in range(effort):
            decoded = self._transforms.synthesize_samples(
                coded.y_hat, float(quality), label.height, label.width, label.mode
            )
            weights, decoded = self._corrector.of_decoded(original, decoded, coded)
            lack = self._lack(y, decoded, label, gains)
            error = float(np.square(lack).sum(dtype=np.float64))
            if before is not None and error > before[1] and coded.bits > before[0].bits:
                return before[0]
            before = replace(coded, correction=weights), error
            lack *= np.float32(SHARE)
            lack += coded.y_hat
            coded = replace(self._prior.requantize(lack, coded.z), correction=weights)
        return coded

    def _lack(
        self,
        y: NDArray[np.floating],
        decoded: NDArray[Any],
        label: Label,
        gains: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return how much more the picture has of each latent than a decoded one, in steps."""
        lack = self._transforms.reanalyse(decoded, label)
        np.subtract(y, lack, out=lack)
        lack *= gains
        return lack
