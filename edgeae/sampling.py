"""Latents drawn from a bundle's prior: N(0, 1), or the mixture in its ``prior.npz``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeae.bundle import PRIOR
from edgeae.errors import BundleError
from edgeae.latent_space import check_sampling, sample_prior, sample_shape
from edgeae.manifest import MIXTURE
from edgeae.mixture import Mixture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle


def sample_latents(
    bundle: Bundle, count: int, *, seed: int = 0, truncation: float = 1.0
) -> NDArray[np.float32]:
    """Return latents (count, C, h, w) as a bundle's prior has them: of N(0, 1) or of its mixture.

    The first samples are the same however many there are. A truncation below 1 gives more typical
    and less varied pictures.

    Raises
    ------
    BundleError
        The bundle has no prior, or a damaged one.
    ValueError
        No sample is asked for, or the truncation is negative or not finite, or the seed negative.
    """
    shape = sample_shape(bundle.manifest)
    check_sampling(count, truncation, seed)
    if bundle.manifest.prior != MIXTURE:
        return sample_prior(count, shape, seed=seed, truncation=truncation)
    try:
        mixture = Mixture.from_arrays(bundle.arrays(PRIOR))
        drawn = mixture.sample(count, seed=seed, truncation=truncation)
        return drawn.reshape(count, *shape)
    except ValueError as error:
        raise BundleError(f"{bundle.path / PRIOR}: {error}; export the bundle again") from error
