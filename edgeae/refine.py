"""The highest effort: latents are rounded again around what the decoded picture lacks.

Rounding errors of different latents meet in the decoder's layers, and the encoder network knew
neither them nor the quality. So the picture is decoded and analysed again: the difference of the
two analyses says, latent by latent, which way the picture wants each (analysis by synthesis). It
stands in for the gradient of the squared error, as encoders are nearly transposes of their
decoders: the iterations of J. Campos et al., "Content adaptive optimization for neural image
compression" (arXiv:1906.01259) without differentiation. Hyper-latents are chosen by trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeae.masks import scatter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.coded import Coded

    # y_hat (C, h, w), quality -> y (C, h, w) of the decoded picture
    Reanalyse: TypeAlias = Callable[
        [NDArray[np.floating], NDArray[np.float32]], NDArray[np.float32]
    ]
    Round: TypeAlias = Callable[[NDArray[np.float32]], Coded]  # target (C, h, w) in steps

# Share of what is missing that each round adds. Beyond 1, as latents that stay zero leave theirs
# to be made up by others; 1.6 overshoots (docs/decisions/0006).
SHARES = (1.3, 1.0)
# Bits that one squared step is worth once the target knows what the other latents lost.
REFINED_BITS_PER_SQUARE = 12.0
# Hyper-latents that are tried beside those of the latents: of latents so many times as large.
TRIAL_CONTRAST = 1.1
# Share of all bits from which on hyper-latents are worth a trial; more at low qualities.
TRIAL_SHARE = 0.04


def refined(
    first: Coded,
    missing: Callable[[NDArray[np.floating]], NDArray[np.float32]],
    rounds: Sequence[Round],
) -> Coded:
    """Return latents nearer to the picture than ``first``, or cheaper, or both.

    Parameters
    ----------
    first : Coded
    missing : callable
        Takes y_hat (C, h, w), in steps; returns how much more the picture has of each latent than
        the picture decoded from y_hat. The pixel networks run here, once a round.
    rounds : sequence of callable
        As many as ``SHARES``: each returns latents rounded around a target.

    Notes
    -----
    The next round measures what one round made, at no cost, and the last is not measured. A round
    that takes more bits and lacks more ends them, with what it began with: the analysis of such a
    model is far from the transpose of its synthesis.
    """
    coded = first
    before: tuple[Coded, float] | None = None
    for share, round_to in zip(SHARES, rounds, strict=True):
        lack = missing(coded.y_hat)
        error = float(np.square(lack).sum(dtype=np.float64))
        if before is not None and error > before[1] and coded.bits > before[0].bits:
            return before[0]
        before = coded, error
        coded = round_to(coded.y_hat + np.float32(share) * lack)
    return coded


def by_trial(
    candidates: Sequence[NDArray[np.int16]],
    round_with: Callable[[NDArray[np.int16]], Coded],
    cost: Callable[[Coded], NDArray[np.float64]],
) -> Coded:
    """Return the cheapest of latents with hyper-latents (Cz, hz, wz) from ``candidates``.

    Each position of hyper-latents is taken from the candidate whose cost (hz, wz) is lowest there.
    As means and rows depend on neighbours too, that mixture is a trial like the others.
    """
    trials = [round_with(z) for z in candidates]
    costs = [cost(trial) for trial in trials]
    chosen = np.argmin(costs, axis=0)
    mixture = np.take_along_axis(np.stack(candidates), chosen[np.newaxis, np.newaxis], axis=0)[0]
    trials.append(round_with(mixture))
    costs.append(cost(trials[-1]))
    totals = [float(values.sum()) for values in costs]
    return trials[totals.index(min(totals))]


def worth_a_trial(coded: Coded) -> bool:
    """Return whether hyper-latents take enough of the bits for another choice to matter."""
    return coded.sections[0].cost_bits >= TRIAL_SHARE * coded.bits


def cost_by_position(
    coded: Coded, target: NDArray[np.float32], masks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return (hz, wz), bits and the worth of squared errors in each position of hyper-latents.

    Parameters
    ----------
    coded : Coded
        With hyper-latents; its sections are those, then one for each of ``masks``.
    target : (C, h, w) float32
        What the latents should be, in steps.
    masks : (n, C, 2, 2) bool
    """
    hyper, *steps = coded.sections
    bits = np.empty(target.shape, np.float32)
    for mask, section in zip(masks, steps, strict=True):
        scatter(bits, mask, section.tables.cost_bits(section.symbols, section.indexes))
    bits += np.float32(REFINED_BITS_PER_SQUARE) * np.square(target - coded.y_hat)
    latents = bits.sum(axis=0, dtype=np.float64)
    hyper_bits = hyper.tables.cost_bits(hyper.symbols, hyper.indexes).reshape(coded.z.shape)
    height, width = coded.z.shape[1:]
    blocks = latents.reshape(height, latents.shape[0] // height, width, -1).sum(axis=(1, 3))
    total: NDArray[np.float64] = blocks + hyper_bits.sum(axis=0)
    return total
