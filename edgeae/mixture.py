"""A mixture of Gaussians over an autoencoder's latents: where those of real inputs lie.

A variational autoencoder's latents are trained towards N(0, 1) but leave holes in it, where the
decoder has learned nothing. A density fitted after training knows them: P. Ghosh et al., "From
variational to deterministic autoencoders", 2020 (arXiv:1903.12436), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """K Gaussians over D latents, in the network's own units.

    Parameters
    ----------
    weights : (K,) float32
        Positive; their sum is 1.
    means : (K, D) float32
    factors : (K, D, D) float32
        Lower triangular; ``factor @ factor.T`` is the covariance.

    Raises
    ------
    ValueError
        The arrays are not of these shapes, or hold other numbers.
    """

    weights: NDArray[np.float32]
    means: NDArray[np.float32]
    factors: NDArray[np.float32]

    def __post_init__(self) -> None:
        count, latents = self.means.shape if self.means.ndim == 2 else (0, 0)
        shapes = (self.weights.shape, self.factors.shape)
        if count == 0 or shapes != ((count,), (count, latents, latents)):
            raise ValueError(f"mixture of shapes {self.means.shape}, {shapes}")
        arrays = (self.weights, self.means, self.factors)
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays):
            raise ValueError("mixture has other numbers than finite float32")
        if self.weights.min() < 0 or abs(float(self.weights.sum()) - 1) > _SUM_TOLERANCE:
            raise ValueError("mixture's weights are no probabilities")

    def sample(self, count: int, *, seed: int, truncation: float) -> NDArray[np.float32]:
        """Return samples (count, D); the first are the same however many there are.

        ``truncation`` multiplies the deviations from the means.
        """
        choice, noise = (np.random.default_rng([seed, stream]) for stream in (0, 1))
        edges = np.cumsum(self.weights, dtype=np.float64)
        chosen = np.searchsorted(edges / edges[-1], choice.random(count), side="right")
        normal = noise.standard_normal((count, self.means.shape[1]))
        deviations = np.einsum("nij,nj->ni", self.factors[chosen], normal)
        points: NDArray[np.float32] = self.means[chosen] + truncation * deviations
        return points.astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the members of ``prior.npz``; `from_arrays` is the inverse."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the mixture that `to_arrays` gave; ValueError if it is none."""
        try:
            return cls(arrays["weights"], arrays["means"], arrays["factors"])
        except KeyError as error:
            raise ValueError(f"mixture lacks {error}") from error
