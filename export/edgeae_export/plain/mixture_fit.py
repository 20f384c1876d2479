"""A mixture of Gaussians fitted to the latents of real inputs, from which a bundle is sampled."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from edgeae.errors import BoundError
from edgeae.mixture import Mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPONENTS = 64
LATENTS_A_COMPONENT = 20  # at least, for a covariance that means something,
LATENTS_A_DIMENSION = 3  # and for one that does not single out each of them
SMALLEST_VARIANCE = 1e-3  # latents are of about unit size
STEPS = 50  # the likelihood hardly grows after that


def fit_mixture(latents: NDArray[np.float32], seed: int = 1) -> Mixture:
    """Return the mixture of most likelihood for latents (N, D) in the network's own units.

    Up to 64 components with full covariances, by expectation maximization from k-means.

    Raises
    ------
    BoundError
        There are too few latents.
    """
    needed = max(LATENTS_A_COMPONENT, LATENTS_A_DIMENSION * latents.shape[1])
    count = min(COMPONENTS, len(latents) // needed)
    if count < 1:
        raise BoundError(
            f"a mixture needs at least {needed} inputs, there are {len(latents)}; give more data"
        )
    model = GaussianMixture(
        count,
        covariance_type="full",
        reg_covar=SMALLEST_VARIANCE,
        max_iter=STEPS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(latents.astype(np.float64))
    factors = np.linalg.cholesky(model.covariances_)
    return Mixture(
        model.weights_.astype(np.float32),
        model.means_.astype(np.float32),
        factors.astype(np.float32),
    )
