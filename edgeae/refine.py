"""The highest effort: latents are rounded again around what the decoded picture lacks.

Rounding errors of different latents meet in the decoder's layers, and the encoder network knew
neither them nor the quality. So the picture is decoded and analysed again: the difference of the
two analyses says, latent by latent, which way the picture wants each (analysis by synthesis). It
stands in for the gradient of the squared error, as encoders are nearly transposes of their
decoders: the iterations of J. Campos et al., "Content adaptive optimization for neural image
compression" (arXiv:1906.01259) without differentiation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.coded import Coded

    # y_hat (C, h, w), quality -> y (C, h, w) of the decoded picture
    Reanalyse: TypeAlias = Callable[
        [NDArray[np.floating], NDArray[np.float32]], NDArray[np.float32]
    ]
    Round: TypeAlias = Callable[[NDArray[np.float32]], Coded]  # target (C, h, w) in steps

ROUNDS = 2
# Times what is missing that each round adds. Beyond 1, as an analysis finds about 0.8 of a latent's
# error, and latents that stay zero leave theirs to be made up by others (docs/decisions/0006).
SHARE = 1.2
# Bits that one squared step is worth once the target knows what the other latents lost.
REFINED_BITS_PER_SQUARE = 18.0


def refined(
    first: Coded,
    missing: Callable[[NDArray[np.floating]], NDArray[np.float32]],
    round_to: Round,
) -> Coded:
    """Return latents nearer to the picture than ``first``, or cheaper, or both.

    Parameters
    ----------
    first : Coded
    missing : callable
        Takes y_hat (C, h, w), in steps; returns how much more the picture has of each latent than
        the picture decoded from y_hat. The pixel networks run here, once a round.
    round_to : callable
        Returns latents rounded around a target (C, h, w), in steps.

    Notes
    -----
    The next round measures what one round made, at no cost, and the last is not measured. A round
    that takes more bits and lacks more ends them, with what it began with: the analysis of such a
    model is far from the transpose of its synthesis.
    """
    coded = first
    before: tuple[Coded, float] | None = None
    for _ in range(ROUNDS):
        lack = missing(coded.y_hat)
        error = float(np.square(lack).sum(dtype=np.float64))
        if before is not None and error > before[1] and coded.bits > before[0].bits:
            return before[0]
        before = coded, error
        coded = round_to(coded.y_hat + np.float32(SHARE) * lack)
    return coded
