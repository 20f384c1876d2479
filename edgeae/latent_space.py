"""Points in an autoencoder's space of latents: samples of its prior, ways between two, variants.

Arrays in, arrays out, in the network's own units, as `edgeae.codec.Codec.embed` gives them and
`edgeae.codec.Codec.generate` takes them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import BundleError
from edgeae.images.padding import padded_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from numpy.typing import NDArray

    from edgeae.manifest import Manifest

    Latents: TypeAlias = NDArray[np.float32]

SAMPLE_SIDE = 64  # pixels of a sample, at least, where pictures may have any size
_PARALLEL = 1e-6  # radians; below, the arc is as straight as float32 can tell


def sample_shape(manifest: Manifest) -> tuple[int, int, int]:
    """Return the shape (C, h, w) of the latents of one sample.

    Raises
    ------
    BundleError
        The latents have no prior: nothing says where they lie.
    """
    if manifest.prior is None:
        raise BundleError(
            f"bundle {manifest.name} has no prior that could be sampled; choose that of a "
            f"variational autoencoder, or make variants of pictures with `edgeae augment`"
        )
    side = padded_size(SAMPLE_SIDE, SAMPLE_SIDE, manifest.multiple)
    return manifest.latents_shape(*(manifest.fixed_size or side))


def sample_prior(
    count: int, shape: tuple[int, int, int], *, seed: int, truncation: float = 1.0
) -> Latents:
    """Return samples (count, C, h, w) of N(0, truncation^2); errors are of `check_sampling`."""
    check_sampling(count, truncation, seed)
    noise = np.random.default_rng(seed).standard_normal((count, *shape))
    return (truncation * noise).astype(np.float32)


def check_sampling(count: int, truncation: float, seed: int) -> None:
    """Raise ValueError for no samples, a truncation below 0 or not finite, or a negative seed."""
    if count < 1:
        raise ValueError(f"{count} samples; at least 1")
    if not (math.isfinite(truncation) and truncation >= 0):
        raise ValueError(f"truncation {truncation} is not a number of at least 0")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative")


def interpolate_linear(a: Latents, b: Latents, count: int) -> Latents:
    """Return ``count`` points (count, C, h, w) of the straight way from a to b, both included."""
    return np.stack([(1 - t) * a + t * b for t in _fractions(a, b, count)]).astype(np.float32)


def interpolate_spherical(a: Latents, b: Latents, count: int) -> Latents:
    """Return ``count`` points (count, C, h, w) of an arc around the origin from a to b.

    Direction and norm both change evenly (K. Shoemake, "Animating rotation with quaternion
    curves", SIGGRAPH 1985): the straight way between two samples of N(0, 1) in many dimensions
    leads through the middle, where there are no others. Between parallel or opposite points, or
    from the origin, the way is straight.
    """
    fractions = _fractions(a, b, count)
    norm_a, norm_b = (float(np.linalg.norm(x.astype(np.float64))) for x in (a, b))
    if min(norm_a, norm_b) == 0:
        return interpolate_linear(a, b, count)
    one, other = a.astype(np.float64) / norm_a, b.astype(np.float64) / norm_b
    # Of unit vectors: exact for small and for large angles, unlike the arc cosine.
    angle = 2 * math.atan2(float(np.linalg.norm(one - other)), float(np.linalg.norm(one + other)))
    if min(angle, math.pi - angle) < _PARALLEL:
        return interpolate_linear(a, b, count)
    points = []
    for t in fractions:
        direction = math.sin((1 - t) * angle) * one + math.sin(t * angle) * other
        points.append(((1 - t) * norm_a + t * norm_b) / math.sin(angle) * direction)
    return np.stack(points).astype(np.float32)


def vary(
    mean: Latents, deviation: Latents, count: int, *, spread: float, seed: Sequence[int]
) -> Latents:
    """Return samples (count, C, h, w) of N(mean, (spread * deviation)^2).

    Parameters
    ----------
    mean : (C, h, w) float32
    deviation : (C, h, w) float32, or (C, 1, 1)
        Standard deviation: of the posterior, or of a set of latents.
    count : int
    spread : float
        0 gives the mean.
    seed : sequence of int
        All that the noise depends on.
    """
    noise = np.random.default_rng(list(seed)).standard_normal((count, *mean.shape))
    return (mean + spread * deviation * noise).astype(np.float32)


def add_change(original: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """Return ``original + (after - before)``, samples of uint8 cut off at 0 and 255.

    What an autoencoder changes between two points of its latents, in a picture that keeps what the
    autoencoder loses.
    """
    samples = original.dtype == np.uint8
    wide: NDArray[Any] = original.astype(np.int16) if samples else original
    changed: NDArray[Any] = wide + (after.astype(wide.dtype) - before)
    return changed.clip(0, 255).astype(np.uint8) if samples else changed


class Deviation:
    """Standard deviation of each channel over many latents, which are seen once and not kept.

    By the counts, means and sums of squares of parts: T. Chan, G. Golub and R. LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances", 1979.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: NDArray[np.float64] | float = 0.0
        self._squares: NDArray[np.float64] | float = 0.0

    def add(self, latents: Latents) -> None:
        """Take in latents (C, h, w)."""
        values = latents.reshape(len(latents), -1).astype(np.float64)
        count = values.shape[1]
        mean = values.mean(axis=1)
        squares = ((values - mean[:, np.newaxis]) ** 2).sum(axis=1)
        difference, total = mean - self._mean, self._count + count
        self._squares = self._squares + squares + difference**2 * (self._count * count / total)
        self._mean = self._mean + difference * (count / total)
        self._count = total

    def of_channels(self) -> Latents:
        """Return (C, 1, 1); ValueError if there was nothing."""
        if self._count == 0:
            raise ValueError("no latents, so they have no deviation")
        deviation = np.sqrt(np.asarray(self._squares) / self._count)
        return deviation.astype(np.float32).reshape(-1, 1, 1)


def _fractions(a: Latents, b: Latents, count: int) -> list[float]:
    if a.shape != b.shape:
        raise ValueError(f"no way leads from latents {a.shape} to {b.shape}")
    if count < 2:
        raise ValueError(f"{count} points; a way has at least its 2 ends")
    return [step / (count - 1) for step in range(count)]
