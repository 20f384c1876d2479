"""The latent quantizer: one step a channel, as coarse as the reconstruction hardly notices.

Uniform noise costs least bits for its harm if every channel's share of the harm is alike
(reverse water-filling at high rates), so the steps are inverse to how strongly the output reacts
to a channel. Their common factor is the largest for which rounding real latents raises the mean
squared error of real reconstructions by at most `MOST_HARM`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae_export.plain.pair import Floats, Pair

    Steps = NDArray[np.float64]

MOST_HARM = 0.02  # of the error without rounding: 0.09 dB
LEAST_HARM = 1e-5  # of the inputs' variance: 50 dB below them there is nothing to lose
PROBE = 0.25  # of a channel's deviation: noise that shows how the output reacts
PROBED = 64  # inputs of a batch, at most, that show it
LEAST_REACTION = 1e-6  # of the strongest channel's; what reacts less is not used
WIDEST = 4.0  # largest magnitudes in a step; more changes nothing, all are rounded to 0
BISECTIONS = 12
SEED = 1


def latent_steps(pair: Pair, batches: Sequence[Floats]) -> tuple[NDArray[np.float32], float, float]:
    """Return the step of each channel (C,), and the mean squared error without and with rounding.

    Parameters
    ----------
    pair : Pair
        The autoencoder.
    batches : sequence of (n, H, W, C) in 0..1, or of arrays
        Some hundred real inputs.
    """
    latents = [pair.encode(inputs) for inputs in batches]
    shape = batches[0].shape[1:]
    error = _error(pair, batches, latents)
    variance = float(np.mean([np.var(inputs) for inputs in batches]))
    budget = max(MOST_HARM * error, LEAST_HARM * variance)
    shares = _shares(pair, [y[:: -(-len(y) // PROBED)] for y in latents], shape)
    rows = np.concatenate([_rows(y) for y in latents], axis=1)

    def harm(steps: Steps) -> float:
        units = steps.astype(np.float32).reshape(1, -1, 1, 1)
        rounded = [np.rint(y / units) * units for y in latents]
        return _error(pair, batches, rounded) - error

    low, high = -24.0, 24.0  # logarithm of the factor; shares are about deviations
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = harm(_bounded(shares * 2.0**middle, rows)) <= budget
        low, high = (middle, high) if fits else (low, middle)
    steps = _bounded(shares * 2.0**low, rows)
    return steps.astype(np.float32), error, error + harm(steps)


def _shares(pair: Pair, latents: Sequence[Floats], shape: tuple[int, ...]) -> Steps:
    """Return steps up to a common factor: noise of these sizes does equal harm."""
    random = np.random.default_rng(SEED)
    clean = [pair.decode(y, shape) for y in latents]
    channels = latents[0].shape[1]
    deviations = np.sqrt(np.mean([y.var(axis=(0, 2, 3)) for y in latents], axis=0))
    reactions = np.zeros(channels)
    for channel in np.flatnonzero(deviations):
        for y, without in zip(latents, clean, strict=True):
            noise = random.standard_normal(y[:, channel].shape) * PROBE * deviations[channel]
            noisy = y.copy()
            noisy[:, channel] += noise.astype(np.float32)
            change = np.square(pair.decode(noisy, shape) - without).mean(dtype=np.float64)
            reactions[channel] += change / (PROBE * deviations[channel]) ** 2
    strongest = float(reactions.max(initial=0))
    if strongest == 0:
        return np.ones(channels)
    shares: Steps = 1 / np.sqrt(np.maximum(reactions, LEAST_REACTION * strongest))
    used = deviations > 0
    scaled: Steps = shares / np.median(shares[used]) * float(np.median(deviations[used]))
    return scaled


def _bounded(steps: Steps, rows: Floats) -> Steps:
    """Return steps with which an unused channel is all zeros, or all one symbol."""
    largest = np.abs(rows).max(axis=1)
    bounded = np.minimum(steps, np.where(largest > 0, WIDEST * largest, 1.0))
    centre = np.abs(rows.mean(axis=1))
    far = centre > 2 * rows.std(
        axis=1
    )  # rounded to 0 it would be another number, not a coarser one
    steps_to_centre = np.maximum(1, np.floor(centre / bounded))
    chosen: Steps = np.where(far & (centre > 0), centre / steps_to_centre, bounded)
    return chosen


def _error(pair: Pair, batches: Sequence[Floats], latents: Sequence[Floats]) -> float:
    errors = [
        np.square(pair.decode(y, inputs.shape[1:]) - inputs).mean(dtype=np.float64)
        for inputs, y in zip(batches, latents, strict=True)
    ]
    return float(np.mean(errors))


def _rows(y: Floats) -> Floats:
    """Return all latents of each channel, (C, n * h * w)."""
    return np.moveaxis(y, 1, 0).reshape(y.shape[1], -1)
